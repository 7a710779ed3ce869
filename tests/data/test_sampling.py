from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from golden_rows import golden_rows
from side4video.data.sampling import FrameSampling

FLAVOURS = ["something_something", "kinetics"]
ROWS = [(flavour, row) for flavour in FLAVOURS for row in golden_rows(group=flavour, key="segments")]


def flat(clips: list[list[int]]) -> list[int]:
    return [frame for clip in clips for frame in clip]


def draws(sampling: FrameSampling, video_length: int, count: int = 400) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [sampling.train(video_length, generator) for _ in range(count)]


def name(case) -> str:
    return f"{case[0]}-{case[1]['frames']}-{case[1]['segments']}"


@pytest.mark.parametrize("case", ROWS, ids=name)
def test_every_golden_row(case):
    flavour, row = case
    segments = FrameSampling(num_frames=row["segments"], flavour=flavour)
    dense = FrameSampling(num_frames=row["segments"], flavour=flavour, kind="dense")
    expected = {key: value for key, value in row.items() if key not in ("frames", "segments")}
    assert segments.test(row["frames"]) == [expected.pop("val")]
    assert expected
    for key, frames in expected.items():
        kind, num_clips = key.removeprefix("test_").split("_")
        sampling = {"uniform": segments, "dense": dense}[kind]
        assert flat(sampling.test(row["frames"], int(num_clips))) == frames, key


@pytest.mark.parametrize(("flavour", "key"), [("msrvtt", "msrvtt_msvd"), ("vatex", "vatex")])
@pytest.mark.parametrize("row", golden_rows(key="msrvtt_msvd"), ids=lambda row: f"{row['num_frames']}-{row['T']}")
def test_every_golden_row_of_retrieval(flavour, key, row):
    assert FrameSampling(num_frames=row["T"], flavour=flavour).test(row["num_frames"]) == [row[key]]


@pytest.mark.parametrize("flavour", ["msrvtt", "vatex"])
@pytest.mark.parametrize("video_length", [3, 12, 13, 23, 100])
def test_flavours_of_retrieval_train_on_equal_segments_from_the_first_frame_on(flavour, video_length):
    """By numpy, as in the paper's code: i times the floored length of a segment, plus a random part of it."""
    length = video_length // 12
    clips = np.array(draws(FrameSampling(num_frames=12, flavour=flavour), video_length, 500))
    assert (clips.min(axis=0) == np.arange(12) * length).all()
    assert (clips.max(axis=0) == np.arange(12) * length + max(length, 1) - 1).all()


@pytest.mark.parametrize("flavour", ["msrvtt", "vatex"])
def test_flavours_of_retrieval_have_one_clip(flavour):
    with pytest.raises(ValueError, match=f"flavour='{flavour}' supports 1 clip per video, not 2"):
        FrameSampling(flavour=flavour).test(100, 2)


def test_short_videos_of_retrieval():
    assert FrameSampling(num_frames=4, flavour="msrvtt").test(3) == [[0, 1, 2, 2]]
    assert FrameSampling(num_frames=4, flavour="vatex").test(4) == [[0, 0, 0, 0]]


def test_flavours_differ():
    first, second = (FrameSampling(flavour=flavour).test(60) for flavour in FLAVOURS)
    assert first != second


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("kind", "stride", "padding"),
    [("segments", None, "repeat"), ("dense", None, "repeat"), ("dense", 3, "repeat"), ("dense", 3, "wrap")],
)
@pytest.mark.parametrize("num_frames", [1, 5, 8, 200])
@pytest.mark.parametrize("video_length", [1, 2, 7, 8, 9, 127, 128, 129, 1000])
def test_frames_are_always_in_the_video(flavour, kind, stride, padding, num_frames, video_length):
    sampling = FrameSampling(num_frames=num_frames, kind=kind, flavour=flavour, stride=stride, padding=padding)
    clips = [*sampling.test(video_length), *sampling.test(video_length, 3), *draws(sampling, video_length, 3)]
    assert [len(clip) for clip in clips] == [num_frames] * 7
    assert all(0 <= frame < video_length for frame in flat(clips))


def test_random_segments_of_something_something_cover_each_segment_evenly():
    clips = draws(FrameSampling(), 20, 3000)
    segments = [(0, 1), (2, 3, 4), (5, 6), (7, 8, 9), (10, 11), (12, 13, 14), (15, 16), (17, 18, 19)]
    for frames, segment in zip(zip(*clips, strict=True), segments, strict=True):
        counts = Counter(frames)
        assert tuple(sorted(counts)) == segment
        assert all(abs(count - 3000 / len(segment)) < 150 for count in counts.values())


def test_random_segments_of_kinetics_share_their_borders():
    clips = draws(FrameSampling(flavour="kinetics"), 20)
    borders = [0, 2, 5, 7, 10, 12, 14, 17, 19]
    for frames, (low, high) in zip(zip(*clips, strict=True), pairwise(borders), strict=True):
        assert set(frames) == set(range(low, high + 1))


def test_random_segments_of_a_short_video_hold_each_frame():
    for clip in draws(FrameSampling(), 5):
        assert clip == sorted(clip)
        assert set(clip) == set(range(5))
    assert len({tuple(clip) for clip in draws(FrameSampling(), 5)}) > 10


def test_random_dense_starts_anywhere_in_the_window():
    clips = draws(FrameSampling(kind="dense"), 132)
    assert {clip[0] for clip in clips} == {0, 1, 2, 3, 4}
    assert all(b - a == 16 for clip in clips for a, b in pairwise(clip))


def test_random_dense_wraps_in_a_short_video():
    assert {tuple(clip) for clip in draws(FrameSampling(kind="dense"), 60)} == {(0, 16, 32, 48, 4, 20, 36, 52)}


def test_one_dense_clip_is_in_the_middle():
    assert FrameSampling(kind="dense").test(300)[0][0] == 86


def test_stride_clips_reach_from_the_first_to_the_last_frame():
    sampling = FrameSampling(num_frames=4, kind="dense", stride=3)
    assert sampling.test(20, 3) == [[0, 3, 6, 9], [5, 8, 11, 14], [10, 13, 16, 19]]
    assert sampling.test(20) == [[5, 8, 11, 14]]


def test_stride_clip_just_fits():
    sampling = FrameSampling(num_frames=4, kind="dense", stride=3)
    assert sampling.test(10, 2) == [[0, 3, 6, 9]] * 2
    assert {tuple(clip) for clip in draws(sampling, 10)} == {(0, 3, 6, 9)}
    assert {clip[0] for clip in draws(sampling, 12)} == {0, 1, 2}


@pytest.mark.parametrize(("padding", "clip"), [("repeat", [0, 3, 6, 7]), ("wrap", [0, 3, 6, 1])])
def test_stride_clip_of_a_short_video(padding, clip):
    sampling = FrameSampling(num_frames=4, kind="dense", stride=3, padding=padding)
    assert sampling.test(8) == [clip]
    assert draws(sampling, 8, 1) == [clip]


def test_same_generator_state_gives_the_same_clip_and_another_state_another():
    sampling = FrameSampling(num_frames=16)
    first, again, other = (sampling.train(300, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_global_random_state_does_not_change():
    before = torch.get_rng_state()
    draws(FrameSampling(), 100, 2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 0}, "num_frames=0 must be 1 or more"),
        ({"kind": "sparse"}, "kind='sparse' must be one of segments, dense"),
        ({"flavour": "ucf"}, "flavour='ucf' must be one of"),
        ({"padding": "zero"}, "padding='zero' must be one of"),
        ({"kind": "dense", "stride": 0}, "stride=0 must be 1 or more"),
        ({"stride": 2}, "Use kind='dense'"),
    ],
)
def test_invalid_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FrameSampling(**arguments)


def test_invalid_requests_are_refused():
    with pytest.raises(ValueError, match="video_length=0"):
        FrameSampling().train(0, torch.Generator())
    with pytest.raises(ValueError, match="video_length=0"):
        FrameSampling().test(0)
    with pytest.raises(ValueError, match="num_clips=0"):
        FrameSampling().test(8, 0)
