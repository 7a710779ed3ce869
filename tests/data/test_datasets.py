"""Clips for training and evaluation, from videos whose frame n has the grey level 20 + 10 n."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from side4video.data.datasets import (
    ARROW_OF_TIME,
    NO_LABEL,
    Clip,
    ClipKey,
    Failure,
    TestClips,
    TrainClips,
    forward_and_reversed,
)
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import EvalTransform, TrainTransform

NUM_FRAMES = 20
SAMPLING = FrameSampling(num_frames=4)
NEIGHBOURS = FrameSampling(num_frames=4, kind="dense", stride=1)
STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def levels(count: int = NUM_FRAMES) -> list[int]:
    return [20 + 10 * n for n in range(count)]


def frame_numbers(view: Tensor) -> list[int]:
    """The frame numbers that a view (T, 3, H, W) of grey levels shows."""
    return [round((float(frame.mean()) - 20) / 10) for frame in view]


def as_they_are(frames: Tensor, label: int | None) -> tuple[Tensor, int | None]:
    return frames.float(), label


def slightly_brighter(frames: Tensor, label: int | None) -> tuple[Tensor, int | None]:
    return frames.float() + torch.rand(()), label


def one_crop(frames: Tensor) -> Tensor:
    return frames.float()[None]


def two_crops(frames: Tensor) -> Tensor:
    return torch.stack([frames.float(), frames.float() + 0.25])


@pytest.fixture(scope="module")
def videos(tmp_path_factory, make_video) -> list[LabelledVideo]:
    folder = tmp_path_factory.mktemp("videos")
    paths = [make_video(folder / f"{name}.mp4", levels()) for name in "abc"]
    return [LabelledVideo(path=path, label=label, name=path.stem) for label, path in enumerate(paths)]


def train_clips(videos, **options) -> TrainClips:
    return TrainClips(videos, **{"sampling": SAMPLING, "transform": as_they_are, "seed": 3} | options)


def test_clips(videos, **options) -> TestClips:
    return TestClips(videos, **{"sampling": SAMPLING, "transform": one_crop} | options)


test_clips.__test__ = False


class TestTraining:
    def test_shapes_and_names(self, videos):
        clip = train_clips(videos)[ClipKey(0, 1)]
        assert clip.frames.shape == (1, 4, 3, 48, 64)
        assert (clip.labels, clip.index, clip.name) == ([1], 1, "b")

    def test_the_same_key_gives_the_same_bytes(self, videos):
        transform = TrainTransform(
            image_size=32, **STATISTICS, flip=0.5, grey=0.5, rand_augment="rand-m7-n4-mstd0.5-inc1"
        )
        dataset = train_clips(videos, transform=transform, repeats=2)
        first = dataset[ClipKey(5, 1)]
        random.seed(0), np.random.seed(0), torch.manual_seed(0)  # what came before does not matter
        dataset[ClipKey(0, 0)]
        second = train_clips(videos, transform=transform, repeats=2)[ClipKey(5, 1)]
        assert torch.equal(first.frames, second.frames)
        assert first.labels == second.labels

    def test_global_randomness_is_left_alone(self, videos):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        expected = torch.rand(1).item(), np.random.rand(), random.random()
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        train_clips(videos, transform=TrainTransform(image_size=32, **STATISTICS))[ClipKey(0, 0)]
        assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected

    def test_every_number_of_the_key_changes_the_clip(self, videos):
        """Frame choices over many keys: each of seed, epoch and index changes some of them."""

        def choices(seed: int = 3, shift: int = 0, index: int = 0) -> list[list[int]]:
            dataset = train_clips(videos, seed=seed)
            return [frame_numbers(dataset[ClipKey(epoch + shift, index)].frames[0]) for epoch in range(4)]

        seen = [choices(), choices(seed=4), choices(shift=4), choices(index=1)]
        assert all(seen.count(one) == 1 for one in seen)

    def test_repeats_share_their_frames_and_each_is_augmented_in_its_own_way(self, videos):
        for epoch in range(4):
            views = train_clips(videos, transform=slightly_brighter, repeats=6)[ClipKey(epoch, 0)].frames
            chosen = {tuple(frame_numbers(view)) for view in views}
            assert chosen == {tuple(frame_numbers(train_clips(videos)[ClipKey(epoch, 0)].frames[0]))}
            assert len({float(view.mean()) for view in views}) == 6

    def test_epochs_that_are_read_together_choose_their_own_frames(self, videos):
        dataset = train_clips(videos, repeats=2)
        together = dataset.read(0, [0, 1, 2]).frames
        alone = torch.cat([dataset[ClipKey(epoch, 0)].frames for epoch in range(3)])
        assert torch.equal(together, alone)
        assert len({tuple(frame_numbers(view)) for view in together}) > 1

    def test_one_frame_per_segment(self, videos):
        dataset = train_clips(videos)
        for epoch in range(10):
            chosen = frame_numbers(dataset[ClipKey(epoch, 0)].frames[0])
            assert [number // 5 for number in chosen] == [0, 1, 2, 3]

    def test_a_flip_may_change_the_label_of_each_view(self, videos):
        transform = TrainTransform(image_size=32, **STATISTICS, flip=0.5, flip_labels={0: 2, 2: 0})
        clip = train_clips(videos, transform=transform, repeats=16)[ClipKey(0, 0)]
        assert clip.frames.shape == (16, 4, 3, 32, 32)
        assert set(clip.labels) == {0, 2}
        assert set(train_clips(videos, transform=transform, repeats=16)[ClipKey(0, 1)].labels) == {1}

    def test_arrow_of_time_gives_both_directions_of_the_same_frames_side_by_side(self, videos):
        unlabelled = [LabelledVideo(path=video.path, label=None, name=video.name) for video in videos]
        dataset = train_clips(unlabelled, transform=slightly_brighter, arrow_of_time=True, repeats=2)
        assert dataset.views == 4
        clip = dataset[ClipKey(1, 0)]
        assert clip.labels == [0, 1, 0, 1]
        assert torch.equal(clip.frames[0].flip(0), clip.frames[1])
        assert not torch.equal(clip.frames[0], clip.frames[2])
        assert frame_numbers(clip.frames[0]) == sorted(frame_numbers(clip.frames[0]))

    def test_arrow_of_time_ignores_several_labels(self, videos):
        several = [replace(video, label=None, labels=(0, 1)) for video in videos]
        assert train_clips(several, arrow_of_time=True)[ClipKey(0, 0)].labels == [0, 1]
        with pytest.raises(ValueError, match="num_labels"):
            train_clips(several)

    def test_labels_are_required(self, videos):
        unlabelled = [videos[0], LabelledVideo(path=videos[1].path, label=None, name="b")]
        with pytest.raises(ValueError, match="b has no label"):
            train_clips(unlabelled)
        assert len(train_clips(forward_and_reversed(unlabelled))) == 4  # time gives the labels

    def test_zero_repeats_are_refused(self, videos):
        with pytest.raises(ValueError, match="repeats = 0"):
            train_clips(videos, repeats=0)


class TestEvaluation:
    def test_frames_and_order_of_views(self, videos):
        clip = test_clips(videos, transform=two_crops, num_clips=3)[2]
        assert clip.frames.shape == (6, 4, 3, 48, 64)
        assert (clip.labels, clip.index, clip.name) == ([2] * 6, 2, "c")
        expected = SAMPLING.test(NUM_FRAMES, 3)
        assert len({tuple(chosen) for chosen in expected}) == 3
        for number, chosen in enumerate(expected):  # both crops of a clip, then the next clip
            assert frame_numbers(clip.frames[2 * number]) == chosen
            assert torch.equal(clip.frames[2 * number] + 0.25, clip.frames[2 * number + 1])

    def test_no_randomness(self, videos):
        transform = EvalTransform(image_size=32, **STATISTICS, num_crops=3)
        first, second = (test_clips(videos, transform=transform, num_clips=2)[0].frames for _ in range(2))
        assert first.shape == (6, 4, 3, 32, 32)
        assert torch.equal(first, second)

    def test_without_label(self, videos):
        clip = test_clips([LabelledVideo(path=videos[0].path, label=None, name="a")])[0]
        assert clip.labels == [NO_LABEL]

    def test_zero_clips_are_refused(self, videos):
        with pytest.raises(ValueError, match="num_clips = 0"):
            test_clips(videos, num_clips=0)

    def test_part_of_a_video(self, videos):
        # 10 frames per second
        part = LabelledVideo(path=videos[0].path, label=0, name="a", start_seconds=0.8, end_seconds=1.2)
        assert frame_numbers(test_clips([part], sampling=NEIGHBOURS)[0].frames[0]) == [8, 9, 10, 11]

    def test_frame_folder(self, tmp_path):
        for number, level in enumerate(levels(4), start=1):
            Image.new("RGB", (64, 48), (level,) * 3).save(tmp_path / f"{number:03d}.png")
        video = LabelledVideo(path=tmp_path, label=0, name="f")
        dataset = test_clips([video], sampling=NEIGHBOURS, frame_template="{:03d}.png")
        assert frame_numbers(dataset[0].frames[0]) == [0, 1, 2, 3]


class TestFailures:
    @pytest.mark.parametrize("make", [train_clips, test_clips])
    def test_unreadable_videos_are_reported(self, make, videos, tmp_path):
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(b"no video" * 100)
        missing = Path("gone.mp4")
        dataset = make([LabelledVideo(path=path, label=0, name=path.name) for path in (broken, missing)] + videos)
        for index, path in enumerate((broken, missing)):
            failure = dataset[ClipKey(0, index) if make is train_clips else index]
            assert isinstance(failure, Failure)
            assert (failure.index, failure.name, failure.path) == (index, path.name, path)
            assert failure.reason
        assert isinstance(dataset[ClipKey(0, 2) if make is train_clips else 2], Clip)

    def test_other_errors_are_not_hidden(self, videos):
        def broken(frames: Tensor) -> Tensor:
            raise RuntimeError("a mistake in the program")

        with pytest.raises(RuntimeError, match="mistake"):
            test_clips(videos, transform=broken)[0]


class TestArrowOfTime:
    def test_forward_and_reversed_videos(self, videos):
        assert [(v.name, v.label, v.reverse) for v in forward_and_reversed(videos[:2])] == [
            ("a (forward)", 0, False),
            ("a (reversed)", 1, True),
            ("b (forward)", 0, False),
            ("b (reversed)", 1, True),
        ]
        assert ARROW_OF_TIME[1] == "reversed"

    def test_the_same_frames_backwards(self, videos):
        dataset = test_clips(forward_and_reversed(videos), num_clips=2)
        assert len(dataset) == 6
        forward, reverse = dataset[4], dataset[5]
        assert (forward.labels, reverse.labels) == ([0, 0], [1, 1])
        assert (forward.name, reverse.name) == ("c (forward)", "c (reversed)")
        assert frame_numbers(forward.frames[0]) == SAMPLING.test(NUM_FRAMES, 2)[0]
        assert torch.equal(forward.frames.flip(1), reverse.frames)

    def test_training(self, videos):
        dataset = train_clips(forward_and_reversed(videos))
        for index in range(6):
            chosen = frame_numbers(dataset[ClipKey(1, index)].frames[0])
            assert chosen == sorted(chosen, reverse=index % 2 == 1)
            assert dataset[ClipKey(1, index)].labels == [index % 2]
