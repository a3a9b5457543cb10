"""The losses against their dense definitions (specification sections 6 to 8)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks import plain
from modeling.config import (
    InterModalityMixupConfig,
    IntraModalityMixupConfig,
    LabelSmoothingConfig,
    LossConfig,
)
from modeling.losses import (
    cosine_similarities,
    integration_momentum,
    inter_modality_loss,
    inter_modality_weight,
    language_aware_labels,
    recognition_loss,
    select_candidates,
    uniform_labels,
)
from modeling.objective import MixedLabels, Objective
from modeling.recognizer import Output

Targets = list[tuple[Tensor, float]]


def dense_inter_modality(clip: Tensor, gloss: Tensor, targets: Targets, candidates: Tensor) -> Tensor:
    """Section 8 with all logits [B, K, N] written out."""
    return plain.dense_inter_modality(clip[:, None, :] + gloss[candidates], targets, candidates)


def random_terms(seed: int, batch: int, glosses: int, scale: float = 3.0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    clip = scale * torch.randn(batch, glosses, generator=rng, dtype=torch.float64)
    gloss = scale * torch.randn(glosses, glosses, generator=rng, dtype=torch.float64)
    labels = torch.randint(glosses, (batch,), generator=rng)
    return clip, gloss, labels


def assert_same_loss_and_gradients(
    clip: Tensor, gloss: Tensor, targets: Targets, candidates: Tensor | None, rtol: float = 1e-10
) -> None:
    batch, glosses = clip.shape
    everything = torch.arange(glosses).expand(batch, glosses)
    results = []
    for dense in (False, True):
        a, c = clip.clone().requires_grad_(), gloss.clone().requires_grad_()
        if dense:
            chosen = everything if candidates is None else candidates
            loss = dense_inter_modality(a.double(), c.double(), targets, chosen)
        else:
            loss = inter_modality_loss(a, c, targets, candidates)
        (3.0 * loss).backward()
        results.append((loss, a.grad, c.grad))
    for ours, expected in zip(*results, strict=True):
        assert ours is not None and expected is not None
        torch.testing.assert_close(ours.double(), expected.double(), rtol=rtol, atol=rtol)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 9), st.floats(0, 1), st.booleans())
def test_inter_modality_loss_is_the_dense_definition(
    seed: int, batch: int, glosses: int, share: float, mixed: bool
) -> None:
    clip, gloss, labels = random_terms(seed, batch, glosses)
    targets = MixedLabels(labels, labels.flip(0), share).pairs() if mixed else [(labels, 1.0)]
    assert_same_loss_and_gradients(clip, gloss, targets, None)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 9), st.data())
def test_inter_modality_loss_with_candidates_is_the_dense_definition(
    seed: int, batch: int, glosses: int, data: st.DataObject
) -> None:
    clip, gloss, labels = random_terms(seed, batch, glosses)
    candidates = select_candidates(clip, labels, data.draw(st.integers(1, glosses)))
    # The second labels of a mixed clip need not be among its candidates.
    targets = MixedLabels(labels, (labels + 1) % glosses, 0.3).pairs()
    assert_same_loss_and_gradients(clip, gloss, targets, candidates)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [None, 3])
def test_inter_modality_loss_survives_huge_logits(dtype: torch.dtype, count: int | None) -> None:
    """exp(clip) exp(gloss)^T would overflow, and opposed peaks cancel: both terms spread over hundreds."""
    clip, gloss, labels = random_terms(0, 4, 8, scale=300.0)
    clip, gloss = clip.to(dtype), gloss.to(dtype)
    gloss[0] = -clip[0]
    candidates = None if count is None else select_candidates(clip, labels, count)
    assert_same_loss_and_gradients(
        clip, gloss, [(labels, 1.0)], candidates, 1e-4 if dtype == torch.float32 else 1e-10
    )


def test_targets_add_up_where_gloss_and_label_coincide() -> None:
    """With one candidate, the clip's own gloss, the target is all on it: plain cross-entropy."""
    clip, gloss, labels = random_terms(1, 5, 6)
    expected = torch.nn.functional.cross_entropy(clip + gloss[labels], labels)
    torch.testing.assert_close(inter_modality_loss(clip, gloss, [(labels, 1.0)], labels[:, None]), expected)


@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.0, 0.9), st.floats(0.2, 3.0))
def test_language_aware_labels_are_the_formula(
    seed: int, glosses: int, epsilon: float, temperature: float
) -> None:
    vectors = torch.randn(glosses, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = language_aware_labels(cosine_similarities(vectors), epsilon, temperature)
    for b in range(glosses):
        similar = [
            float(vectors[b] @ vectors[i] / (vectors[b].norm() * vectors[i].norm())) for i in range(glosses)
        ]
        mass = sum(math.exp(similar[k] / temperature) for k in range(glosses) if k != b)
        for i in range(glosses):
            wanted = 1 - epsilon if i == b else epsilon * math.exp(similar[i] / temperature) / mass
            assert float(labels[b, i]) == pytest.approx(wanted, abs=1e-10)


def test_similar_glosses_get_more_of_the_mass() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.2]])
    labels = language_aware_labels(cosine_similarities(vectors), 0.2, 0.5)
    assert labels[0, 1] > 10 * labels[0, 2] > 0


def test_uniform_labels() -> None:
    labels = uniform_labels(5, 0.2, torch.float64)
    wanted = torch.full((5, 5), 0.05, dtype=torch.float64).fill_diagonal_(0.8)
    torch.testing.assert_close(labels, wanted)


def test_recognition_loss_reads_the_row_of_the_label() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    soft = torch.rand(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([2, 0, 2])
    log_p = logits.log_softmax(dim=1)
    wanted = -sum(float(soft[y] @ log_p[b]) for b, y in enumerate(labels.tolist())) / 3
    assert float(recognition_loss(logits, labels, soft)) == pytest.approx(wanted)
    plain = -sum(float(log_p[b, y]) for b, y in enumerate(labels.tolist())) / 3
    assert float(recognition_loss(logits, labels, None)) == pytest.approx(plain)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 9), st.data())
def test_candidates_are_own_gloss_then_the_best_others(
    seed: int, batch: int, glosses: int, data: st.DataObject
) -> None:
    logits, _, labels = random_terms(seed, batch, glosses)
    count = data.draw(st.integers(1, glosses))
    chosen = select_candidates(logits, labels, count)
    for b, own in enumerate(labels.tolist()):
        others = sorted((i for i in range(glosses) if i != own), key=lambda i: -float(logits[b, i]))
        assert chosen[b].tolist() == [own, *others[: count - 1]]


@pytest.mark.parametrize(
    ("epoch", "weight", "momentum"),
    [
        (0, 1.0, 0.99),
        (25, 0.5 * (1 + math.sqrt(0.5)), 1 - 0.005 * (1 + math.sqrt(0.5))),
        (50, 0.5, 0.995),
        (100, 0, 1),
    ],
)
def test_schedules_of_weight_and_integration(epoch: int, weight: float, momentum: float) -> None:
    assert inter_modality_weight(epoch, 100, 1.0, decay=True) == pytest.approx(weight)
    assert inter_modality_weight(epoch, 100, 0.7, decay=False) == 0.7
    assert integration_momentum(epoch, 100, 0.99) == pytest.approx(momentum)


def full_objective(candidates: int | None = None) -> LossConfig:
    return LossConfig(
        LabelSmoothingConfig("language"),
        IntraModalityMixupConfig(),
        InterModalityMixupConfig(enabled=True, weight=2.0, candidates=candidates),
    )


@pytest.mark.parametrize("candidates", [None, 2, 6])
def test_objective_is_the_sum_over_heads_labels_and_losses(candidates: int | None) -> None:
    rng = torch.Generator().manual_seed(5)
    vectors = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    heads = {name: random_terms(seed, 3, 6) for seed, name in enumerate(("rgb64", "joint"))}
    logits = {name: torch.randn(3, 6, generator=rng, dtype=torch.float64) for name in heads}
    output = Output(logits, {name: (clip, gloss) for name, (clip, gloss, _) in heads.items()})
    first, second = torch.tensor([0, 1, 5]), torch.tensor([1, 5, 0])
    total, parts = Objective(full_objective(candidates), 6, vectors)(
        output, MixedLabels(first, second, 0.3), 25, 100
    )
    soft = language_aware_labels(cosine_similarities(vectors), 0.2, 0.5)
    weight = 2.0 * 0.5 * (1 + math.cos(math.pi / 4))
    wanted = 0.0
    for name, (clip, gloss, _) in heads.items():
        for labels, share in ((first, 0.3), (second, 0.7)):
            wanted += share * float(recognition_loss(logits[name], labels, soft))
        chosen = select_candidates(logits[name], first, candidates or 6)
        dense = dense_inter_modality(clip, gloss, [(first, 0.3), (second, 0.7)], chosen)
        assert float(parts[f"inter_modality/{name}"]) == pytest.approx(float(dense))
        wanted += weight * float(dense)
    assert float(total) == pytest.approx(wanted)


def test_objective_without_language_is_plain_cross_entropy() -> None:
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 3])
    total, parts = Objective(LossConfig(), 4, None)(Output({"rgb64": logits}, {}), labels, 0, 10)
    torch.testing.assert_close(total, torch.nn.functional.cross_entropy(logits, labels))
    assert list(parts) == ["recognition/rgb64"]
