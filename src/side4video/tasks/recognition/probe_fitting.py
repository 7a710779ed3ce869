"""Fits probes to training clips; cross-validation chooses their options and their regularisation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from side4video.config import ProbeConfig, ProbeName
from side4video.config.probe import ProbePart
from side4video.models.probes import AttentiveProbe, CombinedProbe, Probe, build_probe, part_weights
from side4video.tasks.recognition.folds import Folds
from side4video.tasks.recognition.logistic_regression import (
    STRENGTHS,
    CrossValidated,
    choose,
    cross_validate,
    fit,
    score_held_out,
)
from side4video.tasks.recognition.probe_tokens import ProbeTokens

EPOCHS, BATCH, RATE, DECAY = 40, 16, 1e-3, 0.1
"""Training of the attentive probe: AdamW with a cosine learning rate."""
COMBINED: tuple[ProbeName, ...] = ("linear", "motion", "space-time", "correlation")
"""Families that a combined probe may contain."""
WEIGHTS = (0.5, 1.0, 2.0)
"""Weights that are tried for each part after the first."""


@dataclass(frozen=True)
class ChosenProbe:
    """The options of a family of probes that cross-validation chose.

    Attributes:
        config: the options, including the strength.
        found: result of cross-validation; None if cross-validation is not possible.

    >>> found = CrossValidated(10.0, loss=0.6, losses=(0.5, 0.7), right=(True, True), right_by_fold=(1.0,))
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
    return [ProbeConfig(name=name, block=blocks[-1], grid=fine)]


@torch.no_grad()
def features_of(probe: Probe, tokens: ProbeTokens, config: ProbeConfig) -> Float[ndarray, "V F"]:
    """Return the probe's features of each view, before standardisation."""
    return torch.cat([probe.features(part) for part in tokens.parts(config)]).numpy()


def choose_probe(
    name: ProbeName,
    tokens: ProbeTokens,
    folds: Folds,
    *,
    num_classes: int,
    seed: int = 0,
    known: Mapping[ProbeName, ChosenProbe] | None = None,
) -> ChosenProbe:
    """Choose the options of a family with the smallest held-out log loss.

    Args:
        name: the family.
        tokens: tokens of the training clips, one view of each, in the order of the folds' indices.
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
    labels = tokens.labels.numpy()
    chosen = []
    for option in options:
        if name == "attentive":
            logits = np.full((len(labels), num_classes), np.nan)
            for train, held in folds.parts:
                probe = fit_probe(option, tokens, train, num_classes=num_classes, seed=seed)
                logits[held] = probe_logits(probe, tokens, option)[held]
            found = score_held_out(1.0, logits, labels, folds)
        else:
            features = features_of(_build(option, tokens, num_classes), tokens, option)
            found = choose(cross_validate(features, labels, folds, num_classes=num_classes))
        chosen.append(ChosenProbe(option.model_copy(update={"strength": found.strength}), found))
    return min(chosen, key=lambda one: one.loss)


def _combine(
    tokens: ProbeTokens, folds: Folds, *, num_classes: int, known: Mapping[ProbeName, ChosenProbe]
) -> ChosenProbe:
    """Start with the best family; add the family and weight with the lowest held-out log loss while that falls."""
    names = [name for name in COMBINED if tokens.pooled.shape[1] > 1 or name == "linear"]
    singles = {name: known.get(name) or choose_probe(name, tokens, folds, num_classes=num_classes) for name in names}
    first, *remaining = sorted(names, key=lambda name: singles[name].loss)
    config = ProbeConfig(
        name="combined", parts=(_part(singles[first].config, 1.0),), strength=singles[first].config.strength
    )
    best = ChosenProbe(config, singles[first].found)
    while remaining and folds.parts:
        tried = [
            (name, _with_part(best.config, _part(singles[name].config, weight), tokens, folds, num_classes))
            for name in remaining
            for weight in WEIGHTS
        ]
        name, added = min(tried, key=lambda one: one[1].loss)
        if added.loss >= best.loss:
            break
        best = added
        remaining.remove(name)
    return best


def _with_part(
    config: ProbeConfig, part: ProbePart, tokens: ProbeTokens, folds: Folds, num_classes: int
) -> ChosenProbe:
    """Cross-validate a combined probe with one more part, at strengths near its own."""
    strengths = [value for value in STRENGTHS if 0.05 < value / config.strength < 20]
    config = config.model_copy(update={"parts": (*config.parts, part)})
    probe = _build(config, tokens, num_classes)
    found = choose(
        cross_validate(
            features_of(probe, tokens, config),
            tokens.labels.numpy(),
            folds,
            num_classes=num_classes,
            strengths=strengths,
            weights=_weights(probe, config),
        )
    )
    return ChosenProbe(config.model_copy(update={"strength": found.strength}), found)


def _part(config: ProbeConfig, weight: float) -> ProbePart:
    return ProbePart.model_validate({"name": config.name, "block": config.block, "grid": config.grid, "weight": weight})


def _weights(probe: Probe, config: ProbeConfig) -> Float[ndarray, " F"] | None:
    """Factors of the standardised features; None for a probe without parts."""
    if not isinstance(probe, CombinedProbe):
        return None
    return part_weights(probe.sizes, [part.weight for part in config.parts]).numpy()


def _build(config: ProbeConfig, tokens: ProbeTokens, num_classes: int) -> Probe:
    _, frames, width = tokens.pooled.shape
    return build_probe(config, width=width, num_frames=frames, num_classes=num_classes)


def fit_probe(
    config: ProbeConfig, tokens: ProbeTokens, clips: ndarray | None = None, *, num_classes: int, seed: int = 0
) -> Probe:
    """Fit a probe to all clips, or to the clips at the indices `clips`; it is returned in eval mode.

    Raises:
        ValueError: all clips are of one class.
    """
    rows = torch.arange(len(tokens.labels)) if clips is None else torch.from_numpy(clips)
    if config.name == "attentive":
        return _train_attentive(config, tokens, rows, num_classes, seed)
    probe = _build(config, tokens, num_classes)
    features = features_of(probe, tokens, config)[rows]
    found = fit(
        features,
        tokens.labels[rows].numpy(),
        num_classes=num_classes,
        strength=config.strength,
        weights=_weights(probe, config),
    )
    with torch.no_grad():
        for own, value in (
            (probe.mean, found.mean),
            (probe.scale, found.scale),
            (probe.linear.weight, found.weight),
            (probe.linear.bias, found.bias),
        ):
            own.copy_(torch.from_numpy(value))
    return probe.eval()


def _train_attentive(
    config: ProbeConfig, tokens: ProbeTokens, rows: Tensor, num_classes: int, seed: int
) -> AttentiveProbe:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = _build(config, tokens, num_classes).train()
        assert isinstance(probe, AttentiveProbe)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=DECAY)
        steps = EPOCHS * -(-len(rows) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(EPOCHS):
            for part in rows[torch.randperm(len(rows))].tensor_split(-(-len(rows) // BATCH)):
                logits = probe(tokens.read(config.block)[part])
                loss = F.cross_entropy(logits, tokens.labels[part], label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return probe.eval()


@torch.no_grad()
def probe_logits(probe: Probe, tokens: ProbeTokens, config: ProbeConfig) -> Float[ndarray, "V C"]:
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
