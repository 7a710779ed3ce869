"""SIGKILL and Ctrl-C at random moments of indexing: the index is always consistent, and complete in the end."""

import json
import random
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from search.windows import windows_of
from side4video.search.stores.open_store import open_store
from warm_process import wait_until

pytest.importorskip("lancedb")  # before a run starts, not while it indexes

TIMES = 3
"""How often the eight videos are there, each with another end."""


@pytest.fixture
def few(videos, tmp_path, write_noise):
    return copies(videos, tmp_path, write_noise, times=1)


@pytest.fixture
def many(videos, tmp_path, write_noise):
    return copies(videos, tmp_path, write_noise, times=TIMES)


def copies(videos, tmp_path, write_noise, *, times):
    """Short videos, and a long one of several parts."""
    for time_ in range(times):
        copy = shutil.copytree(videos, tmp_path / "many" / str(time_))
        for path in copy.glob("*/*.mp4"):
            path.write_bytes(path.read_bytes() + bytes(time_))  # decoders ignore what comes behind the last atom
    write_noise(tmp_path / "many/long.mp4", 90.0)
    return tmp_path / "many"


def command(many, index, adapter, *, commit_seconds=0):
    options = ["--device", "cpu", "--workers", "0", "--commit-seconds", str(commit_seconds)]
    return ["index", many, "--to", index, "--model", adapter, *options]


def content(folder, **long):
    """All files and windows; `long` gives the number of windows of long videos by name."""
    long = long or {"long": 17}
    store = open_store(folder)
    files = store.files()
    windows = {path: windows_of(store, path) for path in files}
    total = store.count_windows()
    store.close()
    assert total == sum(map(len, windows.values()))
    for path, own in windows.items():
        assert [window.number for window in own] == list(range(len(own))), path
        assert len(own) == long.get(Path(path).stem, 1)
    return files, windows


def assert_same(one, other):
    (files, windows), (other_files, other_windows) = one, other
    assert files == other_files
    for path, own in windows.items():
        for window, twin in zip(own, other_windows[path], strict=True):
            assert (window.start_seconds, window.end_seconds) == (twin.start_seconds, twin.end_seconds)
            np.testing.assert_allclose(window.mean, twin.mean, atol=1e-5)
            np.testing.assert_allclose(window.frames, twin.frames, atol=2e-3)
            np.testing.assert_array_equal(window.frame_seconds, twin.frame_seconds)


def indexed(folder):
    try:
        return len(open_store(folder).files())
    except FileNotFoundError:
        return 0  # not yet


@pytest.mark.slow
def test_index_survives_30_kills_at_random_moments(warm, adapter, many, tmp_path):
    kills = 30
    moments = random.Random(kills)
    whole, killed, total = tmp_path / "whole", tmp_path / "killed", 8 * TIMES + 1
    code, output = warm.run(*command(many, whole, adapter))
    assert code == 0, output
    expected = content(whole)
    assert len(expected[0]) == total
    for kill in range(kills):
        done = max(indexed(killed), total * kill // (kills + 1))
        run = warm.start(*command(many, killed, adapter))
        wait_until(lambda done=done: indexed(killed) > done, every_seconds=0.05)
        time.sleep(moments.uniform(0.0, 0.2))  # a video, written by itself, takes about a tenth of that
        run.kill()
        code, output = run.finish()
        assert code in {-signal.SIGKILL, 0}, output
        now = len(content(killed)[0])
        assert now > done
        if now == total:  # another process would have nothing to do that could be cut off
            shutil.rmtree(killed)
    code, output = warm.run(*command(many, killed, adapter))
    assert code == 0, output
    assert_same(content(killed), expected)


@pytest.mark.slow
def test_ctrl_c_saves_finished_videos(warm, adapter, few, tmp_path):
    index = tmp_path / "index"
    run = warm.start(*command(few, index, adapter))
    wait_until(lambda: indexed(index) > 2, every_seconds=0.02)
    run.send_signal(signal.SIGINT)
    code, output = run.finish()
    assert code == 130, output
    assert "Stopped by SIGINT. Finished work is saved" in output
    done = len(content(index)[0])
    assert 2 < done <= 8
    code, output = warm.run(*command(few, index, adapter))
    assert code == 0, output
    assert f"{8 + 1 - done} embedded, {done} unchanged" in output


@pytest.fixture
def film(tmp_path, write_noise):
    """6 minutes: 71 windows."""
    return write_noise(tmp_path / "films/film.mp4", 360.0)


def kept_windows(index):
    """Windows of incomplete videos on disk."""
    number = 0
    for path in index.glob(".partial/*/*.safetensors"):
        with safe_open(path, "np") as file:
            number += file.get_slice("times").get_shape()[0]
    return number


def test_a_kill_inside_a_film_costs_what_was_not_committed(warm, adapter, film, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for index in (whole, killed):
        if index == killed:
            run = warm.start(*command(film.parent, index, adapter))
            wait_until(lambda: kept_windows(killed) >= 16, every_seconds=0.01)
            run.kill()
            run.finish()
            kept = kept_windows(killed)
            assert 16 <= kept < 71
            assert indexed(killed) == 0, "a video is in the index as a whole or not at all"
        code, output = warm.run(*command(film.parent, index, adapter), "--json", tmp_path / f"{index.name}.json")
        assert code == 0, output
    reports = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "killed")}
    assert (reports["whole"]["resumed_windows"], reports["killed"]["resumed_windows"]) == (0, kept)
    assert f"{kept} windows were embedded by an interrupted run" in output
    assert_same(content(killed, film=71), content(whole, film=71))
    assert not (killed / ".partial").exists()


@pytest.mark.slow
def test_sigterm_inside_a_film_keeps_every_window(warm, adapter, film, tmp_path):
    index = tmp_path / "index"
    run = warm.start(*command(film.parent, index, adapter, commit_seconds=3600))
    wait_until(lambda: any(int(done) >= 16 for done in re.findall(r" (\d+)/71", run.said())), every_seconds=0.01)
    assert kept_windows(index) == 0
    run.send_signal(signal.SIGTERM)
    code, output = run.finish()
    assert code == 143, output
    assert "Stopped by SIGTERM. Finished work is saved, also inside long videos." in output
    assert 16 <= kept_windows(index) < 71
    code, output = warm.run(*command(film.parent, index, adapter))
    assert code == 0, output
    content(index, film=71)


def test_what_was_kept_of_a_film_is_not_used_after_the_film_changed(warm, adapter, film, tmp_path, write_noise):
    index = tmp_path / "index"
    run = warm.start(*command(film.parent, index, adapter))
    wait_until(lambda: kept_windows(index) >= 8, every_seconds=0.01)
    run.kill()
    run.finish()
    write_noise(film, 90.0, seed=1)
    code, output = warm.run(*command(film.parent, index, adapter))
    assert code == 0, output
    assert "interrupted run" not in output
    content(index, film=17)
