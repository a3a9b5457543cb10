"""Distances of boundaries, against values by hand."""

import pytest

from utils.boundaries import boundary_distances

SIGNED = [("cold", 0, 10), ("table", 12, 20), ("cold", 30, 40)]


def test_only_glosses_that_were_read_right_count() -> None:
    """The first cold was left out, and table was read as tree; the second cold is left."""
    read = [("tree", 14, 22), ("cold", 33, 38)]
    assert boundary_distances([read], [SIGNED]) == (3.0, 2.0, 1)


def test_every_gloss_of_all_sentences_counts_once() -> None:
    read = [("cold", 2, 9), ("table", 12, 24), ("cold", 26, 40)]
    starts, ends, glosses = boundary_distances([read, SIGNED[:1]], [SIGNED, SIGNED[:1]]) or (0, 0, 0)
    assert (starts, ends, glosses) == (pytest.approx(6 / 4), pytest.approx(5 / 4), 4)


def test_nothing_right_has_no_distance() -> None:
    assert boundary_distances([[("tree", 0, 4)], []], [SIGNED, SIGNED]) is None
