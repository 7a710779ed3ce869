"""Videos that make their reader hang: the loader continues without them after the timeout.

A frame folder that contains a pipe without a writer hangs: opening the pipe waits for a writer.
"""

import ctypes
import os
import time

import pytest
import torch
from PIL import Image

from side4video.data.datasets import TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading import loader as loaders
from side4video.data.loading import worker_watchdog
from side4video.data.loading.loader import train_loader
from side4video.data.loading.order import TrainOrder
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.data.sampling import FrameSampling
from side4video.video.decoding import VideoError, open_video

SECONDS = 1.0


def frames(folder, *, hangs):
    folder.mkdir()
    for number in (1, 2):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(folder / f"img_{number:05d}.jpg")
    if hangs:
        (folder / "img_00001.jpg").unlink()
        os.mkfifo(folder / "img_00001.jpg")
    return folder


def videos(folder, num_videos, hanging):
    return [
        LabelledVideo(frames(folder / f"clip{index}", hangs=index in hanging), index, f"clip{index}")
        for index in range(num_videos)
    ]


def as_floats(clip):
    return clip[None].float()


def train_transform(clip, label):
    return clip.float(), label


SAMPLING = FrameSampling(num_frames=2)


def test_loader(clips, **options):
    return loaders.test_loader(clips, workers=2, timeout_seconds=SECONDS, **options)


test_loader.__test__ = False


class HoldsTheInterpreter(TestClips):
    """Waits for a signal in C without releasing the interpreter lock, as a broken decoder may."""

    def __getitem__(self, index):
        if index == 3:
            ctypes.PyDLL(None).pause()
        return super().__getitem__(index)


@pytest.mark.parametrize("hanging", [pytest.param({1}, marks=pytest.mark.slow), {0, 6}])
def test_evaluation_continues_without_hanging_videos(hanging, tmp_path):
    clips = HoldsTheInterpreter(videos(tmp_path, 7, hanging), sampling=SAMPLING, transform=as_floats)
    hanging = hanging | {3}
    started = time.monotonic()
    batches = list(test_loader(clips, batch_clips=2))
    assert time.monotonic() - started < 15 * len(hanging) + 10
    assert [index for batch in batches for index in batch.indices] == [i for i in range(7) if i not in hanging]
    failures = [failure for batch in batches for failure in batch.failures]
    assert [failure.index for failure in failures] == sorted(hanging)
    assert failures[0].path == clips.videos[min(hanging)].path
    assert failures[0].reason == "reading it took more than 1 seconds (data.timeout_seconds)."
    for batch in batches:
        for index, frames in zip(batch.indices, batch.clips, strict=True):
            assert torch.equal(frames, clips[index].frames[0])


@pytest.mark.slow
def test_training_waits_one_timeout_per_video(tmp_path):
    clips = TrainClips(videos(tmp_path, 5, {3}), sampling=SAMPLING, transform=train_transform, seed=0)
    steps = 3 * 6
    order = TrainOrder(num_samples=5, global_batch=2, micro_batch=2, seed=0, total_steps=steps)
    started = time.monotonic()
    batches = list(train_loader(clips, order, workers=1, timeout_seconds=SECONDS))
    assert time.monotonic() - started < 40, "six epochs, and one wait"
    assert [sorted(batch.indices + [f.index for f in batch.failures]) for batch in batches] == [
        sorted(key.index for key in keys) for keys in order
    ]
    assert sum(len(batch.failures) for batch in batches) == 6


@pytest.mark.slow
def test_a_loader_can_be_used_again(tmp_path):
    clips = TestClips(videos(tmp_path, 3, {1}), sampling=SAMPLING, transform=as_floats)
    loader = test_loader(clips, batch_clips=1)
    for _ in range(2):
        assert [batch.indices for batch in loader] == [[0], [], [2]]
    assert len(loader) == 3


@pytest.mark.slow
def test_too_many_consecutive_hangs_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_watchdog, "_MOST_HANGING", 1)
    clips = TestClips(videos(tmp_path, 8, set(range(8))), sampling=SAMPLING, transform=as_floats)
    with pytest.raises(LostWorkerError, match=r"2 times in a row, .*, last: .*clip1\. Check their drive"):
        list(loaders.test_loader(clips, batch_clips=8, workers=1, timeout_seconds=0.2))


def test_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(VideoError, match="it is a pipe, a socket or a device"):
        open_video(tmp_path / "clip.mp4")
