"""The command `write-shards`."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from side4video.config import DataConfig
from side4video.parameters import check_count, check_number

_PRINTED = 10
"""Most problems that are printed."""


@dataclass(frozen=True)
class WriteShardsArguments:
    """Write the videos of a list into WebDataset shards: 000000.tar, 000001.tar, ...

    Every video is opened before anything is written. The same list gives the same bytes, and a command that was stopped
    continues with the first shard that is missing.

    Examples:
        >>> tyro.cli(WriteShardsArguments, args=["clips/train", "--out", "shards", "--max-size", "500MB"]).max_size
        '500MB'
    """

    source: tyro.conf.Positional[Path]
    """List of labelled or captioned videos in any supported format, or shards."""
    out: Path
    """Folder for the shards, new or with shards of the same command."""
    max_size: str = "1GB"
    """Largest size of a shard. A larger video gets a shard of its own."""
    max_count: int = 10_000
    """Most videos of a shard."""
    split: Literal["train", "test"] = "train"
    """Part to write of a list that has several, or of --data.val-fraction or --data.folds."""
    shuffle_seed: int | None = None
    """Write the videos in a random order with this seed. Default: the order of the list."""
    on_error: Literal["stop", "skip"] = "stop"
    """stop: write nothing if videos are missing, corrupt or have no class; skip: leave them out."""
    timeout_seconds: float = 60.0
    """Timeout for opening one video."""
    processes: int | None = None
    """Number of videos that are opened in parallel. Default: one per core."""
    data: DataConfig = field(default_factory=DataConfig)
    """How to read the list."""


def write_shards(arguments: list[str]) -> int:
    """Run `side4video write-shards`; returns the exit code."""
    given = tyro.cli(WriteShardsArguments, prog="side4video write-shards", args=arguments)
    from side4video.shards.sizes import parse_bytes

    max_bytes = parse_bytes(given.max_size, "max_size")
    check_count(given.max_count, "max_count")
    check_number(given.timeout_seconds, "timeout_seconds", above=0)
    if given.shuffle_seed is not None:
        check_count(given.shuffle_seed, "shuffle_seed", minimum=0)
    if given.processes is not None:
        check_count(given.processes, "processes")
    if given.data.train is not None or given.data.test is not None:
        raise ValueError("The list is the first argument: leave out --data.train and --data.test.")

    from side4video.atomic_files import check_writable
    from side4video.checking.escaping import escape_unprintable
    from side4video.shards.checked_list import read_checked
    from side4video.shards.plan import make_plan
    from side4video.shards.writing import write_shards as write

    check_writable(given.out)
    processes = given.processes or os.cpu_count() or 1
    checked = read_checked(
        given.source, given.data, split=given.split, processes=processes, seconds=given.timeout_seconds
    )
    for note in checked.listed.notes:
        print(escape_unprintable(note))
    for found in checked.errors[:_PRINTED]:
        print(escape_unprintable(f"{found.name}: {found.kind}: {found.reason}"), file=sys.stderr)
    if len(checked.errors) > _PRINTED:
        print(f"... and {len(checked.errors) - _PRINTED} more", file=sys.stderr)
    num_bad = len({found.position for found in checked.errors})
    if checked.errors and given.on_error == "stop":
        print(
            f"nothing was written: {num_bad} of {len(checked.listed.entries)} entries cannot be used. Correct them, or "
            "give --on-error skip.",
            file=sys.stderr,
        )
        return 1
    if not checked.usable:
        raise ValueError(f"{given.source}: no video can be used, so there is nothing to write.")
    plan = make_plan(
        checked.usable,
        checked.listed.class_names,
        max_bytes=max_bytes,
        max_count=given.max_count,
        shuffle_seed=given.shuffle_seed,
    )
    existed = write(
        plan, given.out, source=checked.listed.source, task=checked.task, class_names=checked.listed.class_names
    )
    kept = f", {existed} of them written before" if existed else ""
    skipped = f"; {num_bad} entries left out" if num_bad else ""
    print(f"{sum(map(len, plan.shards))} videos in {len(plan.shards)} shards{kept}{skipped}: {given.out}")
    return 0
