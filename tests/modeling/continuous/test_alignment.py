"""The best path through a gloss sequence against all paths there are, and the spans made of it."""

from itertools import product

import numpy as np
import pytest
import torch

from modeling.continuous.alignment import AlignedGloss, best_path_alignment, sign_spans
from modeling.continuous.decoding import merge_repeats


@pytest.mark.parametrize("glosses", [[1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 1]])
def test_names_each_gloss_where_the_best_of_all_paths_does(glosses: list[int]) -> None:
    steps, classes = 6, 3
    for seed in range(5):
        logits = torch.from_numpy(2 * np.random.default_rng(seed).standard_normal((steps, classes)))
        probabilities = logits.softmax(dim=1).numpy()
        paths = [
            path
            for path in product(range(classes), repeat=steps)
            if [gloss for gloss in merge_repeats(list(path)) if gloss] == glosses
        ]
        best = max(paths, key=lambda path: np.prod(probabilities[np.arange(steps), path]))
        aligned = best_path_alignment(logits, glosses)
        named = np.zeros(steps, dtype=int)
        for sign in aligned:
            assert not named[sign.start : sign.end].any()
            named[sign.start : sign.end] = sign.gloss
            mean = probabilities[sign.start : sign.end, sign.gloss].mean()
            assert sign.probability == pytest.approx(mean)
        assert named.tolist() == list(best)
        assert [sign.gloss for sign in aligned] == glosses


def test_no_glosses_take_no_steps() -> None:
    assert best_path_alignment(torch.zeros(4, 3), []) == []
    assert best_path_alignment(torch.zeros(0, 3), []) == []


@pytest.mark.parametrize(("steps", "glosses"), [(0, [1]), (1, [1, 2]), (2, [1, 1])])
def test_too_few_steps_are_refused(steps: int, glosses: list[int]) -> None:
    with pytest.raises(ValueError, match=f"no path of {steps} steps gives these {len(glosses)} glosses"):
        best_path_alignment(torch.zeros(steps, 3), glosses)
    assert len(best_path_alignment(torch.zeros(steps + 1, 3), glosses)) == len(glosses)


def test_a_gloss_of_probability_zero_is_refused() -> None:
    logits = torch.zeros(5, 3)
    logits[:, 2] = -torch.inf
    with pytest.raises(ValueError, match="no path"):
        best_path_alignment(logits, [1, 2])


def test_spans_share_the_gaps_and_reach_so_far() -> None:
    def spans(*named: tuple[int, int], steps: int, reach: int) -> list[tuple[int, int]]:
        aligned = [AlignedGloss(7, start, end, 0.5) for start, end in named]
        return [(sign.start, sign.end) for sign in sign_spans(aligned, steps, reach)]

    assert spans((1, 2), (5, 6), (6, 7), steps=9, reach=9) == [(0, 3), (3, 6), (6, 9)]
    assert spans((4, 5), (20, 22), steps=30, reach=3) == [(1, 8), (17, 25)]
    assert spans((2, 3), (4, 5), steps=5, reach=0) == [(2, 3), (4, 5)]
    assert spans(steps=5, reach=3) == []
