"""Check a list of labelled videos before training: labels, times, missing and repeated files."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from side4video.data.lists.labelled_videos import CheckedList, LabelledVideo, VideoList
from side4video.data.lists.segments import describe_segment, is_segment, overlapping
from side4video.data.lists.text_files import MAX_SHOWN, DataError, first_few, shorten
from side4video.data.lists.video_finder import scan_folder, strip_suffix
from side4video.system.paths import folded_name
from side4video.video.remote import can_list


def check_video_list(video_list: VideoList, *, allow_missing: bool = False, require_labels: bool = True) -> CheckedList:
    """Check before training that every label is an index into the class names and that every file exists.

    Args:
        video_list: the list to check.
        allow_missing: drop missing videos with a warning instead of raising. If all are missing, it still raises.
        require_labels: raise if a video has no label. Set it to False for prediction.

    Raises:
        DataError: the list has problems; the error lists all of them. Files are not opened.
    """
    videos = video_list.videos
    absent, missing, warnings = find_missing(videos, allow_missing=allow_missing)
    problems = [
        *_label_problems(video_list, require_labels),
        *_conflicting_labels(videos),
        *find_bad_times(videos),
        *missing,
    ]
    if problems:
        raise DataError(*(f"{video_list.source}: {problem}" for problem in problems))
    kept = replace(video_list, videos=tuple(video for index, video in enumerate(videos) if index not in absent))
    return CheckedList(kept, len(videos), len(kept.videos), (*warnings, *_list_warnings(kept)))


def find_missing(
    videos: Sequence[LabelledVideo], *, allow_missing: bool
) -> tuple[frozenset[int], list[str], list[str]]:
    """Return the positions of missing videos, the problems, and the warnings if missing videos are allowed.

    It is always a problem if all videos are missing.
    """
    by_folder = defaultdict(list)
    for index, video in enumerate(videos):
        by_folder[video.path.parent].append(index)
    absent: list[int] = []
    other_case: list[str] = []
    other_suffix: list[str] = []
    for folder, inside in by_folder.items():
        if not can_list(folder):  # a web server: reading a video tells whether it is there
            continue
        names = scan_folder(folder)
        gone = [index for index in inside if videos[index].path.name not in names]
        absent += gone
        other_case += _in_other_case([videos[index] for index in gone], names)
        other_suffix += _with_other_suffix([videos[index] for index in gone], names)
    if not absent:
        return frozenset(), [], []
    missing = f"{len(absent)} of {len(videos)} videos are missing: {first_few(videos[index].name for index in absent)}"
    if other_case:
        missing += f"; {len(other_case)} of these exist in another case: {', '.join(other_case[:MAX_SHOWN])}"
    if other_suffix:
        missing += (
            f"; {len(other_suffix)} of these exist with another suffix: {', '.join(other_suffix[:MAX_SHOWN])} (names "
            "without suffix match any)"
        )
    if allow_missing and len(absent) < len(videos):
        return frozenset(absent), [], [f"{missing}; they are skipped."]
    folders = Counter(str(videos[index].path.parent) for index in absent)
    looked_in = first_few(folder for folder, _ in folders.most_common())
    return frozenset(absent), [f"{missing}. Looked in {looked_in}. Check root, or allow missing videos."], []


def _in_other_case(videos: Sequence[LabelledVideo], names: Collection[str]) -> list[str]:
    """The names of a folder that those of missing videos differ from in case only."""
    in_any_case = {folded_name(name): name for name in names} if videos else {}
    found = [in_any_case.get(folded_name(video.path.name)) for video in videos]
    return [shorten(name) for name in found if name]


def _with_other_suffix(videos: Sequence[LabelledVideo], names: Collection[str]) -> list[str]:
    """The names of a folder that those of missing videos differ from in the suffix only."""
    by_stem = {strip_suffix(name): name for name in names if strip_suffix(name) != name} if videos else {}
    found = [(video.path.name, by_stem.get(strip_suffix(video.path.name))) for video in videos]
    return [shorten(name) for listed, name in found if name and folded_name(name) != folded_name(listed)]


def _label_problems(video_list: VideoList, require_labels: bool) -> list[str]:
    videos, count = video_list.videos, len(video_list.class_names)
    problems = []
    labels = {label for video in videos for label in video.all_labels}
    wrong = [(video.name, label) for video in videos for label in video.all_labels if not 0 <= label < count]
    if wrong:
        counts_from_one = (min(labels), max(labels)) == (1, count)
        hint = (
            "They seem to count from 1: use first_label=1." if counts_from_one else "Correct the list or class_names."
        )
        examples = first_few(f"{name} {label}" for name, label in wrong)
        problems.append(f"{len(wrong)} labels are outside 0 to {count - 1}: {examples}. {hint}")
    unlabelled = [video.name for video in videos if video.label is None and video.labels is None]
    columns = [note for note in video_list.notes if note.startswith("Columns: ")]
    if require_labels and unlabelled:
        problems.append(
            f"{len(unlabelled)} videos have no label: {first_few(unlabelled)}. Give a labelled list, "
            f"or name its column of labels: --data.columns label NAME.{''.join(f' {note}' for note in columns)}"
        )
    return problems


def _conflicting_labels(videos: Sequence[LabelledVideo]) -> list[str]:
    shown = defaultdict(list)
    for video in videos:
        shown[video_key(video)].append(video)
    if conflicting := [same for same in shown.values() if len({(video.label, video.labels) for video in same}) > 1]:
        examples = first_few(
            " and ".join(map(describe_segment, same)) if is_segment(same[0]) else str(same[0].path)
            for same in conflicting
        )
        return [f"{len(conflicting)} videos have two labels: {examples}. Keep one, or give --data.multi-label true."]
    return []


def find_bad_times(videos: Sequence[LabelledVideo]) -> list[str]:
    """Sentences about the segments that end before they start, or start before 0, if there are any."""
    inf = float("inf")
    bad = [v for v in videos if (v.start_seconds or 0) >= (inf if v.end_seconds is None else v.end_seconds)]
    early = [v for v in videos if (v.start_seconds or 0) < 0 and v not in bad]
    return [
        f"{len(found)} segments {what}: {first_few(map(describe_segment, found))}. Correct start and end."
        for what, found in (("end before they start", bad), ("start before 0", early))
        if found
    ]


def video_key(video: LabelledVideo) -> tuple[str, float | None, float | None, bool]:
    """The key that identifies what is shown: file, start, end, direction."""
    return str(video.path), video.start_seconds, video.end_seconds, video.reverse


def _list_warnings(video_list: VideoList) -> list[str]:
    warnings = []
    counts = Counter(map(video_key, video_list.videos))
    if twice := [what[0] for what, count in counts.items() if count > 1]:
        warnings.append(f"{len(twice)} videos are listed more than once: {first_few(twice)}.")
    pairs = [(video_list.videos[one], video_list.videos[other]) for one, other in overlapping(video_list.videos)]
    if pairs:
        examples = first_few(f"{describe_segment(one)} and {describe_segment(other)}" for other, one in pairs)
        warnings.append(f"{len(pairs)} segments overlap an earlier one of their file: {examples}.")
    used = {label for video in video_list.videos for label in video.all_labels}
    if empty := [name for label, name in enumerate(video_list.class_names) if label not in used]:
        warnings.append(f"{len(empty)} of {len(video_list.class_names)} classes have no video: {first_few(empty)}.")
    return warnings
