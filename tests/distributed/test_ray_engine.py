"""How work is divided for Ray, and errors before Ray starts; `test_bulk_on_ray.py` has real clusters."""

import sys

import pytest

from side4video.cli import main
from side4video.distributed.ray_engine import _choose_workers as choose_workers
from side4video.distributed.ray_engine import connected_to_ray

ADAPTER = "tests/earlier/adapter"


@pytest.mark.parametrize(
    ("resources", "given", "readers", "models", "on_gpus"),
    [
        ({"CPU": 64.0, "GPU": 8.0}, {}, 64, 8, True),
        ({"CPU": 64.0, "GPU": 8.0}, {"device": "cpu"}, 16, 48, False),
        ({"CPU": 64.0, "GPU": 8.0}, {"readers": 100, "models": 4}, 100, 4, True),
        ({"CPU": 16.0}, {}, 4, 12, False),
        ({"CPU": 1.0}, {}, 1, 1, False),
    ],
)
def test_workers_follow_from_the_cluster(resources, given, readers, models, on_gpus):
    workers = choose_workers(resources, **{"readers": None, "models": None, "device": "auto"} | given)
    assert (workers.readers, workers.models, workers.on_gpus) == (readers, models, on_gpus)


def test_a_gpu_that_the_cluster_lacks_is_an_error():
    with pytest.raises(ValueError, match="device = 'cuda': the Ray cluster has no GPU"):
        choose_workers({"CPU": 4.0}, readers=None, models=None, device="cuda")


def test_without_ray_one_line_names_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    for name in ("left", "right"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "a.mp4").write_bytes(b"no video")
    command = ["check-data", "--data.test", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--engine", "ray"]
    assert main(command) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "ModuleNotFoundError: --engine ray needs Ray: pip install 'side4video[ray]'."
    assert "Traceback" not in said


def test_an_address_of_ray_client_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ValueError, match="is an address of Ray Client"), connected_to_ray():
        pass


@pytest.mark.parametrize(
    "command",
    [
        ["index", "videos", "--to", "index", "--model", "model"],
        ["embed", "adapter", "videos", "--out", "a.npz"],
        ["predict", "adapter", "videos"],
    ],
    ids=lambda command: command[0],
)
def test_torchrun_is_refused_before_anything_is_read(command, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(command) == 2
    assert "2 processes were started, but this command works from one." in capsys.readouterr().err
