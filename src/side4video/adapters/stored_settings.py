"""Reads the settings and the preprocessing in an adapter's config.json, also of adapters that a newer version wrote."""

import copy
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError

from side4video.config import ConfigError, RunConfig, parse_config
from side4video.models.backbones.preprocessing import Preprocessing, read_preprocessing

FORMAT_VERSION = 1
TRAINING_GROUPS = ("train", "augment", "search", "seed")
"""Settings that concern training alone: an adapter predicts the same without them, except for `augment.resize`."""

_MAX_ROUNDS = 20  # settings may be unknown in several groups


def check_format_version(content: dict[str, Any], *, source: str) -> None:
    """Refuse a format that only a newer version of this package reads.

    Raises:
        ValueError: the format is newer, or its number is none.
    """
    given = content["format_version"]
    number = int(given) if isinstance(given, str) and given.strip().isdecimal() else given
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(
            f"{source} is not the config of an adapter: format_version = {str(given)[:50]!r} is not a whole "
            "number. Copy the adapter folder again."
        )
    if number > FORMAT_VERSION:
        raise ValueError(
            f"{source} has format version {number}, this package reads up to {FORMAT_VERSION}. {_update_hint(content)}"
        )


def parse_settings(content: dict[str, Any], *, source: str) -> tuple[RunConfig, list[str]]:
    """The settings of an adapter, and the settings of training that this version does not know and ignores.

    Raises:
        ConfigError: a setting that inference needs is unknown or out of range.
    """
    settings = copy.deepcopy(content["settings"])
    ignored: list[str] = []
    for _ in range(_MAX_ROUNDS):
        try:
            return parse_config(settings, source=source), ignored
        except ConfigError as error:
            found = _unknown_of_training(settings)
            if not found:
                raise ConfigError(f"{error}\n{_update_hint(content)}") from None
            for group, name in found:
                del settings[group][name]
            ignored += [f"{group}.{name}" for group, name in found]
    raise ConfigError(f"{source}: {ignored} and more settings are unknown. {_update_hint(content)}")


def stored_preprocessing(content: dict[str, Any], *, source: str) -> tuple[Preprocessing | None, int | None]:
    """The preprocessing that the adapter was trained with, and its image size in pixels; None: not stored.

    Raises:
        ValueError: a value is missing or out of range.
    """
    stored = content.get("preprocessing")
    if stored is None:
        return None, None
    try:
        size = stored["image_size"]
        if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 100_000:
            raise ValueError(f"image_size = {size!r} is not a number of pixels")
        return read_preprocessing(stored), size
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{source}: its preprocessing is not valid: {str(error)[:300]}. Copy the adapter folder again."
        ) from None


def _unknown_of_training(settings: Any) -> list[tuple[str, str]]:
    """Settings of training that are unknown or have an unknown value; empty if other settings are invalid too."""
    try:
        RunConfig.model_validate(settings)
    except ValidationError as error:
        places = [problem["loc"] for problem in error.errors()]
        if all(len(place) > 1 and place[0] in TRAINING_GROUPS for place in places):
            return sorted({(str(place[0]), str(place[1])) for place in places if place[1] in settings[place[0]]})
    return []


def _update_hint(content: dict[str, Any]) -> str:
    """Which version wrote the adapter, and the remedy."""
    written = str(content.get("side4video", "unknown"))[:50]
    return (
        f"The adapter was written by side4video {written}; this is {version('side4video')}. If it is newer, update "
        "this package: pip install -U side4video."
    )
