"""Heartbeats on a real store: silent processes, processes that ended with an error, and none if all are alive."""

import threading
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


def waiting(call):
    """A thread in which a process waits for the others."""
    thread = threading.Thread(target=call.wait_for_others)
    thread.start()
    return thread


def test_a_process_waits_until_all_others_have_come(store):
    calls = joined(store, 3)
    for _ in range(3):
        early = [waiting(call) for call in calls[:2]]
        early[0].join(3 * heartbeat.SILENCE_SECONDS)
        assert all(thread.is_alive() for thread in early)
        calls[2].wait_for_others()
        for thread in early:
            thread.join(5 * heartbeat.SILENCE_SECONDS)
            assert not thread.is_alive()
    for call in calls:
        call.leave()


@pytest.mark.parametrize(
    "ends", [lambda call: call.leave(), lambda call: call.__exit__(ValueError, ValueError(), None)]
)
def test_a_lost_process_is_not_waited_for(ends, store):
    first, second = joined(store, 2)
    early = waiting(first)
    ends(second)
    early.join(10 * heartbeat.SILENCE_SECONDS)
    assert not early.is_alive()
    assert first.describe_lost_process().startswith("Process 1 of 2 (")
    first.leave()


def test_a_process_that_never_joined_is_named(store):
    with Heartbeat(store, rank=0, world=2) as call:
        assert "Process 1 of 2 was lost" in call.describe_lost_process()
