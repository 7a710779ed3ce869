"""Signs of life on a real store: who is silent, who ended by an error, and nobody where all are well."""

from datetime import timedelta

import pytest
import torch.distributed as dist

from separate_processes import free_port
from side4video import roll_call
from side4video.roll_call import LostProcessError, RollCall


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(roll_call, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(roll_call, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(roll_call, "LINGER_SECONDS", 0.3)


@pytest.fixture
def store():
    return dist.TCPStore("127.0.0.1", free_port(), 1, True, timeout=timedelta(seconds=20))


def joined(store, world):
    calls = [RollCall(store, rank=rank, world=world) for rank in range(world)]
    for call in calls:
        call.__enter__()
    for call in calls:
        call.all_are_here()
    return calls


def test_the_silent_one_is_named_and_all_hear_the_same(store):
    first, second, third = joined(store, 3)
    second.leave()
    said = first.who_was_lost()
    assert said.startswith("Process 1 of 3 (")
    assert "was lost: no sign of life" in said
    first.__exit__(LostProcessError, LostProcessError(said), None)  # now there are two silent ones
    assert third.who_was_lost() == said
    third.leave()


def test_several_are_named(store):
    calls = joined(store, 4)
    for call in calls[1:3]:
        call.leave()
    said = calls[0].who_was_lost()
    assert "Process 1 of 4" in said
    assert "Process 2 of 4" in said
    assert "Process 3 of 4" not in said
    assert "were lost" in said
    for call in (calls[0], calls[3]):
        call.leave()


def test_an_error_is_passed_on(store):
    first, second = joined(store, 2)
    second.__exit__(ValueError, ValueError("no such class"), None)
    said = first.who_was_lost()
    assert said.startswith("Process 1 of 2 (")
    assert said.endswith("ended: ValueError: no such class")
    first.leave()


def test_nobody_is_named_where_all_are_well(store):
    first, second = joined(store, 2)
    assert "All others give signs of life" in first.who_was_lost()
    for call in (first, second):
        call.leave()


def test_one_that_never_came_is_named(store):
    with RollCall(store, rank=0, world=2) as call:
        assert "Process 1 of 2 was lost" in call.who_was_lost()
