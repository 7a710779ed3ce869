"""The choice of a device and what it lacks, with stand-ins for accelerators; numbers of PyTorch itself on the CPU."""

import re
from pathlib import Path

import pytest
import torch

from side4video.models.video_model import backbone_dtype, choose_device
from side4video.system import devices
from side4video.system.devices import seed_device, seeded_generators, sum_dtype, supported_dtype, total_bytes
from side4video.tasks.clips import autocast

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def machine(monkeypatch):
    """`machine("xpu", count=2)` is a machine with these accelerators."""

    def make(*kinds, count=1):
        for kind in ("cuda", "xpu"):
            monkeypatch.setattr(getattr(torch, kind), "is_available", lambda kind=kind: kind in kinds)
            monkeypatch.setattr(getattr(torch, kind), "device_count", lambda kind=kind: count * (kind in kinds))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)

    return make


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((), "cpu"),
        (("mps",), "mps"),
        (("xpu",), "xpu"),
        (("xpu", "mps"), "xpu"),
        (("cuda", "xpu", "mps"), "cuda"),
    ],
)
def test_auto_takes_the_best_device(machine, kinds, expected):
    machine(*kinds)
    assert choose_device("auto") == torch.device(expected)
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "xpu", "mps"])
def test_a_device_that_the_machine_lacks_is_an_error(machine, name):
    machine(*(["cuda"] if name == "cuda:1" else []))
    with pytest.raises(ValueError, match=f"{name!r}: this machine has . {name[:3]}.* devices. Use cpu or auto"):
        choose_device(name)


@pytest.mark.parametrize(
    ("kind", "count", "expected"), [("cuda", 4, "cuda:2"), ("xpu", 4, "xpu:2"), ("cuda", 1, "cuda:0")]
)
def test_each_process_takes_its_own_device(machine, monkeypatch, kind, count, expected):
    machine(kind, count=count)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert choose_device("auto") == choose_device(kind) == torch.device(expected)


@pytest.mark.parametrize(
    ("kind", "expected"), [("cuda", "bfloat16"), ("xpu", "bfloat16"), ("mps", "float32"), ("cpu", "float32")]
)
def test_the_number_type_of_auto(monkeypatch, kind, expected):
    monkeypatch.setattr(devices, "_has_bfloat16", lambda kind: True)
    assert backbone_dtype("auto", torch.device(kind)) == getattr(torch, expected)
    assert backbone_dtype("bfloat16", torch.device(kind)) == torch.bfloat16


def test_without_bfloat16_one_line_is_printed_and_float32_used(monkeypatch, capsys):
    devices._report_once.cache_clear()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: False)
    for _ in range(2):
        assert backbone_dtype("bfloat16", MPS) == supported_dtype(torch.bfloat16, MPS) == torch.float32
    assert backbone_dtype("float16", MPS) == torch.float16
    assert not autocast(MPS, "bf16")._enabled
    assert capsys.readouterr().out == "This mps device has no bfloat16: float32 is used instead.\n"


def test_mps_has_no_float64():
    assert (sum_dtype(MPS), sum_dtype(CUDA), sum_dtype(CPU)) == (torch.float32, torch.float64, torch.float64)


def test_generators_are_seeded_and_restored():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded_generators(CPU, 7):
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(torch.get_rng_state(), before)
    seed_device(CPU, 7)
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_of_the_machine():
    assert 10**8 < total_bytes("cpu") < 10**14


def test_only_one_file_asks_which_device_it_has():
    source = Path(devices.__file__).parents[1]
    asking = re.compile(r"torch\.(cuda|xpu|mps|backends\.mps)\.|\.type (==|in)")
    assert [path.name for path in source.rglob("*.py") if asking.search(path.read_text())] == ["devices.py"]
