"""Layers made ready for prediction."""

import torch

from modeling.fast.prediction import FoldedStem
from modeling.s3d import SeparableConv
from modeling.windows import Windows


def test_the_stem_of_windows_is_that_of_each_clip() -> None:
    """Windows shifted by even and odd numbers of frames, padded, repeated, in any order, and of one frame only."""
    torch.manual_seed(0)
    stem = FoldedStem(SeparableConv(3, 8, 7, 2, momentum=0.1).double().eval(), torch.float64)
    frames = torch.randn(1, 3, 20, 16, 16, dtype=torch.float64)
    steps = torch.arange(12)
    places = torch.stack(
        [steps + 4, steps, (steps - 4).clamp(0), steps + 7, steps + 4, steps.flip(0), torch.full((12,), 9)]
    )
    for some in (places, places[:3], places[2:3], places[[0, 3]]):
        found = stem(Windows(frames, some))
        for clip, window in zip(found, some, strict=True):
            wanted = stem.temporal(stem.spatial(frames[:, :, window]))[0]
            torch.testing.assert_close(clip, wanted, rtol=0, atol=1e-12)
