"""Findings for the entries of the sets, from probed videos and lists. Pure functions: nothing is opened here."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from side4video.checking.entries import Entry, EntrySet
from side4video.checking.findings import KINDS, Finding
from side4video.checking.probe import Probe
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.segments import describe_segment, is_segment, overlap_in_time, overlapping
from side4video.video.remote import identity_of, video_path

Part = tuple[str, float | None, float | None]


@dataclass(frozen=True)
class CheckedSet:
    """A set, its findings and its usable entries. In retrieval, a video that was listed twice gets the captions of
    both entries.

    >>> video = LabelledVideo(path=Path("a.mp4"), label=None, name="a.mp4")
    >>> probes = {part_of(video): Probe((("missing", "the file does not exist."),))}
    >>> [checked] = find_problems([EntrySet("train", "list.csv", (Entry(video),))], probes)
    >>> checked.findings[0].kind, checked.clean
    ('missing', ())
    """

    entries: EntrySet
    findings: tuple[Finding, ...]
    clean: tuple[Entry, ...]


def part_of(video: LabelledVideo) -> Part:
    """The part of a file that is opened for a video."""
    return str(video.path), video.start_seconds, video.end_seconds


def find_problems(sets: Sequence[EntrySet], probes: Mapping[Part, Probe]) -> list[CheckedSet]:
    """Findings and usable entries of each set.

    Args:
        sets: the training set, the evaluation set, or both.
        probes: one for every video of the sets, by `part_of`. Files that may be equal have a digest.
    """
    checkers = [_SetChecker(one, probes) for one in sets]
    for checker in checkers:
        checker.find_faults()
        checker.find_repeated()
        checker.find_overlaps()
    if len(checkers) == 2:
        checkers[0].find_in_evaluation(checkers[1])
    return [checker.result() for checker in checkers]


class _SetChecker:
    def __init__(self, entries: EntrySet, probes: Mapping[Part, Probe]) -> None:
        self.entries = entries
        self.findings: list[Finding] = []
        self.excluded: set[int] = set()
        self.same_as: dict[int, int] = {}  # position of an entry -> position of the earlier entry with the same content
        self._probes = probes
        digests = {path: probe.digest for (path, _, _), probe in probes.items() if probe.digest is not None}
        paths = {str(entry.video.path) for entry in entries.entries}
        self._content = {path: digests.get(path) or identity_of(video_path(path)) for path in paths}

    def find_faults(self) -> None:
        """Find problems of single entries."""
        for position, entry in enumerate(self.entries.entries):
            for kind, reason in self._probes[part_of(entry.video)].faults:
                self._add(position, kind, reason)
            if self.entries.class_names:
                self._check_labels(position, entry.video)
            if not _fits_a_list(entry.video.path):
                self._add(
                    position, "unlistable", "its path has line breaks, blanks at an end or bytes that are not UTF-8."
                )

    def find_repeated(self) -> None:
        """Find entries with the same content as an earlier entry."""
        groups = defaultdict(list)
        for position, entry in self._usable():
            video = entry.video
            part = (self._content[str(video.path)], video.start_seconds, video.end_seconds, video.reverse)
            groups[part].append(position)
        for positions in groups.values():
            videos = [self.entries.entries[position].video for position in positions]
            if len({video.all_labels for video in videos}) > 1:
                for position in positions:
                    self._add(position, "two-labels", _both(videos, self.entries.class_names))
                continue
            for position, video in zip(positions[1:], videos[1:], strict=True):
                same_file = video.path == videos[0].path
                self.same_as[position] = positions[0]
                what = "the list already contains it" if same_file else f"the same content as {videos[0].name}"
                self._add(position, "listed-twice" if same_file else "duplicate", f"{what}.")

    def find_overlaps(self) -> None:
        """Find segments that overlap in time with another one of the same file."""
        usable = self._usable()
        for one, other in overlapping([entry.video for _, entry in usable]):
            self._add(usable[one][0], "overlap", f"it overlaps {describe_segment(usable[other][1].video)}.")

    def find_in_evaluation(self, test: "_SetChecker") -> None:
        """Find training entries that show the same moments as an evaluation entry, or a part of them."""
        tested = defaultdict(list)
        for entry in test.entries.entries:
            tested[test._content[str(entry.video.path)]].append(entry.video)
        for position, entry in enumerate(self.entries.entries):
            if position in self.excluded and position not in self.same_as:
                continue
            for video in tested.get(self._content[str(entry.video.path)], []):
                if overlap_in_time(video, entry.video):
                    self._add(position, "test-in-train", f"the evaluation set contains it as {video.name}.")
                    break

    def result(self) -> CheckedSet:
        captions: dict[int, list[str]] = defaultdict(list)
        for position, entry in enumerate(self.entries.entries):
            captions[self.same_as.get(position, position)] += entry.captions
        clean = tuple(
            replace(entry, captions=tuple(dict.fromkeys(captions[position]))) for position, entry in self._usable()
        )
        return CheckedSet(self.entries, tuple(sorted(self.findings, key=lambda finding: finding.position)), clean)

    def _usable(self) -> list[tuple[int, Entry]]:
        return [
            (position, entry) for position, entry in enumerate(self.entries.entries) if position not in self.excluded
        ]

    def _check_labels(self, position: int, video: LabelledVideo) -> None:
        count = len(self.entries.class_names)
        if video.label is None and video.labels is None:
            self._add(position, "no-label", "the list gives no class.")
        for label in video.all_labels:
            if not 0 <= label < count:
                reason = f"class {label} is outside 0 to {count - 1}. See --data.first-label."
                self._add(position, "wrong-label", reason)

    def _add(self, position: int, kind: str, reason: str) -> None:
        video = self.entries.entries[position].video
        if is_segment(video) and video.line is not None:
            reason = f"line {video.line}, {video.start_seconds} to {video.end_seconds} s: {reason}"
        self.findings.append(Finding(self.entries.name, position, video.name, str(video.path), kind, reason))
        if KINDS[kind].is_excluded:
            self.excluded.add(position)


def _fits_a_list(path: Path) -> bool:
    """Whether a CSV list preserves the path: its readers strip blanks and split UTF-8 text into lines."""
    text = str(path.absolute())
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return text == text.strip() and not set(text) & set("\n\r\0")


def _both(videos: Sequence[LabelledVideo], class_names: Sequence[str]) -> str:
    named = (
        f"{video.name} is {' and '.join(repr(class_names[label]) for label in video.all_labels)}"
        for video in videos
        if video.all_labels
    )
    return f"the same content has two labels: {', '.join(list(named)[:4])}."
