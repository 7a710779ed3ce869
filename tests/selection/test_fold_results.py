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


def test_clips_of_one_recording_count_as_one_in_errors():
    """Repeating every clip four times in its recording is no news; as independent clips it would halve the error."""
    one, other = tried("a", 0, "1101"), tried("b", 1, "1010")
    repeated = [
        tried(two.name, two.level, "".join(letter * 4 for letter in text))
        for two, text in ((one, "1101"), (other, "1010"))
    ]
    groups = {place: place // 4 for place in range(16)}
    assert error_of_difference(*repeated, groups) == error_of_difference(one, other)
    assert error_of_difference(*repeated)[1] < error_of_difference(one, other)[1]


def test_recordings_decide_whether_a_side_network_is_clearly_better():
    probe, side = tried("probe", 0, "1" * 60 + "0" * 40), tried("side", 3, "1" * 63 + "0" * 37)
    assert choose([probe, side])[0] is side
    assert choose([probe, side], {place: place // 10 for place in range(100)})[0] is probe  # all three in one recording


def test_errors_in_the_table_know_recordings_and_are_never_zero():
    groups = {place: place // 10 for place in range(40)}
    half, all_right = tried("half", 0, "1" * 20 + "0" * 20), tried("all", 0, "1" * 40)
    result = SearchResult((half, all_right), "half", "", 1.0, (), 40, groups=groups)
    by_name = {name.split()[0]: right for name, right, *_ in result.rows()}
    assert by_name == {"half": "50.0 +- 28.9", "all": "100.0 +- 1.7"}  # 28.9: four recordings; independent clips: 8.0


def test_side_network_is_chosen_only_if_clearly_better_than_a_probe():
    probe, side = tried("probe", 0, "1" * 60 + "0" * 40), tried("side", 2, "1" * 62 + "0" * 38)
    noisy = tried("noisy", 2, "0" * 9 + "1" * 62 + "0" * 29)
    assert choose([probe, side])[0] is side  # two clips more, none less
    assert choose([probe, noisy])[0] is probe  # eleven more, nine less
    assert "simpler than noisy" in choose([probe, noisy])[1]


def test_several_cues_are_chosen_by_smaller_differences_than_a_side_network():
    one = tried("one", 0, "0" * 10 + "1" * 60 + "0" * 30)
    better = "1" * 9 + "0" * 7 + "1" * 54 + "0" * 30  # nine clips more, six less: 0.8 standard errors
    hardly = "1" * 7 + "0" * 9 + "1" * 54 + "0" * 30  # seven more, six less: 0.3
    for right, expected in ((better, {1: "several", 2: "one"}), (hardly, {1: "one", 2: "one"})):
        for level, name in expected.items():
            assert choose([one, tried("several", level, right)])[0].name == name


def test_best_candidate_of_one_level_is_chosen():
    assert choose([tried("a", 0, "1100"), tried("b", 0, "0111")])[0].name == "b"


def test_smaller_log_loss_decides_between_equal_accuracies():
    right = dict.fromkeys(range(4), True)
    sure = FoldResults("sure", 1, {}, right, dict.fromkeys(range(4), 0.1), 1.0)
    unsure = FoldResults("unsure", 0, {}, right, dict.fromkeys(range(4), 0.6), 1.0)
    assert choose([unsure, sure])[0] is sure


def test_results_round_trip(tmp_path):
    result = SearchResult((tried("a", 0, "10"),), "a", "a: best", 2.0, ("no groups",), 2, groups={0: 3, 1: 5})
    result.write(tmp_path)
    assert read_search(tmp_path) == result
    assert result.rows() == [("a (chosen)", "50.0 +- 50.0", "0.50", "2", "1")]
    assert read_search(tmp_path / "elsewhere") is None


def test_guessing_scores_the_shares_of_the_classes():
    labels, places = np.array([0] * 12 + [1] * 4), np.arange(16) + 100
    folds = make_folds(labels.tolist(), None, class_names=["a", "b"])
    found = guess_classes(labels, places, folds)
    assert found.right == {place: label == 0 for place, label in zip(places.tolist(), labels, strict=True)}
    assert math.isclose(found.loss, 0.75 * -math.log(0.75) + 0.25 * -math.log(0.25))


def test_guessing_between_equal_classes_is_right_half_of_the_time_in_uneven_folds():
    labels = np.arange(12) % 2  # six clips of each class in four folds
    found = guess_classes(labels, np.arange(12), make_folds(labels.tolist(), None, class_names=["a", "b"]))
    assert found.mean == 0.5
    assert math.isclose(found.loss, math.log(2))


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
    lucky = replace(chance, losses=dict(enumerate((noise - noise.mean() + guess.loss - 0.075).tolist())))  # 2.5 errors
    assert replace(result, tried=(lucky,)).warning is None
    assert replace(result, tried=(lucky, *[chance] * 13)).warning  # the best of 14
    assert replace(
        result, tried=(lucky,), groups={place: place // 50 for place in range(100)}
    ).warning  # two recordings
    result.write(tmp_path)
    assert read_search(tmp_path) == result
