"""Indexing on two processes that torchrun starts: the index of one, each video once."""

import json
import os
import shutil
import subprocess
import sys

from search.test_index_kills import assert_same, content
from side4video.cli import main


def test_two_processes_make_the_index_of_one(adapter, videos, tmp_path, write_noise):
    (videos / "broken.mp4").write_bytes(b"no video")
    write_noise(videos / "long.mp4", 90.0)
    shutil.copy(next(videos.glob("*/*.mp4")), videos / "copy.mp4")
    options = ["--model", str(adapter), "--device", "cpu", "--workers", "0", "--commit-seconds", "0"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["index", str(videos), "--to", str(one), *options, "--json", str(tmp_path / "one.json")]) == 1
    run = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "side4video"]
    arguments = ["index", str(videos), "--to", str(two), *options, "--json", str(tmp_path / "two.json")]
    done = subprocess.run(
        [sys.executable, "-m", *run, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-3000:]  # one file is broken, as above
    assert_same(content(two), content(one))
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert first.pop("seconds") > 0
    assert second.pop("seconds") > 0
    assert first == second
    assert (second["embedded"], second["moved"], second["windows"]) == (9, 1, 26)
    assert done.stdout.count("9 embedded, 0 unchanged") == 1
