"""Read the first argument of a command: an adapter, a recipe, or a model."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from side4video.config import RunConfig


def asks_for_help(arguments: list[str]) -> bool:
    """Whether help is among the arguments.

    >>> asks_for_help(["clip", "--help"])
    True
    """
    return not {"-h", "--help"}.isdisjoint(arguments)


def take_positional(arguments: list[str], command: str, what: str) -> tuple[str, list[str]]:
    """Return the first argument and the rest. `COMMAND --help` shows the settings of the default recipe, or the usage.

    Raises:
        ValueError: there is no argument before the flags.
        SystemExit: help is requested and was printed.
    """
    if not arguments or arguments[0].startswith("-"):
        if asks_for_help(arguments[:1]) and command in {"train", "memory", "zero-shot"}:
            return "own-clips", arguments
        if asks_for_help(arguments):
            print(f"usage: side4video {command} {what}, then flags")
            raise SystemExit(0)
        raise ValueError(f"usage: side4video {command} {what}, then flags; see side4video {command} --help.")
    return arguments[0], arguments[1:]


def take_model(arguments: list[str], command: str) -> "tuple[str, RunConfig, list[str]]":
    """Return the recipe or model in the first argument, its settings, and the other arguments."""
    from side4video.config import MODEL_PRESETS, load_config, parse_config, recipe_names  # pydantic takes 0.2 s

    presets = ", ".join(MODEL_PRESETS)
    names = f"RECIPE: a YAML file, one of {', '.join(recipe_names())}, or a model of {presets}"
    recipe, rest = take_positional(arguments, command, names)
    is_model = recipe in MODEL_PRESETS and recipe not in recipe_names()
    return recipe, parse_config({"preset": recipe}, source=recipe) if is_model else load_config(recipe), rest
