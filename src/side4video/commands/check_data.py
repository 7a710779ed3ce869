"""The command `check-data`; its arguments are defined in `checking`."""

import tyro

from side4video.checking.arguments import CheckDataArguments
from side4video.commands.positional import take_model
from side4video.config import DataConfig


def check_data(arguments: list[str]) -> int:
    """Run `side4video check-data`; returns the exit code."""
    recipe, config = "", None
    if arguments and not arguments[0].startswith("-"):
        recipe, config, arguments = take_model(arguments, "check-data")

    default = CheckDataArguments(data=config.data, text=config.text) if config else CheckDataArguments(DataConfig())
    given = tyro.cli(
        CheckDataArguments, prog=f"side4video check-data {recipe}".strip(), args=arguments, default=default
    )

    from side4video.checking.command import check_data as check

    return check(given, config.task if config else None)
