"""Folds inside the training clips: groups stay together, classes are spread, odd lists are explained."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from side4video.tasks.recognition.folds import make_folds

NAMES = ("run", "jump", "swim", "fly")


def held(folds):
    return sorted(int(place) for _, part in folds.parts for place in part)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=40), st.booleans())
def test_no_group_is_split_and_clips_are_held_out_at_most_once(clips, grouped):
    labels = [label for label, _ in clips]
    groups = [str(group) for _, group in clips] if grouped else None
    folds = make_folds(labels, groups, class_names=NAMES)
    places = held(folds)
    assert len(places) == len(set(places))
    ignored = any("without groups" in note for note in folds.notes)
    single = {label for label in labels if len({g for c, g in clips if c == label}) < 2}
    for train, test in folds.parts:
        assert sorted([*train, *test]) == list(range(len(labels)))
        if grouped and not ignored:
            movable = [place for place in train if labels[place] not in single]
            assert not {groups[place] for place in movable} & {groups[place] for place in test}
    assert folds.parts or "No cross-validation" in folds.notes[-1]


def test_classes_are_spread_evenly_without_groups():
    labels = [0] * 20 + [1] * 8
    folds = make_folds(labels, None, class_names=NAMES)
    assert [Counter(labels[place] for place in part) for _, part in folds.parts] == [{0: 5, 1: 2}] * 4
    assert not folds.notes


def test_the_same_seed_gives_the_same_folds():
    labels = [0, 1] * 10
    first, again, other = (make_folds(labels, None, class_names=NAMES, seed=seed) for seed in (1, 1, 2))
    assert [part.tolist() for _, part in first.parts] == [part.tolist() for _, part in again.parts]
    assert [part.tolist() for _, part in first.parts] != [part.tolist() for _, part in other.parts]


def test_a_class_of_one_clip_is_trained_with_and_not_scored():
    folds = make_folds([0] * 4 + [1] * 4 + [2], None, class_names=NAMES)
    assert held(folds) == list(range(8))
    assert all(8 in train for train, _ in folds.parts)
    assert folds.notes == (
        "swim: one clip alone. Cross-validation trains with it and does not score it; give a second clip.",
    )


def test_a_class_in_one_group_is_trained_with_and_not_scored():
    folds = make_folds([0] * 4 + [1] * 4 + [2] * 2, [*"abcdabcd", "e", "e"], class_names=NAMES)
    assert held(folds) == list(range(8))
    assert "swim: one group alone" in folds.notes[0]


def test_a_class_smaller_than_the_folds_is_in_some_of_them():
    labels = [0] * 8 + [1] * 2
    folds = make_folds(labels, None, class_names=NAMES)
    assert len(folds.parts) == 4
    assert sum(any(labels[place] == 1 for place in part) for _, part in folds.parts) == 2
    assert "jump: fewer clips than the 4 folds" in folds.notes[0]


def test_fewer_clips_everywhere_make_fewer_folds():
    assert len(make_folds([0, 0, 1, 1], None, class_names=NAMES).parts) == 2


def test_groups_that_are_classes_are_ignored_with_a_warning():
    folds = make_folds([0] * 8 + [1] * 8, ["a"] * 8 + ["b"] * 8, class_names=NAMES)
    assert len(folds.parts) == 4
    assert folds.notes[0].startswith("warning: the groups hold whole classes")


@pytest.mark.parametrize("labels", [[0, 1], [0], [0, 0, 0], [0, 0, 1]])
def test_too_few_clips_are_not_divided(labels):
    folds = make_folds(labels, None, class_names=NAMES)
    assert not folds.parts
    assert not len(folds.scored)
    assert "Give two clips of each class" in folds.notes[0]


def test_every_class_keeps_clips_to_train_on_where_that_is_possible():
    labels, groups = [0, 0, 0, 0, 1, 1, 1, 1], list("aabbaabb")
    for train, _ in make_folds(labels, groups, class_names=NAMES).parts:
        assert set(np.array(labels)[train]) == {0, 1}
