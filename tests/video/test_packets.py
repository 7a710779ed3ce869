import random
from itertools import pairwise

import av
import pytest

from side4video.video.packets import group_runs, starting_at_key


def test_worked_example():
    assert group_runs([0, 3, 25], [0, 10, 20]) == [(None, {0, 3}), (20, {25})]


@pytest.mark.parametrize(
    ("times", "keys", "runs"),
    [
        ([5], [], [(None, {5})]),
        ([5, 500], [0], [(None, {5, 500})]),
        ([5, 15, 25], [0, 10, 20], [(None, {5, 15, 25})]),  # neighbouring groups: no seek
        ([10], [0, 10, 20], [(10, {10})]),
        ([9], [0, 10, 20], [(None, {9})]),
        ([-3], [0, 10], [(None, {-3})]),
    ],
)
def test_a_seek_only_where_a_whole_group_is_left_out(times, keys, runs):
    assert group_runs(times, keys) == runs


def test_every_time_is_behind_its_key_frame_and_none_is_lost():
    chance = random.Random(0)
    for _ in range(300):
        keys = sorted({0, *(chance.randrange(200) for _ in range(chance.randrange(12)))})
        times = sorted({chance.randrange(200) for _ in range(chance.randrange(1, 10))})
        runs = group_runs(times, keys)
        assert sorted(time for _, wanted in runs for time in wanted) == times
        for key, wanted in runs:
            assert key is None or (key in keys and key <= min(wanted))
            start = 0 if key is None else key
            groups = [sum(k <= time for k in keys) for time in sorted({start, *wanted})]
            assert key is None or max((b - a for a, b in pairwise(groups)), default=0) <= 1


def packets(*descriptions):
    for time, is_key in descriptions:
        packet = av.Packet(b"content")
        packet.pts, packet.is_keyframe = time, is_key
        yield packet


@pytest.mark.parametrize("first", [10, 7])
def test_packets_that_start_at_a_key_frame_are_passed_on(first):
    passed = starting_at_key(packets((first, True), (9, False), (12, False)), 10)
    assert [packet.pts for packet in passed] == [first, 9, 12]


@pytest.mark.parametrize("first", [(10, False), (11, True), (None, True)])
def test_packets_that_start_elsewhere_are_not(first):
    assert list(starting_at_key(packets(first, (12, True)), 10)) == []


def test_no_packets_at_all_are_no_error():
    assert list(starting_at_key(packets(), 10)) == []
