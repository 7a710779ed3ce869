"""The order of a run by brute force, and loaders with and without worker processes."""

import os
import resource
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from side4video.data.datasets import Clip, ClipKey, Failure, TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading import loader as loaders
from side4video.data.loading.batch import Batch, collate
from side4video.data.loading.loader import train_loader
from side4video.data.loading.order import TrainOrder, steps_per_epoch
from side4video.data.loading.worker_processes import GRACE_SECONDS
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import EvalTransform, TrainTransform
from warm_process import wait_until

STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def order(**options) -> TrainOrder:
    return TrainOrder(**{"num_samples": 10, "global_batch": 4, "micro_batch": 2, "seed": 0, "total_steps": 9} | options)


def flat(batches: list[list[ClipKey]]) -> list[ClipKey]:
    return [key for batch in batches for key in batch]


CASES = [
    {"num_samples": n, "global_batch": batch, "micro_batch": micro, "world": world}
    for n, batch, micro, world in [
        (10, 4, 2, 1),
        (10, 4, 3, 2),
        (10, 4, 1, 2),
        (10, 3, 8, 1),
        (7, 7, 2, 3),
        (7, 100, 3, 2),
        (1, 1, 1, 1),
        (97, 16, 5, 4),
        (64, 16, 4, 4),
    ]
]


class TestOrder:
    @pytest.mark.parametrize("case", CASES)
    def test_every_clip_once_in_each_epoch(self, case):
        steps = steps_per_epoch(case["num_samples"], case["global_batch"])
        ranks = [order(**case, total_steps=3 * steps, rank=rank) for rank in range(case["world"])]
        for epoch in range(3):
            in_epoch = range(epoch * steps, (epoch + 1) * steps)
            keys = [key for step in in_epoch for one in ranks for key in flat(one.step_batches(step))]
            assert sorted(keys) == [ClipKey(epoch, index) for index in range(case["num_samples"])]

    @pytest.mark.parametrize("case", CASES)
    def test_sizes(self, case):
        ranks = [order(**case, rank=rank) for rank in range(case["world"])]
        sizes = set()
        for step in range(ranks[0].total_steps):
            batches = [one.step_batches(step) for one in ranks]
            shares = [len(flat(share)) for share in batches]
            assert min(shares) > 0
            assert max(shares) - min(shares) <= 1
            assert sum(shares) == ranks[0].step_size(step) <= case["global_batch"]
            sizes.add(sum(shares))
            for share in batches:
                parts = [len(part) for part in share]
                assert len(parts) == ranks[0].num_micro_batches(step)  # in every process alike
                assert max(parts) <= case["micro_batch"]
                assert max(parts) - min(parts) <= 1
        assert max(sizes) - min(sizes) <= 1

    def test_example(self):
        assert [order().step_size(step) for step in range(6)] == [4, 3, 3, 4, 3, 3]
        assert [order().epoch(step) for step in range(6)] == [0, 0, 0, 1, 1, 1]
        assert [[len(part) for part in order().step_batches(step)] for step in range(3)] == [[2, 2], [2, 1], [2, 1]]

    @pytest.mark.parametrize("case", CASES)
    def test_resuming_at_any_step_gives_the_remaining_batches(self, case):
        case = case | {"rank": case["world"] - 1}
        full = order(**case)
        by_step = [full.step_batches(step) for step in range(9)]
        assert list(full) == flat(by_step)
        for start in range(10):
            resumed = order(**case, start_step=start)
            assert list(resumed) == flat(by_step[start:])
            assert len(resumed) == len(list(resumed))

    def test_the_order_depends_only_on_seed_and_epoch(self):
        def epochs(**options) -> list[list[int]]:
            one = order(**options)
            steps = one.steps_per_epoch
            return [
                [key.index for step in range(e * steps, (e + 1) * steps) for key in flat(one.step_batches(step))]
                for e in range(3)
            ]

        usual = epochs()
        assert len({tuple(one) for one in usual}) == 3
        assert epochs(global_batch=7, micro_batch=1, total_steps=50, start_step=8) == usual
        assert epochs(seed=1) != usual

    def test_any_step_is_computed_directly(self):
        far = 10**12
        started = time.perf_counter()
        assert next(iter(order(start_step=far, total_steps=2 * far))) == order().step_batches(far)[0]
        assert time.perf_counter() - started < 20  # not as many as there are steps before it

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_samples": 0}, "num_samples = 0"),
            ({"global_batch": 0}, "global_batch = 0"),
            ({"micro_batch": 0}, "micro_batch = 0"),
            ({"rank": 1}, "rank = 1 is outside 0 to 0"),
            ({"start_step": 10}, "start_step = 10 is outside"),
            ({"world": 4}, "without a clip"),  # batches of 4, 3 and 3 clips
        ],
    )
    def test_invalid_orders_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            order(**options)


class TestCollate:
    def clip(self, index: int, views: int) -> Clip:
        return Clip(torch.full((views, 2, 3, 4, 4), float(index)), [index] * views, index, f"v{index}")

    def test_clips_and_failures(self):
        failure = Failure(1, "v1", Path("v1.mp4"), "broken")
        batch = collate([self.clip(0, 2), failure, self.clip(2, 3)])
        assert batch.clips[:, 0, 0, 0, 0].tolist() == [0, 0, 2, 2, 2]
        assert batch.labels.tolist() == [0, 0, 2, 2, 2]
        assert batch.labels.dtype == torch.long
        assert (batch.views, batch.indices, batch.names) == ([2, 3], [0, 2], ["v0", "v2"])
        assert (batch.failures, len(batch)) == ([failure], 2)

    def test_a_batch_of_failures_only(self):
        batch = collate([Failure(1, "v1", Path("v1.mp4"), "broken")])
        assert (len(batch), batch.clips.shape, batch.labels.shape, batch.views) == (0, (0,), (0,), [])
        assert len(batch.failures) == 1


@pytest.fixture(scope="module")
def videos(tmp_path_factory, make_video) -> list[LabelledVideo]:
    """Eight videos; the third one is corrupt."""
    folder = tmp_path_factory.mktemp("videos")
    paths = [make_video(folder / f"{n}.mp4", [20 * n + 5 * t for t in range(12)]) for n in range(8)]
    paths[2].write_bytes(b"no video")
    return [LabelledVideo(path=path, label=label, name=path.stem) for label, path in enumerate(paths)]


@pytest.fixture
def train_clips(videos) -> TrainClips:
    transform = TrainTransform(image_size=32, **STATISTICS, flip=0.5, colour_jitter=0.4)
    return TrainClips(videos, sampling=FrameSampling(num_frames=4), transform=transform, seed=1, repeats=2)


@pytest.fixture
def test_clips(videos) -> TestClips:
    transform = EvalTransform(image_size=32, **STATISTICS, num_crops=3)
    return TestClips(videos, sampling=FrameSampling(num_frames=4), transform=transform, num_clips=2)


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.clips, other.clips)
        assert torch.equal(one.labels, other.labels)
        assert (one.views, one.indices, one.names) == (other.views, other.indices, other.names)
        assert one.failures == other.failures


class TestTrainLoader:
    def run(self, start: int = 0) -> TrainOrder:
        return order(num_samples=8, global_batch=3, micro_batch=2, total_steps=6, start_step=start)

    def test_workers_do_not_change_the_batches(self, train_clips):
        alone = list(train_loader(train_clips, self.run(), workers=0))
        assert_same(alone, list(train_loader(train_clips, self.run(), workers=2)))
        seen = Counter(index for batch in alone for index in batch.indices)
        assert seen == {index: 2 for index in range(8) if index != 2}
        assert [failure.name for batch in alone for failure in batch.failures] == ["2", "2"]
        assert all(batch.clips.shape == (2 * len(batch), 4, 3, 32, 32) for batch in alone if len(batch))

    def test_resume(self, train_clips):
        alone = list(train_loader(train_clips, self.run(), workers=0))
        done = sum(self.run().num_micro_batches(step) for step in range(4))
        assert_same(alone[done:], list(train_loader(train_clips, self.run(4), workers=1)))

    def test_global_randomness_is_left_alone(self, train_clips):
        torch.manual_seed(1)
        expected = torch.rand(1)
        torch.manual_seed(1)
        list(train_loader(train_clips, self.run(), workers=0))
        assert torch.rand(1) == expected

    def test_a_finished_run_yields_nothing(self, train_clips):
        assert list(train_loader(train_clips, self.run(6), workers=2)) == []


class TestTestLoader:
    def test_each_clip_once_in_order(self, test_clips):
        batches = list(loaders.test_loader(test_clips, batch_clips=3, workers=0))
        assert [batch.indices for batch in batches] == [[0, 1], [3, 4, 5], [6, 7]]
        assert [failure.index for batch in batches for failure in batch.failures] == [2]
        assert batches[0].clips.shape == (12, 4, 3, 32, 32)
        assert batches[0].views == [6, 6]
        assert_same(batches, list(loaders.test_loader(test_clips, batch_clips=3, workers=2)))

    @pytest.mark.parametrize("world", [2, 3, 8, 11])
    def test_processes_share_the_clips_without_duplicates(self, test_clips, world):
        seen = []
        for rank in range(world):
            for batch in loaders.test_loader(test_clips, batch_clips=2, workers=0, world=world, rank=rank):
                seen += batch.indices + [failure.index for failure in batch.failures]
        assert sorted(seen) == list(range(8))


class Misbehaving(TestClips):
    """Calls a function for one of the videos instead of reading it."""

    def __init__(self, what: str):
        self.videos = [LabelledVideo(Path(f"video{index}.mp4"), 0, f"video{index}") for index in range(6)]
        self.what = what

    def __getitem__(self, index: int) -> Clip:
        if index == 1 and self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 1 and self.what == "allocate":
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))  # what is shared counts as a file
            return Clip(torch.ones(1, 1, 3, 2**8, 2**8), [0], index, str(index))
        return Clip(torch.full((1, 1, 3, 1, 1), float(torch.get_num_threads())), [0], index, str(index))


ENDLESS = """
import time
from pathlib import Path
import torch
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.datasets import Clip, TestClips
from side4video.data.loading import loader as loaders

class Endless(TestClips):
    def __init__(self):
        self.videos = [LabelledVideo(Path(f"video{index}.mp4"), 0, str(index)) for index in range(6)]

    def __getitem__(self, index):
        time.sleep(60 * (index == 2))
        return Clip(torch.zeros(1, 1, 3, 1, 1), [0], index, str(index))

if __name__ == "__main__":
    for batch in loaders.test_loader(Endless(), batch_clips=1, workers=2):
        print(batch.indices, flush=True)
"""
"""One of its two loader processes is soon in the middle of a video, the other waits."""


def is_alive(group):
    """Whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class TestWorkers:
    def test_one_thread_each(self):
        batches = list(loaders.test_loader(Misbehaving("nothing"), batch_clips=2, workers=1))
        assert all(batch.clips.eq(1).all() for batch in batches)

    def test_a_dead_worker_raises(self):
        started = time.perf_counter()
        with pytest.raises(
            LostWorkerError, match=r"A loader process \(\d+, SIGKILL\) ended while it read video1\.mp4\."
        ):
            list(loaders.test_loader(Misbehaving("die"), batch_clips=1, workers=1))
        assert time.perf_counter() - started < 30

    def test_the_error_distinguishes_a_worker_that_was_reading(self):
        loader = loaders.test_loader(Misbehaving("nothing"), batch_clips=1, workers=1)
        batches = iter(loader)
        next(batches)
        (worker,) = {process for process in loader.dataset._processes if process}
        time.sleep(1)  # it has read ahead as far as it goes
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(LostWorkerError, match=rf"A loader process \({worker}, SIGKILL\) ended between two videos"):
            list(batches)

    def test_missing_shared_memory_raises(self):
        loader = loaders.test_loader(Misbehaving("allocate"), batch_clips=1, workers=1)
        with pytest.raises(RuntimeError, match=r"no shared memory for a batch of 1 MB: .* docker run --shm-size"):
            list(loader)

    def test_workers_ignore_the_signals_of_schedulers(self):
        loader = loaders.test_loader(Misbehaving("nothing"), batch_clips=1, workers=1)
        batches = iter(loader)
        next(batches)
        (worker,) = {process for process in loader.dataset._processes if process}
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            os.kill(worker, number)
        assert [batch.indices for batch in batches] == [[index] for index in range(1, 6)]

    def test_an_interrupt_ends_all_processes(self, warm, tmp_path):
        script = tmp_path / "endless.py"
        script.write_text(ENDLESS)
        run = warm.start(script=script)
        wait_until(lambda: "[0]\n" in run.said() or run.poll() is not None)
        interrupted = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)  # as ^C in a terminal does
        code, output = run.finish()
        wait_until(lambda: not is_alive(run.pid))  # the workers too
        assert time.monotonic() - interrupted < 0.8 * GRACE_SECONDS  # it would wait for all of it
        assert code == -signal.SIGINT, output
        assert output.count("KeyboardInterrupt") == 1
