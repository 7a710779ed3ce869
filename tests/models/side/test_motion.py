"""The side block's motion options against loops: gates on temporal differences, correlations between frames."""

import pytest
import torch

from measuring.saved_bytes import SavedBytes
from side4video.models.side.motion import TemporalDifference, TokenCorrelation, correlate
from side4video.models.side.side_network import SideNetwork

ROWS, WIDTH = 4, 6


def patches(seed=0, frames=3):
    return torch.randn(2, frames, ROWS**2, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("radius", [1, 2])
def test_correlations_are_cosines_of_neighbours_in_the_next_frame(radius):
    x, size = patches(), 2 * radius + 1
    module = TokenCorrelation(size**2, radius)
    torch.nn.init.eye_(module.linear.weight)
    torch.nn.init.zeros_(module.linear.bias)
    found = module(x).unflatten(2, (ROWS, ROWS))
    centred = (x - x.mean(dim=2, keepdim=True)).unflatten(2, (ROWS, ROWS))
    for b, t, row, column in torch.cartesian_prod(*map(torch.arange, (2, 3, ROWS, ROWS))).tolist():
        for place in range(size**2):
            to_row, to_column = row + place // size - radius, column + place % size - radius
            inside = t < 2 and 0 <= to_row < ROWS and 0 <= to_column < ROWS
            expected = (
                torch.cosine_similarity(centred[b, t, row, column], centred[b, t + 1, to_row, to_column], dim=0)
                if inside
                else torch.tensor(0.0)
            )
            torch.testing.assert_close(found[b, t, row, column, place], expected)


def test_correlations_show_which_way_a_picture_moves():
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(1, ROWS, ROWS + 2, WIDTH, generator=generator)
    frames = [wide[:, :, 2 - t : 2 - t + ROWS].flatten(1, 2) for t in range(3)]  # moves to the right
    best = correlate(torch.stack(frames, dim=1), 1)[0].mean(dim=(0, 1)).argmax()
    assert best == 5  # same row, next column
    back = correlate(torch.stack(frames[::-1], dim=1), 1)[0].mean(dim=(0, 1)).argmax()
    assert back == 3


def test_gates_start_open_and_then_depend_on_the_distance_to_the_maximum():
    module, x = TemporalDifference(WIDTH), patches()
    torch.testing.assert_close(module(x), x)
    torch.nn.init.normal_(module.linear.weight)
    torch.nn.init.normal_(module.linear.bias)
    for b, t, n in torch.cartesian_prod(*map(torch.arange, (2, 3, ROWS**2))).tolist():
        distance = x[b, t, n] - torch.stack([x[b, other, n] for other in range(3)]).max(dim=0).values
        gate = 1 / (1 + (-(module.linear.weight @ distance + module.linear.bias)).exp())
        torch.testing.assert_close(module(x)[b, t, n], 2 * gate * x[b, t, n])


def test_training_stores_only_the_cosines_of_frozen_tokens():
    module, x = TokenCorrelation(WIDTH, 1), patches()
    with SavedBytes(module.parameters()) as saved:
        module(x)
    assert saved.total == x[..., 0].numel() * 9 * 4


def test_tokens_that_require_a_gradient_get_it():
    x = patches().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: correlate(x, 1).sum(), x)


def test_options_are_counted_in_parameters_and_off_by_default():
    def count(**options):
        sizes = {"backbone_width": 8, "num_patches": 16, "patch_size": 4, "taps": [0, 1], "width": 4}
        return sum(parameter.numel() for parameter in SideNetwork(**sizes, **options).parameters())

    assert count(temporal_difference=True) - count() == 2 * (4 * 4 + 4)
    assert count(correlation=2) - count() == 2 * (25 * 4 + 4)
    assert count(patch_grid=2) - count() == (4 - 16) * 4  # the position table


def test_a_grid_finer_than_the_patches_is_refused():
    with pytest.raises(ValueError, match="finer than the backbone's patches"):
        SideNetwork(backbone_width=8, num_patches=16, patch_size=4, taps=[0], width=4, patch_grid=5)
