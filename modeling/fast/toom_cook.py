"""Convolutions in space and time with fewer multiplications: Toom-Cook's algorithm over time, 2D convolutions in space.

Six steps of the result of a kernel of seven steps come from twelve frames. Frames and kernel, as polynomials in time,
are taken at twelve points; there the result is one 2D convolution, so twelve of these do what otherwise takes 6 x 7:

    y = A' [(G w) * (B x)],    * a 2D convolution at each point, A' the transpose of A.

All else are matrices over frames, so gradients are the same with A, B and G transposed. An identity; in fp32 it is
rounded about 20 times as much as the direct sum, by 4e-6 of the result. Not for bf16, whose 8 bits are too few.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from modeling.fast import products
from modeling.fast.products import Triple

STEPS = 6  # of the result in a tile
KERNEL = 7  # the longest in time
VALUES = 2**25  # of a map that are taken to the points at once
# Used for weights of at least so many channels in times channels out, and for the gradients of smaller ones.
CHANNELS, CHANNELS_OF_GRADIENTS = 128 * 128, 64 * 64


def pays(x: Tensor, shape: torch.Size, stride: Triple) -> bool:
    """Whether it is faster for a weight of `shape`, on maps like `x`."""
    return _fits(x, shape, stride) and shape[:2].numel() >= CHANNELS


def pays_for_gradient(x: Tensor, shape: torch.Size, stride: Triple) -> bool:
    """Whether it is faster for the gradient of a weight of `shape`."""
    return _fits(x, shape, stride) and shape[:2].numel() >= CHANNELS_OF_GRADIENTS


def _fits(x: Tensor, shape: torch.Size, stride: Triple) -> bool:
    exact = x.device.type == "cpu" and x.dtype is not torch.bfloat16
    return exact and 3 < shape[2] <= KERNEL and shape[3] > 1 and stride[0] == 1


@cache
def matrices(kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    """G [points, kernel], B [points, points], A [points, STEPS] for a kernel of so many steps, in fp64.

    A polynomial of degree below n is known by its values at n - 1 points and at infinity, its highest coefficient; so
    the product of two is found from products of values. A convolution is the transpose of that, with the product's
    coefficients given (B, from Lagrange's polynomials) and those of one factor wanted (A).
    """
    points = np.array([0, 1, -1, 2 / 3, -2 / 3, 3 / 2, -3 / 2, 1 / 3, -1 / 3, 3, -3][: STEPS + kernel - 2])

    def values(size: int) -> Tensor:
        return torch.from_numpy(np.vstack([np.vander(points, size, increasing=True), np.eye(size)[-1]]))

    lagrange = []
    for place, point in enumerate(points):
        others = np.delete(points, place)
        lagrange.append(np.append(np.poly(others)[::-1] / np.prod(point - others), 0))
    inputs = np.vstack([*lagrange, np.poly(points)[::-1]])
    return values(kernel), torch.from_numpy(inputs), values(STEPS)


def convolve(x: Tensor, weight: Tensor, stride: Triple) -> Tensor:
    """[B, C, T, H, W] by [O, C, *kernel], padded by half the kernel; stride 1 in time."""
    tiles, flat = _Tiles(weight.shape[2], x), (1, stride[1], stride[2])
    kernels = tiles.of_kernel(weight)
    size = [-(-length // step) for length, step in zip(x.shape[2:], stride, strict=True)]
    y = products.of_shape(torch.Size([len(x), len(weight), *size]), x).zero_()
    for clip, result in zip(x, y, strict=True):
        for part in tiles.parts(clip):
            seen = tiles.inputs(clip, part)
            found = _each(partial(products.convolve, stride=flat), seen, kernels)
            tiles.add_outputs(found, result, part)
    return y


def input_gradient(grad: Tensor, weight: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in x of `shape`."""
    tiles, flat = _Tiles(weight.shape[2], grad), (1, stride[1], stride[2])
    kernels = tiles.of_kernel(weight)
    x = products.of_shape(shape, grad).zero_()
    for result, upstream in zip(x, grad, strict=True):
        for part in tiles.parts(result):
            given = tiles.outputs(upstream, part)
            of_point = torch.Size([1, shape[1], len(part), *shape[3:]])
            found = _each(partial(products.input_gradient, shape=of_point, stride=flat), given, kernels)
            tiles.add_inputs(found, result, part)
    return x


def weight_gradient(x: Tensor, grad: Tensor, shape: torch.Size, stride: Triple) -> Tensor:
    """The gradient of `convolve` in the weight of `shape`, [O, C, *kernel]."""
    tiles, flat = _Tiles(shape[2], x), (1, stride[1], stride[2])
    of_point = torch.Size([*shape[:2], 1, *shape[3:]])
    total = x.new_zeros(tiles.points, *shape[3:], *shape[:2])
    for clip, upstream in zip(x, grad, strict=True):
        for part in tiles.parts(clip):
            pairs = zip(tiles.inputs(clip, part), tiles.outputs(upstream, part), strict=True)
            for point, (a, b) in enumerate(pairs):
                found = products.weight_gradient(a[None], b[None], of_point, flat)
                total[point] += found[:, :, 0].permute(2, 3, 0, 1)
    steps = (tiles.to_kernel.T @ total.flatten(1)).unflatten(1, total.shape[1:])
    return steps.permute(3, 4, 0, 1, 2)


class _Tiles:
    """The frames of maps in tiles of `STEPS` steps of the result, and how they are taken to the points and back.

    Maps are [C, T, H, W], at the points [points, C, tiles, H, W], both with channels last in memory. A part is some
    tiles.

    Args:
        kernel: its steps.
        like: one of the maps, in fp32 or fp64.
    """

    def __init__(self, kernel: int, like: Tensor):
        self.to_kernel, self.to_inputs, self.to_outputs = (m.to(like.dtype) for m in matrices(kernel))
        self.points, self.before = len(self.to_kernel), kernel // 2

    def parts(self, larger: Tensor) -> Iterator[range]:
        """As many tiles at once as memory allows, in parts of about the same size; `larger`: of two maps."""
        tiles = -(-larger.shape[1] // STEPS)
        count = -(-tiles * self.points * larger[:, 0].numel() // VALUES)
        for part in range(count):
            first, last = tiles * part // count, tiles * (part + 1) // count
            if first < last:
                yield range(first, last)

    def of_kernel(self, weight: Tensor) -> Tensor:
        """[O, C, kernel, h, w] -> [points, O, C, 1, h, w]."""
        steps = weight.permute(2, 0, 3, 4, 1)
        points = self.to_kernel @ steps.flatten(1)
        return points.unflatten(1, steps.shape[1:]).permute(0, 1, 4, 2, 3)[:, :, :, None]

    def inputs(self, x: Tensor, part: range) -> Tensor:
        """What a part of the result sees of a map, at the points."""
        return self._at_points(self.to_inputs, x, part, self.before)

    def outputs(self, y: Tensor, part: range) -> Tensor:
        """A part of the gradient of the result, at the points."""
        return self._at_points(self.to_outputs, y, part, 0)

    def add_inputs(self, points: Tensor, x: Tensor, part: range) -> None:
        """Add the transpose of `inputs` to a map."""
        self._from_points(self.to_inputs, points, x, part, self.before)

    def add_outputs(self, points: Tensor, y: Tensor, part: range) -> None:
        """Add the transpose of `outputs` to a map."""
        self._from_points(self.to_outputs, points, y, part, 0)

    def _at_points(self, matrix: Tensor, maps: Tensor, part: range, before: int) -> Tensor:
        """`matrix` [points, L] times the L frames of each tile, which begin so many before its first."""
        frames = maps.permute(1, 2, 3, 0)
        result = frames.new_empty(self.points, len(part), *frames.shape[1:])
        for place, (seen, columns) in enumerate(self._windows(matrix, frames, part, before)):
            torch.mm(columns, seen, out=result[:, place].flatten(1))
        return result.permute(0, 4, 1, 2, 3)

    def _from_points(self, matrix: Tensor, points: Tensor, maps: Tensor, part: range, before: int) -> None:
        """Add the transpose of `_at_points` to maps."""
        values = points.permute(0, 2, 3, 4, 1).flatten(2)
        for place, (seen, columns) in enumerate(
            self._windows(matrix, maps.permute(1, 2, 3, 0), part, before)
        ):
            seen.addmm_(columns.T, values[:, place])

    @staticmethod
    def _windows(matrix: Tensor, frames: Tensor, part: range, before: int) -> Iterator[tuple[Tensor, Tensor]]:
        """For each tile, its frames within the clip, [frames, values], and their columns of the matrix."""
        for tile in part:
            start = tile * STEPS - before
            seen = frames[max(0, start) : start + matrix.shape[1]]
            first = max(0, -start)
            yield seen.flatten(1), matrix[:, first : first + len(seen)]


def _each(convolve: Callable[[Tensor, Tensor], Tensor], maps: Tensor, kernels: Tensor) -> Tensor:
    """Of each of the points, the map by the kernel: [points, C, tiles, H, W] again."""
    results: Tensor | None = None
    for point, (x, kernel) in enumerate(zip(maps, kernels, strict=True)):
        y = convolve(x[None], kernel)[0].permute(1, 2, 3, 0)
        if results is None:
            results = y.new_empty(len(maps), *y.shape)
        results[point] = y
    assert results is not None
    return results.permute(0, 4, 1, 2, 3)
