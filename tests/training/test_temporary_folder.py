"""Temporary folders of killed processes are removed; those of running ones, and files that no other place has, stay."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from side4video.training.temporary_folder import remove_abandoned_folders, set_copied, temporary_folder

RUNNING = """
import sys, time
from side4video.training.temporary_folder import set_copied, temporary_folder

with temporary_folder() as folder:
    (folder / "model.safetensors").touch()
    set_copied(folder, copied=sys.argv[1] == "copied")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder of temporary files, of this process and its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


@pytest.mark.parametrize("state", ["copied", "not copied"])
def test_folders_of_killed_processes(place, state):
    process = subprocess.Popen([sys.executable, "-c", RUNNING, state], stdout=subprocess.PIPE, text=True)
    with process:
        folder = process.stdout.readline().strip()
        assert remove_abandoned_folders() == [], "it runs"
        os.kill(process.pid, signal.SIGKILL)
    removed = remove_abandoned_folders()
    assert [str(path) for path in removed] == ([folder] if state == "copied" else [])
    assert [path.name for path in place.glob("*/model.safetensors")] == ["model.safetensors"] * (state != "copied")


def test_at_the_end_a_folder_is_removed_unless_files_would_be_lost():
    with temporary_folder() as first, temporary_folder() as second:
        set_copied(second, copied=False)
    assert not first.exists()
    assert second.is_dir()
    assert remove_abandoned_folders() == []
    set_copied(second, copied=True)
    assert remove_abandoned_folders() == [second]


def test_other_folders_stay(place):
    (place / "side4video-run-1").mkdir()
    (place / "side4video-run-2").mkdir()
    (place / "side4video-run-2/.running").touch()  # new and not locked yet
    (place / "side4video-run-3").touch()
    assert remove_abandoned_folders() == []
    assert len(list(place.iterdir())) == 3
