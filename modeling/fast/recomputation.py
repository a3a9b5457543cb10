"""Maps that are not kept for the backward pass, because it computes them again.

Where a convolution of this folder would keep a map for the gradient of its weight, it keeps the map's recipe, if there
is one. Recipes hold tensors that are kept anyway, and no others.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Recipe = Callable[[], Tensor]

# From how many values on the memory of a map is worth more than the time for an activation or a convolution.
ACTIVATION, CONVOLUTION = 2**20, 6_000_000


def worth_activating(x: Tensor) -> bool:
    """Whether a map is to be computed again by BatchNorm and ReLU."""
    return x.numel() >= ACTIVATION


def worth_convolving(x: Tensor) -> bool:
    """Whether a map is to be computed again by a convolution."""
    return x.numel() >= CONVOLUTION


def with_recipe(x: Tensor, recipe: Recipe) -> Tensor:
    """`x`, which `recipe` computes again; nothing will, without a backward pass."""
    if torch.is_grad_enabled():
        x.recipe = torch.no_grad()(recipe), x._version  # type: ignore[attr-defined]
    return x


def recipe_of(x: Tensor) -> Recipe | None:
    """The recipe of a map that nobody has changed since."""
    recipe, version = getattr(x, "recipe", (None, None))
    return recipe if recipe is not None and x._version == version else None


def combine(
    compute: Callable[..., Tensor], *parts: Tensor, worth: Callable[[Tensor], bool] | None = None
) -> Tensor:
    """`compute` of maps; with a recipe if all of them have one and the result is worth it (default: always)."""
    result = compute(*parts)
    recipes = [recipe for recipe in map(recipe_of, parts) if recipe is not None]
    if len(recipes) < len(parts) or (worth is not None and not worth(result)):
        return result
    return with_recipe(result, lambda: compute(*(recipe() for recipe in recipes)))


def keep(ctx: Any, x: Tensor, recipe: Recipe | None, *others: Tensor) -> None:
    """Keep `x`, or its recipe, and others for the backward pass of an autograd function."""
    ctx.recipe = recipe
    ctx.save_for_backward(*([x] if recipe is None else []), *others)


def kept(ctx: Any) -> tuple[Tensor, ...]:
    """What `keep` kept: x and the others. Once: a recipe is let go, with what it holds."""
    if ctx.recipe is None:
        return ctx.saved_tensors
    x, ctx.recipe = ctx.recipe(), None
    return x, *ctx.saved_tensors
