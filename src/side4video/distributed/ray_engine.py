"""Work on many items in the processes of a Ray cluster: read on CPUs, compute on GPUs, each result exactly once."""

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

_CPUS_PER_ACTOR = 0.5
"""CPUs that an actor reserves; it uses about one. So the actors of a lost machine find room on the others."""
_MAX_RESTARTS = 5
"""How often an actor may restart on a machine within `_RESTARTS_SECONDS`: Ray repeats forever what ends its process."""
_RESTARTS_SECONDS = 600.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports its use to its makers otherwise
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # messages of lost machines on standard output; Ray's log files have them
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the next major version's default, and no warning about it
}


class Compute(Protocol):
    """A function from items to pairs of number and result, which can be sent to another process.

    >>> class Double:
    ...     def __call__(self, items):
    ...         return ((item, 2 * item) for item in items)
    ...
    ...     def on_device(self, name):
    ...         return self
    >>> list(Double().on_device("cpu")([3]))
    [(3, 6)]
    """

    def __call__(self, items: Iterable[Any], /) -> Iterator[tuple[int, Any]]:
        """Yield the number and the result of each item."""

    def on_device(self, name: str) -> Self:
        """The same function with its model on a device: "cpu", or "auto" for the GPU of this process."""


@dataclass(frozen=True)
class RayWorkers:
    """How many processes of a cluster do the work.

    Attributes:
        readers: maximum number of actors that read, on CPUs.
        models: maximum number of actors that compute, each with a copy of the model.
        on_gpus: whether each computing actor has a GPU.

    >>> RayWorkers(readers=6, models=2, on_gpus=True).device
    'cuda'
    """

    readers: int
    models: int
    on_gpus: bool

    @property
    def device(self) -> str:
        """The kind of device that computes."""
        return "cuda" if self.on_gpus else "cpu"


@contextmanager
def connected_to_ray(
    *, readers: int | None = None, models: int | None = None, device: str = "auto"
) -> Iterator[RayWorkers]:
    """Connect to the cluster at RAY_ADDRESS, or start Ray on this machine until the end of the block.

    Args:
        readers: maximum number of reading actors. Default: one per CPU with GPUs, and one per four CPUs without.
        models: maximum number of computing actors, each with a copy of the model. Default: one per GPU, or the other
            CPUs without GPUs.
        device: "auto": GPUs if the cluster has any; "cpu": no GPUs; otherwise GPUs.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ValueError: the cluster has no GPU although `device` needs one, or RAY_ADDRESS is one of Ray Client.
        RuntimeError: no cluster answers at RAY_ADDRESS.
    """
    ray, is_own = _import_ray(), False
    if not ray.is_initialized():
        _connect(ray)
        is_own = True
    try:
        yield _choose_workers(ray.cluster_resources(), readers, models, device)
    finally:
        if is_own:
            ray.shutdown()


def map_on_ray(
    chunks: Sequence[Any],
    *,
    workers: RayWorkers,
    num_results: int,
    read: Callable[[Any], Iterable[Any]] | None = None,
    compute: Compute | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield number and result of each item as they arrive, each exactly once. Call it in `connected_to_ray`.

    If a process or machine is lost, its chunks are done again elsewhere. Errors of `read` and `compute` are raised.

    Args:
        chunks: the work, in portions that a process does at a time.
        workers: from `connected_to_ray`.
        num_results: number of results of all chunks; they are numbered from 0.
        read: yields the items of a chunk; without `compute`, pairs of number and result. Default: a chunk is an item.
        compute: sent to each computing actor once. Default: what `read` yields are the results.

    Raises:
        RuntimeError: Ray lost the work of a process too often, or has no process left.
    """
    import ray

    found = bytearray(num_results)
    with closing(_boxes(ray, chunks, workers, read, compute)) as boxes:
        for box in boxes:
            number, result = box.unwrap()
            if not found[number]:
                found[number] = True
                yield number, result
    if lost := found.count(0):
        raise RuntimeError(f"Ray ended without {lost} of {num_results} results. Run the same command again.")


@dataclass(frozen=True)
class _Box:
    """Anything as one value of a table, or the error in its place."""

    content: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.content


class _Reader:
    """The reading actor."""

    def __init__(self, package: str, read: Any) -> None:
        _check_package(package)
        vars(sys.modules["__main__"]).pop("__file__", None)  # loader processes would import Ray's program
        self._read = _get(read)

    def __call__(self, rows: dict[str, Any]) -> Iterator[dict[str, list[_Box]]]:
        yield from _boxed(item for box in rows["item"] for item in self._read(box.unwrap()))


class _Computer:
    """The computing actor. It holds the model."""

    def __init__(self, package: str, compute: Any, device: str) -> None:
        _check_package(package)
        _check_restarts()
        self._compute = _get(compute).on_device(device)

    def __call__(self, rows: dict[str, Any]) -> Iterator[dict[str, list[_Box]]]:
        yield from _boxed(self._compute(box.unwrap() for box in rows["item"]))


def _boxed(items: Iterable[Any]) -> Iterator[dict[str, list[_Box]]]:
    try:
        for item in items:
            yield {"item": [_Box(item)]}
    except Exception as error:
        yield {"item": [_Box(error=_portable(error))]}


def _portable(error: Exception) -> Exception:
    """An error that every process can unpickle."""
    if type(error).__module__ == "builtins":
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _boxes(
    ray: Any, chunks: Sequence[Any], workers: RayWorkers, read: Any, compute: Any
) -> Generator[_Box, None, None]:
    """What comes out of the last stage."""
    if not chunks:
        return
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # readers have a timeout, and a long video may take hours
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    package = version("side4video")
    rows = ray.data.from_items([{"item": _Box(chunk)} for chunk in chunks], override_num_blocks=len(chunks))
    kept = [ray.put(read), ray.put(compute)]  # until the end: actors that start later need them
    if read is not None:
        rows = rows.map_batches(
            _Reader,
            batch_size=1,
            fn_constructor_args=(package, [kept[0]]),
            compute=_pool(ray, workers.readers),
            num_cpus=_CPUS_PER_ACTOR,
            batch_format="numpy",
        )
    if compute is not None:
        resources = {"num_gpus": 1} if workers.on_gpus else {"num_cpus": _CPUS_PER_ACTOR}
        rows = rows.map_batches(
            _Computer,
            batch_size=None,
            fn_constructor_args=(package, [kept[1]], "auto" if workers.on_gpus else "cpu"),
            compute=_pool(ray, workers.models),
            **resources,
            batch_format="numpy",
        )
    try:
        for batch in rows.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1):
            yield from batch["item"]
    except ray.exceptions.RayError as error:
        what = _telling_line(str(error).strip().splitlines())
        raise RuntimeError(
            f"Ray could not finish the work: {what}. Its logs are in /tmp/ray/session_latest."
        ) from error


def _telling_line(lines: Sequence[str]) -> str:
    """The line that names the error, in a message of Ray: the last one of a traceback, otherwise the first."""
    return (lines[-1] if len(lines) > 1 and "Error" in lines[-1] else lines[0]).rstrip(".")


def _pool(ray: Any, size: int) -> Any:
    return ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size)


def _get(reference: Any) -> Any:
    import ray

    return ray.get(reference[0])


def _check_restarts() -> None:
    """Count the restarts of this actor in a file, which outlives it."""
    import ray

    context = ray.get_runtime_context()
    if not context.was_current_actor_reconstructed:
        return
    path = Path(tempfile.gettempdir()) / f"side4video-ray-{context.get_actor_id()}"
    now = time.time()
    restarts = [float(line) for line in path.read_text("utf-8").split()] if path.exists() else []
    restarts = [*(restart for restart in restarts if now - restart < _RESTARTS_SECONDS), now]
    path.write_text("\n".join(map(str, restarts)), encoding="utf-8", newline="")
    if len(restarts) >= _MAX_RESTARTS:
        path.unlink()
        raise RuntimeError(
            f"A process with the model ended {len(restarts)} times in {_RESTARTS_SECONDS / 60:g} minutes, for lack of "
            "memory or by a crash"
        )


def _check_package(expected: str) -> None:
    if version("side4video") != expected:
        raise RuntimeError(
            f"A machine of the cluster has side4video {version('side4video')}, this one {expected}. Install the same."
        )


def _import_ray() -> Any:
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise ValueError(
            f"RAY_ADDRESS = {address!r} is an address of Ray Client. Run the command on a machine of the cluster, with "
            "RAY_ADDRESS=auto or its HOST:6379."
        )
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)  # read when Ray is imported
    try:
        import ray.data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("--engine ray needs Ray: pip install 'side4video[ray]'.") from error
    return ray


def _connect(ray: Any) -> None:
    address = os.environ.get("RAY_ADDRESS") or "local"
    options = {"include_dashboard": False} if address == "local" else {}
    with _kept_signal_handlers(), _without_stderr():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (ConnectionError, RuntimeError) as error:
            raise RuntimeError(
                f"No Ray cluster answers at RAY_ADDRESS = {address!r}: {str(error).splitlines()[0]} Start one with "
                "`ray start --head`, or unset RAY_ADDRESS to use this machine alone."
            ) from error


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Undo the handler for SIGTERM that Ray sets in the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard what native code prints in the block: Ray announces its log level on standard error."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _choose_workers(resources: dict[str, float], readers: int | None, models: int | None, device: str) -> RayWorkers:
    cpus, gpus = max(1, int(resources.get("CPU", 1))), int(resources.get("GPU", 0))
    on_gpus = device != "cpu" and gpus > 0
    if device not in {"auto", "cpu"} and not on_gpus:
        raise ValueError(f"device = {device!r}: the Ray cluster has no GPU. Use --device auto or cpu.")
    if readers is None:
        readers = cpus if on_gpus else max(1, cpus // 4)
    if models is None:
        models = gpus if on_gpus else max(1, cpus - readers)
    return RayWorkers(readers, models, on_gpus)
