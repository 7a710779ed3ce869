"""Divide one list into a part to train on and a part to evaluate on: a fraction or a fold, stratified and by group."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from side4video.config import DataConfig
from side4video.data.lists.annotations import LabelledVideo, VideoList
from side4video.data.lists.groups import Grouping, find_groups
from side4video.data.lists.text_files import MAX_SHOWN, DataError, first_few, shorten

_TRIES = 20
"""Random orders to try until each class is in each part."""


def part_of_list(listed: VideoList, config: DataConfig, name: Literal["train", "test"]) -> VideoList:
    """The part of a list that `config.val_fraction`, or `config.folds` and `config.fold`, give to `name`.

    Clips of one group (`config.group`) stay in one part, and each class is divided in the same proportion. The division
    depends on the list and `config.split_seed` only.

    Raises:
        DataError: a class has too few clips or groups.

    >>> from pathlib import Path
    >>> clips = tuple(LabelledVideo(Path(f"{n}.mp4"), n % 2, f"{n}.mp4") for n in range(10))
    >>> config = DataConfig(train=Path("clips"), val_fraction=0.2)
    >>> [video.label for video in part_of_list(VideoList(clips, ("run", "walk"), "clips"), config, "test").videos]
    [0, 1]
    """
    grouping = find_groups(listed.videos, config.group)
    groups = grouping.groups or [str(video.path) for video in listed.videos]
    labels = [tuple(c for c in video.all_labels if 0 <= c < len(listed.class_names)) for video in listed.videos]
    if config.folds is None:
        assert config.val_fraction is not None
        shares, held = [config.val_fraction, 1 - config.val_fraction], 0
        what = f"{config.val_fraction:.0%} of the clips"
    else:
        shares, held = [1 / config.folds] * config.folds, config.fold - 1
        what = f"fold {config.fold} of {config.folds}"
    _check_enough(labels, groups, listed, len(shares), remedy=_remedy(grouping))
    parts = divide(labels, groups, shares, seed=config.split_seed)
    if missing := _incomplete(labels, parts, len(shares)):
        names = first_few(listed.class_names[label] for label in missing)
        raise DataError(
            f"{listed.source}: groups hold so many clips of {names} that a part has none of them. Give another "
            f"--data.split-seed, fewer folds, or more recordings.{_remedy(grouping)}"
        )
    is_held = [part == held for part in parts]
    kept = [video for video, out in zip(listed.videos, is_held, strict=True) if out == (name == "test")]
    note = f"Held out for evaluation: {what} (split seed {config.split_seed}, {_digest(listed.videos, is_held)}): "
    note += _describe_parts(labels, is_held, listed.class_names)
    return replace(listed, videos=tuple(kept), notes=(*listed.notes, grouping.origin, note))


def divide(
    labels: Sequence[tuple[int, ...]], groups: Sequence[str], shares: Sequence[float], *, seed: int
) -> list[int]:
    """The part of each clip: groups stay whole, and each part gets its share of each class.

    Groups, the largest first and otherwise in random order, go to the part that lacks most of their clips (iterative
    stratification, Sechidis et al., "On the Stratification of Multi-Label Data", ECML 2011, with groups as units).

    Args:
        labels: classes of each clip.
        groups: group of each clip.
        shares: share of each part; their sum is 1.
        seed: seed of the order.

    >>> divide([(0,), (0,), (1,), (1,)], ["a", "b", "a", "b"], [0.5, 0.5], seed=0)
    [0, 1, 0, 1]
    """
    clips_of = defaultdict(list)
    for clip, group in enumerate(groups):
        clips_of[group].append(clip)
    parts: dict[str, int] = {}
    for attempt in range(_TRIES):
        parts = _divide_once(labels, clips_of, shares, np.random.default_rng((seed, attempt)))
        if not _incomplete(labels, [parts[group] for group in groups], len(shares)):
            break
    return [parts[group] for group in groups]


def _divide_once(
    labels: Sequence[tuple[int, ...]],
    clips_of: dict[str, list[int]],
    shares: Sequence[float],
    generator: np.random.Generator,
) -> dict[str, int]:
    totals = Counter(label for own in labels for label in own)
    lacking = [{label: _target(share, count) for label, count in totals.items()} for share in shares]
    room = [share * len(labels) for share in shares]
    names = sorted(clips_of)
    order = [names[place] for place in generator.permutation(len(names))]
    parts = {}
    for group in sorted(order, key=lambda group: -len(clips_of[group])):
        counts = Counter(label for clip in clips_of[group] for label in labels[clip])
        need = [
            (sum(lack[label] * count for label, count in counts.items()), room[p]) for p, lack in enumerate(lacking)
        ]
        part = need.index(max(need))
        parts[group] = part
        room[part] -= len(clips_of[group])
        for label, count in counts.items():
            lacking[part][label] -= count
    return parts


def _target(share: float, count: int) -> float:
    """Clips of a class that a part should have: its share, and at least one."""
    return min(max(share * count, 1.0), count - 1.0)


def _incomplete(labels: Sequence[tuple[int, ...]], parts: Sequence[int], num_parts: int) -> list[int]:
    """The classes that are not in each part."""
    parts_of = defaultdict(set)
    for own, part in zip(labels, parts, strict=True):
        for label in own:
            parts_of[label].add(part)
    return sorted(label for label, found in parts_of.items() if len(found) < num_parts)


def _remedy(grouping: Grouping) -> str:
    """Where groups come from, and how to give others."""
    if grouping.groups is None:
        return ""
    return (
        f" {grouping.origin} If these are not your recordings, give --data.group: a column, a file, or a pattern over "
        "the names ('.+' makes each name a group)."
    )


def _check_enough(
    labels: Sequence[tuple[int, ...]], groups: Sequence[str], listed: VideoList, num_parts: int, *, remedy: str
) -> None:
    groups_of = defaultdict(set)
    for own, group in zip(labels, groups, strict=True):
        for label in own:
            groups_of[label].add(group)
    few = {label: len(found) for label, found in groups_of.items() if len(found) < num_parts}
    if few:
        what = "clips" if len(set(groups)) == len(groups) else "groups"
        shown = ", ".join(f"{shorten(listed.class_names[c])} ({few[c]})" for c in sorted(few)[:MAX_SHOWN])
        raise DataError(
            f"{listed.source}: {len(few)} of {len(listed.class_names)} classes have fewer {what} than the {num_parts} "
            f"parts of the split: {shown}{', ...' if len(few) > MAX_SHOWN else ''}. Give more {what} of each, fewer "
            f"folds, or a list without these classes.{remedy}"
        )


def _digest(videos: Sequence[LabelledVideo], is_held: Sequence[bool]) -> str:
    """Eight characters that are equal for equal evaluation parts."""
    held = sorted(
        f"{video.name}\n{video.start_seconds}\n{video.end_seconds}"
        for video, out in zip(videos, is_held, strict=True)
        if out
    )
    digest = hashlib.sha256("\n".join(held).encode(errors="surrogatepass"))
    return f"clips {digest.hexdigest()[:8]}"


def _describe_parts(labels: Sequence[tuple[int, ...]], is_held: Sequence[bool], class_names: Sequence[str]) -> str:
    counts = {
        out: Counter(c for own, o in zip(labels, is_held, strict=True) if o == out for c in own) for out in (0, 1)
    }
    shown = [f"{shorten(name)} {counts[0][c]} + {counts[1][c]}" for c, name in enumerate(class_names[:MAX_SHOWN])]
    more = ", ..." if len(class_names) > MAX_SHOWN else ""
    return f"{is_held.count(False)} to train + {is_held.count(True)} to evaluate; by class: {', '.join(shown)}{more}."
