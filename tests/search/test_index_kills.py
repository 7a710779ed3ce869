"""SIGKILL and Ctrl-C at random moments of indexing: the index is whole at any time, and complete in the end."""

import random
import shutil
import signal
import time

import numpy as np
import pytest

from search.windows import windows_of
from side4video.search.stores.open_store import open_store
from warm_process import wait_until

TIMES = 3
"""How often the eight videos are there, each with another end."""


@pytest.fixture
def many(videos, tmp_path, write_noise):
    """Short videos, and a long one of several parts."""
    for time_ in range(TIMES):
        copy = shutil.copytree(videos, tmp_path / "many" / str(time_))
        for path in copy.glob("*/*.mp4"):
            path.write_bytes(path.read_bytes() + bytes(time_))  # decoders ignore what comes behind the last atom
    write_noise(tmp_path / "many/long.mp4", 90.0)
    return tmp_path / "many"


def command(many, index, adapter):
    options = ["--device", "cpu", "--workers", "0", "--commit-seconds", "0"]
    return ["index", many, "--to", index, "--model", adapter, *options]


def content(folder):
    store = open_store(folder)
    files = store.files()
    windows = {path: windows_of(store, path) for path in files}
    total = store.count_windows()
    store.close()
    assert total == sum(map(len, windows.values()))
    for path, own in windows.items():
        assert [window.number for window in own] == list(range(len(own))), path
        assert len(own) == (17 if path.endswith("long.mp4") else 1)
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


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills, warm, adapter, many, tmp_path):
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


def test_ctrl_c_saves_what_is_done(warm, adapter, many, tmp_path):
    index = tmp_path / "index"
    run = warm.start(*command(many, index, adapter))
    wait_until(lambda: indexed(index) > 2, every_seconds=0.02)
    run.send_signal(signal.SIGINT)
    code, output = run.finish()
    assert code == 130, output
    assert "Stopped by SIGINT. The finished videos are saved" in output
    done = len(content(index)[0])
    assert 2 < done <= 8 * TIMES
    code, output = warm.run(*command(many, index, adapter))
    assert code == 0, output
    assert f"{8 * TIMES + 1 - done} embedded, {done} unchanged" in output
