"""Heads, their auxiliary classifiers and the integration (specification sections 5 and 8)."""

import pytest
import torch

from modeling.heads import Head, head_streams, integrate


def test_heads_of_every_model_read_the_specified_streams() -> None:
    assert head_streams(["rgb"], [64]) == {"rgb64": ["rgb64"]}
    assert head_streams(["rgb", "keypoint"], [32]) == {
        "rgb32": ["rgb32"],
        "keypoint32": ["keypoint32"],
        "joint32": ["rgb32", "keypoint32"],
    }
    assert head_streams(["rgb", "keypoint"], [64, 32]) == {
        "rgb64": ["rgb64"],
        "rgb32": ["rgb32"],
        "keypoint64": ["keypoint64"],
        "keypoint32": ["keypoint32"],
        "joint": ["rgb64", "rgb32", "keypoint64", "keypoint32"],
        "joint64": ["rgb64", "keypoint64"],
        "joint32": ["rgb32", "keypoint32"],
    }


def test_a_head_classifies_the_concatenated_features() -> None:
    head = Head(["b", "a"], 3, 4, None)
    features = {"a": torch.randn(2, 3), "b": torch.randn(2, 3), "c": torch.randn(2, 3)}
    wanted = (
        torch.cat([features["b"], features["a"]], dim=1) @ head.classifier.weight.T + head.classifier.bias
    )
    torch.testing.assert_close(head(features), wanted)
    assert head.mapper is None and head.auxiliary is None


def test_auxiliary_terms_are_mapper_and_classifier_written_out() -> None:
    torch.manual_seed(0)
    head = Head(["a", "b"], 3, 5, 7).double()
    assert head.mapper is not None and head.auxiliary is not None
    v = {name: torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for name in ("a", "b")}
    embeddings = torch.randn(5, 7, dtype=torch.float64)
    clip, gloss = head.auxiliary_terms(v, embeddings)
    feature = torch.cat([v["a"], v["b"]], dim=1)
    dense = head.auxiliary(feature[:, None, :] + head.mapper(embeddings)[None])  # [B, K, N]
    torch.testing.assert_close(clip[:, None, :] + gloss[None], dense)
    leaves = [*v.values(), *head.mapper.parameters(), *head.auxiliary.parameters()]
    upstream = torch.randn_like(dense)
    ours = torch.autograd.grad(clip[:, None, :] + gloss[None], leaves, upstream, retain_graph=True)
    wanted = torch.autograd.grad(dense, leaves, upstream)
    for a, b in zip(ours, wanted, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("momentum", [0.0, 0.99, 1.0])
def test_integration_moves_weight_and_bias_of_the_main_classifier_only(momentum: float) -> None:
    head = Head(["a"], 3, 4, 2)
    assert head.auxiliary is not None
    before = {name: value.clone() for name, value in head.state_dict().items()}
    integrate([head], momentum)
    for name, value in head.state_dict().items():
        wanted = before[name]
        if name.startswith("classifier"):
            auxiliary = before[name.replace("classifier", "auxiliary")]
            wanted = momentum * before[name] + (1 - momentum) * auxiliary
        torch.testing.assert_close(value, wanted)
