"""The classifier: global means and grids over space and time, and what each can distinguish."""

import pytest
import torch
import torch.nn.functional as F

from side4video.config import ConfigError, parse_config
from side4video.models.heads import ClassificationHead

WIDTH = 4


def clips_by_place(num_clips, *, seed):
    """Clips (B, 4, 16, 4) of noise with one bright token: class 0 in the left half of the picture, class 1 right."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num_clips, 4, 16, WIDTH, generator=generator)
    labels = torch.arange(num_clips) % 2
    rows, columns = (torch.randint(high, (num_clips,), generator=generator) for high in (4, 2))
    frames = torch.randint(4, (num_clips,), generator=generator)
    x[torch.arange(num_clips), frames, rows * 4 + columns + 2 * labels] += 12.0
    return x, labels


def accuracy_by_place(grid):
    torch.manual_seed(0)
    head = ClassificationHead(width=WIDTH, num_classes=2, grid=grid)
    (x, labels), (test, test_labels) = clips_by_place(128, seed=1), clips_by_place(128, seed=2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(head(x), labels).backward()
        optimizer.step()
    return (head.eval()(test).argmax(dim=1) == test_labels).float().mean().item()


def test_a_grid_learns_classes_that_differ_in_position():
    assert accuracy_by_place((1, 2, 2)) > 0.95


def test_a_global_mean_cannot_learn_them():
    assert accuracy_by_place(None) < 0.7


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
def test_a_grid_of_one_cell_is_the_mean(variant):
    torch.manual_seed(0)
    mean = ClassificationHead(width=WIDTH, num_classes=3, variant=variant)
    grid = ClassificationHead(width=WIDTH, num_classes=3, variant=variant, grid=(1, 1, 1))
    grid.load_state_dict(mean.state_dict())
    x = torch.randn(2, 4, 16, WIDTH)
    torch.testing.assert_close(grid(x), mean(x))


def test_the_linear_layer_has_weights_for_each_cell():
    head = ClassificationHead(width=WIDTH, num_classes=3, grid=(2, 3, 4), pooled_norm=True)
    assert head.linear.weight.shape == (3, 2 * 3 * 4 * WIDTH)
    assert head.features(torch.randn(2, 4, 16, WIDTH)).shape == (2, 2 * 3 * 4 * WIDTH)


@pytest.mark.parametrize("grid", [[0, 1, 1], [2, 2], "all"])
def test_grids_that_do_not_fit_are_refused(grid):
    with pytest.raises(ConfigError, match=r"head\.grid"):
        parse_config({"head": {"grid": grid}}, source="a test")
