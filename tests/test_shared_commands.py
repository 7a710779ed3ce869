"""Evaluating with two real processes: the results of one, each video once, printed once."""

import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest
import torch

from separate_processes import SeparateProcesses
from side4video.cli import main
from side4video.distributed.processes import joined_processes
from side4video.training.loop import train

SEVERAL_COMMANDS = """
import json, sys
from pathlib import Path
from side4video.cli import main

if __name__ == "__main__":  # loader processes import this
    codes = []
    for command in json.loads(Path(sys.argv[1]).read_text()):
        print("command", *command[:2], flush=True)
        codes.append(main(command))
    print("exit codes", codes)
"""


def numbers_apart(content):
    """A result's numbers, and everything else, in the same order; seconds differ and do not count."""
    numbers, others = [], []

    def go(part):
        if isinstance(part, dict):
            for name in sorted(part):
                others.append(name)
                if name != "seconds":
                    go(part[name])
        elif isinstance(part, list):
            others.append(len(part))
            for item in part:
                go(item)
        elif isinstance(part, float):
            numbers.append(part)
        else:
            others.append(part)

    go(content)
    return numbers, others


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def commands(work, small_run, small_retrieval_run, captioned_videos):
    """By name of the result; each is to be completed by where the result goes."""
    recognition, retrieval, videos = work / "recognition", work / "retrieval", work / "set"
    shutil.copytree(captioned_videos, videos)
    for place in (1, 2, 6):  # the second process meets the first of them, the first process the others
        sorted(videos.glob("test/*/*.mp4"))[place].write_bytes(b"no video")
    train(small_run(train={"epochs": 1}), out=recognition)
    train(small_retrieval_run(train={"epochs": 1}), out=retrieval)
    device, allowed = ["--device", "cpu"], ["--eval.max-unread", "0.5", "--data.workers", "0"]
    test, captions = ["--data.test", videos / "test"], ["--data.test", videos / "test.csv"]
    clip = "--backbone.name vit_base_patch16_clip_quickgelu_224 --backbone.weights random --backbone.image-size 32 "
    clip += "--backbone.model-args patch_size 8 embed_dim 32 depth 2 num_heads 2 --text.weights random "
    clip += "--text.name ViT-B-16-quickgelu --text.model-args embed_dim 16 width 32 heads 2 layers 2 context_length 32"
    found = {
        "evaluated.json": ["evaluate", recognition, *test, *device, *allowed, "--eval.clips", "2", "--json"],
        "refused.json": ["evaluate", recognition, *test, *device, "--data.workers", "0", "--json"],
        "retrieved.json": ["evaluate", retrieval, *captions, *device, *allowed, "--json"],
        "zero-shot.json": ["zero-shot", "b16", *clip.split(), *test, *device, *allowed, "--json"],
    }
    return {name: list(map(str, command)) for name, command in found.items()}


def test_two_processes_give_the_results_of_one(commands, work, warm):
    codes, said = [], {}
    for name, command in commands.items():
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            codes.append(main([*command, str(work / f"one-{name}")]))
        said[name] = (out.getvalue(), err.getvalue())
    assert codes == [1] * len(commands), said
    script, listed = work / "several.py", work / "commands.json"
    script.write_text(SEVERAL_COMMANDS)
    listed.write_text(json.dumps([[*command, str(work / f"two-{name}")] for name, command in commands.items()]))
    with SeparateProcesses(work, [listed], world=2, script=script, warm=warm) as run:
        run.finish()
        outputs = [run.said(rank) for rank in range(2)]
    for output in outputs:
        assert f"exit codes {codes}" in output
        assert "frame #" not in output
    first_words = [line.split()[0] for line in outputs[1].partition("exit codes")[0].splitlines()]
    assert first_words == ["command"] * len(commands)  # Triton 3.9 may list leaked objects when Python ends
    for (out, _), part in zip(said.values(), outputs[0].split("command ")[1:], strict=True):
        listed_lines = [line for line in out.splitlines() if line.startswith(("not read", "  1. ", "  2. "))]
        assert all(line in part for line in listed_lines)
    for name in commands:
        one, two = work / f"one-{name}", work / f"two-{name}"
        first, second = (json.loads(path.read_text()) for path in (one, two))
        assert len(first["unread"]) == 3
        numbers, others = zip(numbers_apart(first), numbers_apart(second), strict=True)
        assert others[0] == others[1], name
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-5), name


def test_a_timeout_of_zero_is_refused():
    with (
        pytest.raises(ValueError, match="timeout_minutes = 0 must be above 0"),
        joined_processes(torch.device("cpu"), timeout_minutes=0),
    ):
        pass
