"""Heartbeats on a real store: silent processes, processes that ended with an error, and none if all are alive."""

from datetime import timedelta

import pytest
import torch.distributed as dist

from separate_processes import free_port
from side4video.distributed import heartbeat
from side4video.distributed.heartbeat import Heartbeat, LostProcessError


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "LINGER_SECONDS", 0.3)


@pytest.fixture
def store():
    return dist.TCPStore("127.0.0.1", free_port(), 1, True, timeout=timedelta(seconds=20))


def joined(store, world):
    calls = [Heartbeat(store, rank=rank, world=world) for rank in range(world)]
    for call in calls:
        call.__enter__()
    for call in calls:
        call.record_processes()
    return calls


def test_the_silent_process_is_named_to_all(store):
    first, second, third = joined(store, 3)
    second.leave()
    said = first.describe_lost_process()
    assert said.startswith("Process 1 of 3 (")
    assert "was lost: no heartbeat" in said
    first.__exit__(LostProcessError, LostProcessError(said), None)  # now there are two silent ones
    assert third.describe_lost_process() == said
    third.leave()


def test_several_silent_processes_are_named(store):
    calls = joined(store, 4)
    for call in calls[1:3]:
        call.leave()
    said = calls[0].describe_lost_process()
    assert "Process 1 of 4" in said
    assert "Process 2 of 4" in said
    assert "Process 3 of 4" not in said
    assert "were lost" in said
    for call in (calls[0], calls[3]):
        call.leave()


def test_the_error_of_a_process_is_reported_to_others(store):
    first, second = joined(store, 2)
    second.__exit__(ValueError, ValueError("no such class"), None)
    said = first.describe_lost_process()
    assert said.startswith("Process 1 of 2 (")
    assert said.endswith("ended: ValueError: no such class")
    first.leave()


def test_no_process_is_named_if_all_send_heartbeats(store):
    first, second = joined(store, 2)
    assert "All other processes send heartbeats" in first.describe_lost_process()
    for call in (first, second):
        call.leave()


def test_a_process_that_never_joined_is_named(store):
    with Heartbeat(store, rank=0, world=2) as call:
        assert "Process 1 of 2 was lost" in call.describe_lost_process()
