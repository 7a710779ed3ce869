"""The choice between candidates: the best, or a simpler one that is not clearly worse."""

import math
from dataclasses import replace

import numpy as np

from side4video.selection.fold_results import (
    FoldResults,
    SearchResult,
    choose,
    error_of_difference,
    guess_classes,
    read_search,
)
from side4video.tasks.recognition.folds import make_folds


def tried(name, level, rights):
    """A result with log loss 0 for each recognised clip and 1 for the others."""
    right = {place: one == "1" for place, one in enumerate(rights)}
    return FoldResults(name, level, {}, right, {place: float(not one) for place, one in right.items()}, 1.0)


def test_means_and_differences_clip_by_clip():
    one, other = tried("a", 0, "1110"), tried("b", 0, "1000")
    assert (one.mean, other.mean) == (0.75, 0.25)
    difference, error = error_of_difference(one, other)
    assert difference == 0.5
    assert error == (4 * 0.5**2 / 3) ** 0.5 / 2  # deviation of 0, 1, 1, 0 over the root of 4


def test_side_network_is_chosen_only_if_clearly_better_than_a_probe():
    probe, side = tried("probe", 0, "1" * 60 + "0" * 40), tried("side", 2, "1" * 62 + "0" * 38)
    noisy = tried("noisy", 2, "0" * 9 + "1" * 62 + "0" * 29)
    assert choose([probe, side])[0] is side  # two clips more, none less
    assert choose([probe, noisy])[0] is probe  # eleven more, nine less
    assert "simpler than noisy" in choose([probe, noisy])[1]


def test_best_candidate_of_one_level_is_chosen():
    assert choose([tried("a", 0, "1100"), tried("b", 0, "0111")])[0].name == "b"


def test_smaller_log_loss_decides_between_equal_accuracies():
    right = dict.fromkeys(range(4), True)
    sure = FoldResults("sure", 1, {}, right, dict.fromkeys(range(4), 0.1), 1.0)
    unsure = FoldResults("unsure", 0, {}, right, dict.fromkeys(range(4), 0.6), 1.0)
    assert choose([unsure, sure])[0] is sure


def test_results_round_trip(tmp_path):
    result = SearchResult((tried("a", 0, "10"),), "a", "a: best", 2.0, ("no groups",), 2)
    result.write(tmp_path)
    assert read_search(tmp_path) == result
    assert result.rows() == [("a (chosen)", "50.0 +- 50.0", "0.50", "2", "1")]
    assert read_search(tmp_path / "elsewhere") is None


def test_guessing_scores_the_shares_of_the_other_folds():
    labels, places = np.array([0] * 12 + [1] * 4), np.arange(16) + 100
    folds = make_folds(labels.tolist(), None, class_names=["a", "b"])
    found = guess_classes(labels, places, folds)
    assert found.right == {place: label == 0 for place, label in zip(places.tolist(), labels, strict=True)}
    assert math.isclose(found.loss, 0.75 * -math.log(0.75) + 0.25 * -math.log(0.25))


def test_a_choice_that_is_not_better_than_guessing_is_named(tmp_path):
    labels = np.arange(100) % 2
    folds = make_folds(labels.tolist(), None, class_names=["a", "b"])
    guess = guess_classes(labels, np.arange(100), folds)
    noise = np.random.default_rng(0).normal(0.69, 0.3, 100)
    chance = FoldResults("probe", 0, {}, guess.right, dict(enumerate(noise.tolist())), 1.0)
    better = replace(chance, losses=dict(enumerate((noise - 0.3).tolist())))
    result = SearchResult((chance,), "probe", "probe: the best.", 1.0, (), 100, guess)
    assert "probe is not clearly better than guessing" in result.warning
    assert replace(result, tried=(better,)).warning is None
    assert [row[0] for row in result.rows()] == ["probe (chosen)", "majority class"]
    result.write(tmp_path)
    assert read_search(tmp_path) == result
