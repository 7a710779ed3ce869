"""What differs between devices: CUDA and ROCm, XPU, MPS, CPU. No other file asks which kind of device it has."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psutil
import torch

from side4video.system.memory import peak_bytes

KINDS = ("cuda", "xpu", "mps")
"""Kinds of accelerators, best first. PyTorch calls AMD's GPUs (ROCm) "cuda" too."""


def is_available(kind: str) -> bool:
    """Whether this machine has an accelerator of one of `KINDS` that PyTorch can use."""
    return torch.backends.mps.is_available() if kind == "mps" else getattr(torch, kind).is_available()


def best_kind() -> str:
    """The first of `KINDS` that this machine has, otherwise "cpu"."""
    return next((kind for kind in KINDS if is_available(kind)), "cpu")


def num_devices(kind: str) -> int:
    """Number of accelerators of one of `KINDS`."""
    return int(is_available(kind)) if kind == "mps" else getattr(torch, kind).device_count()


def is_gpu(device: torch.device) -> bool:
    """Whether it is an accelerator.

    >>> is_gpu(torch.device("cpu")), is_gpu(torch.device("mps"))
    (False, True)
    """
    return device.type in KINDS


def prefers_bfloat16(device: torch.device) -> bool:
    """Whether "auto" means bfloat16: on CUDA and on XPU. It is slow on CPUs, and older systems with MPS lack it."""
    return device.type in {"cuda", "xpu"}


def supported_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype, or float32 if the device has no bfloat16; prints one line then.

    >>> supported_dtype(torch.bfloat16, torch.device("cpu"))
    torch.bfloat16
    """
    if dtype == torch.bfloat16 and not _has_bfloat16(device.type):
        _report_once(f"This {device.type} device has no bfloat16: float32 is used instead.")
        return torch.float32
    return dtype


def sum_dtype(device: torch.device) -> torch.dtype:
    """The widest dtype for sums on a device: float64, which MPS lacks.

    >>> sum_dtype(torch.device("cpu")), sum_dtype(torch.device("mps"))
    (torch.float64, torch.float32)
    """
    return torch.float32 if device.type == "mps" else torch.float64


def pins_memory() -> bool:
    """Whether copies to the accelerator are faster from pinned memory."""
    return best_kind() in {"cuda", "xpu"}


def communication_backend(device: torch.device) -> str:
    """The backend of `torch.distributed` for a device.

    >>> communication_backend(torch.device("cpu")), communication_backend(torch.device("cuda:1"))
    ('gloo', 'nccl')
    """
    return {"cuda": "nccl", "xpu": "xccl"}.get(device.type, "gloo")


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generator of an accelerator; does nothing for the CPU."""
    if is_gpu(device):
        _module(device).manual_seed(seed)


@contextmanager
def seeded_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the generators of the CPU and of `device` inside the `with` block, and restore them afterwards.

    Generators of other devices stay unchanged, which `torch.manual_seed` would not ensure.
    """
    place = () if device.type == "mps" else (device,)
    state = _module(device).get_rng_state(*place) if is_gpu(device) else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        seed_device(device, seed)
        try:
            yield
        finally:
            if state is not None:
                _module(device).set_rng_state(state, *place)


def reset_peak_memory(device: torch.device) -> None:
    """Free cached memory, and start a new peak where the device records one."""
    if is_gpu(device):
        _module(device).empty_cache()
    if device.type in {"cuda", "xpu"}:
        _module(device).reset_peak_memory_stats(device)


def peak_device_bytes(device: torch.device) -> int:
    """Peak bytes so far: allocated on the GPU, or resident of this process. MPS records no peak: allocated now."""
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return _module(device).max_memory_allocated(device) if is_gpu(device) else peak_bytes()


def total_bytes(kind: str) -> int:
    """Memory of the first accelerator of a kind that this process uses, or of the machine for "cpu"."""
    if kind == "cpu":
        return psutil.virtual_memory().total
    if kind == "mps":
        return torch.mps.recommended_max_memory()
    module = getattr(torch, kind)
    return module.get_device_properties(module.current_device()).total_memory


def device_name(device: torch.device) -> str:
    """The name of the GPU, or the machine's architecture and number of cores."""
    if device.type in {"cuda", "xpu"}:
        return _module(device).get_device_name(device)
    return f"{device.type} ({platform.machine()}, {os.cpu_count()} cores)"


def _has_bfloat16(kind: str) -> bool:
    if kind not in KINDS or not is_available(kind):
        return True  # a GPU that this machine lacks: memory is planned for one
    if kind == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    return getattr(torch, kind).is_bf16_supported()


def _module(device: torch.device) -> Any:
    return getattr(torch, device.type)


@cache
def _report_once(text: str) -> None:
    print(text)
