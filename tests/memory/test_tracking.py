"""Counted bytes, against sums by hand; fake tensors against real ones."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from side4video.memory.tracking import AllocationTracker


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
