"""The cache of frozen tokens: what is stored, when it is computed again, and training from it."""

import json
import shutil

import numpy as np
import pytest
import torch

from side4video.config import ConfigError, dump_config, load_config
from side4video.data import datasets
from side4video.data.datasets import ClipKey
from side4video.data.loading.order import TrainOrder
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.stored_clips import StoredClips
from side4video.models.video_model import build_video_model
from side4video.tasks import token_cache
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.recognition.data import as_evaluated, read_data, training_clips
from side4video.tasks.recognition.task import read_probe
from side4video.tasks.token_cache import TokenCache
from side4video.training.loop import train
from side4video.training.run_log import RunLog, read_log
from side4video.video.video_error import VideoError
from warm_process import wait_until

COPIES = 3


def parts(config):
    data = read_data(config.data)
    model = build_video_model(config, num_classes=len(data.class_names), device=torch.device("cpu"))
    return data, model


def train_cache(config, folder, *, copies=COPIES, **changes):
    data, model = parts(config)
    clips = training_clips(data, config=config, backbone=model.backbone)
    settings = {"transform": config.augment.model_dump(mode="json"), "pooled": True, "copies": copies} | changes
    return TokenCache(folder, clips, model, **settings), clips, model


def order(clips, *, epochs=2):
    order = TrainOrder(num_samples=len(clips), global_batch=5, micro_batch=5, seed=3, total_steps=0)
    return TrainOrder(
        num_samples=len(clips), global_batch=5, micro_batch=5, seed=3, total_steps=epochs * order.steps_per_epoch
    )


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def counted(monkeypatch):
    """The number of clips that went through a backbone."""
    seen, original = [], FrozenBackbone.iterate

    def iterate(self, frames, taps):
        seen.append(len(frames))
        return original(self, frames, taps)

    monkeypatch.setattr(FrozenBackbone, "iterate", iterate)
    return seen


@pytest.mark.parametrize("arrow", [pytest.param(False, marks=pytest.mark.slow), True])
def test_batches_hold_the_tokens_and_labels_of_the_same_augmented_clips(arrow, small_run, tmp_path):
    config = small_run(data={"arrow_of_time": arrow, "repeats": 2}, augment={"flip": 0.5, "erasing": 0.0})
    cache, clips, model = train_cache(config, tmp_path)
    for batch, keys in zip(cache.train_batches(order(clips, epochs=4)), order(clips, epochs=4), strict=True):
        expected = [clips[ClipKey(key.epoch % COPIES, key.index)] for key in keys]
        frames = torch.cat([clip.frames for clip in expected])
        assert batch.labels.tolist() == [label for clip in expected for label in clip.labels]
        assert batch.names == [clip.name for clip in expected]
        assert batch.views == [len(clip.labels) for clip in expected]
        assert isinstance(batch.clips, StoredClips)
        torch.testing.assert_close(batch.clips.frames(), frames, atol=1e-5, rtol=0)
        for stored, tokens in zip(
            batch.clips.iterate(torch.float32), model.backbone.iterate(frames, model.side.taps), strict=True
        ):
            assert stored.block == tokens.block
            for found, real in ((stored.patches, tokens.patches), (stored.summary, tokens.summary)):
                assert (found - real).abs().max() <= real.abs().max() / 127
        torch.testing.assert_close(batch.clips.pooled, model.backbone.pool(tokens), atol=1e-4, rtol=1e-4)


def test_patches_averaged_to_a_grid_are_cached_averaged(small_run, tmp_path):
    config = small_run(augment={"erasing": 0.0})
    whole, *_ = train_cache(config, tmp_path)
    small = config.model_copy(update={"side": config.side.model_copy(update={"patch_grid": 2})})
    cache, clips, model = train_cache(small, tmp_path)
    assert cache.path != whole.path
    assert cache.path.stat().st_size < whole.path.stat().st_size
    batch, other = (next(iter(one.train_batches(order(clips)))) for one in (cache, whole))
    for found, full in zip(batch.clips.iterate(torch.float32), other.clips.iterate(torch.float32), strict=True):
        assert found.patches.shape[2] == 4
        expected = model.side.coarsen(full.patches)
        assert (found.patches - expected).abs().max() <= 2 * full.patches.abs().max() / 127


def test_logits_from_the_cache_are_close_to_those_from_pixels(small_run, tmp_path):
    cache, clips, model = train_cache(small_run(head={"fused": True}, augment={"erasing": 0.0}), tmp_path)
    torch.nn.init.normal_(model.head.linear.weight)  # a fused head starts at zero
    batch = next(cache.train_batches(order(clips)))
    keys = next(iter(order(clips)))
    model.eval()
    with torch.no_grad():
        expected = model(torch.cat([clips[key].frames for key in keys]))
        found = model(batch.clips)
    assert (found - expected).norm() / expected.norm() < 0.02


def test_evaluation_views_come_in_the_order_of_the_list(small_run, tmp_path):
    config = small_run(eval={"crops": 3, "clips": 2})
    data, model = parts(config)
    clips = evaluation_clips(as_evaluated(data.test, config.data), config=config, backbone=model.backbone)
    cache = TokenCache(tmp_path, clips, model, transform={}, pooled=False)
    batches = list(cache.test_batches(3))
    assert [name for batch in batches for name in batch.names] == [video.name for video in data.test.videos]
    assert [index for batch in batches for index in batch.indices] == list(range(8))
    assert {views for batch in batches for views in batch.views} == {6}
    expected = torch.cat([clips[index].frames for index in (3, 4, 5)])
    torch.testing.assert_close(batches[1].clips.frames(), expected, atol=1e-5, rtol=0)
    assert batches[1].clips.pooled is None


def test_models_that_need_a_part_of_a_file_read_it(small_run, tmp_path, counted):
    """Other taps, no stem, no pooled features: what is stored for all of them is stored once."""
    folder = tmp_path / "cache"
    whole, clips, _ = train_cache(small_run(side={"taps": (0,)}), folder, also_blocks=[1])
    computed = sum(counted)
    for side, pooled in (({"taps": (1,)}, True), ({"taps": (0, 1)}, True), ({"taps": (1,), "stem": False}, False)):
        config = small_run(side=side)
        part, _, _ = train_cache(config, folder, pooled=pooled)
        assert part.path == whole.path
        found = next(part.train_batches(order(clips))).clips
        own, _, _ = train_cache(config, tmp_path / f"own-{side}", pooled=pooled)
        expected = next(own.train_batches(order(clips))).clips
        assert found.blocks.keys() == expected.blocks.keys() == set(side["taps"])
        assert all(torch.equal(found.blocks[block].values, expected.blocks[block].values) for block in found.blocks)
        assert (found.pooled is None) == (expected.pooled is None) == (not pooled)
        counted.clear()
    assert computed == 24 * COPIES
    assert len(list(folder.glob("*.npy"))) == 1


def test_a_file_above_the_limit_is_refused_before_it_is_written(small_run, tmp_path):
    with pytest.raises(OSError, match=r"takes 0.00\d+ GB, more than data.cache_limit_gb = 1e-05"):
        train_cache(small_run(), tmp_path / "cache", limit_gb=1e-5)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_cache_is_rebuilt_only_if_its_content_would_differ(small_run, motion_videos, tmp_path, counted):
    folder = tmp_path / "cache"
    train_cache(small_run(), folder)
    assert sum(counted) == 24 * COPIES
    (first,) = [name for name in files(folder) if name.endswith(".npy")]
    train_cache(small_run(), folder)
    assert sum(counted) == 24 * COPIES
    others = [
        small_run(augment={"flip": 0.3}),
        small_run(data={"num_frames": 6}),
        small_run(side={"patch_grid": 2}),
        small_run(backbone={"image_size": 16}, augment={"resize": 16}),
        small_run(backbone={"quantise": "int8"}),
    ]
    for number, config in enumerate(others, start=2):
        train_cache(config, folder)
        assert len([name for name in files(folder) if name.endswith(".npy")]) == number
    train_cache(small_run(), folder, copies=1)
    assert len([name for name in files(folder) if name.endswith(".npy")]) == len(others) + 2
    videos = tmp_path / "videos"
    shutil.copytree(motion_videos / "train", videos)
    config = small_run(data={"train": videos})
    cache, *_ = train_cache(config, folder)
    (videos / "clockwise" / "0001.mp4").write_bytes((videos / "anticlockwise" / "0001.mp4").read_bytes())
    changed, *_ = train_cache(config, folder)
    assert len({first, cache.path.name, changed.path.name}) == 3


def test_the_arrow_of_time_shares_the_file_of_the_classes(small_run, tmp_path, counted):
    """Made by either without flips, its labels are right for both; labels that a flip changes make another file."""
    train_cache(small_run(data={"arrow_of_time": True}), tmp_path)
    used = sum(counted)
    cache, clips, model = train_cache(small_run(), tmp_path)
    assert sum(counted) == used
    batch = next(cache.train_batches(order(clips)))
    assert batch.labels.tolist() == [clips.videos[index].label for index in batch.indices]
    settings = {"transform": small_run().augment.model_dump(mode="json"), "pooled": True, "copies": COPIES}
    assert TokenCache(tmp_path, clips, model, **settings).path == cache.path
    assert clips.transform.flip_labels  # clockwise and anticlockwise
    settings["transform"] |= {"flip": 0.5}
    flipped = TokenCache(tmp_path, clips, model, **settings).path
    clips.transform.flip_labels = {}
    assert TokenCache(tmp_path, clips, model, **settings).path != flipped


def test_an_interrupted_build_is_not_used(small_run, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TokenCache, "_encode", stop)
        with pytest.raises(KeyboardInterrupt):
            train_cache(small_run(), tmp_path)
    assert files(tmp_path) == []
    cache, *_ = train_cache(small_run(), tmp_path)
    cache.path.with_suffix(".json").unlink()  # as if killed before the end
    again, *_ = train_cache(small_run(), tmp_path)
    assert again.path == cache.path
    assert again.path.with_suffix(".json").is_file()


BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from side4video.config import load_config
from side4video.tasks.token_cache import TokenCache
from side4video.training.loop import train
if __name__ == "__main__":
    encode, seen = TokenCache._encode, []
    def slow(self, views):
        seen.append(views)
        time.sleep(60 if len(seen) == 5 else 0)
        return encode(self, views)
    TokenCache._encode = slow
    train(load_config(Path(sys.argv[1])), out=Path(sys.argv[2]))
"""


def written(folder):
    return folder.is_dir() and [path for path in folder.iterdir() if path.stat().st_size]


def test_files_of_a_killed_build_are_removed_by_the_next_one(small_run, warm, tmp_path):
    """A real SIGKILL, with a worker process that reads videos."""
    folder = tmp_path / "cache"
    config = small_run(data={"cache": folder, "workers": 1})
    (tmp_path / "script.py").write_text(BUILD_SLOWLY)
    (tmp_path / "recipe.yaml").write_text(dump_config(config))
    run = warm.start(tmp_path / "recipe.yaml", tmp_path / "run", script=tmp_path / "script.py")
    wait_until(lambda: written(folder) or run.poll() is not None, every_seconds=0.01)
    assert run.poll() is None, run.said()
    living, *_ = train_cache(config, folder)  # while that one builds
    assert len(files(folder)) == 4  # two of the finished build, a temporary file and its lock
    run.kill()
    run.wait()
    left_behind = set(files(folder)) - {living.path.name, living.path.with_suffix(".json").name}
    assert {name.rpartition(".")[2] for name in left_behind} == {"tmp", "lock"}
    train_cache(config, folder, copies=1)
    assert not left_behind & set(files(folder))
    assert len(files(folder)) == 4


@pytest.fixture(scope="module")
def finished_cache(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    train_cache(small_run(), folder)
    return folder


@pytest.fixture
def cache_file(finished_cache, tmp_path):
    """The file of a copy of a finished cache in `tmp_path`."""
    shutil.copytree(finished_cache, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("*.npy")
    return path


@pytest.mark.parametrize("damage", ["short", "foreign"])
def test_a_damaged_file_is_refused_with_the_remedy(damage, cache_file, small_run, tmp_path):
    content = cache_file.read_bytes()
    cache_file.write_bytes(content[:-1000] if damage == "short" else b"something else")
    with pytest.raises(ValueError, match="Remove it; the next run computes it again"):
        train_cache(small_run(), tmp_path)


def test_pickled_arrays_are_refused(cache_file, small_run, tmp_path):
    np.save(cache_file, np.array([{"an": "object"}]), allow_pickle=True)
    with pytest.raises(ValueError, match="is corrupt"):
        train_cache(small_run(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\0"])
def test_a_file_truncated_in_its_header_is_refused(content, cache_file, small_run, tmp_path):
    cache_file.write_bytes(content)
    with pytest.raises(ValueError, match="is corrupt"):
        train_cache(small_run(), tmp_path)


@pytest.mark.parametrize("change", [lambda a: a[1:], lambda a: a[:, 1:], lambda a: a[["label"]].copy(), np.ravel])
def test_arrays_of_another_clip_set_are_refused(change, cache_file, small_run, tmp_path):
    np.save(cache_file, change(np.load(cache_file)))
    with pytest.raises(ValueError, match="is corrupt"):
        train_cache(small_run(), tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"failures": 1}', '{"failures": {"99": "x"}}', "[" * 100_000])
def test_a_damaged_description_is_refused(text, cache_file, small_run, tmp_path):
    cache_file.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match="is corrupt"):
        train_cache(small_run(), tmp_path)


def test_too_little_disk_space_is_an_error_before_anything_is_written(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(OSError, match=r"takes \d+ MB.* has only 1 MB free.*cache-copies"):
        train_cache(small_run(), tmp_path)
    assert files(tmp_path) == []


def test_unreadable_videos_are_reported_each_time_and_never_replaced(small_run, motion_videos, tmp_path, capsys):
    videos = tmp_path / "videos"
    shutil.copytree(motion_videos / "train", videos)
    broken = videos / "clockwise" / "0001.mp4"
    broken.write_bytes(b"no video")
    config = small_run(data={"train": videos, "test": None, "cache": tmp_path / "cache"})
    train(config, out=tmp_path / "run")
    failures = [entry for entry in read_log(tmp_path / "run") if entry["kind"] == "failure"]
    assert [entry["path"] for entry in failures] == [str(broken)] * 2  # once per epoch
    assert "The next new run tries to read them again" not in capsys.readouterr().out
    with pytest.raises(RuntimeError, match=r"0001\.mp4.*--data\.on-error skip"):
        train(small_run(data=config.data.model_dump() | {"on_error": "stop"}), out=tmp_path / "stop")
    assert "1 of 24 videos could not be read for" in capsys.readouterr().out


@pytest.fixture
def outage(monkeypatch):
    """A set of names of videos that cannot be read while they are in it."""
    failing, read = set(), datasets._read_clips

    def read_clips(video, choose, clips):
        if video.name in failing:
            raise VideoError(video.path, "no answer after 5 attempts (TimeoutError: ).")
        return read(video, choose, clips)

    monkeypatch.setattr(datasets, "_read_clips", read_clips)
    return failing


def test_videos_are_read_again_by_the_next_new_run_and_not_on_resume(small_run, tmp_path, outage, monkeypatch, capsys):
    """The added tokens are those of a cache without an outage."""
    _, clips, _ = train_cache(small_run(), tmp_path / "whole")
    outage |= {clips.videos[3].name, clips.videos[7].name}

    def run(out, *, epochs, **options):
        monkeypatch.setattr(token_cache, "_built_or_tried", set())  # another process
        config = small_run(data={"cache": tmp_path / "cache", "test": None}, train={"epochs": epochs})
        train(config, out=tmp_path / out, **options)
        return [entry["name"] for entry in read_log(tmp_path / out) if entry["kind"] == "failure"]

    names = sorted(outage)
    assert sorted(run("first", epochs=1)) == names
    outage.remove(names[0])
    assert sorted(run("first", epochs=2, resume=True)) == sorted(names * 2)
    assert run("second", epochs=2) == [names[1]] * 2
    assert "1 videos that could not be read before" in capsys.readouterr().out
    outage.clear()
    assert run("third", epochs=1) == []
    (path,) = (tmp_path / "cache").glob("*.npy")
    assert json.loads(path.with_suffix(".json").read_text())["failures"] == {}
    same = small_run(seed=token_cache.CACHE_SEED)
    cache, whole = (train_cache(same, tmp_path / name, copies=8, pooled=False)[0] for name in ("cache", "own"))
    assert cache.path == path
    assert np.array_equal(np.load(cache.path), np.load(whole.path))


def test_a_cache_that_cannot_be_written_stays_as_it_is(small_run, tmp_path, outage, monkeypatch):
    _, clips, _ = train_cache(small_run(), tmp_path / "whole")
    outage |= {clips.videos[3].name}
    train_cache(small_run(), tmp_path / "cache")
    outage.clear()
    monkeypatch.setattr(token_cache, "_built_or_tried", set())
    monkeypatch.setattr(token_cache.os, "access", lambda *_: False)  # root may write everywhere
    cache, *_ = train_cache(small_run(), tmp_path / "cache", try_again=True)
    assert [failure.index for batch in cache.train_batches(order(clips, epochs=1)) for failure in batch.failures] == [3]


def test_if_no_video_can_be_read_no_file_is_written(small_run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        (tmp_path / "videos" / name / "1.mp4").write_bytes(b"no video")
    config = small_run(data={"train": tmp_path / "videos", "test": None})
    with pytest.raises(ValueError, match="None of the 2 videos can be read"):
        train_cache(config, tmp_path / "cache")
    assert files(tmp_path / "cache") == []


def test_a_run_from_the_cache_matches_one_from_pixels_and_seeds_share_the_cache(small_run, tmp_path, counted):
    settings = {"augment": {"erasing": 0.0}, "train": {"epochs": 1}, "seed": 0}  # the seed of cached augmentation
    train(small_run(**settings), out=tmp_path / "pixels")
    counted.clear()
    cached = small_run(**settings, data={"cache": tmp_path / "cache", "cache_copies": 2}, eval={"probe": True})
    train(cached, out=tmp_path / "cached")
    used = sum(counted)
    assert used == 2 * 24 + 24 + 8  # training clips, the probe's, the test's
    losses = [
        [entry["loss"] for entry in read_log(tmp_path / run) if entry["kind"] == "train"]
        for run in ("pixels", "cached")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert losses[1] != losses[0]
    train(cached.model_copy(update={"seed": 5}), out=tmp_path / "other")
    assert sum(counted) == used
    assert read_probe(tmp_path / "other") == read_probe(tmp_path / "cached") is not None
    assert json.loads((tmp_path / "other" / "evaluation.json").read_text())["num_videos"] == 8


def test_mixing_pixels_is_refused(small_run, tmp_path):
    with pytest.raises(ConfigError, match=r"augment\.mixup and cutmix mix pixels"):
        small_run(data={"cache": tmp_path}, augment={"mixup": 0.2})


def test_weights_that_are_distributed_over_processes_are_refused(small_run, tmp_path):
    with pytest.raises(ConfigError, match=r"but train\.shard_backbone distributes the weights"):
        small_run(data={"cache": tmp_path}, train={"shard_backbone": True})


def test_a_run_resumes_with_a_moved_cache_to_the_same_weights(small_run, tmp_path, monkeypatch):
    def run(cache, out, **flags):
        return train(small_run(data={"cache": cache}, train={"checkpoint_minutes": 0}), out=tmp_path / out, **flags)

    old, new = tmp_path / "old", tmp_path / "new"
    run(old, "whole")
    advance, steps = RunLog.update_progress, []

    def stop_at_step_4(log, **shown):
        advance(log, **shown)
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "update_progress", stop_at_step_4)
        with pytest.raises(KeyboardInterrupt):
            run(old, "cut")
    with pytest.raises(ConfigError, match=r"data\.cache: .*old' -> None"):  # random augmentation would be another
        run(None, "cut", resume=True)
    old.rename(new)
    before = files(new)
    run(new, "cut", resume=True)
    assert files(new) == before
    assert not old.exists()
    whole, cut = ((tmp_path / name / "last" / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert load_config(tmp_path / "cut" / "config.yaml").data.cache == new


def test_a_run_without_a_cache_cannot_resume_with_one(small_run, tmp_path):
    train(small_run(), out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"data\.cache: None -> "):
        train(small_run(data={"cache": tmp_path / "cache"}), out=tmp_path / "run", resume=True)
