"""One of two separately launched processes is killed or stopped: the other ends soon and names it; runs resume."""

import re
import shutil
import signal
import subprocess

import pytest

from separate_processes import SeparateProcesses
from side4video.training.checkpoint import has_checkpoint
from side4video.training.run_log import read_log
from warm_process import wait_until

KILLED_SECONDS = 20
"""A survivor ends in about seven; machines that do other things as well get more."""
TIMEOUT_MINUTES = 0.25
LONG = {"epochs": 400, "batch": 8, "checkpoint_minutes": 0, "timeout_minutes": TIMEOUT_MINUTES}
SHORT = {"epochs": 8, "batch": 8, "sync_bn": True, "checkpoint_minutes": 0, "lr": 1e-4}


SLOW = pytest.mark.slow
MACHINES = ("side4video-a", "side4video-b")
ADDRESS = "10.77.0.1"


@pytest.fixture
def two_machines():
    """Two network namespaces with a virtual cable between them, as prefixes of commands that run in either."""
    commands = [f"ip netns add {name}" for name in MACHINES]
    commands.append(f"ip link add net0 netns {MACHINES[0]} type veth peer name net0 netns {MACHINES[1]}")
    for number, name in enumerate(MACHINES, start=1):
        inside = f"ip -netns {name}"
        commands += [f"{inside} addr add 10.77.0.{number}/24 dev net0", f"{inside} link set net0 up"]
        commands.append(f"{inside} link set lo up")
    try:
        for command in commands:
            try:
                subprocess.run(command.split(), check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no network namespaces here: {command}: {getattr(error, 'stderr', '') or error}")
        yield [["ip", "netns", "exec", name] for name in MACHINES]
    finally:
        for name in MACHINES:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def losses(folder):
    return [entry["loss"] for entry in read_log(folder) if entry["kind"] == "train"]


def weights(folder):
    return [(folder / name / "model.safetensors").read_bytes() for name in ("last", "best")]


def check_survivor(run, survivor, *, seconds):
    """Check that it ends within the time, with a message that names rank and process of the other."""
    code, taken = run.wait(survivor, seconds=120)
    said = run.said(survivor)
    lost = 1 - survivor
    assert code == 2, said[-3000:]
    assert re.search(
        rf"LostProcessError: Process {lost} of 2 \(\S+, process id {run.processes[lost].pid}\) was lost", said
    ), said[-3000:]
    assert taken < seconds, f"{taken:.1f} s"
    print(f"process {survivor} ended {taken:.1f} s after process {lost} was lost")
    return said


@pytest.mark.parametrize("lost", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_is_named_by_the_other(lost, warm, recipe, tmp_path):
    out = tmp_path / "run"
    with SeparateProcesses(tmp_path, ["train", recipe(train=LONG), "--out", out], world=2, warm=warm) as run:
        wait_until(lambda: len(losses(out)) >= 3)
        run.processes[lost].kill()
        check_survivor(run, 1 - lost, seconds=KILLED_SECONDS)
    assert has_checkpoint(out)


@pytest.mark.slow
def test_an_error_of_one_process_is_reported_by_the_other(motion_videos, recipe, tmp_path):
    shutil.copytree(motion_videos / "train", tmp_path / "train")
    (tmp_path / "train/clockwise/0001.mp4").write_bytes(b"no video")
    settings = recipe(train=LONG, data={"train": tmp_path / "train", "on_error": "stop"})
    with SeparateProcesses(tmp_path, ["train", settings, "--out", tmp_path / "run"], world=2) as run:
        assert [run.wait(rank)[0] for rank in range(2)] == [2, 2]
        output = [run.said(rank) for rank in range(2)]
    (met,) = [rank for rank in range(2) if "\nRuntimeError: " in output[rank]]
    assert re.search(
        rf"LostProcessError: Process {met} of 2 \(.*\) ended: RuntimeError: .*clockwise/0001.mp4", output[1 - met]
    ), output[1 - met]


@pytest.mark.slow
def test_processes_that_never_join_are_reported_after_the_timeout(recipe, tmp_path):
    settings = recipe(train=LONG | {"timeout_minutes": 0.05})
    with SeparateProcesses(tmp_path, ["train", settings, "--out", tmp_path / "run"], world=2) as run:
        run.processes[1].kill()
        assert run.wait(0)[0] == 2
        assert "Process 0 of 2 could not join the others within 0.05 minutes at 127.0.0.1" in run.said(0)


@SLOW
def test_a_process_on_another_machine_is_killed(two_machines, recipe, tmp_path):
    out = tmp_path / "run"
    command = ["train", recipe(train=LONG), "--out", out]
    network = {"address": ADDRESS, "interface": "net0", "prefixes": two_machines}
    with SeparateProcesses(tmp_path, command, world=2, **network) as run:
        wait_until(lambda: len(losses(out)) >= 3)
        run.processes[1].kill()
        check_survivor(run, 0, seconds=KILLED_SECONDS)


@SLOW
def test_a_network_cable_is_unplugged(two_machines, recipe, tmp_path):
    out = tmp_path / "run"
    command = ["train", recipe(train=LONG), "--out", out]
    network = {"address": ADDRESS, "interface": "net0", "prefixes": two_machines}
    with SeparateProcesses(tmp_path, command, world=2, **network) as run:
        wait_until(lambda: len(losses(out)) >= 3)
        subprocess.run(["ip", "-netns", MACHINES[1], "link", "set", "net0", "down"], check=True)
        for survivor in (0, 1):
            check_survivor(run, survivor, seconds=60 * TIMEOUT_MINUTES + KILLED_SECONDS)


@SLOW
@pytest.mark.parametrize("lost", [0, 1])
def test_a_hanging_process_is_named_after_the_timeout(lost, recipe, tmp_path):
    out = tmp_path / "run"
    with SeparateProcesses(tmp_path, ["train", recipe(train=LONG), "--out", out], world=2) as run:
        wait_until(lambda: len(losses(out)) >= 3)
        run.processes[lost].send_signal(signal.SIGSTOP)
        check_survivor(run, 1 - lost, seconds=60 * TIMEOUT_MINUTES + KILLED_SECONDS)


@SLOW
def test_resumed_after_a_kill(recipe, tmp_path):
    """Bit-identical with as many processes; with one, equal losses up to rounding, so the same clips and order."""
    whole, killed, alone = tmp_path / "whole", tmp_path / "killed", tmp_path / "alone"
    settings = recipe(train=SHORT, augment={"erasing": 0.0})
    with SeparateProcesses(tmp_path, ["train", settings, "--out", whole], world=2) as run:
        run.finish()
    command = ["train", settings, "--out", killed, "--resume"]
    with SeparateProcesses(tmp_path, command, world=2) as run:
        wait_until(lambda: len(losses(killed)) >= 5)
        run.processes[1].kill()
        check_survivor(run, 0, seconds=KILLED_SECONDS)
    assert 5 <= len(losses(killed)) < 24
    subprocess.run(["cp", "-r", killed, alone], check=True)
    with SeparateProcesses(tmp_path, command, world=2) as run:
        run.finish()
    assert weights(killed) == weights(whole)
    assert losses(killed) == losses(whole)
    with SeparateProcesses(tmp_path, ["train", settings, "--out", alone, "--resume"], world=1) as run:
        run.finish()
    assert losses(alone) == pytest.approx(losses(whole), rel=1e-3)
