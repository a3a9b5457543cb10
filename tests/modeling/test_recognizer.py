"""Named logits and the ensembles that are reported (specification section 5)."""

import pytest
import torch

from modeling.config import ModelConfig
from modeling.heads import head_streams
from modeling.recognizer import Recognizer, predictions, reported_prediction

SMALL = dict(width=0.01, rgb_size=64, heatmap_size=32)
FULL = ModelConfig(frames=[16, 8], **SMALL)  # type: ignore[arg-type]


def random_logits(names: list[str]) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {name: 3 * torch.randn(2, 4, generator=rng) for name in names}


def mean_softmax(logits: dict[str, torch.Tensor], names: list[str]) -> torch.Tensor:
    return torch.stack(
        [logits[name].exp() / logits[name].exp().sum(dim=1, keepdim=True) for name in names]
    ).mean(dim=0)


def test_full_model_reports_the_ensemble_of_the_heads_that_read_several_streams() -> None:
    logits = random_logits(list(head_streams(["rgb", "keypoint"], [64, 32])))
    found = predictions(logits)
    assert reported_prediction(ModelConfig()) == "ensemble_joint"
    torch.testing.assert_close(found["ensemble_joint"], mean_softmax(logits, ["joint", "joint64", "joint32"]))
    torch.testing.assert_close(found["ensemble_all"], mean_softmax(logits, list(logits)))
    assert len(found) == 9
    torch.testing.assert_close(found["rgb32"], mean_softmax(logits, ["rgb32"]))


def test_two_stream_model_reports_the_ensemble_of_its_three_heads() -> None:
    logits = random_logits(["rgb64", "keypoint64", "joint64"])
    found = predictions(logits)
    assert reported_prediction(ModelConfig(frames=[64])) == "ensemble_all"
    torch.testing.assert_close(found["ensemble_all"], mean_softmax(logits, list(logits)))
    assert set(found) == {*logits, "ensemble_all"}


def test_single_stream_reports_its_own_softmax() -> None:
    logits = random_logits(["keypoint32"])
    assert reported_prediction(ModelConfig(modalities=["keypoint"], frames=[32])) == "keypoint32"
    found = predictions(logits)
    assert list(found) == ["keypoint32"]
    torch.testing.assert_close(found["keypoint32"], mean_softmax(logits, ["keypoint32"]))


def test_full_model_gives_all_logits_and_auxiliary_terms_on_demand() -> None:
    embeddings = torch.randn(6, 5)
    model = Recognizer(FULL, 7, 6, embeddings, auxiliary=True).eval()
    inputs = {
        f"{modality}{t}": torch.randn(2, c, t, s, s)
        for t in (16, 8)
        for modality, c, s in (("rgb", 3, 64), ("keypoint", 7, 32))
    }
    with torch.no_grad():
        plain, full = model(inputs), model(inputs, auxiliary=True)
    heads = {"rgb16", "rgb8", "keypoint16", "keypoint8", "joint", "joint16", "joint8"}
    assert set(plain.logits) == set(full.auxiliary) == heads and plain.auxiliary == {}
    for name in heads:
        assert plain.logits[name].shape == (2, 6)
        assert [tuple(x.shape) for x in full.auxiliary[name]] == [(2, 6), (6, 6)]
    assert torch.equal(model.state_dict()["gloss_embeddings"], embeddings)


def test_integration_reaches_every_head() -> None:
    model = Recognizer(FULL, 7, 6, torch.randn(6, 5), auxiliary=True)
    model.integrate(0.0)
    for head in model.heads.values():
        assert torch.equal(head.classifier.weight, head.auxiliary.weight)
        assert torch.equal(head.classifier.bias, head.auxiliary.bias)


def test_auxiliary_classifiers_need_embeddings() -> None:
    with pytest.raises(ValueError, match="gloss embeddings"):
        Recognizer(FULL, 7, 6, None, auxiliary=True)
