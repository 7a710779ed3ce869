"""Choosing probes by cross-validation: a combined probe uses the cues that a class needs, and no others."""

from functools import cache

import numpy as np
import pytest
import torch

from side4video.tasks.recognition.folds import make_folds
from side4video.tasks.recognition.probe_fitting import choose_probe, fit_probe, probe_logits
from side4video.tasks.recognition.probe_tokens import ProbeTokens

T, SIDE, D = 4, 3, 8
FAMILIES = ("linear", "motion", "space-time", "correlation")


@cache
def clips(count, *, appearance, motion):
    """Tokens of clips whose class is told by the pooled summary, by the amount of motion, or by both together."""
    random = torch.Generator().manual_seed(0)
    looks, moves = torch.arange(count) % 2, torch.arange(count) // 2 % 2
    pooled = torch.randn(count, T, D, generator=random)
    pooled[:, :, 0] += 4.0 * looks[:, None]
    still = torch.randn(count, 1, SIDE**2, D, generator=random)
    patches = still + torch.randn(count, T, SIDE**2, D, generator=random) * (0.1 + moves[:, None, None, None])
    labels = 2 * looks + moves if appearance and motion else looks if appearance else moves
    return ProbeTokens(pooled, {3: patches, 7: patches.flip(0)}, torch.arange(count), labels)


@cache
def chosen_of(appearance, motion, name):
    return chosen(clips(32, appearance=appearance, motion=motion), name)


def chosen(tokens, name="combined", **options):
    classes = int(tokens.labels.max()) + 1
    folds = make_folds(tokens.labels.tolist(), None, class_names="abcd"[:classes])
    return choose_probe(name, tokens, folds, num_classes=classes, **options)


def test_a_class_of_two_cues_needs_both():
    found = chosen_of(True, True, "combined")
    assert {part.name for part in found.config.parts} >= {"linear", "motion"}
    singles = [chosen_of(True, True, name) for name in FAMILIES]
    assert np.mean(found.found.right) > max(np.mean(one.found.right) for one in singles) + 0.1


@pytest.mark.parametrize(("cue", "name"), [("appearance", "linear"), ("motion", "motion")])
def test_a_class_of_one_cue_starts_with_it(cue, name):
    cues = cue == "appearance", cue == "motion"
    found = chosen_of(*cues, "combined")
    assert found.config.parts[0].name == name
    assert found.found.loss <= chosen_of(*cues, name).found.loss


def test_known_families_are_not_tried_again():
    known = {name: chosen_of(True, True, name) for name in FAMILIES}
    tokens, expected = clips(32, appearance=True, motion=True), chosen_of(True, True, "combined")
    assert chosen(tokens, known=known) == expected
    assert chosen(tokens, known=known | {"linear": known["motion"]}) != expected


def test_the_fitted_probe_is_the_one_that_was_cross_validated():
    """Fitted on a fold's training part, it recognises the same held-out clips."""
    tokens, found = clips(32, appearance=True, motion=True), chosen_of(True, True, "combined")
    folds = make_folds(tokens.labels.tolist(), None, class_names="abcd")
    for (train, held), share in zip(folds.parts, found.found.right_by_fold, strict=True):
        probe = fit_probe(found.config, tokens, train, num_classes=4)
        right = probe_logits(probe, tokens, found.config)[held].argmax(axis=1) == tokens.labels.numpy()[held]
        assert np.mean(right) == pytest.approx(share)
