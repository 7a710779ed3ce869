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
    return {name: _absolute_path(value) for name, value in group if isinstance(value, Path)}


def _absolute_path(path: Path) -> Path:
    parts = path.as_posix().split("::")
    if len(parts) > 1 and all(part.endswith(".tar") for part in parts):  # several shards
        return Path("::".join(_absolute_path(Path(part)).as_posix() for part in parts))
    return path if _ADDRESS.match(path.as_posix()) else path.expanduser().absolute()


def _absolute_weights(weights: str) -> str:
    path = Path(weights).expanduser()
    return weights if weights in NAMED_WEIGHTS or not path.exists() else str(path.absolute())
