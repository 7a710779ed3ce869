"""Read a list and open every video of it, so that problems are known before anything is written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from tqdm import tqdm

from side4video.checking.entries import Entry, EntrySet, Task, describe_task, detect_task, read_entries
from side4video.checking.findings import Finding
from side4video.checking.probe import Probe, ProbeTask, probe_video
from side4video.checking.set_checker import Part, find_problems, part_of
from side4video.checking.workers import FailedItem, run_with_timeout
from side4video.config import DataConfig
from side4video.video.decoding import shared_cache

Split = Literal["train", "test"]


class CheckedEntries(NamedTuple):
    """A list, its usable entries and the errors that were found.

    >>> checked = CheckedEntries(EntrySet("train", "list.csv", ()), "recognition", (), ())
    >>> checked.errors
    ()
    """

    listed: EntrySet
    task: Task
    usable: tuple[Entry, ...]
    errors: tuple[Finding, ...]


def read_checked(source: Path, data: DataConfig, *, split: Split, processes: int, seconds: float) -> CheckedEntries:
    """Read a list and decode the first, middle and last frame of every video or part of one.

    Args:
        source: any list of labelled or captioned videos.
        data: how to read it; its training and evaluation set are ignored.
        split: the part of a list that has several.
        processes: videos that are opened at the same time.
        seconds: timeout for one video.

    Raises:
        DataError: the list cannot be read.
    """
    held_out = data.val_fraction is not None or data.folds is not None
    place = "train" if held_out else split
    config = data.model_copy(update={"train": None, "test": None, place: source})
    task = detect_task(config)
    listed = next(one for one in read_entries(config, task) if one.name == split)
    [checked] = find_problems([listed], _probe(listed.entries, data, processes=processes, seconds=seconds))
    listed = replace(listed, notes=(describe_task(config, task), *listed.notes))
    return CheckedEntries(listed, task, checked.clean, tuple(found for found in checked.findings if found.is_error))


def _probe(entries: Sequence[Entry], data: DataConfig, *, processes: int, seconds: float) -> dict[Part, Probe]:
    parts = {part_of(entry.video): entry.video for entry in entries}
    tasks = [
        ProbeTask(
            video.path, video.start_seconds, video.end_seconds, 1, False, data.frame_template, data.fps, shared_cache()
        )
        for video in parts.values()
    ]
    answers = run_with_timeout(probe_video, tasks, processes=processes, seconds=seconds)
    probes = {}
    keys = list(parts)
    for place, found in tqdm(answers, desc="check", unit="video", total=len(tasks), dynamic_ncols=True, leave=False):
        probes[keys[place]] = Probe(((found.kind, found.reason),)) if isinstance(found, FailedItem) else found
    return probes
