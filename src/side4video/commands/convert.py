"""The command `convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from side4video.commands.positional import take_positional
from side4video.config import RunConfig, load_config, recipe_names


@dataclass(frozen=True)
class ConvertArguments:
    """Convert an official checkpoint to an adapter; give the settings that it was trained with.

    Examples:
        >>> ConvertArguments(load_config("ssv2-b16"), out=Path("adapter")).config.data.num_frames
        8
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    out: Path
    """Adapter folder to create."""


@dataclass(frozen=True)
class ConvertBackArguments:
    """Convert an adapter to a state dict with the official names.

    Examples:
        >>> tyro.cli(ConvertBackArguments, args=["--out", "model.pt"]).out
        PosixPath('model.pt')
    """

    out: Path
    """The .pt file to write."""


def convert(arguments: list[str]) -> int:
    """Run `side4video convert`; returns the exit code."""
    source, rest = take_positional(arguments, "convert", "FILE RECIPE --out ADAPTER, or ADAPTER --out FILE")
    if Path(source).is_dir():
        back = tyro.cli(ConvertBackArguments, prog=f"side4video convert {source}", args=rest)
        from side4video.adapters.convert import official_from_adapter

        print(f"{official_from_adapter(Path(source), out=back.out)} tensors under their official names: {back.out}")
        return 0
    recipe, rest = take_positional(
        rest, f"convert {source}", f"RECIPE: a YAML file or one of {', '.join(recipe_names())}"
    )
    prog = f"side4video convert {source} {recipe}"
    given = tyro.cli(
        ConvertArguments, prog=prog, args=rest, default=ConvertArguments(load_config(recipe), Path("adapter"))
    )
    from side4video.adapters.convert import adapter_from_official

    adapter = adapter_from_official(Path(source), given.config, out=given.out)
    print(f"{adapter.config.task}, {len(adapter.class_names)} classes, on {adapter.config.backbone.name}: {given.out}")
    return 0
