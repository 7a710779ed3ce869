"""Full disks and folders without write permission: errors before any work, and no partial files."""

import os
import re
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from side4video.atomic_files import check_space, check_writable
from side4video.training.loop import train
from warm_process import wait_until


@contextmanager
def as_nobody(folder):
    """Without root's permission to write everywhere; the parent folders are made accessible first."""
    if os.geteuid():
        yield
        return
    for parent in folder.parents[:4]:  # one more where tests run side by side
        parent.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_keeps_the_last_intact_checkpoint(warm, recipe, tmp_path):
    """Files may not grow beyond a limit: the first checkpoint, of one step, fits; the next are refused."""
    settings, out = (
        recipe(train={"epochs": 1, "batch": 8, "checkpoint_minutes": 0}, data={"test": None}),
        tmp_path / "run",
    )
    code, output = warm.run("train", settings, "--out", out)
    assert code == 0, output
    longer = recipe(train={"epochs": 2, "batch": 8, "checkpoint_minutes": 0}, data={"test": None})
    before = (out / "checkpoint.safetensors").read_bytes()
    (out / "config.yaml").write_text(longer.read_text())
    code, output = warm.run("train", longer, "--out", out, "--resume", file_size_limit=len(before) // 2)
    assert code == 2, output
    assert "Traceback" not in output
    written = re.search(
        r"OSError: \[Errno \d+\] (/\S+checkpoint\.safetensors) could not be written: File too large", output
    )
    assert written, output
    assert written[1] == str(out / "checkpoint.safetensors")
    assert re.search(r"It needs \d+\.\d MB in addition to existing files, and the disk has [\d,.]+ MB left", output)
    assert (out / "checkpoint.safetensors").read_bytes() == before
    assert not [name for name in everything_in(out) if ".tmp" in name]
    code, output = warm.run("train", longer, "--out", out, "--resume")
    assert code == 0, output


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 1.5 MB, where mounting is permitted."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("mounting a disk is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_too_small_for_the_checkpoints_is_refused_before_the_first_step(tiny_disk, small_run):
    with pytest.raises(OSError, match=r"1\.\d MB left, but checkpoints and adapters need \d\.\d MB\. Free some space"):
        train(small_run(side={"width": 64}), out=tiny_disk / "run")
    assert everything_in(tiny_disk / "run") == ["config.yaml", "inputs.json"]


@pytest.mark.slow
def test_a_disk_that_fills_up_during_training(tiny_disk, warm, recipe):
    """Another file takes the space after the start."""
    out = tiny_disk / "run"
    settings = recipe(
        train={"epochs": 40, "checkpoint_minutes": 0}, side={"width": 8}, data={"test": None, "workers": 0}
    )
    run = warm.start("train", settings, "--out", out)
    wait_until(lambda: (out / "checkpoint.previous.safetensors").exists())
    with (tiny_disk / "others").open("wb", buffering=0) as others:
        while run.poll() is None:
            with suppress(OSError):
                others.write(bytes(4096))
    code, output = run.finish()
    assert code == 2, output
    assert "Traceback" not in output
    assert re.search(r"OSError: .*/run/\S+ could not be written: No space left on device", output)
    assert not [name for name in everything_in(out) if ".tmp" in name]
    (tiny_disk / "others").unlink()
    code, output = warm.run("train", settings, "--out", out, "--resume")
    assert code == 0, output
    assert "warning" not in output


def test_a_folder_without_write_permission(small_run, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    with (
        as_nobody(locked),
        pytest.raises(PermissionError, match=r"denied \(.*locked\)\. Get write permission"),
    ):
        check_writable(locked / "a" / "run")


def test_a_read_only_disk(small_run):
    """Not even root can write to /proc."""
    with pytest.raises(OSError, match=r"/proc/runs/new cannot be written: .* or choose another folder"):
        train(small_run(), out=Path("/proc/runs/new"))


def test_a_file_in_place_of_the_folder(small_run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"file is a file\. Choose another folder"):
        train(small_run(), out=tmp_path / "file" / "run")


def test_the_check_does_not_create_the_folder(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_the_required_space_is_compared_with_the_free_space(tmp_path):
    check_space(tmp_path, 1000, "they")
    with pytest.raises(OSError, match=r"they need 1,000,000,000,000\.0 MB"):
        check_space(tmp_path, 10**18, "they")
