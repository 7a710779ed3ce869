from dataclasses import replace

import numpy as np
import pytest

from side4video.data.sampling import FrameSampling
from side4video.demo.moving_captions import MOTIONS, CrossingScene, MotionCaption, draw_crossing
from side4video.demo.still_shapes import COLOURS, FORMS

OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}


@pytest.fixture
def scene():
    return CrossingScene.random(np.random.default_rng(0), form="disc", colour="white")


def centre_of_shape(frame, background):
    """Centre of mass of what differs from the background, (x, y) in fractions of the side."""
    changed = np.abs(frame.astype(int) - background).sum(axis=2)
    y, x = (np.indices(changed.shape) + 0.5) / changed.shape[0]
    return (x * changed).sum() / changed.sum(), (y * changed).sum() / changed.sum()


@pytest.mark.parametrize("motion", MOTIONS)
def test_opposite_motion_has_the_same_frames_reversed(motion):
    for seed in range(5):
        scene = CrossingScene.random(np.random.default_rng(seed), form="star", colour="red")
        clip = draw_crossing(scene, motion)
        np.testing.assert_array_equal(draw_crossing(scene, OPPOSITE[motion]), clip[::-1])
        assert not np.array_equal(clip, clip[::-1])


@pytest.mark.parametrize(
    ("motion", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)  # y points down
def test_shape_crosses_the_picture_as_the_word_says(scene, motion, axis, sign):
    frames = draw_crossing(scene, motion, frames_per_stop=1)
    places = np.array([centre_of_shape(frame, scene.background) for frame in frames])
    assert len(frames) == 8
    np.testing.assert_allclose(np.diff(places[:, axis]), sign * 2 * scene.reach / 7, atol=0.02)
    np.testing.assert_allclose(places[:, 1 - axis], (scene.shape.x, scene.shape.y)[1 - axis], atol=0.02)
    assert abs(places[:, axis].mean() - 0.5) < 0.02


def test_shapes_are_inside_the_picture():
    generator = np.random.default_rng(0)
    for _ in range(300):
        scene = CrossingScene.random(generator, form="ring", colour="blue", size=16)
        aside = max(abs(scene.shape.x - 0.5), abs(scene.shape.y - 0.5))
        assert 0.5 - max(scene.reach, aside) - scene.shape.radius >= -1e-9


@pytest.mark.parametrize("flavour", ["something_something", "kinetics"])
def test_test_clips_of_eight_frames_show_every_stop_once(flavour):
    (clip,) = FrameSampling(num_frames=8, flavour=flavour).test(24)
    assert [number // 3 for number in clip] == list(range(8))


def test_captions_are_sentences_and_all_different():
    captions = MotionCaption.all_captions()
    texts = [str(caption) for caption in captions]
    assert len(set(texts)) == len(texts) == len(FORMS) * len(COLOURS) * 4
    assert "a red square moves up" in texts
    assert "an orange disc moves left" in texts


def test_training_captions_have_every_pair_of_form_colour_and_motion():
    seen = [caption for caption in MotionCaption.all_captions() if not caption.held_out]
    assert len(seen) == 0.75 * len(MotionCaption.all_captions())
    assert {(caption.form, caption.colour) for caption in seen} == {
        (form, colour) for form in FORMS for colour in COLOURS
    }
    assert {(caption.form, caption.motion) for caption in seen} == {
        (form, motion) for form in FORMS for motion in MOTIONS
    }
    assert len({(caption.colour, caption.motion) for caption in seen}) == len(COLOURS) * len(MOTIONS)


@pytest.mark.parametrize(
    ("motion", "frames_per_stop", "message"),
    [("sideways", 2, "is not a known motion. Use one of left"), ("up", 0, "must be 1 or more")],
)
def test_unknown_motions_and_empty_clips_are_refused(scene, motion, frames_per_stop, message):
    with pytest.raises(ValueError, match=message):
        draw_crossing(scene, motion, frames_per_stop=frames_per_stop)


def test_unknown_forms_are_refused(scene):
    with pytest.raises(ValueError, match="is not a known form"):
        replace(scene.shape, form="blob")
    with pytest.raises(ValueError, match="is not a known form"):
        CrossingScene.random(np.random.default_rng(0), form="blob", colour="red")
