import random

import av
import pytest

from side4video.video.packets import group_runs, start_at_key


def test_worked_example():
    assert group_runs([0, 3, 12, 35], [0, 10, 20, 30]) == [(0, {0, 3}), (10, {12}), (30, {35})]


@pytest.mark.parametrize(
    ("times", "keys", "runs"),
    [
        ([5], [], [(None, {5})]),
        ([5, 500], [0], [(0, {5, 500})]),
        ([5, 15, 25], [0, 10, 20], [(0, {5}), (10, {15}), (20, {25})]),
        ([10], [0, 10, 20], [(10, {10})]),
        ([9], [0, 10, 20], [(0, {9})]),
        ([-3], [0, 10], [(None, {-3})]),
    ],
)
def test_each_group_with_wanted_frames_is_one_run(times, keys, runs):
    assert group_runs(times, keys) == runs


def test_every_time_follows_its_key_frame_and_none_is_lost():
    chance = random.Random(0)
    for _ in range(300):
        keys = sorted({0, *(chance.randrange(200) for _ in range(chance.randrange(12)))})
        times = sorted({chance.randrange(200) for _ in range(chance.randrange(1, 10))})
        runs = group_runs(times, keys)
        assert sorted(time for _, wanted in runs for time in wanted) == times
        for key, wanted in runs:
            assert key is None or (key in keys and key <= min(wanted))
            assert key is None or sum(k <= key for k in keys) == sum(k <= max(wanted) for k in keys)  # one group


def packets(*descriptions):
    for time, is_key in descriptions:
        packet = av.Packet(b"content")
        packet.pts, packet.is_keyframe = time, is_key
        yield packet


@pytest.mark.parametrize("first", [10, 7])
def test_packets_that_start_at_a_key_frame_are_passed_on(first):
    passed = start_at_key(packets((first, True), (9, False), (12, False)), 10)
    assert [packet.pts for packet in passed] == [first, 9, 12]


@pytest.mark.parametrize("first", [(10, False), (11, True), (None, True)])
def test_packets_that_start_elsewhere_are_dropped(first):
    assert list(start_at_key(packets(first, (12, True)), 10)) == []


def test_an_empty_stream_stays_empty():
    assert list(start_at_key(packets(), 10)) == []
