"""Settings as YAML: the recipes of the package, your own files, and errors about invalid settings.

A recipe is a YAML file with the fields of `RunConfig`; flags override it: `--train.lr 5e-4`, `--data.num-frames 16`.
"""

import difflib
import re
import reprlib
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from side4video.config.model import CLIP_TOWERS, MODEL_PRESETS
from side4video.config.run import RunConfig
from side4video.config.settings import ConfigError

MAX_PROBLEMS = 50
"""Largest number of settings that an error lists."""

_SHORT_REPR = reprlib.Repr()  # a few lines of YAML can define a list that is too long to print
_SHORT_REPR.maxlevel, _SHORT_REPR.maxstring, _SHORT_REPR.maxother = 2, 200, 200


def recipe_names() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _recipe_folder().iterdir() if entry.name.endswith(".yaml")
    )


def recipe_text(name: str) -> str:
    """The YAML text of a recipe of the package; `NAME-f16` is the recipe NAME with 16 frames per clip.

    >>> "num_frames: 16" in recipe_text("ssv2-e14-f16")
    True

    Raises:
        ConfigError: the recipe does not exist, or does not support that number of frames.
    """
    names = recipe_names()
    base, _, frames = name.rpartition("-f")
    if name not in names and base in names and frames.isdecimal():
        return _with_frames(base, int(frames))
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"There is no recipe {name!r} and no such file.{hint} Recipes: {', '.join(names)}.")
    return (_recipe_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def _with_frames(name: str, frames: int) -> str:
    """The text of a recipe with another number of frames, for which it must have figures."""
    text = recipe_text(name)
    figures = yaml.safe_load(text)["figures"]
    if frames not in figures["memory_gb"]:
        possible = " or ".join(f"{name}-f{known}" for known in figures["memory_gb"])
        raise ConfigError(
            f"The recipe {name} has no variant with {frames} frames. Use {possible} ({figures['views']}), or set "
            f"--data.num-frames {frames} yourself."
        )
    text = re.sub(r"(?m)^  num_frames: \d+$", f"  num_frames: {frames}", text)
    return re.sub(rf"(?m)^(# .*side4video train {name})(?= )", rf"\1-f{frames}", text)


def load_config(recipe: str | Path) -> RunConfig:
    """Read a recipe of the package by name (`NAME-f16`: with 16 frames per clip), or a YAML file by path.

    A top-level `preset: b16` selects the backbone, side network and text tower of that preset. Other fields override
    it. The part `figures` documents a recipe (`recipe_figures.py`) and is ignored here.

    Raises:
        ConfigError: the recipe or file does not exist or is not YAML, or settings are unknown or out of range. The
            message lists these settings.

    >>> load_config("ssv2-b16-f16").data.num_frames
    16
    """
    path = Path(recipe)
    named = path.suffix not in {".yaml", ".yml"}
    if not named and not path.is_file():
        raise ConfigError(f"{path} does not exist. Give a YAML file or a recipe's name: {', '.join(recipe_names())}.")
    try:
        content = yaml.safe_load(recipe_text(str(recipe)) if named else path.read_text(encoding="utf-8")) or {}
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{recipe} is nested too deeply to be read.") from None
    except (yaml.YAMLError, ValueError) as error:  # bytes that are not UTF-8, dates and invalid numbers
        raise ConfigError(f"{recipe} is not YAML: {str(error)[:1000]}") from None
    return parse_config(content, source=str(recipe))


def parse_config(content: Any, *, source: str) -> RunConfig:
    """Check settings given as nested dictionaries. Errors name `source`.

    Raises:
        ConfigError: settings are unknown or out of range. The message lists them, with close matches.

    >>> parse_config({"train": {"epochs": 5}}, source="example").train.epochs
    5
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{source} must contain settings by name, not {type(content).__name__}.")
    content = dict(content)
    content.pop("figures", None)
    preset = content.pop("preset", None)
    if preset is not None:
        if not isinstance(preset, str) or preset not in MODEL_PRESETS:
            raise ConfigError(
                f"{source}: preset = {_SHORT_REPR.repr(preset)} is not known. Presets: {', '.join(MODEL_PRESETS)}."
            )
        for part, settings in zip(("backbone", "side"), MODEL_PRESETS[preset], strict=True):
            content[part] = _override(settings.model_dump(exclude_defaults=True), content.get(part))
        name, tag = CLIP_TOWERS[MODEL_PRESETS[preset][0].name]
        content["text"] = _override({"name": name, "tag": tag}, content.get("text"))
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {_describe_problem(problem)}" for problem in error.errors()[:MAX_PROBLEMS])
        more = "\n  ..." if error.error_count() > MAX_PROBLEMS else ""
        raise ConfigError(f"{source} has {error.error_count()} invalid settings:\n{problems}{more}") from None


def dump_config(config: RunConfig) -> str:
    """The config as YAML, with all defaults, for `load_config`."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_ExactDumper, sort_keys=False, allow_unicode=True)


def _recipe_folder() -> Any:
    return resources.files("side4video") / "recipes"


def _override(settings: dict[str, Any], given: Any) -> Any:
    """Settings updated with `given`. A value that is not a mapping is returned unchanged, so that its check fails."""
    return settings | (given or {}) if given is None or isinstance(given, dict) else given


class _ExactDumper(yaml.SafeDumper):
    """Writes every text such that YAML reads it back unchanged."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes these line ends unescaped and reads them as blanks. In double quotes it escapes them.
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ExactDumper.add_representer(str, _represent_text)


def _describe_problem(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])[:200]
    if problem["type"] != "extra_forbidden":
        return f"{place} = {_SHORT_REPR.repr(problem['input'])}: {problem['msg'][:1000]}"
    group: Any = RunConfig
    for part in problem["loc"][:-1]:
        group = group.model_fields[str(part)].annotation
    close = difflib.get_close_matches(str(problem["loc"][-1]), group.model_fields, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(group.model_fields)}"
    return f"{place}: no such setting; {hint}"
