"""Videos that crash their loader process with a real signal: the loader continues without them."""

import ctypes
import os
import signal
from pathlib import Path

import pytest
import torch

from side4video.data.datasets import Clip, TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading import loader as loaders
from side4video.data.loading import worker_watchdog
from side4video.data.loading.loader import train_loader
from side4video.data.loading.order import TrainOrder
from side4video.data.loading.worker_watchdog import LostWorkerError


def crash(how):
    """Ends this process: by an invalid memory access like a decoder, by a signal, or with an exit code."""
    if how == "null pointer":
        ctypes.string_at(0)
    if isinstance(how, signal.Signals):
        os.kill(os.getpid(), how)
    os._exit(how)


def videos(num_videos):
    return [LabelledVideo(Path(f"clip{index}.mp4"), index, f"clip{index}") for index in range(num_videos)]


class Evaluated(TestClips):
    """Clips, some of which end their reader; `ends` states how, by index."""

    def __init__(self, videos, ends):
        self.videos, self.ends = videos, ends

    def __getitem__(self, index):
        if index in self.ends:
            crash(self.ends[index])
        return Clip(torch.full((1, 2, 3, 4, 4), float(index)), [index], index, self.videos[index].name)


class Trained(TrainClips):
    """The same by epoch and index: another epoch may read other, intact frames."""

    def __init__(self, videos, ends):
        self.videos, self.ends = videos, ends

    def __getitem__(self, key):
        if key in self.ends:
            crash(self.ends[key])
        frames = torch.full((1, 2, 3, 4, 4), 100.0 * key.epoch + key.index)
        return Clip(frames, [key.index], key.index, self.videos[key.index].name)


def reason(name):
    return f"its decoder crashed the process that read it ({name}). Re-encode it, or leave it out."


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")  # all crash at once: one wait
def test_evaluation_continues_after_any_crash(capfd):
    ends = {0: "null pointer", 2: signal.SIGABRT, 4: signal.SIGBUS}
    clips = Evaluated(videos(8), ends)
    batches = list(loaders.test_loader(clips, batch_clips=2, workers=3))
    assert [batch.indices for batch in batches] == [[1], [3], [5], [6, 7]]
    for batch in batches:
        assert [int(clip.mean()) for clip in batch.clips] == batch.labels.tolist() == batch.indices
    failures = [failure for batch in batches for failure in batch.failures]
    assert [(failure.index, failure.path.name) for failure in failures] == [(i, f"clip{i}.mp4") for i in ends]
    assert [failure.reason for failure in failures] == [reason(name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS")]
    assert capfd.readouterr().err == "", "nothing but what the run says of it"


def test_other_worker_exits_raise_an_error():
    with pytest.raises(
        LostWorkerError, match=r"A loader process \(\d+, exit code 3\) ended while it read clip1\.mp4\. "
    ):
        list(loaders.test_loader(Evaluated(videos(3), {1: 3}), batch_clips=1, workers=1))


def flat(batches):
    return [
        (batch.indices, [float(clip.mean()) for clip in batch.clips], [failure.name for failure in batch.failures])
        for batch in batches
    ]


def test_training_retries_the_video_in_the_next_epoch():
    def run(start):
        order = TrainOrder(num_samples=5, global_batch=2, micro_batch=2, seed=0, total_steps=9, start_step=start)
        return order, flat(train_loader(Trained(videos(5), {(1, 3): signal.SIGSEGV}), order, workers=1))

    order, batches = run(0)
    for keys, (indices, numbers, failures) in zip(order, batches, strict=True):
        assert indices == [key.index for key in keys if key != (1, 3)]
        assert numbers == [100 * key.epoch + key.index for key in keys if key != (1, 3)]
        assert failures == ["clip3"] * ((1, 3) in keys)
    assert sum((1, 3) in keys for keys in order) == 1
    _, later = run(6)
    assert later == batches[6:], "it knows nothing of the crash in the second epoch"


def test_parts_of_the_same_video_crash_once():
    """Such as the parts of a long video, which has no result if one part has none."""
    same = LabelledVideo(Path("long.mp4"), None, "long")
    clips = Evaluated([same, same, same, *videos(1)], {0: signal.SIGSEGV, 1: signal.SIGKILL})
    assert [names for _, _, names in flat(loaders.test_loader(clips, batch_clips=1, workers=1))] == [
        ["long"],
        ["long"],
        ["long"],
        [],
    ]


@pytest.mark.slow
def test_too_many_consecutive_crashes_end_the_run(monkeypatch):
    monkeypatch.setattr(worker_watchdog, "_MOST_CRASHING", 1)
    clips = Evaluated(videos(8), dict.fromkeys((0, 5, 6, 7), signal.SIGSEGV))
    given = iter(loaders.test_loader(clips, batch_clips=1, workers=1))
    assert [next(given).indices for _ in range(5)] == [[], [1], [2], [3], [4]], "one by itself does not count"
    with pytest.raises(LostWorkerError, match=r"2 times in a row, .* the decoder crashed, last: clip[67]\.mp4\. .*av"):
        list(given)
