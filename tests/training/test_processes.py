"""Runs of several processes started by torchrun: equal to one process, and what happens if one is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from separate_processes import SeparateProcesses
from side4video.config import dump_config
from side4video.training.loop import train
from side4video.training.run_log import read_log

SYNCED = {"batch": 8, "sync_bn": True, "epochs": 2, "log_every": 1, "device": "cpu", "memory": "exact"}


POISONED = """
import sys, torch
from side4video.cli import main
from side4video.distributed.processes import process_rank
from side4video.tasks.recognition.task import RecognitionTask

original = RecognitionTask.train_batches

def train_batches(self, order):
    for step, batch in enumerate(original(self, order)):
        if step == 4 and process_rank() == 1:
            batch.clips[0] = torch.nan
        yield batch

RecognitionTask.train_batches = train_batches
sys.exit(main())
"""

RECORDING = """
import json, sys
from pathlib import Path
from side4video.cli import main
from side4video.distributed.processes import process_rank
from side4video.tasks.recognition.task import RecognitionTask

original = RecognitionTask.train_batches

def train_batches(self, order):
    for batch in original(self, order):
        with Path(f"{sys.argv[-1]}-order-{process_rank()}.txt").open("a") as file:  # the folder may not be there yet
            print(json.dumps(batch.indices), file=file)
        yield batch

RecognitionTask.train_batches = train_batches
sys.exit(main())
"""


def torchrun(config, out):
    path = out.with_suffix(".yaml")
    path.write_text(dump_config(config))
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "side4video", "train", str(path)]
    return subprocess.Popen(
        [sys.executable, "-m", *command, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def train_together(warm, folder, world, config, out, *, script=None):
    """Train with processes that start faster than by torchrun; returns their output."""
    path = out.with_suffix(".yaml")
    path.write_text(dump_config(config))
    with SeparateProcesses(folder, ["train", path, "--out", out], world=world, script=script, warm=warm) as processes:
        processes.finish()
        return "".join(map(processes.said, range(world)))


@pytest.fixture
def train_on(warm, tmp_path):
    """`train_on(2, config, out)` calls `train_together`."""
    return partial(train_together, warm, tmp_path)


def losses(out):
    return [entry["loss"] for entry in read_log(out) if entry["kind"] == "train"]


@pytest.mark.parametrize("task", ["recognition", pytest.param("retrieval", marks=pytest.mark.slow)])
def test_two_processes_equal_one(task, small_run, small_retrieval_run, train_on, tmp_path):
    if task == "recognition":
        config = small_run(train=SYNCED, augment={"erasing": 0.0})
    else:
        config = small_retrieval_run(train=SYNCED | {"lr": 1e-4})
    folders = tmp_path / "one", tmp_path / "two"
    output = train_on(2, config, folders[1])
    train(config, out=folders[0])
    assert losses(folders[1]) == pytest.approx(losses(folders[0]), rel=1e-4)
    one, two = (load_file(folder / "last" / "model.safetensors") for folder in folders)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if tensor.ndim > 1:  # the bias of keys has no gradient but rounding, which AdamW turns into whole steps
            assert (two[name] - tensor).norm() < 0.02 * tensor.norm().clamp(min=0.1), name
    first, second = (json.loads((folder / "evaluation.json").read_text()) for folder in folders)
    if task == "recognition":
        names = [[row["name"] for row in content["predictions"]] for content in (first, second)]
        assert names[0] == names[1], "each video once, in the order of the list"
    else:
        assert [query["caption"] for query in first["queries"]] == [query["caption"] for query in second["queries"]]
    assert second["num_videos"] == 8
    assert output.count("top-1") + output.count("text to video") >= 1


def test_synchronised_statistics_of_unequal_shares_are_refused_before_the_first_step(small_run, warm, tmp_path):
    """Steps of 3 clips: the second process would have none in the second micro-batch."""
    out, path = tmp_path / "run", tmp_path / "run.yaml"
    path.write_text(dump_config(small_run(train=SYNCED | {"batch": 3, "micro_batch": 1})))
    with SeparateProcesses(tmp_path, ["train", path, "--out", out], world=2, warm=warm) as processes:
        assert [processes.wait(rank, seconds=150)[0] for rank in range(2)] == [2, 2]
        output = processes.said(0)
    assert "train.sync_bn needs clips in all 2 processes at a time" in output
    assert "some steps have 3 clips" in output
    assert not read_log(out)


@pytest.mark.slow
def test_one_two_and_four_processes_see_the_same_clips_and_losses(small_run, train_on, tmp_path):
    """With one seed and global batch, the shares of a step together are the step of one process."""
    script = tmp_path / "recording.py"
    script.write_text(RECORDING)
    config = small_run(train=SYNCED, augment={"erasing": 0.0})
    steps, found = {}, {}
    for world in (1, 2, 4):
        out = tmp_path / f"on-{world}"
        train_on(world, config, out, script=script)
        shares = [Path(f"{out}-order-{rank}.txt").read_text().splitlines() for rank in range(world)]
        steps[world] = [[index for part in step for index in json.loads(part)] for step in zip(*shares, strict=True)]
        found[world] = losses(out)
    assert steps[1] == steps[2] == steps[4]
    assert [len(step) for step in steps[4]] == [8] * 6
    assert sorted(index for step in steps[4][:3] for index in step) == list(range(24))
    assert steps[4][:3] != steps[4][3:]
    assert found[2] == pytest.approx(found[1], rel=1e-4)
    assert found[4] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.slow
def test_the_gradients_of_two_processes_are_those_of_one(small_run, train_on, tmp_path):
    """After one step, the first moment is a tenth of the gradient."""
    config = small_run(
        train=SYNCED | {"epochs": 1, "batch": 24, "lr": 1e-9}, augment={"erasing": 0.0}, data={"test": None}
    )
    train(config, out=tmp_path / "one")
    train_on(2, config, tmp_path / "two")
    one, two = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    moments = [name for name in one if name.endswith(".exp_avg")]
    assert len(moments) > 20
    for name in moments:
        torch.testing.assert_close(two[name], one[name], rtol=2e-3, atol=1e-6, msg=name)


def test_a_sharded_frozen_model_takes_any_number_of_clips_in_each_process(small_run, train_on, motion_videos, tmp_path):
    """It gives the same, with micro-batches without a readable clip and fewer batches of the second process in each
    evaluation, after which training goes on."""
    for split, count in (("train", 8), ("test", 3)):
        lines = [f"{path},{path.parent.name}" for path in sorted((motion_videos / split).glob("*/*.mp4"))[::2][:count]]
        (tmp_path / f"{split}.csv").write_text("\n".join(["video,label", *lines]))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with (tmp_path / "train.csv").open("a") as file:
        file.write(f"\n{broken},{lines[0].split(',')[1]}")
    data = {"train": tmp_path / "train.csv", "test": tmp_path / "test.csv", "overlap": "allow"}
    settings = SYNCED | {"batch": 4, "micro_batch": 1, "sync_bn": False, "timeout_minutes": 0.5}
    sharded, whole = (
        small_run(data=data, train=settings | {"shard_backbone": shards}, eval={"batch": 1}) for shards in (True, False)
    )
    train_on(2, whole, tmp_path / "whole")
    train_on(2, sharded, tmp_path / "sharded")
    assert losses(tmp_path / "sharded") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)
    first, second = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("whole", "sharded"))
    assert first["num_videos"] == second["num_videos"] == 3


@pytest.mark.slow
def test_a_sharded_frozen_model_of_retrieval_takes_any_number_of_clips(small_retrieval_run, train_on, tmp_path):
    """Steps of three and evaluations of seven videos: the second process has fewer passes, also in the second round."""
    captioned = small_retrieval_run().data.test
    rows = captioned.read_text().splitlines()
    test = captioned.with_name("seven.csv")
    test.write_text("\n".join(rows[:8]))
    settings = SYNCED | {"batch": 3, "micro_batch": 1, "sync_bn": False, "epochs": 1, "timeout_minutes": 0.5}
    for name, shards in (("whole", False), ("sharded", True)):
        config = small_retrieval_run(
            data={"test": test}, train=settings | {"shard_backbone": shards}, eval={"batch": 1, "probe": True}
        )
        train_on(2, config, tmp_path / name)
    assert losses(tmp_path / "sharded") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
    assert json.loads((tmp_path / "sharded" / "evaluation.json").read_text())["num_videos"] == 7


@pytest.mark.slow
def test_a_signal_to_torchrun_saves_before_all_processes_end(small_run, tmp_path):
    config = small_run(train=SYNCED | {"epochs": 30, "checkpoint_minutes": 60})
    out = tmp_path / "run"
    process = torchrun(config, out)
    deadline = time.monotonic() + 120
    while len(losses(out)) < 2:
        assert time.monotonic() < deadline, "no step was taken"
        time.sleep(0.05)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    done = len(losses(out))
    assert 2 <= done < 90
    assert f"Stopped by SIGTERM. The state of step {done} was saved" in output, output[-3000:]
    with safe_open(out / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["progress"])["step"] == done


@pytest.mark.slow
def test_all_processes_skip_a_step_with_a_nonfinite_loss_in_one(small_run, train_on, tmp_path):
    """The videos of one step of one process become infinite."""
    script = tmp_path / "poisoned.py"
    script.write_text(POISONED)
    config = small_run(train=SYNCED | {"sync_bn": False, "on_nonfinite": "skip"}, data={"test": None})
    output = train_on(2, config, tmp_path / "run", script=script)
    assert output.count("skipped a step: The loss is nan at step 4") == 1
    content = json.loads((tmp_path / "run" / "nonfinite-step-4.json").read_text())
    assert [len(process["losses"]) for process in content["processes"]] == [0, 1]
    assert len(losses(tmp_path / "run")) == 5


@pytest.mark.slow
def test_a_lost_process_ends_the_others_and_the_run_resumes(small_run, tmp_path):
    config = small_run(train=SYNCED | {"epochs": 30, "checkpoint_minutes": 0})
    out = tmp_path / "run"
    process = torchrun(config, out)
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.safetensors").exists():
        assert time.monotonic() < deadline, "no step was taken"
        time.sleep(0.2)
    workers = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "exitcode  : -9" in output
    assert "rank      : 1" in output, output[-2000:]
    done = len(losses(out))
    short = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 30})})
    # Goes on with another number of processes: one.
    assert 0 < done < 90
    result = train(short, out=out, resume=True)
    assert result.evaluation is not None
    assert len(losses(out)) == 90
