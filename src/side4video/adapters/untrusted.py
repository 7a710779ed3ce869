"""Check the settings of downloaded adapters before use, and remove paths from the settings of shared adapters.

A config can contain paths; the paths of another machine are never opened on this one. Weights are read as safetensors,
which contain only numbers, and nothing in an adapter is ever executed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from side4video.config import NAMED_WEIGHTS, DataConfig, RunConfig
from side4video.system.paths import list_name

_FRAME_TEMPLATE = re.compile(r"[\w .-]*\{:0?\d?d\}[\w .-]*", re.ASCII)
# Control characters move a terminal's cursor, some Unicode characters reverse text, lone surrogates cannot be printed.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Paths of every system and addresses. A relative path has the ending of a list, as no video has.
_PATH = re.compile(r"([/~]|\\\\).*|[A-Za-z]:[/\\].*|.*://.*|.*\w\.(csv|tsv|txt)", re.IGNORECASE | re.DOTALL)
_CHOSEN_ON = re.compile(r"(?<= videos of ).+?(?=; \d+ of \d+ classes |$)", re.DOTALL)
_PATHS = [name for name, field in DataConfig.model_fields.items() if Path in get_args(field.annotation)]


def without_paths(config: RunConfig) -> RunConfig:
    """The settings without paths: no data, no caches, no files of groups or class weights, and only the name of a
    weights file. Videos outside of a list's root are not allowed either."""
    group = None if is_path(config.data.group or "") else config.data.group
    data = config.data.model_copy(update=dict.fromkeys(_PATHS) | {"group": group, "outside_root": "refuse"})
    backbone = config.backbone.model_copy(update={"weights": _file_name(config.backbone.weights)})
    text = config.text.model_copy(update={"weights": _file_name(config.text.weights), "tokenizer": None})
    weights = None if isinstance(config.train.class_weights, Path) else config.train.class_weights
    train = config.train.model_copy(update={"class_weights": weights})
    return config.model_copy(update={"data": data, "backbone": backbone, "text": text, "train": train})


def is_path(setting: str) -> bool:
    """Whether a setting that allows a file or something else is a file, also one of another machine.

    >>> is_path("/home/anna/groups.csv"), is_path("session"), is_path(r"day(\\d+)/")
    (True, False, False)
    """
    return os.path.isfile(setting) or _PATH.fullmatch(setting) is not None  # noqa: PTH113 - also of invalid paths


def without_list_path(origin: str) -> str:
    """The origin of thresholds with the name of their list only; earlier versions stored its whole path.

    >>> without_list_path("best F1 of each class on 40 videos of /home/anna/val.csv")
    'best F1 of each class on 40 videos of val.csv'
    """
    return _CHOSEN_ON.sub(lambda found: list_name(found[0]), origin)


def check_untrusted(content: Any, config: RunConfig, *, source: str) -> None:
    """Reject content that could do harm and that no run of this package writes.

    Args:
        content: the complete config file, parsed as JSON.
        config: its settings.
        source: name for errors.

    Raises:
        ValueError: a text contains control characters, the model is from an unknown source, or the file names of
            frames leave their folder.
    """
    if unprintable := next((text for text in _strings(content) if _UNPRINTABLE.search(text)), None):
        raise ValueError(f"{source}: {unprintable!r} has control characters, which could change what a terminal shows.")
    for name in (config.backbone.name, config.text.name):
        if ":" in name or "/" in name or "\\" in name:
            raise ValueError(
                f"{source}: {name!r} is not the name of a model in timm or open_clip, but a location elsewhere."
            )
    if config.data.frame_template is not None and not _FRAME_TEMPLATE.fullmatch(config.data.frame_template):
        raise ValueError(f"{source}: data.frame_template = {config.data.frame_template!r} is not a plain file name.")


def _file_name(weights: str) -> str:
    return weights if weights in NAMED_WEIGHTS else Path(weights.replace("\\", "/")).name or "file"


def _strings(content: Any) -> Iterator[str]:
    """Every text in nested lists and dictionaries, including keys, except descriptions, which are never printed."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from _strings(value) if key != "about" else ()
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value)
    elif isinstance(content, str):
        yield content
