"""ELAN's annotation files (.eaf): the annotations of a tier as segments of the video that the file names."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.text_files import DataError, read_xml, shorten
from side4video.video.decoding import VIDEO_SUFFIXES

SUFFIX = ".eaf"
LONGEST_CHAIN = 100
"""Annotations that refer to one another; a damaged file may have a circle."""


class _Annotation(NamedTuple):
    tier: str
    label: str
    start_seconds: float | None
    end_seconds: float | None


def is_elan(source: ListSource) -> bool:
    """Whether it is a file of ELAN, or a folder with such files."""
    return source.suffix == SUFFIX or any(name.lower().endswith(SUFFIX) for name in source.names)


def read_elan(source: Path, options: ReadOptions) -> Table:
    """Read one file, or all files of a folder: each annotation of a tier is a segment of the first video of its file.

    `options.label_field` names the tier if several have annotations. Annotations that refer to another one have its
    times. Annotations without a text or without times are left out and counted. The times of shifted videos
    (`TIME_ORIGIN`) are those of the video.
    """
    names = sorted(name for name in ListSource(source).names if name.lower().endswith(SUFFIX))
    paths = [source / name for name in names] if source.is_dir() else [source]
    roots = [(path, _parse(path)) for path in paths]
    files = [(path, root, list(_annotations(root, path))) for path, root in roots]
    tiers = Counter(annotation.tier for _, _, annotations in files for annotation in annotations)
    tier = options.label_field or (next(iter(tiers)) if len(tiers) == 1 else None)
    if tier not in tiers:
        shown = ", ".join(f"{shorten(name)} ({count})" for name, count in tiers.most_common(10)) or "none"
        raise DataError(f"{source}: the tiers with annotations are {shown}. Give --data.label-field NAME.")
    rows, left_out, before, shifts = [], 0, 0, []
    for path, root, annotations in files:
        own = [annotation for annotation in annotations if annotation.tier == tier]
        if own:
            candidates, shift = _video(root, path)
            shifts.append(shift)
            for _, label, start, end in own:
                if not label or start is None or end is None:
                    left_out += 1
                elif end + shift <= 0:
                    before += 1
                else:
                    rows.append(Row(candidates[0], label, candidates, max(start + shift, 0.0), end + shift))
    shifted = sum(shift != 0 for shift in shifts)
    notes = [
        f"Labels: the tier {tier!r} of {len(files)} file{'s' * (len(files) != 1)}.",
        *([f"{left_out} annotations without a text or times are left out."] if left_out else []),
        *([f"{shifted} of {len(shifts)} videos are shifted against the annotations (TIME_ORIGIN)."] if shifted else []),
        *([f"{before} annotations before the start of their video are left out."] if before else []),
    ]
    return Table(rows, notes=tuple(notes))


def _parse(path: Path) -> ElementTree.Element:
    root = read_xml(path)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError(f"{path} is not a file of ELAN: it has no <ANNOTATION_DOCUMENT>.")
    if (units := root.find("HEADER[@TIME_UNITS]")) is not None and units.get("TIME_UNITS") != "milliseconds":
        raise DataError(f"{path} has times in {shorten(units.get('TIME_UNITS'))}. Save it with milliseconds.")
    return root


def _annotations(root: ElementTree.Element, path: Path) -> Iterator[_Annotation]:
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    elements = [
        (tier.get("TIER_ID") or "", element)
        for tier in root.findall("TIER")
        for element in [*tier.iter("ALIGNABLE_ANNOTATION"), *tier.iter("REF_ANNOTATION")]
    ]
    by_id = {element.get("ANNOTATION_ID"): element for _, element in elements}
    for tier, element in elements:
        timed = element
        for _ in range(LONGEST_CHAIN):
            if timed.tag == "ALIGNABLE_ANNOTATION":
                break
            timed = by_id.get(timed.get("ANNOTATION_REF"), timed)
        start, end = (_seconds(slots.get(timed.get(f"TIME_SLOT_REF{number}")), path) for number in (1, 2))
        yield _Annotation(tier, (element.findtext("ANNOTATION_VALUE") or "").strip(), start, end)


def _seconds(milliseconds: str | None, path: Path) -> float | None:
    if milliseconds is None:
        return None
    if not re.fullmatch(r"-?\d{1,14}", milliseconds):
        raise DataError(f"{path} has the time {shorten(milliseconds)}, which is no number of milliseconds.")
    return int(milliseconds) / 1000


def _video(root: ElementTree.Element, path: Path) -> tuple[tuple[str, ...], float]:
    """Where the video may be (at the relative path, at the absolute one, next to the file), and its time in seconds at
    the time 0 of the annotations."""
    for medium in root.iter("MEDIA_DESCRIPTOR"):
        urls = [unquote(medium.get(name) or "") for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL")]
        paths = [url.removeprefix("./") for url in urls if url.lower().endswith(VIDEO_SUFFIXES)]
        if not paths:
            continue
        names = (name.replace("\\", "/").rsplit("/", 1)[-1] for name in paths)
        return tuple(dict.fromkeys((*paths, *names))), _seconds(medium.get("TIME_ORIGIN") or None, path) or 0.0
    media = [shorten(medium.get("MEDIA_URL")) for medium in root.iter("MEDIA_DESCRIPTOR")]
    raise DataError(f"{path} names no video: {', '.join(media[:3]) or 'no media'}. Link the video in ELAN.")
