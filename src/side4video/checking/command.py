"""The command `side4video check-data`: open every file of a data set, print and write what is wrong."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from side4video.atomic_files import write_json, write_rows
from side4video.checking.arguments import CheckDataArguments
from side4video.checking.clean_list import LABEL_SEPARATOR, check_numeric_class_names, write_clean_list
from side4video.checking.content import file_size
from side4video.checking.entries import EntrySet, Task, describe_task, detect_task, read_entries
from side4video.checking.escaping import escape_surrogates, escape_unprintable
from side4video.checking.findings import KINDS, Finding
from side4video.checking.page import write_check_page
from side4video.checking.probe import Probe, ProbeTask, probe_video
from side4video.checking.set_checker import CheckedSet, Part, find_problems, part_of
from side4video.checking.workers import FailedItem, run_with_timeout
from side4video.config import TextConfig
from side4video.data.lists.segments import describe_parts, is_segment
from side4video.system.console import shell_words
from side4video.system.paths import real_path
from side4video.system.tables import Console
from side4video.video.decoding import shared_cache

_SUMMARY_FILE = "summary.json"
"""Marks the folder of an earlier check, which may be overwritten."""
_CHUNK_VIDEOS = 64
"""Maximum number of videos that an actor of Ray does at a time, and loses with its machine."""
_PRINTED = 10
"""Maximum number of printed findings per kind; reasons.csv has all of them."""


def check_data(arguments: CheckDataArguments, task: Task | None = None) -> int:
    """Check the sets, write the output folder and print a table.

    Args:
        arguments: sets and settings.
        task: whether the lists contain classes or captions. Default: detected from their content.

    Returns:
        The exit code: 0 without errors, 1 with errors.

    Raises:
        DataError: a list cannot be read.
        ValueError: no set is given, two class names spell the same number, or the output folder contains other files.
    """
    if task is None:
        task = detect_task(arguments.data)
        print(f"note: {describe_task(arguments.data, task)}")
    sets = read_entries(arguments.data, task)
    for one in sets:
        check_numeric_class_names(one.class_names)
    _prepare_folder(arguments)
    start = time.monotonic()
    probes = _probe(sets, arguments)
    seconds = time.monotonic() - start
    checked = find_problems(sets, probes)
    num_errors = sum(finding.is_error for one in checked for finding in one.findings)
    checked = _note_unread_text(checked, arguments.text)
    _write(arguments, checked, len(probes), seconds)
    _print(arguments.out, checked)
    return 1 if num_errors else 0


def _note_unread_text(checked: Sequence[CheckedSet], text: TextConfig) -> list[CheckedSet]:
    """The sets with notes on captions that the text tower would cut, or whose language it does not know."""
    noted = []
    for one in checked:
        captions = [caption for entry in one.entries.entries for caption in entry.captions]
        notes: list[str] = []
        if captions:  # lists of classes need no tokeniser, whose import takes seconds
            from side4video.models.text.caption_warnings import describe_unread
            from side4video.models.text.text_tower import load_configured_tokeniser

            notes = describe_unread(captions, max_words=text.max_words, tokeniser=load_configured_tokeniser(text))
        noted.append(replace(one, entries=replace(one.entries, notes=(*one.entries.notes, *notes))))
    return noted


def _prepare_folder(arguments: CheckDataArguments) -> None:
    """Create the output folder; raise if other files could be overwritten."""
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    sources = [
        source for source in (arguments.data.train, arguments.data.test, arguments.data.captions) if source is not None
    ]
    if any(source.is_file() and Path(real_path(source)).parent == Path(real_path(out)) for source in sources):
        raise ValueError(f"--out {out} contains a list to be checked, which could be overwritten. Use another folder.")
    if any(out.iterdir()) and not (out / _SUMMARY_FILE).is_file():
        raise ValueError(f"--out {out} contains files that are not from an earlier check. Use a new folder.")


def _probe(sets: Sequence[EntrySet], arguments: CheckDataArguments) -> dict[Part, Probe]:
    """Open every part of a file that the sets name, once each."""
    parts = {part_of(entry.video): entry.video for one in sets for entry in one.entries}
    sizes = {path: file_size(path) for path in {video.path for video in parts.values()}}
    shared = Counter(sizes.values())  # files of different sizes differ, so only equal sizes need a hash
    unhashed = {path for path, size in sizes.items() if size != 0 and shared[size] > 1}
    tasks = []
    for video in parts.values():
        is_hashed = video.path in unhashed
        unhashed.discard(video.path)
        data, times = arguments.data, (video.start_seconds, video.end_seconds)
        folder = (data.frame_template, data.fps)
        tasks.append(ProbeTask(video.path, *times, data.num_frames, is_hashed, *folder, shared_cache()))
    found: list[Probe | None] = [None] * len(tasks)
    answers = _probe_on_ray(tasks, arguments) if arguments.engine == "ray" else _probe_here(tasks, arguments)
    for position, answer in tqdm(answers, desc="check", unit="file", total=len(tasks), dynamic_ncols=True, leave=False):
        found[position] = Probe(((answer.kind, answer.reason),)) if isinstance(answer, FailedItem) else answer
    return {part: probe for part, probe in zip(parts, found, strict=True) if probe is not None}


def _probe_here(tasks: Sequence[ProbeTask], arguments: CheckDataArguments) -> Iterator[tuple[int, Probe | FailedItem]]:
    processes = arguments.processes or _num_cores()
    return run_with_timeout(probe_video, tasks, processes=processes, seconds=arguments.timeout_seconds)


def _probe_on_ray(
    tasks: Sequence[ProbeTask], arguments: CheckDataArguments
) -> Iterator[tuple[int, Probe | FailedItem]]:
    from side4video.distributed.ray_engine import connected_to_ray, map_on_ray

    tasks = [task._replace(path=task.path.absolute(), cache=None) for task in tasks]  # a folder of this machine
    with connected_to_ray(device="cpu") as cluster:
        readers = arguments.processes or cluster.readers + cluster.models
        size = max(1, min(_CHUNK_VIDEOS, len(tasks) // (4 * readers)))
        chunks = [(start, tasks[start : start + size]) for start in range(0, len(tasks), size)]
        probe = partial(_probe_chunk, seconds=arguments.timeout_seconds)
        yield from map_on_ray(chunks, workers=replace(cluster, readers=readers), num_results=len(tasks), read=probe)


def _probe_chunk(chunk: tuple[int, Sequence[ProbeTask]], *, seconds: float) -> Iterator[tuple[int, Probe | FailedItem]]:
    """Probe videos in a process of this machine, which a video may crash."""
    start, tasks = chunk
    for place, answer in run_with_timeout(probe_video, tasks, processes=1, seconds=seconds):
        yield start + place, answer


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write(arguments: CheckDataArguments, checked: Sequence[CheckedSet], num_files: int, seconds: float) -> None:
    out = arguments.out
    class_names = next((one.entries.class_names for one in checked if one.entries.class_names), ())
    if class_names:
        write_json(out / "class_names.json", [escape_surrogates(name) for name in class_names])
    for name in ("train", "test"):
        clean = next((one.clean for one in checked if one.entries.name == name), ())
        if clean:
            write_clean_list(out / f"{name}.csv", clean, class_names=class_names)
        else:
            (out / f"{name}.csv").unlink(missing_ok=True)  # from an earlier check
    findings = [finding for one in checked for finding in one.findings]
    _write_reasons(out / "reasons.csv", findings)
    settings = {"num_frames": arguments.data.num_frames, "timeout_seconds": arguments.timeout_seconds}
    content = {"files": num_files, "seconds": round(seconds, 3), **settings, "sets": {}}
    content["sets"] = {one.entries.name: _counts(one) for one in checked}
    write_json(out / _SUMMARY_FILE, content)
    summary = (
        f"{num_files} files or segments were opened in {seconds:.1f} seconds, and the first, middle and last frame of "
        f"each decoded. Clips have {arguments.data.num_frames} frames. Clean lists and reasons.csv are in the same "
        "folder."
    )
    write_check_page(out / "index.html", checked, summary=summary)


def _counts(one: CheckedSet) -> dict[str, object]:
    num_errors = sum(finding.is_error for finding in one.findings)
    return {
        "source": escape_surrogates(one.entries.source),
        "listed": len(one.entries.entries),
        "segments": sum(is_segment(entry.video) for entry in one.entries.entries),
        "usable": len(one.clean),
        "errors": num_errors,
        "warnings": len(one.findings) - num_errors,
        "by_kind": dict(Counter(finding.kind for finding in one.findings)),
        "notes": [escape_surrogates(note) for note in one.entries.notes],
    }


def _write_reasons(path: Path, findings: Sequence[Finding]) -> None:
    rows = []
    for found in findings:
        severity = "error" if found.is_error else "warning"
        row = [found.name, found.path, found.set, found.kind, severity, found.reason]
        rows.append([escape_surrogates(field) for field in row])
    write_rows(path, ("name", "path", "set", "kind", "severity", "reason"), rows)


def _print(out: Path, checked: Sequence[CheckedSet]) -> None:
    table = Table("set", "listed", "usable", "errors", "warnings")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in checked:
        counts = _counts(one)
        numbers = [str(counts[name]) for name in ("listed", "usable", "errors", "warnings")]
        table.add_row(Text(one.entries.name), *numbers)
    Console().print(table)
    for one in checked:
        if parts := describe_parts([entry.video for entry in one.entries.entries]):
            print(f"{one.entries.name}: {parts}")
    findings = [finding for one in checked for finding in one.findings]
    for kind in KINDS:
        some = [finding for finding in findings if finding.kind == kind]
        if some:
            print(f"{'error' if KINDS[kind].is_error else 'warning'}: {kind}, {len(some)}: {KINDS[kind].about}")
        for finding in some[:_PRINTED]:
            print(escape_unprintable(f"  {finding.set}: {finding.name}: {finding.reason}"))
        if len(some) > _PRINTED:
            print(f"  ... and {len(some) - _PRINTED} more in {out / 'reasons.csv'}")
    for one in checked:
        for note in one.entries.notes:
            print(escape_unprintable(f"note: {one.entries.name}: {note}"))
    flags = [
        word for one in checked if one.clean for word in (f"--data.{one.entries.name}", f"{out / one.entries.name}.csv")
    ]
    if flags and any(one.entries.class_names for one in checked):
        flags += ["--data.class-names", str(out / "class_names.json")]
    if any(entry.video.labels is not None for one in checked for entry in one.clean):
        flags += ["--data.label-separator", LABEL_SEPARATOR]
    print(f"page: {out / 'index.html'}")
    print(f"clean lists: {shell_words(flags) or 'none, no video is usable'}")
