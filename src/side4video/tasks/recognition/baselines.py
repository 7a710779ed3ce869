"""Baselines without a side network: accuracy of probes on the frozen tokens, chance and the majority class."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from pydantic import TypeAdapter
from rich.table import Table

from side4video.config import ProbeConfig, ProbeName, RunConfig
from side4video.data.datasets import TestClips
from side4video.data.lists.text_files import first_few
from side4video.data.loading.loader import test_loader
from side4video.distributed.processes import print_once
from side4video.models.backbones.loading import FrozenBackbone
from side4video.tasks.clips import choose_workers, evaluation_clips
from side4video.tasks.recognition.data import RecognitionData, as_evaluated, evaluated_groups, mirrored_classes
from side4video.tasks.recognition.folds import Folds, make_folds
from side4video.tasks.recognition.metrics import label_ranks
from side4video.tasks.recognition.probe_fitting import ChosenProbe, choose_probe, fit_probe, probe_logits, video_scores
from side4video.tasks.recognition.probe_tokens import ProbeTokens, load_probe_tokens
from side4video.tasks.unread import withheld_scores_reason

BASELINES = "baselines.json"
HEAD = ("baseline", "cross-validation, %", "test top-1, %")


@dataclass(frozen=True)
class Baseline:
    """The accuracy of one probe. Shares are 0..1; None if they could not be measured.

    >>> probe = Baseline("linear", options={}, cv=0.583, cv_error=0.064, top1=None, error=None)
    >>> with_error(probe.cv, probe.cv_error), with_error(probe.top1, probe.error)
    ('58.3 +- 6.4', '-')
    """

    name: str
    options: dict[str, Any]
    """Options that cross-validation chose, as settings of `probe`."""
    cv: float | None
    cv_error: float | None
    """`cv` is the mean over the held-out training clips, `cv_error` its standard error."""
    top1: float | None
    error: float | None
    """`top1` is measured on the test videos, `error` is its standard error."""


@dataclass(frozen=True)
class Baselines:
    """The baselines of a run, to compare its result with.

    >>> Baselines(chance=0.25, majority=0.3, num_videos=20, probes=(), notes=()).rows()
    [('chance', '', '25.0'), ('majority class', '', '30.0')]
    """

    chance: float
    majority: float | None
    """Share of test videos whose class is the most frequent one in the training clips."""
    num_videos: int
    """Number of test videos."""
    probes: tuple[Baseline, ...]
    notes: tuple[str, ...]
    """How clips were grouped, and deviations from the settings."""

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain lists and dictionaries."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, cross-validation and test accuracy in percent, with standard errors."""
        majority = "-" if self.majority is None else f"{100 * self.majority:.1f}"
        return [
            ("chance", "", f"{100 * self.chance:.1f}"),
            ("majority class", "", majority),
            *(
                (f"{one.name} probe", with_error(one.cv, one.cv_error), with_error(one.top1, one.error))
                for one in self.probes
            ),
        ]

    def table(self) -> Table:
        """A printable table."""
        table = Table(*HEAD, title=f"Probes on the frozen tokens; {self.num_videos} test videos")
        for row in self.rows():
            table.add_row(*row)
        return table


def read_baselines(out: Path) -> Baselines | None:
    """Read the baselines of a run folder; None if none were measured."""
    path = out / BASELINES
    if not path.is_file():
        return None
    return TypeAdapter(Baselines).validate_json(path.read_bytes())


def with_error(mean: float | None, error: float | None) -> str:
    """Format percent with standard error; "-" without a value.

    >>> with_error(0.583, 0.064)
    '58.3 +- 6.4'
    """
    return "-" if mean is None or error is None else f"{100 * mean:.1f} +- {100 * error:.1f}"


def standard_error(values: Sequence[float], groups: Sequence[int] | None = None) -> float:
    """Standard error of the mean of `values` if clips of different groups are independent (Liang and Zeger 1986).

    Args:
        values: one per clip.
        groups: number of each clip's group; None: each clip is its own group.

    >>> standard_error([0.0, 1.0]), standard_error([0.0, 0.0, 1.0, 1.0], groups=[0, 0, 1, 1])
    (0.5, 0.5)
    """
    if len(values) < 2:
        return 0.0
    numbers = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(numbers, weights=np.asarray(values, dtype=float) - np.mean(values))
    return float((np.square(sums).sum() * len(sums) / max(len(sums) - 1, 1)) ** 0.5 / len(values))


def accuracy_error(right: Sequence[bool], groups: Sequence[int] | None = None) -> float:
    """Standard error of the share of `right`, 0..1, see `standard_error`; not 0 where all clips are right, or none.

    It is at least half of the score interval of Wilson (1927) for one standard error and independent clips.

    >>> accuracy_error([True, False]), round(accuracy_error([True] * 50), 3)
    (0.5, 0.014)
    """
    if not len(right):
        return 0.0
    share = (sum(right) + 0.5) / (len(right) + 1)
    return max(standard_error(right, groups), float((share * (1 - share) / (len(right) + 1)) ** 0.5))


def training_tokens(config: RunConfig, data: RecognitionData, backbone: FrozenBackbone) -> ProbeTokens:
    """Return the tokens of the training clips that can be read.

    The clips have the views of test clips: a sampling that recognises only the middle of a clip must not look better in
    cross-validation than it is in a test. Where training mirrors clips, probes are trained on mirrored views, too.
    """
    assert data.train is not None
    videos = as_evaluated(data.train, config.data)
    exchanged = mirrored_classes(data, config.data)
    tokens = probe_tokens_of(
        evaluation_clips(videos, config=config, backbone=backbone), config=config, backbone=backbone
    )
    if exchanged:
        tokens = tokens.without_mirrored_crops(config.eval.crops)
    if config.augment.flip:
        tokens = replace(tokens, mirrored_labels=torch.tensor([exchanged.get(c, c) for c in tokens.labels.tolist()]))
    return tokens


def training_folds(
    places: Int[ndarray, " clips"], config: RunConfig, data: RecognitionData
) -> tuple[Folds, tuple[str, ...]]:
    """Divide training clips into folds that keep recordings together; return them, and notes to print.

    Args:
        places: indices of the clips in the list of training clips.
        config, data: settings and data of the run.
    """
    assert data.train is not None
    videos, grouping = as_evaluated(data.train, config.data), evaluated_groups(data.train, config.data)
    labels = [videos[place].label for place in places]
    groups = None if grouping.groups is None else [grouping.groups[place] for place in places]
    folds = make_folds(labels, groups, class_names=data.class_names, seed=config.seed)
    return folds, (*unread_clips(places, config, data), grouping.origin, *folds.notes)


def unread_clips(places: Int[ndarray, " clips"], config: RunConfig, data: RecognitionData) -> tuple[str, ...]:
    """A warning that names the training clips that are not at `places`, if there are any.

    Raises:
        ValueError: there are some, and `data.on_error` is "stop".
    """
    assert data.train is not None
    videos = as_evaluated(data.train, config.data)
    unread = list(dict.fromkeys(videos[place].name for place in sorted(set(range(len(videos))) - set(places.tolist()))))
    if not unread:
        return ()
    found = f"{len(unread)} of {len(data.train.videos)} training clips cannot be read completely: {first_few(unread)}."
    if config.data.on_error == "stop":
        raise ValueError(f"{found} Repair or remove them, or skip them with --data.on-error skip.")
    return (f"warning: {found} They are left out. side4video check-data names the reasons.",)


def probe_tokens_of(clips: TestClips, *, config: RunConfig, backbone: FrozenBackbone) -> ProbeTokens:
    """Return the tokens of a clip set, from the cache or computed."""
    batches = test_loader(
        clips,
        batch_clips=1,
        workers=choose_workers(config.data.workers),
        timeout_seconds=config.data.timeout_seconds,
    )
    return load_probe_tokens(clips, batches, backbone=backbone, config=config)


def measure_baselines(
    config: RunConfig, data: RecognitionData, backbone: FrozenBackbone, *, test_clips: TestClips | None
) -> Baselines:
    """Choose, fit and test the probes named in `config.eval.probe`; print how clips were grouped."""
    tokens = training_tokens(config, data, backbone)
    folds, notes = training_folds(tokens.places, config, data)
    for note in notes:
        print_once(note)
    test = None if test_clips is None else _scored_tokens(test_clips, config=config, backbone=backbone)
    if test is not None and mirrored_classes(data, config.data):
        test = test.without_mirrored_crops(config.eval.crops)
    count = len(data.class_names)
    found = []
    known: dict[ProbeName, ChosenProbe] = {}
    for name in config.eval.probes:
        chosen = known[name] = choose_probe(name, tokens, folds, num_classes=count, seed=config.seed, known=known)
        right = () if chosen.found is None else chosen.found.right
        cv = None if not right else float(np.mean(right))
        scored = None if test is None else _test(chosen.config, tokens, test, count, config.seed)
        options = chosen.config.model_dump(mode="json")
        groups = None if folds.groups is None else folds.groups[folds.scored].tolist()
        error = accuracy_error(right, groups) if right else None
        found.append(Baseline(name, options, cv, error, *(scored or (None, None))))
    majority = None
    if test is not None:
        _, labels = video_scores(np.zeros((len(test.labels), count)), test)
        majority = float((labels == np.bincount(tokens.clip_labels).argmax()).mean())
    return Baselines(
        chance=1 / count,
        majority=majority,
        num_videos=0 if test is None else len(labels),
        probes=tuple(found),
        notes=notes,
    )


def _scored_tokens(clips: TestClips, *, config: RunConfig, backbone: FrozenBackbone) -> ProbeTokens | None:
    """Return the tokens of the test clips; None if too many clips are unreadable for a score."""
    tokens = probe_tokens_of(clips, config=config, backbone=backbone)
    num_read = len(tokens.videos.unique())
    refused = withheld_scores_reason(
        num_read=num_read, num_unread=len(clips) - num_read, max_unread=config.eval.max_unread
    )
    return tokens if refused is None else None


def _test(
    config: ProbeConfig, tokens: ProbeTokens, test: ProbeTokens, num_classes: int, seed: int
) -> tuple[float, float]:
    """Top-1 on the test videos, and its standard error."""
    probe = fit_probe(config, tokens, num_classes=num_classes, seed=seed)
    scores, labels = video_scores(probe_logits(probe, test, config), test)
    right = label_ranks(scores, labels) == 1
    return float(right.mean()), accuracy_error(right.tolist())
