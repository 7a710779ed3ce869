"""The frame grid of timelines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from side4video.timeline.grid import Grid, choose_grid


@given(
    num_frames=st.integers(1, 32),
    window=st.floats(0.1, 60),
    share=st.floats(0.01, 1),
    duration=st.floats(0.05, 3600),
)
def test_windows_cover_the_video_without_gaps(num_frames, window, share, duration):
    grid = choose_grid(num_frames, window_seconds=window, stride_seconds=share * window, duration_seconds=duration)
    starts, points = list(grid.starts(duration)), grid.num_points(duration)
    assert starts == sorted(set(starts))
    seen = {point for start in starts for point in range(start, start + num_frames)}
    assert seen == set(range(points))
    assert abs(points * grid.spacing_seconds - duration) <= grid.spacing_seconds / 2 + 1e-6
    assert grid.seconds(points - 1) <= duration + 1e-6
    assert grid.window_seconds <= window


def test_points_show_the_frame_on_screen():
    frame_seconds = [0.0, 0.1, 0.5, 2.0]
    frames = Grid(num_frames=4, window_seconds=1.0, stride=1).frames(frame_seconds, 2.5)
    on_screen = [max(n for n, start in enumerate(frame_seconds) if start <= 0.125 + 0.25 * i) for i in range(10)]
    assert frames == on_screen


def test_a_video_shorter_than_the_window_gets_one_window():
    grid = choose_grid(8, window_seconds=4.0, stride_seconds=None, duration_seconds=1.0)
    assert (grid.window_seconds, list(grid.starts(1.0))) == (1.0, [0])


def test_the_default_stride_is_a_quarter():
    assert choose_grid(8, window_seconds=4.0, stride_seconds=None).stride_seconds == 1.0
    assert choose_grid(1, window_seconds=4.0, stride_seconds=None).stride_seconds == 4.0


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [(0.0, None, "window_seconds"), (float("inf"), None, "window_seconds"), (2.0, 0.0, "stride"), (2.0, 2.1, "gaps")],
)
def test_impossible_windows_are_refused(window, stride, message):
    with pytest.raises(ValueError, match=message):
        choose_grid(8, window_seconds=window, stride_seconds=stride)
