"""Position tables of weight files: the grid of patches that they belong to, and their resampling to the model's."""

import math
from typing import Any

from timm.layers import resample_abs_pos_embed
from torch import Tensor

Grid = tuple[int, int]
"""Rows and columns of patches."""


def table_grid(patches: int, *, given: Grid | None, hint: Grid | None, what: str) -> Grid:
    """The grid of a position table with rows for a number of patches.

    Args:
        patches: rows of the table without those of other tokens, such as the class token.
        given: the grid that the user gives, which must fit.
        hint: the grid that a config file states, used if it fits. Without either, the table is taken as square.
        what: subject of the error message.

    Raises:
        ValueError: the given grid has another number of patches, or the table is not square and no grid is known.

    >>> table_grid(16, given=None, hint=None, what="w.pt"), table_grid(16, given=(2, 8), hint=None, what="w.pt")
    ((4, 4), (2, 8))
    """
    if given is not None:
        if given[0] * given[1] != patches:
            raise ValueError(
                f"{what} has a position table for {patches} patches, not for {given[0]} x {given[1]}. Set "
                "--backbone.position-grid to its rows and columns."
            )
        return given
    if hint is not None and hint[0] * hint[1] == patches:
        return hint
    side = math.isqrt(max(patches, 0))
    if side * side != patches or not side:
        raise ValueError(
            f"{what} has a position table for {patches} patches, which is no square. Give its rows and columns: "
            "--backbone.position-grid ROWS COLUMNS."
        )
    return side, side


def fit_table(table: Tensor, model: Any, grid: Grid, *, prefix: int, **options: Any) -> Tensor:
    """A position table (1, prefix + N, D) of a grid, resampled to the model's grid if the two differ.

    Args:
        table: the table.
        model: the timm model.
        grid: rows and columns of the table.
        prefix: rows of other tokens, which come first and are kept.
        options: interpolation and antialias, as for timm's function; default bicubic with antialias.
    """
    own: Grid = tuple(model.patch_embed.grid_size)
    if grid == own:
        return table
    return resample_abs_pos_embed(table, list(own), list(grid), num_prefix_tokens=prefix, **options)
