"""The processes of a run: one, or several started by torchrun or SLURM that each compute a part of every batch.

All functions also work in a single process, at no cost.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from side4video.distributed.heartbeat import Heartbeat, LostProcessError
from side4video.system.devices import communication_backend, is_gpu

WAIT_MINUTES = 60.0
"""Default timeout for processes that only synchronise at the end, after shares of unequal length."""
MAX_WAIT_MINUTES = 1e6
"""Largest timeout: about two years. The libraries that wait cannot represent much longer ones."""
ITEMS_PER_ROUND = 8
"""Items of each process in a round of `distribute`: few for early results, enough to even out unequal times."""
BUCKET_BYTES = 32 * 2**20
"""Gradients are summed over processes in buckets of this size."""
_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_STEP_NUM_TASKS", "LOCAL_RANK": "SLURM_LOCALID"}
# Not SLURM_NTASKS: in a batch script it counts tasks that are not started yet.

_JOIN_COUNTER = itertools.count()
_heartbeats: list[Heartbeat] = []
"""That of this process, while it is joined with others."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_processes() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """Rank of this process, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def is_main_process() -> bool:
    """Whether this process writes files and prints; also known before and after the processes are joined."""
    joined = dist.is_available() and dist.is_initialized()
    return (dist.get_rank() if joined else _environment_number("RANK", default=0)) == 0


def launched_processes() -> int:
    """Number of processes that were started together, according to the environment."""
    return _environment_number("WORLD_SIZE", default=1, minimum=1)


def local_rank() -> int:
    """Rank of this process on its machine, from 0."""
    return _environment_number("LOCAL_RANK", default=0)


@contextmanager
def joined_processes(device: torch.device, *, timeout_minutes: float) -> Iterator[None]:
    """Connect the processes that were started together, inside the `with` block.

    Args:
        device: of this process; decides between NCCL, XCCL and gloo.
        timeout_minutes: how long to wait for the other processes.

    Raises:
        ValueError: the environment names several processes without an address, or the timeout is not positive.
        LostProcessError: the other processes did not join, or one was lost; the message names it.
    """
    if not 0 < timeout_minutes <= MAX_WAIT_MINUTES:  # False for NaN
        raise ValueError(f"{timeout_minutes = } must be above 0 and at most {MAX_WAIT_MINUTES:g}.")
    world = launched_processes()
    if world == 1 or (dist.is_available() and dist.is_initialized()):
        yield
        return
    rank = _environment_number("RANK", default=0)
    if "MASTER_ADDR" not in os.environ or "MASTER_PORT" not in os.environ:
        raise ValueError(
            f"{world} processes were started, but MASTER_ADDR and MASTER_PORT are not set. Start them "
            "with torchrun, or export both: the name of one machine and a free port."
        )
    _environment_number("MASTER_PORT", default=0, maximum=65535)
    timeout = timedelta(minutes=timeout_minutes)
    try:
        rendezvous = _rendezvous(rank, world, timeout)
    except dist.DistError as error:
        raise LostProcessError(
            f"Process {rank} of {world} could not join the others within {timeout_minutes:g} minutes at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}, the address of process 0: "
            f"{_first_sentence(error)}."
        ) from error
    store = dist.PrefixStore(f"side4video-{next(_JOIN_COUNTER)}", rendezvous)  # ignores the keys of earlier runs
    with Heartbeat(store, rank=rank, world=world) as heartbeat:
        _heartbeats.append(heartbeat)
        try:
            dist.init_process_group(
                communication_backend(device),
                store=store,
                rank=rank,
                world_size=world,
                timeout=timeout,
                device_id=device if is_gpu(device) else None,
            )
            heartbeat.record_processes()
            yield
            _barrier()
            heartbeat.leave()
            dist.barrier()  # process 0 keeps the store and must not exit before
        except RuntimeError as error:
            if not _is_connection_error(error):
                raise
            lost = heartbeat.describe_lost_process()
            raise LostProcessError(f"{lost} The error in process {rank}: {_first_sentence(error)}.") from error
        finally:
            _heartbeats.clear()
            if dist.is_initialized():
                dist.destroy_process_group()


@cache
def _rendezvous(rank: int, world: int, timeout: timedelta) -> dist.Store:
    """The store of a run's processes; cached, because a second run in the same process needs the same port."""
    store, _, _ = next(iter(dist.rendezvous("env://", rank=rank, world_size=world, timeout=timeout)))
    return store


def _is_connection_error(error: RuntimeError) -> bool:
    """Whether an error comes from the communication libraries; gloo has no exception class."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _first_sentence(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0]


def wait_for_others() -> None:
    """Wait until all processes call this. One that works is waited for as long as its heartbeats go on.

    All call it before they exchange data after work of unequal length: `timeout_minutes` limits the exchange only.
    """
    for heartbeat in _heartbeats:
        heartbeat.wait_for_others()


def _barrier() -> None:
    wait_for_others()
    dist.barrier()


def gather_objects(thing: Result) -> list[Result]:
    """Collect an object from each process, in the order of ranks; only plain data and tensors on the CPU."""
    if num_processes() == 1:
        return [thing]
    wait_for_others()
    found: list[Any] = [None] * num_processes()
    dist.all_gather_object(found, thing)
    return found


def interleave(parts: Sequence[Sequence[Result]]) -> list[Result]:
    """Merge lists where process r took every item from r on.

    >>> interleave([["a", "c", "e"], ["b", "d"]])
    ['a', 'b', 'c', 'd', 'e']
    """
    longest = max(map(len, parts))
    return [part[place] for place in range(longest) for part in parts if place < len(part)]


def distribute(items: Sequence[Item], compute: Callable[[Item], Result]) -> Iterator[Result]:
    """Yield `compute(item)` for each item, in order; each process computes a part, and all get every result.

    All processes must iterate to the end. Results are plain data or tensors on the CPU.
    """
    world = num_processes()
    size = world * ITEMS_PER_ROUND if world > 1 else 1
    for start in range(0, len(items), size):
        share = items[start : start + size][process_rank() :: world]
        yield from interleave(gather_objects([compute(item) for item in share]))


def sum_over_processes(numbers: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place."""
    if num_processes() > 1:
        dist.all_reduce(numbers)
    return numbers


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Sum every parameter's gradient over all processes; a missing gradient counts as zero."""
    if num_processes() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for bucket in _buckets([parameter.grad for parameter in parameters if parameter.grad is not None]):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def broadcast_buffers(model: nn.Module) -> None:
    """Copy the main process's buffers of trained parts, such as BatchNorm's running statistics, to all processes."""
    if num_processes() == 1:
        return
    wait_for_others()
    for name, buffer in model.named_buffers():
        if not name.startswith("backbone."):
            dist.broadcast(buffer, src=0)


def print_once(text: str) -> None:
    """Print a line in the main process only."""
    if is_main_process():
        print(text)


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block in the main process first, then in all others, which find what the first one wrote."""
    if num_processes() > 1 and not is_main_process():
        _barrier()
    yield
    if num_processes() > 1 and is_main_process():
        _barrier()


def _environment_number(name: str, *, default: int, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
    """A whole number from the environment, of torchrun or SLURM.

    Raises:
        ValueError: the variable is not a number in this range.
    """
    source = name if os.environ.get(name) else _SLURM.get(name, name)
    text = os.environ.get(source)
    if not text:
        return default
    if not text.strip().isascii() or not text.strip().isdigit() or not minimum <= int(text) <= maximum:
        raise ValueError(
            f"The environment variable {source} = {text!r} must be a whole number from {minimum} to {maximum}. "
            "Start several processes with torchrun, which sets it, or unset it for one process."
        )
    return int(text)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.nbytes > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket
