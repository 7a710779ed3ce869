import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from side4video.data.sampling import FrameSampling
from side4video.demo.moving_shapes import MOTIONS, NUM_STOPS, Scene, draw_clip


@pytest.fixture
def scene():
    return Scene.random(np.random.default_rng(0))


def sorted_frames(clip):
    return sorted(frame.tobytes() for frame in clip)


def centre_of_shape(frame, background):
    """Centre of mass of what differs from the background, (x, y) in fractions of the side."""
    changed = np.abs(frame.astype(int) - background).sum(axis=2)
    y, x = (np.indices(changed.shape) + 0.5) / changed.shape[0]
    return (x * changed).sum() / changed.sum(), (y * changed).sum() / changed.sum()


def test_eight_motions_of_a_scene_are_the_same_frames_in_another_order(scene):
    clips = [draw_clip(scene, motion) for motion in MOTIONS]
    assert len(clips) == 8
    assert len({tuple(sorted_frames(clip)) for clip in clips}) == 1
    assert len({clip.tobytes() for clip in clips}) == 8
    for clip in clips[1:]:  # and so is every average over frames
        np.testing.assert_array_equal(clip.sum(axis=0, dtype=int), clips[0].sum(axis=0, dtype=int))


def test_different_scenes_have_different_frames(scene):
    other = Scene.random(np.random.default_rng(1))
    assert sorted_frames(draw_clip(scene, "clockwise")) != sorted_frames(draw_clip(other, "clockwise"))


def stops_seen(frame_numbers, *, frames_per_stop):
    return [number // frames_per_stop for number in frame_numbers]


@pytest.mark.parametrize("flavour", ["something_something", "kinetics"])
def test_test_clips_of_eight_frames_show_every_stop_once(flavour):
    (clip,) = FrameSampling(num_frames=8, flavour=flavour).test(24)
    assert stops_seen(clip, frames_per_stop=3) == list(range(8))


def test_training_clips_of_eight_frames_show_every_stop_once():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        clip = FrameSampling(num_frames=8).train(24, generator)
        assert stops_seen(clip, frames_per_stop=3) == list(range(8))


def test_eight_of_sixteen_frames_miss_a_stop():
    (clip,) = FrameSampling(num_frames=8).test(16)
    assert stops_seen(clip, frames_per_stop=2) == [0, 1, 2, 3, 4, 4, 5, 6]


def test_fewer_frames_than_stops_reveal_the_motion(scene):
    every_other_stop = {tuple(sorted_frames(draw_clip(scene, motion)[::6])) for motion in MOTIONS}
    assert len(every_other_stop) > 1


def test_no_motion_is_a_rotation_of_another():
    begun_at_zero = {tuple((stop - stops[0]) % NUM_STOPS for stop in stops) for stops in MOTIONS.values()}
    assert len(begun_at_zero) == 8


def test_clockwise_and_anticlockwise_names_are_mirror_images():
    for name, stops in MOTIONS.items():
        if "anticlockwise" in name:
            mirrored = MOTIONS[name.replace("anticlockwise", "clockwise")]
            assert [(-stop) % NUM_STOPS for stop in mirrored] == list(stops)


@pytest.mark.parametrize(("motion", "turn"), [("clockwise", 1), ("anticlockwise", -1)])
def test_shape_goes_round_the_ring_as_the_name_says(scene, motion, turn):
    scene = replace(scene, shape=replace(scene.shape, form="disc", colour="white"))
    frames = draw_clip(scene, motion, frames_per_stop=1)
    places = np.array([centre_of_shape(frame, scene.background) for frame in frames])
    x, y = (places - places.mean(axis=0)).T
    angles = np.unwrap(np.arctan2(y, x))  # y points down: growing angles are clockwise to the eye
    np.testing.assert_allclose(np.diff(angles), turn * math.pi / 4, atol=0.05)
    np.testing.assert_allclose(np.hypot(x, y), scene.ring_radius, atol=0.01)


def test_ring_angles_are_uniform():
    generator = np.random.default_rng(0)
    angles = [Scene.random(generator, size=16).ring_angle for _ in range(500)]
    assert stats.kstest(angles, "uniform", args=(0, 2 * math.pi)).pvalue > 0.01


def test_stops_are_inside_the_picture():
    generator = np.random.default_rng(0)
    for _ in range(300):
        scene = Scene.random(generator, size=16)
        reach = scene.ring_radius + scene.shape.radius
        assert min(scene.shape.x, scene.shape.y) - reach >= 0
        assert max(scene.shape.x, scene.shape.y) + reach <= 1


@pytest.mark.parametrize(
    ("motion", "frames_per_stop", "message"),
    [("sideways", 2, "is not a known motion. Use one of clockwise"), ("clockwise", 0, "must be 1 or more")],
)
def test_unknown_motions_and_empty_clips_are_refused(scene, motion, frames_per_stop, message):
    with pytest.raises(ValueError, match=message):
        draw_clip(scene, motion, frames_per_stop=frames_per_stop)
