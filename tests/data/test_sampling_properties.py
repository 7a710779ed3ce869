"""Properties of every sampling, for videos and clips of any length."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from side4video.data.sampling import FrameSampling

lengths = st.integers(1, 5000)
segments = st.builds(
    FrameSampling,
    num_frames=st.integers(1, 64),
    kind=st.just("segments"),
    flavour=st.sampled_from(["something_something", "kinetics"]),
)
dense = st.builds(
    FrameSampling,
    num_frames=st.integers(1, 64),
    kind=st.just("dense"),
    stride=st.none() | st.integers(1, 40),
    padding=st.sampled_from(["repeat", "wrap"]),
)


def draw(sampling, length, seed):
    return sampling.train(length, torch.Generator().manual_seed(seed))


@given(segments | dense, lengths, st.integers(1, 12), st.integers(0, 2**32))
def test_every_clip_has_the_requested_number_of_existing_frames(sampling, length, num_clips, seed):
    clips = [*sampling.test(length, num_clips), draw(sampling, length, seed)]
    assert len(clips) == num_clips + 1
    for clip in clips:
        assert len(clip) == sampling.num_frames
        assert all(type(frame) is int and 0 <= frame < length for frame in clip)


@given(segments | dense, lengths, st.integers(0, 2**32))
def test_randomness_comes_only_from_the_generator(sampling, length, seed):
    torch.manual_seed(seed + 1)
    before = torch.get_rng_state()
    assert draw(sampling, length, seed) == draw(sampling, length, seed)
    assert torch.equal(torch.get_rng_state(), before)


@given(segments, lengths, st.integers(0, 2**32))
def test_segments_are_in_the_order_of_time(sampling, length, seed):
    clip = draw(sampling, length, seed)
    assert clip == sorted(clip)


@given(st.integers(1, 64), lengths, st.integers(0, 2**32))
def test_long_videos_repeat_no_frame_and_short_ones_use_each(num_frames, length, seed):
    clip = draw(FrameSampling(num_frames=num_frames), length, seed)
    assert len(set(clip)) == min(num_frames, length)


@given(st.integers(2, 32), st.integers(1, 20), st.integers(0, 3000), st.integers(2, 8), st.integers(0, 2**32))
def test_a_dense_clip_that_fits_keeps_its_distance_and_covers_the_video(num_frames, stride, spare, num_clips, seed):
    sampling = FrameSampling(num_frames=num_frames, kind="dense", stride=stride)
    length = (num_frames - 1) * stride + 1 + spare
    clips = sampling.test(length, num_clips)
    for clip in (*clips, draw(sampling, length, seed)):
        assert {later - earlier for earlier, later in pairwise(clip)} == {stride}
    assert (clips[0][0], clips[-1][-1]) == (0, length - 1)


@given(segments | dense, st.integers(-5, 0))
def test_a_video_without_frames_is_refused(sampling, length):
    with pytest.raises(ValueError, match="video_length"):
        sampling.test(length)
    with pytest.raises(ValueError, match="video_length"):
        draw(sampling, length, 0)
