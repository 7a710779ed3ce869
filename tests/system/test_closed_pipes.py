"""Commands whose output is closed by its reader, as `head` does."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from side4video.cli import main
from side4video.system.console import CLOSED_OUTPUT, silence_closed_outputs

LARGE_WRITE = """
import sys
from side4video.system.console import silence_closed_outputs
try:
    sys.stdout.buffer.write(b"x" * 10**6)
except BrokenPipeError:
    sys.exit(0 if silence_closed_outputs() else 9)
"""


def run_with_closed_pipe(arguments, *, errors_too=False):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            stdout=writer,
            stderr=writer if errors_too else subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("arguments", [["--help"], ["index", "--help"], ["recipes"], ["recipes", "show", "own-clips"]])
def test_commands_end_silently_when_their_output_is_closed(arguments):
    done = run_with_closed_pipe(["-m", "side4video", *arguments])
    assert (done.returncode, done.stderr) == (CLOSED_OUTPUT, "")


def test_errors_end_silently_when_their_output_is_closed():
    assert run_with_closed_pipe(["-m", "side4video", "recipes", "show"], errors_too=True).returncode == CLOSED_OUTPUT


def test_a_closed_pipe_is_found_after_a_large_write():
    done = run_with_closed_pipe(["-c", LARGE_WRITE])
    assert (done.returncode, done.stderr) == (0, "")


def test_other_broken_pipes_are_errors(monkeypatch, capsys):
    def lose_a_process(arguments):
        raise BrokenPipeError(errno.EPIPE, "a process was lost")

    monkeypatch.setitem(sys.modules, "side4video.commands.recipes", SimpleNamespace(recipes=lose_a_process))
    assert main(["recipes"]) == 2
    assert "a process was lost" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")  # noqa: PTH110
def test_a_full_disk_is_an_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-m", "side4video", "recipes"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode not in (0, CLOSED_OUTPUT)
    assert b"No space left on device" in done.stderr


@pytest.mark.parametrize(("code", "closed"), [(errno.EINVAL, True), (errno.ENOSPC, False)])
def test_windows_names_closed_pipes_otherwise(code, closed, monkeypatch, tmp_path):
    def flush():
        raise OSError(code, os.strerror(code))

    with (tmp_path / "output").open("wb", buffering=0) as file:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", SimpleNamespace(flush=flush, fileno=file.fileno))
            assert silence_closed_outputs() is closed
        file.write(b"discarded")
    assert (tmp_path / "output").read_bytes() == (b"" if closed else b"discarded")
