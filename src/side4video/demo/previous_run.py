"""The run of an earlier demonstration, which a new one replaces."""

import shutil
from pathlib import Path

from side4video.config import ConfigError


def check_previous_run(run: Path) -> None:
    """Refuse a folder that is there and is no run.

    Raises:
        ConfigError: what is there would be lost.
    """
    if run.exists() and not (run / "config.yaml").is_file():
        raise ConfigError(f"{run} is there and is not the run of a demonstration. Choose another --out.")


def remove_previous_run(run: Path) -> None:
    """Remove an earlier demonstration's run, and nothing else.

    Raises:
        ConfigError: the folder is something else.
    """
    check_previous_run(run)
    if run.exists():
        shutil.rmtree(run)
