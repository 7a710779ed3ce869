"""Averages tokens over the cells of a coarser grid of frames, rows and columns."""

import math

import torch
import torch.nn.functional as F
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


def resample_positions(table: Float[Tensor, "rows d"], num_rows: int) -> Float[Tensor, "num_rows d"]:
    """Resample a position table for a square grid of other size, bicubically; a first row for the summary token stays.

    >>> table = torch.arange(4.0).reshape(4, 1)
    >>> resample_positions(table, 16).shape, resample_positions(torch.zeros(5, 1), 17).shape
    (torch.Size([16, 1]), torch.Size([17, 1]))

    Args:
        table: rows of the patches, row by row, with or without a first row for the summary token.
        num_rows: rows of the result, with this first row if the table has it.
    """
    side = math.isqrt(len(table))
    first = len(table) - side**2
    new_side = math.isqrt(num_rows - first)
    grid = table[first:].reshape(1, side, side, -1).permute(0, 3, 1, 2).float()
    resized = F.interpolate(grid, size=(new_side, new_side), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([table[:first], resized[0].permute(1, 2, 0).flatten(0, 1).to(table.dtype)])


def _average_axis(x: Tensor, axis: int, cells: int) -> Tensor:
    size = x.shape[axis]
    if cells == size:
        return x
    bounds = [(cell * size // cells, -(-(cell + 1) * size // cells)) for cell in range(cells)]
    return torch.stack([x.narrow(axis, low, high - low).mean(axis) for low, high in bounds], dim=axis)
