"""Lateral connections and the order of exchanges (specification section 4)."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from modeling.lateral import SPATIAL, SPATIOTEMPORAL, TEMPORAL, Connection, LateralExchange
from modeling.vknet import VKNet, pool_clip


def test_connections_are_the_published_convolutions() -> None:
    for connection, padding, extra in (
        (SPATIAL, (0, 1, 1), (0, 1, 1)),
        (TEMPORAL, (1, 0, 0), (1, 0, 0)),
        (SPATIOTEMPORAL, (3, 1, 1), (0, 1, 1)),
    ):
        exchange = LateralExchange("large", "small", [64, 192], connection)
        assert [m.in_channels for m in exchange.to_large] == [64, 192]
        for up, down in zip(exchange.to_large, exchange.to_small, strict=True):
            assert isinstance(up, nn.ConvTranspose3d) and isinstance(down, nn.Conv3d)
            assert up.bias is None and down.bias is None
            assert up.kernel_size == down.kernel_size == connection.kernel
            assert up.stride == down.stride == connection.stride and up.padding == down.padding == padding
            assert up.output_padding == extra
    assert (SPATIAL.kernel, SPATIAL.stride) == ((1, 3, 3), (1, 2, 2))
    assert (TEMPORAL.kernel, TEMPORAL.stride) == ((3, 1, 1), (2, 1, 1))
    assert (SPATIOTEMPORAL.kernel, SPATIOTEMPORAL.stride) == ((7, 3, 3), (1, 2, 2))


@pytest.mark.parametrize(
    ("connection", "large"), [(SPATIAL, (4, 10, 6)), (TEMPORAL, (8, 5, 3)), (SPATIOTEMPORAL, (5, 10, 6))]
)
def test_both_directions_read_the_maps_before_the_exchange(
    connection: Connection, large: tuple[int, int, int]
) -> None:
    exchange = LateralExchange("a", "b", [3, 3], connection)
    small = tuple(n // step for n, step in zip(large, connection.stride, strict=True))
    maps = {"a": torch.randn(2, 3, *large), "b": torch.randn(2, 3, *small)}
    after = exchange(dict(maps), 1)
    assert after["a"].shape == maps["a"].shape and after["b"].shape == maps["b"].shape
    torch.testing.assert_close(after["a"], maps["a"] + exchange.to_large[1](maps["b"]))
    torch.testing.assert_close(after["b"], maps["b"] + exchange.to_small[1](maps["a"]))


def test_blocks_without_connections_exchange_nothing() -> None:
    exchange = LateralExchange("a", "b", [3, 3], SPATIAL, first_block=1)
    maps = {"a": torch.randn(1, 3, 2, 4, 4), "b": torch.randn(1, 3, 2, 2, 2)}
    assert [set(exchange(dict(maps), block)) for block in range(4)] == [set(), {"a", "b"}, {"a", "b"}, set()]
    torch.testing.assert_close(exchange(maps, 1)["b"], maps["b"] + exchange.to_small[0](maps["a"]))


@torch.no_grad()
def test_exchanges_of_the_full_network_follow_the_specified_order() -> None:
    net = VKNet({"rgb": 3, "keypoint": 5}, [16, 8], width=0.01).eval()
    rng = torch.Generator().manual_seed(0)
    inputs = {
        f"{modality}{length}": torch.randn(1, channels, length, size, size, generator=rng)
        for length in (16, 8)
        for modality, channels, size in (("rgb", 3, 64), ("keypoint", 5, 32))
    }
    stages = list(net.stages(inputs))
    assert len(stages) == 5
    for block, (before, after) in enumerate(stages[:4]):
        first: dict[str, Tensor] = {}
        for t in (16, 8):
            exchange = net.laterals[f"modalities{t}"]
            first[f"rgb{t}"] = before[f"rgb{t}"] + exchange.to_large[block](before[f"keypoint{t}"])
            first[f"keypoint{t}"] = before[f"keypoint{t}"] + exchange.to_small[block](before[f"rgb{t}"])
        for m in ("rgb", "keypoint"):
            exchange = net.laterals[f"lengths_{m}"]
            torch.testing.assert_close(
                after[f"{m}16"], first[f"{m}16"] + exchange.to_large[block](first[f"{m}8"])
            )
            torch.testing.assert_close(
                after[f"{m}8"], first[f"{m}8"] + exchange.to_small[block](first[f"{m}16"])
            )
    for (_, maps), (before, _) in pairwise(stages):
        block = next(i for i, (b, _) in enumerate(stages) if b is before)
        for name, encoder in net.encoders.items():
            torch.testing.assert_close(before[name], encoder.blocks[block](maps[name]))
    before, after = stages[4]
    assert all(before[name] is after[name] for name in before)  # nothing is exchanged after the last block
    features = net(inputs)
    assert list(features) == ["rgb16", "keypoint16", "rgb8", "keypoint8"]
    for name, feature in features.items():
        torch.testing.assert_close(feature, pool_clip(after[name]))
        assert feature.shape == (1, net.feature_size)


@pytest.mark.parametrize(
    ("channels", "frames", "exchanges"),
    [
        ({"rgb": 3}, [64], []),
        ({"keypoint": 63}, [32], []),
        ({"rgb": 3, "keypoint": 63}, [32], ["modalities32"]),
        (
            {"rgb": 3, "keypoint": 63},
            [64, 32],
            ["modalities64", "modalities32", "lengths_rgb", "lengths_keypoint"],
        ),
    ],
)
def test_networks_have_the_exchanges_of_their_streams(
    channels: dict[str, int], frames: list[int], exchanges: list[str]
) -> None:
    with torch.device("meta"):
        net = VKNet(channels, frames)
    assert list(net.laterals) == exchanges
    assert net.feature_size == 1024
    for exchange in net.laterals.values():
        assert [m.out_channels for m in exchange.to_small] == [64, 192, 480, 832]


def test_a_single_stream_is_its_encoder() -> None:
    net = VKNet({"rgb": 3}, [16], width=0.01).eval()
    x = torch.randn(2, 3, 16, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net({"rgb16": x})["rgb16"], pool_clip(net.encoders["rgb16"](x)))
