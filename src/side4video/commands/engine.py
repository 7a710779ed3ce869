"""The engine of the bulk commands: this process, or a Ray cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from side4video.parameters import check_count

if TYPE_CHECKING:
    from side4video.config import BackboneConfig
    from side4video.data.loading.engine import RayEngine

EngineName = Literal["local", "ray"]
"""local: one process with its loader processes; ray: the machines of a Ray cluster."""


@dataclass(frozen=True)
class RayOptions:
    """How much of a Ray cluster `--engine ray` uses.

    Examples:
        >>> RayOptions(readers=8).models is None
        True
    """

    readers: int | None = None
    """Maximum number of processes that read videos. Default: one per CPU of the cluster; one per four CPUs if it has no
    GPU."""
    models: int | None = None
    """Maximum number of processes that hold a copy of the model. Default: one per GPU of the cluster, and the remaining
    CPUs if it has no GPU."""

    def __post_init__(self) -> None:
        for name, count in (("ray.readers", self.readers), ("ray.models", self.models)):
            if count is not None:
                check_count(count, name)


@dataclass(frozen=True)
class ChosenEngine:
    """Where a command works.

    Attributes:
        ray: the Ray cluster; None: this process with its loader processes.
        device: where this process loads the model. It sends it from the CPU to the processes of a cluster.

    >>> ChosenEngine(None, "cpu").dtype(lambda: None) is None
    True
    """

    ray: "RayEngine | None"
    device: str

    def dtype(self, read_settings: "Callable[[], BackboneConfig]") -> str | None:
        """The number type in which to load the frozen model with these settings. None: the one for `device`."""
        if self.ray is None:
            return None
        import torch

        from side4video.models.video_model import backbone_dtype

        dtype = backbone_dtype(read_settings().dtype, torch.device(self.ray.workers.device))
        return str(dtype).removeprefix("torch.")


def check_started_once() -> None:
    """Check that neither torchrun nor SLURM started several processes.

    Raises:
        ValueError: one of them did.
    """
    from side4video.distributed.processes import launched_processes

    if (world := launched_processes()) > 1:
        raise ValueError(
            f"{world} processes were started, but this command works from one. Start it once, without torchrun or "
            "srun; --engine ray uses several GPUs and machines."
        )


@contextmanager
def choose_engine(name: EngineName, ray: RayOptions, *, device: str) -> Iterator[ChosenEngine]:
    """Connect to the engine of a command until the end of the block.

    Args:
        name: "local" or "ray".
        ray: how much of the cluster to use.
        device: of the model; with Ray, that of the processes of the cluster.

    Raises:
        ValueError: the cluster does not have the device.
        ModuleNotFoundError: Ray is not installed.
        RuntimeError: no cluster answers.
    """
    if name == "local":
        yield ChosenEngine(None, device)
        return
    from side4video.data.loading.engine import RayEngine
    from side4video.distributed.ray_engine import connected_to_ray

    with connected_to_ray(readers=ray.readers, models=ray.models, device=device) as workers:
        yield ChosenEngine(RayEngine(workers), "cpu")
