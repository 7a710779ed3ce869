"""Checks and removes the run of a previous demonstration, which a new one replaces."""

import shutil
from pathlib import Path

from side4video.config import ConfigError


def check_previous_run(run: Path) -> None:
    """Check that an existing folder is a run.

    Raises:
        ConfigError: the folder is something else and must not be overwritten.
    """
    if run.exists() and not (run / "config.yaml").is_file():
        raise ConfigError(f"{run} exists and is not a demonstration run. Use another --out.")


def remove_previous_run(run: Path) -> None:
    """Remove the run of a previous demonstration, and nothing else.

    Raises:
        ConfigError: the folder is something else.
    """
    check_previous_run(run)
    if run.exists():
        shutil.rmtree(run)
