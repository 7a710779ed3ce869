"""Counted bytes, against sums by hand; fake tensors against real ones."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from side4video.memory.tracking import AllocationTracker, SavedBytes


def test_saved_bytes_count_each_storage_once():
    x = torch.zeros(10, 4, requires_grad=True)
    with SavedBytes() as saved:
        kept = [(x * x), (x[:5] * x[5:]), x.exp()]  # noqa: F841 - x alone, and the result of exp
    assert saved.total == 2 * 160


def test_saved_bytes_exclude_parameters_and_inputs():
    layer, x = nn.Linear(4, 2), torch.zeros(3, 4)
    with SavedBytes([*layer.parameters(), x]) as saved:
        layer(x)
    assert saved.total == 0


def test_peak_is_the_largest_sum():
    with AllocationTracker() as tracker:
        first = torch.zeros(1000)
        second = torch.zeros(500)
        del first
        third = torch.zeros(300)
        tracker.count([third], "mine")
    assert tracker.peak_bytes == 6000
    assert tracker.current == {"workspace": second.nbytes, "mine": third.nbytes}


@pytest.mark.parametrize("fake", [False, True])
def test_fake_and_real_steps_have_equal_counts(fake):
    def step():
        model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
        x = torch.zeros(10, 8)
        with AllocationTracker() as tracker:
            tracker.count_module(model, "weights")
            tracker.count([x], "input")
            loss = model(x).sum()
            loss.backward()
        return tracker.peak

    peak = step()
    if fake:
        with FakeTensorMode():
            assert step() == peak
    assert peak["weights"] == 4 * (8 * 32 + 32 + 32 * 8 + 8)
    assert peak["input"] == 320
