"""Temporary files: files of killed processes are removed, and files of running ones are not."""

import signal
import subprocess
import sys

from side4video.atomic_files import remove_abandoned, replacing

WRITER = """
import sys, time
from pathlib import Path
from side4video.atomic_files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def start_writing(path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_only_files_of_killed_processes_are_removed(tmp_path):
    target = tmp_path / "tokens-1.npy"
    killed, left_behind = start_writing(target)
    living, in_use = start_writing(target)
    try:
        assert remove_abandoned(tmp_path, "tokens-*.npy") == []
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert remove_abandoned(tmp_path, "other-*.npy") == []
        assert [str(path) for path in remove_abandoned(tmp_path, "tokens-*.npy")] == [left_behind]
        assert {str(path) for path in tmp_path.iterdir()} == {in_use, in_use.removesuffix(".tmp") + ".lock"}
    finally:
        living.kill()
        living.communicate()


def test_other_files_are_not_removed(tmp_path):
    names = [".tokens-1.npy", "tokens-1.npy", "tokens-1.npy.abcdefgh.tmp", ".tokens-1.npy.abc.tmp", ".tokens-1.npy.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"content")
    empty = tmp_path / ".tokens-1.npy.abcdefgh.tmp"  # by its name ours, and perhaps made a moment ago
    empty.touch()
    assert remove_abandoned(tmp_path, "tokens-*.npy") == []
    (tmp_path / ".tokens-1.npy.abcdefgh.lock").touch()
    assert remove_abandoned(tmp_path, "tokens-*.npy") == []
    assert {path.name for path in tmp_path.iterdir()} == {*names, empty.name, ".tokens-1.npy.abcdefgh.lock"}
    assert remove_abandoned(tmp_path / "not there", "tokens-*.npy") == []


def test_files_in_use_are_not_removed(tmp_path):
    target = tmp_path / "tokens-1.npy"
    with replacing(target) as temporary:
        temporary.write_bytes(b"whole")
        assert remove_abandoned(tmp_path, "tokens-*.npy") == []
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]
