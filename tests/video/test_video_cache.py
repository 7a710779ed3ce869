"""Frame tables that processes share, and files that stay open: the same frames, and less reading."""

import pickle
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from side4video.data.datasets import TestClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading.loader import test_loader
from side4video.data.sampling import FrameSampling
from side4video.video import open_file, packets, video_cache
from side4video.video.decoding import VideoCache, VideoError, VideoFile, open_video
from side4video.video.frame_table import read_table, write_table
from side4video.video.listing import list_frames
from side4video.video.open_file import OpenFile
from side4video.video.video_cache import file_key
from video.test_video_file import write_video

FORMATS = [
    ("groups.mp4", "libx264", {"g": "10", "bf": "3"}),
    ("groups.mkv", "libx264", {"g": "10", "bf": "2"}),
    ("vp9.webm", "libvpx-vp9", {"g": "10", "cpu-used": "8"}),
    ("reordered.avi", "mpeg4", {"g": "10", "bf": "2"}),  # no display times: frame n is the n-th decoded
    ("stream.ts", "libx264", {"g": "10", "bf": "2"}),  # no seeking
]


@pytest.fixture
def keep_all(monkeypatch):
    """Files of any length count as long."""
    monkeypatch.setattr(video_cache, "KEPT_FROM_FRAMES", 1)


@pytest.fixture
def calls(monkeypatch):
    """How often files were listed and opened; both are done as ever."""
    counts = {"listed": 0, "opened": 0}

    def counting(name, function):
        def counted(*arguments, **options):
            counts[name] += 1
            return function(*arguments, **options)

        return counted

    monkeypatch.setattr(packets, "scan", counting("listed", packets.scan))
    monkeypatch.setattr(open_file, "open_container", counting("opened", open_file.open_container))
    return counts


@pytest.fixture
def film(tmp_path):
    """1,200 frames at 10 per second: two minutes."""
    return write_video(tmp_path / "film.mp4", num_frames=1200, g="50", bf="2", preset="ultrafast")


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize(("name", "codec", "options"), FORMATS)
def test_frames_are_the_same_with_and_without_a_table_of_another_process(tmp_path, name, codec, options, calls):
    path = write_video(tmp_path / name, codec=codec, **options)
    folder = tmp_path / "tables"
    with open_video(path, cache=VideoCache(folder)) as video:
        listed = video.num_frames
    before = calls["listed"]
    plain, cache = VideoFile(path), VideoCache(folder)  # a new cache has nothing in memory
    for start, end in ((None, None), (1.0, 2.5), (5.5, None), (0.2, 0.5)):
        whole = VideoFile(path, start_seconds=start, end_seconds=end)
        calls["listed"] = before
        with open_video(path, start_seconds=start, end_seconds=end, cache=cache) as video:
            assert calls["listed"] == before
            numbers = [0, video.num_frames - 1, video.num_frames // 2]
            assert (video.read(numbers) == whole.read(numbers)).all()
            assert video.frame_seconds.tolist() == whole.frame_seconds.tolist()
            for number in ("num_frames", "num_listed", "height", "width", "duration_seconds", "container"):
                assert getattr(video, number) == getattr(whole, number)
    assert listed == plain.num_frames


def test_a_long_file_is_listed_and_opened_once_for_many_segments(film, tmp_path, calls):
    cache = VideoCache(tmp_path / "tables")
    for start in range(0, 100, 10):
        with open_video(film, start_seconds=start, end_seconds=start + 10, cache=cache) as video:
            video.read([0, 99])
    assert calls == {"listed": 1, "opened": 2}, "both times to list it"
    for _ in range(3):
        VideoFile(film).close()
    assert calls == {"listed": 4, "opened": 8}, "without a cache each one is listed"


def test_a_short_file_leaves_nothing_on_disk_or_open(tmp_path, calls):
    path = write_video(tmp_path / "clip.mp4")
    cache = VideoCache(tmp_path / "tables")
    for _ in range(2):
        with open_video(path, cache=cache) as video:
            video.read([5])
    assert not (tmp_path / "tables").exists()
    assert (calls["listed"], calls["opened"]) == (1, 2)
    assert path.resolve() not in [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.exists()]


def test_a_changed_file_is_listed_again(film, tmp_path, calls):
    cache = VideoCache(tmp_path / "tables")
    with open_video(film, cache=cache) as video:
        assert video.num_frames == 1200
    write_video(film, num_frames=1100, g="50", preset="ultrafast")
    with open_video(film, cache=cache) as video:
        assert video.num_frames == 1100
        video.read([1099])
        with pytest.raises(VideoError, match="only 0 to 1099"):
            video.read([1100])
    assert calls["listed"] == 2


@pytest.mark.usefixtures("keep_all")
@pytest.mark.parametrize("name", ["growing.ts", "growing.mkv"])
def test_a_file_that_grows_while_it_is_read_keeps_its_frames(tmp_path, name, calls):
    whole = write_video(tmp_path / f"whole-{name}", g="10", bf="0")
    content, path, cache = whole.read_bytes(), tmp_path / name, VideoCache(tmp_path / "tables")
    expected = VideoFile(whole).read(range(VideoFile(whole).num_frames))
    path.write_bytes(content[: len(content) // 2])
    with open_video(path, cache=cache) as video:
        assert 10 < video.num_frames < len(expected)
        frames = video.read_in_order(range(video.num_frames - 1))  # the last one may have been cut
        found = [next(frames)]
        with path.open("ab") as file:
            file.write(content[len(content) // 2 :])
        found += frames
        assert all(map(torch.equal, found, expected))
        assert torch.equal(video.read([video.num_frames - 2])[0], expected[video.num_frames - 2])
    with open_video(path, cache=cache) as video:
        assert video.num_frames == len(expected), "it is another file now"
        assert torch.equal(video.read([len(expected) - 1])[0], expected[-1])


def test_a_corrupt_or_foreign_table_is_not_used(film, tmp_path, calls):
    folder = tmp_path / "tables"
    with open_video(film, cache=VideoCache(folder)) as video:
        expected = video.read([700])
    (table,) = folder.glob("*.frames")
    content = table.read_bytes()
    for broken in (b"", content[: len(content) // 2], content[:-5] + b"\0" + content[-4:]):
        table.write_bytes(broken)
        with open_video(film, cache=VideoCache(folder)) as video:
            assert (video.read([700]) == expected).all()
        assert read_table(table) is not None, "it is written again"
    assert calls["listed"] == 4


def test_the_folder_may_be_read_only_or_a_file(film, tmp_path):
    place = tmp_path / "no folder"
    place.write_text("a file")
    with open_video(film, cache=VideoCache(place)) as video:
        assert video.read([1199]).shape[0] == 1


def test_one_of_several_processes_lists_and_the_others_wait(film, tmp_path, monkeypatch):
    monkeypatch.setattr(video_cache, "LOCKED_FROM_BYTES", 0)
    table, listed = list_frames(OpenFile(film)), []

    def list_slowly():
        listed.append(threading.get_ident())
        time.sleep(0.3)
        return table

    caches = [VideoCache(tmp_path / "tables") for _ in range(4)]  # as in four processes: they share the folder alone
    threads = [threading.Thread(target=cache.table, args=(file_key(film), list_slowly)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(listed) == 1
    assert [path.suffix for path in (tmp_path / "tables").iterdir()] == [".frames"], "no lock stays behind"


def mean_of(frames):
    return frames.float().mean(dim=(0, 1, 2, 3), keepdim=True).reshape(1, 1, 1, 1, 1).expand(1, 1, 3, 2, 2)


def test_loader_processes_use_the_table_of_this_one(film, tmp_path):
    cache = VideoCache(tmp_path / "tables")
    with open_video(film, cache=cache) as video:
        table = video._table
    (path,) = (tmp_path / "tables").glob("*.frames")
    write_table(
        path, replace(table, seconds=table.seconds / 2, end_seconds=60.0)
    )  # a film of one minute, if anyone believes it
    segments = [LabelledVideo(film, 0, "film.mp4", 55.0, None), LabelledVideo(film, 0, "film.mp4", 65.0, None)]
    sampling = FrameSampling(num_frames=1)
    clips = TestClips(segments, sampling=sampling, transform=mean_of, cache=VideoCache(tmp_path / "tables"))
    first, second = test_loader(clips, batch_clips=1, workers=1)
    assert (len(first), len(second)) == (1, 0)
    assert "the video is 60" in second.failures[0].reason


def test_temporary_folder_is_removed_with_its_cache(film):
    cache = VideoCache()
    with open_video(film, cache=cache):
        pass
    copy = pickle.loads(pickle.dumps(cache))
    assert copy._folder == cache._folder
    assert cache._folder.is_dir()
    del copy
    assert cache._folder.is_dir(), "a copy removes nothing"
    folder = cache._folder
    del cache
    assert not folder.exists()


def test_tables_survive_on_disk_bit_for_bit(film, tmp_path):
    table = list_frames(OpenFile(film))
    write_table(tmp_path / "a.frames", table)
    read = read_table(tmp_path / "a.frames")
    for name in ("seconds", "times", "keys"):
        assert np.array_equal(getattr(read, name), getattr(table, name))
    assert (read.end_seconds, read.container, read.quarter_turns) == (table.end_seconds, table.container, 0)
    assert read_table(tmp_path / "missing.frames") is None
