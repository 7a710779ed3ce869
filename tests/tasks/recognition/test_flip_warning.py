"""The warning about mirrored clips of classes whose names are directions."""

import pytest

from side4video.tasks.recognition.data import flip_warning


@pytest.mark.parametrize(
    "name",
    [
        *("swipe left", "circle_clockwise", "Turn Counter-Clockwise", "look-right", "SwipeLeft", "leanRightwards"),
        *("RotateClockwise", "RotateCounterClockwise", "turnAntiClockwise", "RotateCCW"),
    ],
)
def test_a_direction_without_its_opposite_is_named(name):
    warning = flip_warning([name, "jump"], 0.5)
    assert repr(name) in warning
    assert "--augment.flip 0" in warning
    assert "'jump'" not in warning


@pytest.mark.parametrize(
    ("names", "flip"),
    [
        (["swipe left", "swipe right"], 0.5),
        (["swipe left", "jump"], 0.0),
        (["upright", "TurnUpright", "Bright", "copyright"], 0.5),
        (["SwipeLeft", "SwipeRight"], 0.5),
    ],
)
def test_swapped_pairs_no_flips_and_other_words_give_no_warning(names, flip):
    assert flip_warning(names, flip) is None
