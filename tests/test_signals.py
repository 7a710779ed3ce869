"""SIGTERM to real commands: they end like after Ctrl-C, report it, and leave no process."""

import os
import signal
import subprocess
import zipfile
from pathlib import Path

import pytest

from warm_process import wait_until

EARLIER = Path(__file__).parent / "earlier"
NUM_VIDEOS = 300


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder with more videos than any command reads in a second."""
    folder = tmp_path_factory.mktemp("many")
    content = (EARLIER / "clips/test/clockwise/0.mp4").read_bytes()
    for name in ("clockwise", "anticlockwise"):
        (folder / name).mkdir()
        for number in range(NUM_VIDEOS):  # decoders ignore bytes after the end; so the files differ
            (folder / name / f"{number}.mp4").write_bytes(content + name.encode() + bytes(number))
    return folder


def processes_of(run):
    return subprocess.run(["pgrep", "-g", str(run.pid)], capture_output=True, text=True).stdout.split()


def command(name, many, out):
    adapter, data = EARLIER / "adapter", ("--data.test", many)
    if name == "embed":
        zipfile.ZipFile(EARLIER / "retrieval.zip").extractall(out / "retrieval")
        adapter = next((out / "retrieval").rglob("model.safetensors")).parent
    return {
        "predict": ["predict", adapter, many, "--device", "cpu"],
        "embed": ["embed", adapter, many, "--out", out / "a.npz", "--device", "cpu"],
        "evaluate": ["evaluate", adapter, *data, "--data.workers", "2", "--device", "cpu", "--json", out / "a.json"],
        "check-data": ["check-data", *data, "--out", out / "checked", "--processes", "2"],
    }[name]


@pytest.mark.parametrize(
    ("name", "whole_job"),
    [
        ("predict", True),
        ("predict", False),
        pytest.param("embed", True, marks=pytest.mark.slow),
        pytest.param("evaluate", True, marks=pytest.mark.slow),
        pytest.param("check-data", True, marks=pytest.mark.slow),
    ],
)
def test_sigterm_ends_a_command(name, whole_job, warm, many, tmp_path):
    run = warm.start(*command(name, many, tmp_path))
    wait_until(lambda: len(processes_of(run)) > 3 or run.poll() is not None, every_seconds=0.05)
    if whole_job:
        os.killpg(run.pid, signal.SIGTERM)  # to every process of the job, as schedulers do
    else:
        run.send_signal(signal.SIGTERM)
    code, output = run.finish()
    assert code == 143, output[-2000:]
    assert "Stopped by SIGTERM." in output, output[-2000:]
    assert "memory" not in output
    assert "Traceback" not in output.partition("Exception ignored in")[0]  # PyTorch's loader, cut off while it starts
    wait_until(lambda: not processes_of(run), seconds=60, every_seconds=0.1)
    assert not any((tmp_path / name).exists() for name in ("a.npz", "a.json", "checked/summary.json"))
