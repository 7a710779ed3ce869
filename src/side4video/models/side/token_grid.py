"""Averages tokens over the cells of a coarser grid of frames, rows and columns."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def average_patches(patches: Float[Tensor, "B T N D"], num_patches: int) -> Float[Tensor, "B T M D"]:
    """Average a square grid of patches, row by row, to a coarser square grid of `num_patches` cells.

    Cell i of g covers the rows floor(i n / g) to ceil((i + 1) n / g) - 1 of n. If g does not divide n, neighbouring
    cells share a row.

    >>> average_patches(torch.arange(16.0).reshape(1, 1, 16, 1), 4).flatten().tolist()
    [2.5, 4.5, 10.5, 12.5]
    """
    return average_grid(patches, (patches.shape[1], math.isqrt(num_patches), math.isqrt(num_patches)))


def average_grid(x: Float[Tensor, "B T N D"], grid: tuple[int, int, int]) -> Float[Tensor, "B t M D"]:
    """Average square grids of tokens, row by row, to frames x rows x columns; cells as in `average_patches`."""
    frames, rows, columns = grid
    side = math.isqrt(x.shape[2])
    x = _average_axis(x.unflatten(2, (side, side)), 1, frames)
    return _average_axis(_average_axis(x, 2, rows), 3, columns).flatten(2, 3)


def _average_axis(x: Tensor, axis: int, cells: int) -> Tensor:
    size = x.shape[axis]
    if cells == size:
        return x
    bounds = [(cell * size // cells, -(-(cell + 1) * size // cells)) for cell in range(cells)]
    return torch.stack([x.narrow(axis, low, high - low).mean(axis) for low, high in bounds], dim=axis)
