"""The processes of a run: one, or several that torchrun or SLURM started, each with its share of every batch.

Everything here does the right thing in a single process too, where it costs nothing.
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

WAIT_MINUTES = 60.0
"""How long a process waits for the others where they meet at the end alone, and shares take unlike times."""
ITEMS_PER_ROUND = 8
"""Of each process, in `distribute`: few, so that results come early, and enough to even out unlike times."""
BUCKET_BYTES = 32 * 2**20
"""Gradients are added up over processes in pieces of this size."""
_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_STEP_NUM_TASKS", "LOCAL_RANK": "SLURM_LOCALID"}
# SLURM_NTASKS will not do: in a batch script it counts tasks that nobody has started yet.

_JOINS = itertools.count()

Item = TypeVar("Item")
Thing = TypeVar("Thing")


def num_processes() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def is_main_process() -> bool:
    """Whether this is the one that writes files and prints; known before and after processes are joined too."""
    joined = dist.is_available() and dist.is_initialized()
    return (dist.get_rank() if joined else int(_environment("RANK") or 0)) == 0


def launched_processes() -> int:
    """Processes that were started together, as the environment says."""
    return int(_environment("WORLD_SIZE") or 1)


def local_rank() -> int:
    """Which process of this machine this is, from 0."""
    return int(_environment("LOCAL_RANK") or 0)


@contextmanager
def joined_processes(device: torch.device, *, timeout_minutes: float) -> Iterator[None]:
    """Inside the `with` block processes that were started together know of each other.

    Args:
        device: of this process; decides between NCCL and gloo.
        timeout_minutes: how long one waits for the others before it gives up.

    Raises:
        ValueError: the environment names several processes and not where they meet, or there is no time to wait.
        LostProcessError: the others did not come, or one was lost; names it.
    """
    if timeout_minutes <= 0:
        raise ValueError(f"{timeout_minutes = } leaves no time to wait for other processes. Give more than 0.")
    world = launched_processes()
    if world == 1 or (dist.is_available() and dist.is_initialized()):
        yield
        return
    rank = int(_environment("RANK") or 0)
    if "MASTER_ADDR" not in os.environ or "MASTER_PORT" not in os.environ:
        raise ValueError(
            f"{world} processes were started, but MASTER_ADDR and MASTER_PORT do not say where they meet. Start them "
            "with torchrun, or export both: any machine's name and a free port."
        )
    timeout = timedelta(minutes=timeout_minutes)
    try:
        meeting_place = _meeting_place(rank, world, timeout)
    except dist.DistError as error:
        raise LostProcessError(
            f"Process {rank} of {world} met no others within {timeout_minutes:g} minutes at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}, where process 0 should be: "
            f"{_first_sentence(error)}."
        ) from error
    store = dist.PrefixStore(f"side4video-{next(_JOINS)}", meeting_place)  # what was said there before is of no use
    with Heartbeat(store, rank=rank, world=world) as heartbeat:
        try:
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=store,
                rank=rank,
                world_size=world,
                timeout=timeout,
                device_id=device if device.type == "cuda" else None,
            )
            heartbeat.all_are_here()
            yield
            dist.barrier()
            heartbeat.leave()
            dist.barrier()  # until here the meeting place is needed, which ends with process 0
        except RuntimeError as error:
            if not _is_of_connection(error):
                raise
            lost = heartbeat.name_lost_process()
            raise LostProcessError(f"{lost} Process {rank} noticed it by: {_first_sentence(error)}.") from error
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


@cache
def _meeting_place(rank: int, world: int, timeout: timedelta) -> dist.Store:
    """The store of a run's processes; kept while the process lives, for a second run needs the same port."""
    store, _, _ = next(iter(dist.rendezvous("env://", rank=rank, world_size=world, timeout=timeout)))
    return store


def _is_of_connection(error: RuntimeError) -> bool:
    """Whether an error is one of the libraries that connect processes; gloo's have no class of their own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _first_sentence(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[0].split(". ")[0]


def gather_objects(thing: Thing) -> list[Thing]:
    """What each process gave, in the order of their ranks; only plain data and tensors on the CPU."""
    if num_processes() == 1:
        return [thing]
    found: list[Any] = [None] * num_processes()
    dist.all_gather_object(found, thing)
    return found


def interleave(parts: Sequence[Sequence[Thing]]) -> list[Thing]:
    """The list of which process r took every item from r on, put together again.

    >>> interleave([["a", "c", "e"], ["b", "d"]])
    ['a', 'b', 'c', 'd', 'e']
    """
    longest = max(map(len, parts))
    return [part[place] for place in range(longest) for part in parts if place < len(part)]


def distribute(items: Sequence[Item], compute: Callable[[Item], Thing]) -> Iterator[Thing]:
    """What `compute` gives for each item, in order; each process computes a share, and all get everything.

    All processes must iterate to the end. Results are plain data or tensors on the CPU.
    """
    world = num_processes()
    size = world * ITEMS_PER_ROUND if world > 1 else 1
    for start in range(0, len(items), size):
        mine = items[start : start + size][process_rank() :: world]
        yield from interleave(gather_objects([compute(item) for item in mine]))


def sum_over_processes(numbers: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in place."""
    if num_processes() > 1:
        dist.all_reduce(numbers)
    return numbers


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up every parameter's gradient over all processes; where one has none it counts as zero."""
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
    """Give the main process's buffers of trained parts, such as BatchNorm's running statistics, to all."""
    if num_processes() == 1:
        return
    for name, buffer in model.named_buffers():
        if not name.startswith("backbone."):
            dist.broadcast(buffer, src=0)


def print_once(text: str) -> None:
    """Print a line, once for all processes."""
    if is_main_process():
        print(text)


@contextmanager
def main_process_first() -> Iterator[None]:
    """The block runs in the main process first, then in all others: what the first one wrote they find."""
    if num_processes() > 1 and not is_main_process():
        dist.barrier()
    yield
    if num_processes() > 1 and is_main_process():
        dist.barrier()


def _environment(name: str) -> str | None:
    return os.environ.get(name) or os.environ.get(_SLURM.get(name, ""))


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
