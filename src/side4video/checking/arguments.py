"""The arguments of `check-data`, apart from what it imports to open videos, so that help is fast."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from side4video.config import DataConfig, TextConfig
from side4video.parameters import check_count, check_number


@dataclass(frozen=True)
class CheckDataArguments:
    """Open every file of a training and an evaluation set, report errors, and write lists of the usable videos.

    The exit code is 1 if there are errors, and 0 if there are only warnings.
    """

    data: DataConfig
    text: TextConfig = field(default_factory=TextConfig)
    out: Path = Path("runs/check-data")
    """Folder: train.csv, test.csv and class_names.json (the clean lists), reasons.csv, summary.json, index.html."""
    timeout_seconds: float = 60.0
    """Timeout for one video. A process that takes longer is killed, and the video is reported."""
    processes: int | None = None
    """Number of videos that are checked in parallel. Default: one per core, with Ray one per CPU of the cluster."""
    engine: Literal["local", "ray"] = "local"
    """local: processes of this machine; ray: several machines of a Ray cluster, the one at RAY_ADDRESS or this machine
    (extra `ray`)."""

    def __post_init__(self) -> None:
        check_number(self.timeout_seconds, "timeout_seconds", above=0)
        if self.processes is not None:
            check_count(self.processes, "processes")
