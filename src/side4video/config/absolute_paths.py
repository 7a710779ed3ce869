"""Paths in settings that are stored: absolute, so that they are found from every folder."""

import re
from pathlib import Path

from side4video.config.run import RunConfig
from side4video.config.settings import Settings

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # of a path, s3://bucket has a single slash; c:/ is a drive
NAMED_WEIGHTS = ("hub", "random")


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The settings with absolute paths. Relative ones mean the current folder, where they were given.

    >>> from side4video.config import DataConfig
    >>> with_absolute_paths(RunConfig(data=DataConfig(train="clips/train"))).data.train.is_absolute()
    True
    """
    data, train = (group.model_copy(update=_absolute(group)) for group in (config.data, config.train))
    if config.data.group is not None and Path(config.data.group).is_file():  # otherwise a column or a pattern
        data = data.model_copy(update={"group": str(Path(config.data.group).absolute())})
    weights = {
        name: group.model_copy(update={"weights": _absolute_weights(group.weights)})
        for name, group in (("backbone", config.backbone), ("text", config.text))
    }
    return config.model_copy(update={"data": data, "train": train, **weights})


def _absolute(group: Settings) -> dict[str, Path]:
    paths = {name: value for name, value in group if isinstance(value, Path)}
    local = {name: path for name, path in paths.items() if not _ADDRESS.match(path.as_posix())}
    return {name: path.expanduser().absolute() for name, path in local.items()}


def _absolute_weights(weights: str) -> str:
    path = Path(weights).expanduser()
    return weights if weights in NAMED_WEIGHTS or not path.exists() else str(path.absolute())
