"""Paths in settings that are stored: absolute, so that they are found from every folder."""

from pathlib import Path

from side4video.config.run import RunConfig
from side4video.config.settings import Settings

NAMED_WEIGHTS = ("hub", "random")


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The settings with absolute paths. Relative ones mean the current folder, where they were given.

    >>> from side4video.config import DataConfig
    >>> with_absolute_paths(RunConfig(data=DataConfig(train="clips/train"))).data.train.is_absolute()
    True
    """
    changes = {name: _absolute(group) for name in ("data", "train") if (group := getattr(config, name))}
    changes |= {name: _with_absolute_weights(getattr(config, name)) for name in ("backbone", "text")}
    data = changes["data"]
    if data.group is not None and Path(data.group).is_file():  # otherwise a column or a pattern
        changes["data"] = data.model_copy(update={"group": str(Path(data.group).absolute())})
    return config.model_copy(update=changes)


def _absolute(group: Settings) -> Settings:
    paths = {name: value.expanduser().absolute() for name, value in group if isinstance(value, Path)}
    return group.model_copy(update=paths)


def _with_absolute_weights(group: Settings) -> Settings:
    weights = Path(group.weights).expanduser()  # type: ignore[attr-defined]
    if str(weights) in NAMED_WEIGHTS or not weights.exists():
        return group
    return group.model_copy(update={"weights": str(weights.absolute())})
