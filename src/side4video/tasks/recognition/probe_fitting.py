"""Fits probes to training clips; cross-validation chooses their options and their regularisation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray

from side4video.config import ProbeConfig, ProbeName
from side4video.config.probe import ProbePart
from side4video.models.probes import AttentiveProbe, CombinedProbe, Probe, build_single, join_parts
from side4video.tasks.recognition.folds import Folds
from side4video.tasks.recognition.late_fusion import cross_fused, fusion_weights
from side4video.tasks.recognition.logistic_regression import (
    CrossValidated,
    choose,
    cross_validate,
    fit,
    score_held_out,
)
from side4video.tasks.recognition.probe_tokens import ProbeTokens, mirror

EPOCHS, BATCH, RATE, DECAY = 40, 16, 1e-3, 0.1
"""Training of the attentive probe: AdamW with a cosine learning rate."""
COMBINED: tuple[ProbeName, ...] = ("linear", "motion", "space-time", "correlation", "flow", "speed")
"""Families that a combined probe may contain."""
MIN_WEIGHT = 0.01
"""A combined probe leaves out parts of a smaller weight."""
MAX_ROWS = 480
"""A probe is trained on at most this many views of all clips, mirrored ones included, but on one of each or more."""


@dataclass(frozen=True)
class ChosenProbe:
    """The options of a family of probes that cross-validation chose.

    Attributes:
        config: the options, including the strength.
        found: result of cross-validation; None if cross-validation is not possible.

    >>> found = CrossValidated(10.0, 0.6, (0.5, 0.7), (True, True), right_by_fold=(1.0,), logits=np.zeros((2, 2)))
    >>> ChosenProbe(ProbeConfig(name="linear"), found).loss
    0.6
    """

    config: ProbeConfig
    found: CrossValidated | None

    @property
    def loss(self) -> float:
        """Mean log loss of the held-out clips; 0 without cross-validation."""
        return 0.0 if self.found is None else self.found.loss


def probe_options(name: ProbeName, blocks: Sequence[int], grids: int) -> list[ProbeConfig]:
    """Return the options of a family to compare; the first is used if cross-validation is not possible.

    Args:
        name: the family.
        blocks: backbone blocks to choose from, ascending.
        grids: rows of patches, the maximum of a grid.

    >>> [(option.block, option.grid) for option in probe_options("correlation", (3, 11), grids=7)]
    [(3, 3), (3, 1)]
    """
    fine, coarse = min(7, grids), min(3, grids)
    if name == "linear":
        return [ProbeConfig(name=name)]
    if name == "motion":
        return [ProbeConfig(name=name, block=block, grid=grid) for grid in (1, fine) for block in blocks]
    if name == "space-time":
        return [ProbeConfig(name=name, block=block, grid=grid) for grid in (coarse, fine) for block in blocks]
    if name == "correlation":
        early = blocks[:-1] or blocks
        return [ProbeConfig(name=name, block=block, grid=grid) for grid in (coarse, 1) for block in early]
    if name in ("flow", "speed"):
        return [ProbeConfig(name=name, grid=grid) for grid in (3, 1)]
    return [ProbeConfig(name=name, block=blocks[-1], grid=fine)]


@torch.no_grad()
def features_of(probe: Probe, tokens: ProbeTokens, config: ProbeConfig) -> Float[ndarray, "rows F"]:
    """Return the probe's features of each row, before standardisation."""
    ways = (False,) if tokens.mirrored_labels is None else (False, True)
    return torch.cat([probe.features(part) for way in ways for part in tokens.parts(config, mirrored=way)]).numpy()


def _row_folds(tokens: ProbeTokens, folds: Folds) -> Folds:
    """The folds of clips as folds of rows: trained on `MAX_ROWS`, tested on all views, as test clips are."""
    parts = [(tokens.training_rows(train, MAX_ROWS), tokens.rows_of(held)) for train, held in folds.parts]
    return Folds(tuple(parts))


def choose_probe(
    name: ProbeName,
    tokens: ProbeTokens,
    folds: Folds,
    *,
    num_classes: int,
    seed: int = 0,
    known: Mapping[ProbeName, ChosenProbe] | None = None,
) -> ChosenProbe:
    """Choose the options of a family with the smallest held-out log loss; a clip's scores are the mean over its views.

    Args:
        name: the family.
        tokens: tokens of the training clips, with as many views as test clips have.
        folds: folds of these clips.
        num_classes: C.
        seed: seed of the attentive probe's training.
        known: results of other families on the same clips and folds; a combined probe builds on them.
    """
    if name == "combined":
        return _combine(tokens, folds, num_classes=num_classes, known=known or {})
    grids = int(next(iter(tokens.patches.values())).shape[2] ** 0.5)
    options = probe_options(name, sorted(tokens.patches), grids)
    if not folds.parts:
        return ChosenProbe(options[0], None)
    chosen = []
    for option in options:
        if name == "attentive":
            found = _cross_validate_attentive(option, tokens, folds, num_classes, seed)
        else:
            own = tokens.for_probe(option)
            features = features_of(_build(option, own, num_classes), own, option)
            rows = _row_folds(own, folds)
            found = choose(cross_validate(features, own.row_labels, rows, num_classes=num_classes, clips=own.row_clips))
        chosen.append(ChosenProbe(option.model_copy(update={"strength": found.strength}), found))
    return min(chosen, key=lambda one: one.loss)


def _cross_validate_attentive(
    option: ProbeConfig, tokens: ProbeTokens, folds: Folds, num_classes: int, seed: int
) -> CrossValidated:
    logits = np.full((len(tokens.labels), num_classes), np.nan)
    for train, held in folds.parts:
        probe = fit_probe(option, tokens, train, num_classes=num_classes, seed=seed)
        rows = tokens.rows_of(held)
        logits[rows] = probe_logits(probe, tokens, option)[rows]
    clips = tokens.row_clips[: len(logits)]
    return score_held_out(1.0, logits, tokens.labels.numpy(), _row_folds(tokens, folds), clips=clips)


def _combine(
    tokens: ProbeTokens, folds: Folds, *, num_classes: int, known: Mapping[ProbeName, ChosenProbe]
) -> ChosenProbe:
    """Choose the weights of all families with the smallest held-out log loss; see `fusion_weights`."""
    names = [name for name in COMBINED if tokens.pooled.shape[1] > 1 or name == "linear"]
    singles = [known.get(name) or choose_probe(name, tokens, folds, num_classes=num_classes) for name in names]
    found = [one.found for one in singles if one.found is not None]
    if not found:
        return ChosenProbe(_sum_of(singles[:1], [1.0]), None)
    rows, labels = _row_folds(tokens, folds), tokens.labels.numpy()
    logits = np.stack([one.logits[: len(labels)] for one in found])
    weights = fusion_weights(logits[:, rows.scored], labels[rows.scored])
    fused = cross_fused(logits, labels, [held for _, held in rows.parts])
    clips = tokens.row_clips[: len(labels)]
    return ChosenProbe(_sum_of(singles, weights), score_held_out(1.0, fused, labels, rows, clips=clips))


def _sum_of(singles: Sequence[ChosenProbe], weights: Iterable[float]) -> ProbeConfig:
    """The combined probe of the parts whose weight is at least `MIN_WEIGHT`, largest first; else of the best part."""
    parts = sorted(zip(singles, weights, strict=True), key=lambda part: -part[1])
    kept = [part for part in parts if part[1] >= MIN_WEIGHT] or [(min(singles, key=lambda one: one.loss), 1.0)]
    return ProbeConfig(name="combined", parts=tuple(_part(one.config, weight) for one, weight in kept))


def _part(config: ProbeConfig, weight: float) -> ProbePart:
    options = config.model_dump(include={"name", "block", "grid", "strength"})
    return ProbePart(**options, weight=round(weight, 2))


def _build(config: ProbeConfig, tokens: ProbeTokens, num_classes: int) -> Probe:
    _, frames, width = tokens.pooled.shape
    return build_single(config, width=width, num_frames=frames, num_classes=num_classes)


def fit_probe(
    config: ProbeConfig, tokens: ProbeTokens, clips: ndarray | None = None, *, num_classes: int, seed: int = 0
) -> Probe | CombinedProbe:
    """Fit a probe to all clips, or to the clips with the numbers `clips`; it is returned in eval mode.

    It is trained on several views of a clip, mirrored ones included, see `ProbeTokens.training_rows`.

    Raises:
        ValueError: all clips are of one class.
    """
    clips = np.arange(len(tokens.places)) if clips is None else clips
    if config.name == "attentive":
        return _train_attentive(config, tokens, clips, num_classes, seed)
    return join_parts(config, [_fit_single(own, tokens, clips, num_classes) for own in config.singles]).eval()


def _fit_single(config: ProbeConfig, tokens: ProbeTokens, clips: ndarray, num_classes: int) -> Probe:
    probe, tokens = _build(config, tokens, num_classes), tokens.for_probe(config)
    rows = tokens.training_rows(clips, MAX_ROWS)
    found = fit(
        features_of(probe, tokens, config)[rows],
        tokens.row_labels[rows],
        num_classes=num_classes,
        strength=config.strength,
    )
    with torch.no_grad():
        for own, value in (
            (probe.mean, found.mean),
            (probe.scale, found.scale),
            (probe.linear.weight, found.weight),
            (probe.linear.bias, found.bias),
        ):
            own.copy_(torch.from_numpy(value))
    return probe


def _train_attentive(
    config: ProbeConfig, tokens: ProbeTokens, clips: ndarray, num_classes: int, seed: int
) -> AttentiveProbe:
    """An epoch has one view of each clip, drawn at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = _build(config, tokens, num_classes).train()
        assert isinstance(probe, AttentiveProbe)
        views = torch.from_numpy(tokens.training_rows(clips, MAX_ROWS)).unflatten(0, (len(clips), -1))
        patches, labels, count = tokens.read(config.block), torch.from_numpy(tokens.row_labels), len(tokens.labels)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=DECAY)
        steps = EPOCHS * -(-len(clips) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(EPOCHS):
            drawn = views.gather(1, torch.randint(views.shape[1], (len(views), 1)))[:, 0]
            for rows in drawn[torch.randperm(len(drawn))].tensor_split(-(-len(drawn) // BATCH)):
                x = patches[rows % count]
                x = torch.where((rows >= count)[:, None, None, None], mirror(x), x)
                loss = F.cross_entropy(probe(x), labels[rows], label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return probe.eval()


@torch.no_grad()
def probe_logits(probe: Probe | CombinedProbe, tokens: ProbeTokens, config: ProbeConfig) -> Float[ndarray, "V C"]:
    """Return the logits of each view."""
    return torch.cat([probe(part) for part in tokens.parts(config)]).cpu().double().numpy()


def video_scores(logits: Float[ndarray, "V C"], tokens: ProbeTokens) -> tuple[Float[ndarray, "M C"], ndarray]:
    """Return the softmax averaged over the views of each video, and the videos' labels."""
    scores = torch.from_numpy(logits).softmax(dim=1)
    _, place = tokens.videos.unique_consecutive(return_inverse=True)
    count = int(place.max()) + 1
    total = torch.zeros(count, scores.shape[1], dtype=scores.dtype).index_add_(0, place, scores)
    labels = torch.zeros(count, dtype=torch.long).index_copy_(0, place, tokens.labels)
    return (total / place.bincount()[:, None]).numpy(), labels.numpy()
