"""Choosing probes by cross-validation: a combined probe uses the cues that a class needs, and no others."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from side4video.config import ProbeConfig
from side4video.models.optical_flow import FLOW_GRID
from side4video.tasks.recognition.folds import make_folds
from side4video.tasks.recognition.probe_fitting import choose_probe, fit_probe, probe_logits, video_scores
from side4video.tasks.recognition.probe_tokens import ProbeTokens

T, SIDE, D = 4, 3, 8
FAMILIES = ("linear", "motion", "space-time", "correlation", "flow", "speed")


def no_flow(count):
    return torch.zeros(count, T, FLOW_GRID**2, 2)


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
    return ProbeTokens(pooled, {3: patches, 7: patches.flip(0)}, no_flow(count), torch.arange(count), labels)


@cache
def chosen_of(appearance, motion, name):
    return chosen(clips(32, appearance=appearance, motion=motion), name)


def chosen(tokens, name="combined", **options):
    classes = int(tokens.labels.max()) + 1
    folds = make_folds(tokens.clip_labels.tolist(), None, class_names="abcd"[:classes])
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
    assert found.found.loss <= chosen_of(*cues, name).found.loss + 1e-6


@pytest.mark.slow
def test_known_families_are_not_tried_again():
    known = {name: chosen_of(True, True, name) for name in FAMILIES}
    tokens, expected = clips(32, appearance=True, motion=True), chosen_of(True, True, "combined")
    assert chosen(tokens, known=known) == expected
    assert chosen(tokens, known=known | {"linear": known["motion"]}) != expected


def views_of(tokens, rows, **changes):
    """The views at the indices `rows`; `changes`: other fields."""
    patches = {block: part[rows] for block, part in tokens.patches.items()}
    fields = {
        "pooled": tokens.pooled[rows],
        "patches": patches,
        "flow": tokens.flow[rows],
        "videos": tokens.videos[rows],
    }
    return ProbeTokens(**{**fields, "labels": tokens.labels[rows], **changes})


def with_views(tokens, **changes):
    """Three equal views of each clip."""
    return views_of(tokens, torch.arange(len(tokens.labels)).repeat_interleave(3), **changes)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("views", [1, 3])
def test_the_fitted_probe_is_the_one_that_was_cross_validated(views, mirrored):
    """Fitted on a fold's training part, it recognises the same held-out clips; views count as in a test."""
    tokens = clips(32, appearance=True, motion=True)
    if views == 3:
        noise = torch.randn(96, T, D, generator=torch.Generator().manual_seed(1)) * 2
        tokens = with_views(tokens, pooled=tokens.pooled.repeat_interleave(3, dim=0) + noise)
    if mirrored:
        tokens = views_of(tokens, torch.arange(len(tokens.labels)), mirrored_labels=tokens.labels)
    found = chosen(tokens, "linear")
    folds = make_folds(tokens.clip_labels.tolist(), None, class_names="abcd")
    for (train, held), share in zip(folds.parts, found.found.right_by_fold, strict=True):
        probe = fit_probe(found.config, tokens, train, num_classes=4)
        scored = views_of(tokens, torch.from_numpy(tokens.rows_of(held)))
        scores, labels = video_scores(probe_logits(probe, scored, found.config), scored)
        assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(share)


def test_clips_that_only_their_middle_view_tells_apart_are_not_recognised():
    """The other views look like the other class, so a test of all views fails; so must the cross-validation."""
    middle = clips(32, appearance=True, motion=False)
    assert np.mean(chosen(middle, "linear").found.right) > 0.9
    pooled = with_views(middle).pooled
    pooled[0::3, :, 0] = pooled[2::3, :, 0] = 4.0 - pooled[1::3, :, 0]
    assert np.mean(chosen(with_views(middle, pooled=pooled), "linear").found.right) < 0.6


def moving_columns(column, count=16):
    """Clips of two classes; in one of them patches of a column change over time."""
    random = torch.Generator().manual_seed(column)
    labels = torch.arange(count) % 2
    patches = torch.randn(count, T, SIDE, SIDE, D, generator=random) * 0.1
    patches[:, :, :, column] += torch.randn(count, T, SIDE, D, generator=random) * labels[:, None, None, None]
    patches = {3: patches.flatten(2, 3)}
    return ProbeTokens(torch.zeros(count, T, D), patches, no_flow(count), torch.arange(count), labels)


def test_a_probe_trained_on_mirrored_views_recognises_mirrored_clips():
    left, right = moving_columns(0), moving_columns(2)
    rows, config = torch.arange(16), ProbeConfig(name="motion", block=3, grid=3)
    recognised = {}
    for name, labels in {"as it is": None, "mirrored": left.labels, "exchanged": 1 - left.labels}.items():
        probe = fit_probe(config, views_of(left, rows, mirrored_labels=labels), num_classes=2)
        recognised[name] = (probe_logits(probe, right, config).argmax(axis=1) == right.labels.numpy()).mean()
    assert recognised["as it is"] < 0.7
    assert recognised["mirrored"] == 1
    assert recognised["exchanged"] < 0.5


def test_exchanged_classes_do_not_confuse_a_probe_of_pooled_summaries():
    tokens = clips(32, appearance=True, motion=False)
    exchanged = replace(tokens, mirrored_labels=1 - tokens.labels)
    for name in ("linear", "combined"):
        found = chosen(exchanged, name)
        assert np.mean(found.found.right) > 0.9
        fitted = fit_probe(found.config, exchanged, num_classes=2)
        scores, labels = video_scores(probe_logits(fitted, exchanged, found.config), exchanged)
        assert (scores.argmax(axis=1) == labels).mean() > 0.9


def test_as_many_views_are_trained_on_as_the_limit_allows():
    tokens = with_views(clips(2, appearance=True, motion=False), mirrored_labels=torch.tensor([0, 0, 0, 1, 1, 1]))
    assert tokens.training_rows(np.array([1]), limit=100).tolist() == [4, 10, 3, 9, 5, 11]
    assert tokens.training_rows(np.array([0, 1]), limit=4).tolist() == [1, 7, 4, 10]
    assert tokens.training_rows(np.array([0, 1]), limit=1).tolist() == [1, 4]


def test_of_single_views_half_of_each_class_are_mirrored():
    tokens = clips(6, appearance=True, motion=False)  # classes 0, 1, 0, 1, 0, 1
    tokens = replace(tokens, mirrored_labels=tokens.labels)
    assert tokens.training_rows(np.arange(6), limit=11).tolist() == [0, 1, 8, 9, 4, 5]
    assert tokens.training_rows(np.array([2, 4]), limit=11).tolist() == [8, 4]  # the same without the other clips
    assert replace(tokens, mirrored_labels=None).training_rows(np.arange(6), limit=11).tolist() == [*range(6)]
