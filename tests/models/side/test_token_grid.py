"""Averages over a grid of frames, rows and columns against loops and PyTorch's adaptive pooling."""

import pytest
import torch
import torch.nn.functional as F

from side4video.models.side.side_network import SideNetwork
from side4video.models.side.token_grid import average_grid, average_patches


@pytest.mark.parametrize("grid", [(1, 1, 1), (4, 3, 2), (8, 7, 7), (3, 2, 5), (12, 9, 9)])
def test_cells_are_those_of_adaptive_pooling(grid):
    x = torch.randn(2, 8, 49, 5, generator=torch.Generator().manual_seed(0))
    expected = F.adaptive_avg_pool3d(x.unflatten(2, (7, 7)).movedim(-1, 1), grid)  # (B, d, t, rows, columns)
    torch.testing.assert_close(average_grid(x, grid), expected.movedim(1, -1).flatten(2, 3))


def test_the_position_of_a_patch_determines_its_cell():
    x = torch.zeros(1, 1, 16, 1)
    x[0, 0, 2 * 4 + 1] = 4.0  # third row, second column
    assert average_patches(x, 4).flatten().tolist() == [0.0, 0.0, 1.0, 0.0]


def test_the_side_network_averages_patches_that_are_not_averaged_yet():
    torch.manual_seed(0)
    side = SideNetwork(
        backbone_width=6, num_patches=16, patch_size=4, taps=[0], width=4, stem=False, patch_grid=2
    ).eval()
    patches, summary = torch.randn(1, 3, 16, 6), torch.randn(1, 3, 1, 6)
    start = side.begin(torch.zeros(1, 3, 3, 16, 16))
    assert start.shape == (1, 3, 4, 4)
    given = side.advance(start, block=0, patches=patches, summary=summary)
    averaged = side.advance(start, block=0, patches=average_patches(patches, 4), summary=summary)
    assert torch.equal(given, averaged)
