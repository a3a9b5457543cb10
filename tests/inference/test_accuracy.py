"""What is kept of every prediction is enough for all that an evaluation says."""

import json
from pathlib import Path

import numpy as np
import pytest

from inference.accuracy import AccuracyResults, clip_outcomes
from utils.metrics import TOP_K, true_ranks

CLIPS, CROPS, GLOSSES = 20, 3, 12
VOCABULARY = [f"gloss {i}" for i in range(GLOSSES)]


@pytest.fixture
def predicted() -> dict[str, np.ndarray]:
    """Probabilities [clips, crops, glosses], with ties."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 4, (CLIPS, CROPS, GLOSSES)) / 48).astype(np.float32)
        for name in ("rgb64", "ensemble_all")
    }


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, GLOSSES, CLIPS)


def results(predicted: dict[str, np.ndarray], labels: np.ndarray) -> AccuracyResults:
    outcomes = clip_outcomes(predicted, labels, "ensemble_all")
    return AccuracyResults(
        [f"clip {i}" for i in range(CLIPS)],
        labels,
        VOCABULARY,
        {name: np.array([outcome.ranks[name] for outcome in outcomes]) for name in predicted},
        np.stack([outcome.best for outcome in outcomes]),
        np.stack([outcome.probabilities for outcome in outcomes]),
        "ensemble_all",
    )


def test_ranks_and_the_best_five_are_of_the_mean_over_crops(
    predicted: dict[str, np.ndarray], labels: np.ndarray
) -> None:
    found = results(predicted, labels)
    for name, values in predicted.items():
        mean = values.mean(axis=1)
        np.testing.assert_array_equal(found.ranks[name], true_ranks(mean, labels))
        for k in TOP_K:
            assert found.accuracy(name).per_instance[k] == np.mean(true_ranks(mean, labels) < k)
    mean = predicted["ensemble_all"].mean(axis=1)
    order = np.argsort(-mean, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(found.best, order)
    np.testing.assert_array_equal(found.probabilities, np.take_along_axis(mean, order, axis=1))
    assert found.score == found.reported.per_instance[1] == found.accuracy("ensemble_all").per_instance[1]


def test_the_file_and_the_table_say_the_same(
    predicted: dict[str, np.ndarray], labels: np.ndarray, tmp_path: Path
) -> None:
    found = results(predicted, labels)
    found.write(tmp_path / "found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["reported"] == "ensemble_all" and content["vocabulary"] == VOCABULARY
    top_1 = content["accuracy"]["ensemble_all"]["per_instance"]["1"]
    assert top_1 == np.mean([clip["rank"] == 0 for clip in content["clips"]]) == found.score
    assert [clip["label"] for clip in content["clips"]] == [VOCABULARY[i] for i in labels]
    assert all(len(clip["top_5"]) == 5 for clip in content["clips"])
    (reported,) = (line for line in found.table().splitlines() if line.startswith("* ensemble_all"))
    assert f"{100 * top_1:8.2f}" in reported


def test_a_small_vocabulary_has_fewer_than_five(labels: np.ndarray) -> None:
    predicted = {"ensemble_all": np.full((2, 1, 3), 1 / 3, np.float32)}
    outcomes = clip_outcomes(predicted, np.array([0, 2]), "ensemble_all")
    assert [outcome.best.tolist() for outcome in outcomes] == [[0, 1, 2], [0, 1, 2]]
    assert [outcome.ranks["ensemble_all"] for outcome in outcomes] == [0, 2]


def test_tensorboard_gets_every_head_and_what_is_confused(
    predicted: dict[str, np.ndarray], labels: np.ndarray
) -> None:
    found = results(predicted, labels)
    names = {f"{kind}/{head}" for kind in ("top1", "top5", "top1_per_class") for head in predicted}
    assert found.scalars().keys() == names
    (picture,) = found.pictures().values()
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
