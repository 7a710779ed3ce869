"""Counting bytes: against sums by hand, and fake tensors against real ones."""

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


def test_saved_bytes_leave_out_what_is_there_anyway():
    layer, x = nn.Linear(4, 2), torch.zeros(3, 4)
    with SavedBytes([*layer.parameters(), x]) as saved:
        layer(x)
    assert saved.total == 0


def test_the_peak_is_where_the_sum_was_largest():
    with AllocationTracker() as tracker:
        first = torch.zeros(1000)
        second = torch.zeros(500)
        del first
        third = torch.zeros(300)
        tracker.count([third], "mine")
    assert tracker.peak_bytes == 6000
    assert tracker.current == {"workspace": second.nbytes, "mine": third.nbytes}


@pytest.mark.parametrize("fake", [False, True])
def test_a_training_step_is_counted_alike_with_fake_tensors(fake):
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
