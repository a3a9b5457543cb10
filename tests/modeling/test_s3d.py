"""Shapes and pooling of the S3D encoder (specification section 3)."""

import pytest
import torch
from torch.nn import functional as F

from modeling.config import ModelConfig
from modeling.s3d import S3D
from modeling.vknet import pool_clip


@pytest.mark.parametrize(("channels", "size"), [(3, 224), (63, 112)])
@pytest.mark.parametrize("frames", [64, 32])
def test_blocks_have_the_published_shapes(channels: int, size: int, frames: int) -> None:
    with torch.device("meta"):
        encoder, x = S3D(channels), torch.empty(2, channels, frames, size, size)
    shapes = []
    for block in encoder.blocks:
        x = block(x)
        shapes.append(tuple(x.shape))
    table = [(64, 32, 112), (192, 32, 56), (480, 32, 28), (832, 16, 14), (1024, 8, 7)]
    wanted = [(2, c, t * frames // 64, s * size // 224, s * size // 224) for c, t, s in table]
    assert shapes == wanted
    assert encoder.block_channels == [64, 192, 480, 832, 1024]


def test_published_encoder_has_the_published_number_of_weights() -> None:
    """7 930 548 weights in the RGB model of 20 glosses, of which 20 * 1024 + 20 are the classifier's."""
    with torch.device("meta"):
        encoder = S3D(3)
    assert sum(p.numel() for p in encoder.parameters()) == 7_930_548 - 20 * 1025


def test_batch_norm_is_as_published() -> None:
    with torch.device("meta"):
        norms = [m for m in S3D(3).modules() if isinstance(m, torch.nn.BatchNorm3d)]
        convolutions = [m for m in S3D(3).modules() if isinstance(m, torch.nn.Conv3d)]
    assert len(norms) == len(convolutions) > 50
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 1e-3)}
    assert all(m.bias is None for m in convolutions)


def test_width_scales_every_channel_to_multiples_of_eight() -> None:
    with torch.device("meta"):
        half, tiny = S3D(3, width=0.5), S3D(3, width=0.01)
    assert half.block_channels == [32, 96, 240, 416, 512]
    assert tiny.block_channels == [8, 8, 32, 32, 32]
    assert all(m.out_channels % 8 == 0 for m in S3D(3, width=0.3).modules() if isinstance(m, torch.nn.Conv3d))


def test_encoder_runs_its_blocks_in_order() -> None:
    encoder = S3D(3, width=0.1).eval()
    x = torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = x
    for block in encoder.blocks:
        maps = block(maps)
    assert torch.equal(encoder(x), maps)
    assert maps.shape == (1, encoder.block_channels[-1], 2, 2, 2)
    assert (maps >= 0).all() and maps.std() > 0


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_pooling_is_an_average_pool_then_a_mean(steps: int) -> None:
    maps = torch.randn(2, 5, steps, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pooled = F.avg_pool3d(maps, (min(2, steps), 3, 4), stride=1)
    torch.testing.assert_close(pool_clip(maps), pooled.view(2, 5, -1).mean(dim=2))


@pytest.mark.parametrize(("frames", "size"), [(8, 32), (12, 48), (16, 112), (9, 33)])
def test_the_last_map_has_the_places_that_the_model_says(frames: int, size: int) -> None:
    with torch.no_grad():
        last = S3D(3, 0.01).eval()(torch.zeros(1, 3, frames, size, size))
    model = ModelConfig(modalities=["keypoint"], frames=[frames], heatmap_size=size)
    assert model.last_places == last[0, 0].numel()
