"""Windows of videos: their times and frames."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from side4video.search.windows import MAX_UNSPLIT_LENGTHS, cut_windows, frames_between


@given(
    duration=st.floats(0.04, 5000),
    length=st.floats(0.5, 60),
    share=st.floats(0, 0.9),
)
def test_windows_cover_the_video_without_a_short_tail(duration, length, share):
    windows = cut_windows(duration, window_seconds=length, overlap_seconds=length * share)
    if duration <= MAX_UNSPLIT_LENGTHS * length:
        assert windows == [(0, duration)]
        return
    assert windows[0][0] == 0
    assert windows[-1][1] == duration
    assert all(end - start == pytest.approx(length) for start, end in windows)
    assert windows == sorted(windows)
    reached = 0.0
    for start, end in windows:
        assert start <= reached + 1e-9  # no gap
        reached = end
    if share >= 0.5:  # no window hardly differs from its neighbour
        step = length * (1 - share)
        assert all(after[0] - before[0] >= step / 2 - 1e-9 for before, after in pairwise(windows))


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (15.0, [(0, 15)]),
        (15.5, [(0, 10), (5.5, 15.5)]),
        (20.0, [(0, 10), (5, 15), (10, 20)]),
        (30.0, [(0, 10), (5, 15), (10, 20), (15, 25), (20, 30)]),
    ],
)
def test_examples(duration, expected):
    assert cut_windows(duration) == expected


def test_windows_without_overlap_leave_no_gap():
    assert cut_windows(24.0, window_seconds=10, overlap_seconds=0) == [(0, 10), (10, 20), (14, 24)]


@pytest.mark.parametrize(("length", "overlap"), [(0, 0), (-1, 0), (10, 10), (10, -1), (float("nan"), 0)])
def test_invalid_lengths_and_overlaps_are_refused(length, overlap):
    with pytest.raises(ValueError, match=r"must (be|lie)"):
        cut_windows(100.0, window_seconds=length, overlap_seconds=overlap)


@given(
    seconds=st.lists(st.integers(1, 400), min_size=1, max_size=50, unique=True).map(lambda found: [0, *sorted(found)]),
    start=st.integers(0, 380),
    length=st.integers(1, 60),
)
def test_frames_of_a_window(seconds, start, length):
    inside = [place for place, shown in enumerate(seconds) if start <= shown < start + length]
    standing = max(place for place, shown in enumerate(seconds) if shown <= start)
    assert list(frames_between(seconds, start, start + length)) == (inside or [standing])
