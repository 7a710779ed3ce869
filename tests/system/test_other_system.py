"""A run, a kill, resuming, prediction, index, search and serve in processes that lack what Windows lacks.

These open files in any case, and each command writes paths in another one.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from side4video.config import dump_config
from side4video.search.stores.open_store import open_store
from side4video.training.loop import train
from side4video.training.run_log import read_log
from warm_process import wait_until

SCRIPT = Path(__file__).with_name("other_system.py")
SETTINGS = {"epochs": 2, "batch": 4, "checkpoint_minutes": 0.0001}


@pytest.fixture(scope="module")
def any_case(tmp_path_factory):
    """A library for `LD_PRELOAD` that opens files in any case."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("files in any case need a C compiler, cc")
    library = tmp_path_factory.mktemp("library") / "any_case.so"
    source = SCRIPT.with_name("any_case.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def start(tmp_path, any_case):
    """`start("recipes", "+", "backbones")` starts these commands in a process of the other system."""

    def start(*arguments):
        with (tmp_path / "output.txt").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, SCRIPT, *map(str, arguments)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env=os.environ | {"OMP_NUM_THREADS": "1", "LD_PRELOAD": any_case, "ANY_CASE_ROOT": tmp_path},
            )

    return start


def answer(url):
    """What the server at this address answers; None while it starts."""
    with suppress(URLError, ConnectionError), urlopen(url, timeout=60) as response:
        return response.read()
    return None


def steps(folder):
    return sum(entry["kind"] == "train" for entry in read_log(folder))


@pytest.mark.slow  # CI runs it by name; the import of all modules is in every run
def test_a_killed_run_is_resumed_and_searched(start, small_retrieval_run, captioned_videos, tmp_path):
    videos = tmp_path / "Films"
    shutil.copytree(captioned_videos, videos)
    for name in ("train.csv", "test.csv"):  # their names of folders and files become capitals, the suffix too
        text = (videos / name).read_text().splitlines()
        rows = [",".join((row.partition(",")[0].upper(), row.partition(",")[2])) for row in text[1:]]
        (videos / name).write_text("\n".join([text[0], *rows]) + "\n")
    lists = {"train": tmp_path / "films/TRAIN.csv", "test": tmp_path / "FILMS/test.csv"}
    config = small_retrieval_run(train=SETTINGS, data={"workers": 1, **lists})
    (tmp_path / "Run.yaml").write_text(dump_config(config), encoding="utf-8")
    command = ("train", "run.yaml", "--out", "run")
    killed = start(*command)
    wait_until(lambda: killed.poll() is not None or steps(tmp_path / "run") >= 2, seconds=300, every_seconds=0.02)
    killed.kill()
    assert killed.wait() < 0, (tmp_path / "output.txt").read_text()
    found = ("+", "search", "Index", "a shape moves", "--top-k", "2", "--device", "cpu", "--json", "found.json")
    predict = ("+", "predict", "run", "films/TEST", "--text", "a shape", "--device", "cpu", "--json", "ranks.json")
    index = ("+", "index", "films/Test", "--to", "index", "--model", "RUN", "--device", "cpu", "--workers", "1")
    again = ("+", "index", "FILMS/test", "--to", "INDEX")
    resumed = ("train", "RUN.yaml", "--out", "Run", "--resume")
    done = start(*resumed, *predict, *index, *again, *found)
    done.wait(timeout=600)
    output = (tmp_path / "output.txt").read_text()
    for name in ("train", "predict", "index", "search"):
        assert f"{name}: exit code 0" in output, output
    assert "Traceback" not in output
    assert len(json.loads((tmp_path / "ranks.json").read_text())["queries"]) == 1
    assert len(json.loads((tmp_path / "found.json").read_text())["queries"][0]["found"]) == 2
    assert list(open_store(tmp_path / "index").files()) == sorted(map(str, videos.glob("test/*/*.mp4")))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["Films", "index", "run"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start("serve", "INDEX", "--port", port, "--device", "cpu")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: server.poll() is not None or answer(f"{url}/api/info"), seconds=300, every_seconds=0.5)
        results = json.loads(answer(f"{url}/api/search?q=a+shape+moves") or "{}").get("results")
        assert results, (tmp_path / "output.txt").read_text()
        assert answer(f"{url}{results[0]['poster']}").startswith(b"\xff\xd8"), "a JPEG of the best moment"
        assert answer(f"{url}/clips/{results[0]['id']}.mp4?start=0&end=0.5")[4:8] == b"ftyp", "another process makes it"
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in (tmp_path / "output.txt").read_text()
    lists = {"train": captioned_videos / "train.csv", "test": captioned_videos / "test.csv"}
    train(small_retrieval_run(train=SETTINGS, data={"workers": 0, **lists}), out=tmp_path / "whole")
    weights = [(tmp_path / run / "last/model.safetensors").read_bytes() for run in ("run", "whole")]
    assert weights[0] == weights[1]


LACKING = """
import multiprocessing, os, signal, sys
sys.path.insert(0, sys.argv[1])
import other_system
for statement in ("import fcntl", "import resource", "open('/proc/self/status')", "os.fork", "signal.SIGUSR1"):
    try:
        exec(statement, {"__name__": "side4video.example", "os": os, "signal": signal})
    except (ImportError, OSError, AttributeError) as error:
        print(statement, type(error).__name__)
import fcntl
print(multiprocessing.get_all_start_methods())
"""


def test_the_process_lacks_what_it_should():
    done = subprocess.run([sys.executable, "-c", LACKING, SCRIPT.parent], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "import fcntl ModuleNotFoundError",
        "import resource ModuleNotFoundError",
        "open('/proc/self/status') FileNotFoundError",
        "os.fork AttributeError",
        "signal.SIGUSR1 AttributeError",
        "['spawn']",
    ]
