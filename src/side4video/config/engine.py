"""Where the bulk commands work: in one process with its helpers, or on a Ray cluster."""

from typing import Literal

from pydantic import PositiveInt

from side4video.config.settings import Settings

EngineName = Literal["local", "ray"]
"""local: one process with its loader processes; ray: the machines of a Ray cluster."""


class RayConfig(Settings):
    """How much of a Ray cluster `--engine ray` uses.

    Examples:
        >>> RayConfig(readers=8).models is None
        True
    """

    readers: PositiveInt | None = None
    """Maximum number of processes that read videos. Default: one per CPU of the cluster; one per four CPUs if it has no
    GPU."""
    models: PositiveInt | None = None
    """Maximum number of processes that hold a copy of the model. Default: one per GPU of the cluster, and the remaining
    CPUs if it has no GPU."""
