"""Programs that cannot start loader processes read in their own process, and the warning states why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from side4video.data.datasets import Clip, TestClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading import loader as loaders
from side4video.data.loading.process_support import DAEMON, STANDARD_INPUT, UNGUARDED, why_no_processes
from side4video.data.loading.worker_processes import WorkerContext
from side4video.data.loading.worker_watchdog import LostWorkerError

ASK = "from side4video.data.loading.process_support import why_no_processes\nprint(why_no_processes())\n"


class Numbers(TestClips):
    """Clips of their own index."""

    def __init__(self, num_clips):
        self.videos = [LabelledVideo(Path(f"{index}.mp4"), index, f"{index}.mp4") for index in range(num_clips)]

    def __getitem__(self, index):
        return Clip(torch.full((1, 1, 3, 1, 1), float(index)), [index], index, self.videos[index].name)


class Unreadable(Numbers):
    """Clips that another process cannot receive."""

    def __setstate__(self, state):
        raise ImportError("no module named mine")


def run_python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, **options)


def test_the_tests_can_start_processes():
    assert why_no_processes() is None


def test_programs_from_standard_input():
    assert run_python(input=ASK).stdout == run_python("-", input=ASK).stdout == f"{STANDARD_INPUT}\n"
    assert run_python("-c", ASK).stdout == "None\n"


def test_programs_without_a_main_guard(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ASK)
    assert run_python(program).stdout == f"{UNGUARDED}\n"
    assert run_python("-m", "program", cwd=tmp_path).stdout == f"{UNGUARDED}\n"
    program.write_text(f"if __name__ == '__main__':\n    {ASK.strip().replace(chr(10), chr(10) + '    ')}\n")
    assert run_python(program).stdout == "None\n"
    package = tmp_path / "package"
    package.mkdir()
    (package / "__main__.py").write_text(ASK)
    assert run_python("-m", "package", cwd=tmp_path).stdout == "None\n"


def read_twice(pipe, errors):
    """Runs in a daemon process: reads clips with workers, twice, and sends what it read."""
    with Path(errors).open("w") as file:
        sys.stderr = file
        read = [
            [batch.indices for batch in loaders.test_loader(Numbers(3), batch_clips=2, workers=2)] for _ in range(2)
        ]
    pipe.send(read)


def test_a_daemon_process_reads_itself_and_says_so_once(tmp_path):
    context = WorkerContext()
    here, there = context.Pipe()
    daemon = context.Process(target=read_twice, args=(there, str(tmp_path / "errors.txt")), daemon=True)
    daemon.start()
    assert here.poll(120)
    assert here.recv() == [[[0, 1], [2]]] * 2
    daemon.join(30)
    warning = (tmp_path / "errors.txt").read_text()
    assert warning.count("warning: videos are read in this process") == 1
    assert DAEMON in warning


def test_a_worker_that_fails_before_it_reads_is_not_blamed_on_memory():
    with pytest.raises(
        LostWorkerError, match=r"exit code 1\) ended before it read a video\. Its own error is printed"
    ) as error:
        list(loaders.test_loader(Unreadable(2), batch_clips=1, workers=1))
    assert "memory" not in str(error.value)


HIDDEN = """
# mentions __name__ without a guard
from test_process_support import Numbers
from side4video.data.loading import loader as loaders

for batch in loaders.test_loader(Numbers(3), batch_clips=1, workers=1):
    print(batch.indices, flush=True)
"""


@pytest.mark.slow
def test_a_guard_that_guards_nothing_is_found_by_the_workers(tmp_path):
    (tmp_path / "program.py").write_text(HIDDEN)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = run_python(tmp_path / "program.py", env={**os.environ, "PYTHONPATH": path}, timeout=300)
    assert done.stdout == "[0]\n[1]\n[2]\n"
    assert done.stderr.count(UNGUARDED) == 1
