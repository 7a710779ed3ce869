import csv
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform

from side4video.data.crops import crop_corners
from side4video.data.transforms import (
    EvalTransform,
    TrainTransform,
    flip_label_pairs,
    seeded,
)

ANNOTATIONS = Path(__file__).parents[2] / "../shared/data/annotations"
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
PAPER = "rand-m7-n4-mstd0.5-inc1"


def noise(height: int, width: int, *, num_frames: int = 4, seed: int = 0) -> torch.Tensor:
    """Smooth random frames, all different."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((num_frames, 3, 7, 9), generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (fine * 255).to(torch.uint8)


def still(height: int, width: int, *, num_frames: int = 4) -> torch.Tensor:
    """The same frame several times."""
    return noise(height, width, num_frames=1).expand(num_frames, -1, -1, -1)


def untouched(**changes) -> TrainTransform:
    """A transform for frames of 32 x 32 that changes nothing except `changes`."""
    options = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0, "resize": 32} | PLAIN | changes
    return TrainTransform(image_size=32, **options)


# seeded


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_seeded_draws_depend_only_on_the_numbers():
    def drawn(*numbers):
        with seeded(*numbers):
            return draw()

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    assert len({drawn(1, 2, 3), drawn(3, 2, 1), drawn(1, 2, 4), drawn(1, 2), drawn(0, 0), drawn(2**40, 1)}) == 6


def test_seeded_draws_are_those_of_three_separate_generators():
    python, legacy, cpu = np.random.SeedSequence((1024, 3, 77)).generate_state(3).tolist()
    generator = torch.Generator().manual_seed(cpu)
    expected = (
        random.Random(python).random(),
        np.random.RandomState(legacy).random(),
        torch.rand((), generator=generator),
    )
    with seeded(1024, 3, 77):
        assert draw() == tuple(map(float, expected))


def seed_all_globally() -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)


def stop_in_the_middle() -> None:
    with seeded(1):
        draw()
        raise RuntimeError("stop")


def test_seeded_restores_all_three_generators_even_after_an_error():
    seed_all_globally()
    expected = draw()
    seed_all_globally()
    with pytest.raises(RuntimeError, match="stop"):
        stop_in_the_middle()
    assert draw() == expected


@pytest.mark.parametrize("numbers", [(), (1, -1)])
def test_invalid_seeds_are_refused(numbers):
    with pytest.raises(ValueError, match="cannot be a seed"), seeded(*numbers):
        pass


# Training


def test_without_randomness_frames_do_not_change():
    frames = noise(32, 32)
    clip, label = untouched()(frames, 3)
    assert label == 3
    assert clip.dtype == torch.float32
    assert torch.allclose(clip, frames / 255)


def test_normalisation_uses_mean_and_deviation():
    frames = noise(32, 32)
    clip, _ = untouched(**CLIP)(frames, 0)
    for channel in range(3):
        expected = (frames[:, channel].numpy() / 255 - CLIP["mean"][channel]) / CLIP["std"][channel]
        assert np.allclose(clip[:, channel].numpy(), expected, atol=1e-5)


CHANGES = {
    "crop": {"crop_scale": (0.2, 0.6)},
    "flip": {"flip": 0.5},
    "rand_augment": {"rand_augment": PAPER},
    "grey": {"grey": 0.5},
    "colour_jitter": {"colour_jitter": 0.4},
    "erasing": {"erasing": 0.5},
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_draw_changes_all_frames_alike(name):
    transform = untouched(**CHANGES[name])
    frames = still(32, 32)
    results = []
    for seed in range(24):
        with seeded(seed):
            clip, _ = transform(frames, None)
        assert all(torch.equal(clip[0], other) for other in clip[1:])
        results.append(clip[0])
    assert any(not torch.allclose(results[0], other) for other in results)
    assert any(not torch.allclose(frames[0] / 255, other) for other in results)


def everything() -> TrainTransform:
    changes = {key: value for change in CHANGES.values() for key, value in change.items()}
    return TrainTransform(image_size=48, flip_labels={1: 2, 2: 1}, **changes, **CLIP)


def test_same_seed_same_clip_and_other_seed_other_clip():
    frames = noise(60, 80)
    clips = []
    for seed in (1, 1, 2):
        with seeded(seed):
            clips.append(everything()(frames, 1)[0])
    assert torch.equal(clips[0], clips[1])
    assert not torch.allclose(clips[0], clips[2])


def test_results_do_not_depend_on_earlier_draws():
    transform = everything()
    frames = noise(60, 80)
    with seeded(9):
        first, _ = transform(frames, 1)
    for _ in range(3):
        transform(frames, 1)
    with seeded(9):
        assert torch.equal(first, transform(frames, 1)[0])


def test_transform_can_be_sent_to_another_process():
    frames = noise(60, 80)
    clips = []
    for transform in (everything(), pickle.loads(pickle.dumps(everything()))):
        with seeded(4):
            clips.append(transform(frames, 1)[0])
    assert torch.equal(*clips)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (20, 300), (48, 48)])
@pytest.mark.parametrize("resize", [None, 64, (64, 80)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_training_shape(memory_format, height, width, resize, interpolation):
    frames = noise(height, width).contiguous(memory_format=memory_format)
    transform = TrainTransform(image_size=48, resize=resize, interpolation=interpolation, **CLIP)
    clip, label = transform(frames, None)
    assert clip.shape == (4, 3, 48, 48)
    assert clip.dtype == torch.float32
    assert clip.is_contiguous()
    assert label is None


def test_memory_format_does_not_change_the_clip():
    frames = noise(60, 80)
    clips = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        with seeded(1):
            clips.append(everything()(frames.contiguous(memory_format=memory_format), 0)[0])
    assert torch.allclose(*clips, atol=0.03)  # torch resizes the two by different routines: a rounding of 1/255


def test_crop_covers_the_requested_area():
    ramp = torch.arange(100).view(1, 1, 1, 100).expand(1, 3, 100, 100).to(torch.uint8)
    transform = TrainTransform(
        image_size=100, resize=100, crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0), flip=0.0, **PLAIN
    )
    for seed in range(10):
        with seeded(seed):
            clip, _ = transform(ramp, None)
        assert (clip.max() - clip.min()) * 255 == pytest.approx(49, abs=1)


def test_flip_mirrors_and_changes_the_label_with_it():
    frames = noise(32, 32)
    transform = untouched(flip=0.5, flip_labels={4: 7, 7: 4})
    seen = set()
    for seed in range(30):
        with seeded(seed):
            clip, label = transform(frames, 4)
        is_mirrored = torch.allclose(clip, frames.flip(-1) / 255)
        assert is_mirrored or torch.allclose(clip, frames / 255)
        assert label == (7 if is_mirrored else 4)
        seen.add(label)
    assert seen == {4, 7}


def test_flip_keeps_labels_without_a_partner_and_unknown_ones():
    transform = untouched(flip=1.0, flip_labels={4: 7, 7: 4})
    assert transform(noise(32, 32), 5)[1] == 5
    assert transform(noise(32, 32), None)[1] is None
    assert transform(noise(32, 32), 7)[1] == 4
    assert untouched(flip=1.0)(noise(32, 32), 7)[1] == 7


def test_flip_zero_never_flips():
    frames = noise(32, 32)
    for seed in range(20):
        with seeded(seed):
            assert torch.allclose(untouched(flip=0.0, flip_labels={4: 7})(frames, 4)[0], frames / 255)


def test_grey_clip_has_equal_channels():
    clip, _ = untouched(grey=1.0)(noise(32, 32), None)
    assert torch.equal(clip[:, 0], clip[:, 1])
    assert torch.equal(clip[:, 0], clip[:, 2])


def test_rand_augment_equals_timm_on_every_frame():
    frames = noise(32, 32)
    change = rand_augment_transform(PAPER, {"interpolation": Image.Resampling.BICUBIC, "translate_const": 115})
    differing = 0
    for seed in range(12):
        expected = []
        for frame in frames:
            with seeded(seed):
                expected.append(np.asarray(change(Image.fromarray(frame.permute(1, 2, 0).numpy()))))
        with seeded(seed):
            clip, _ = untouched(rand_augment=PAPER)(frames, None)
        assert np.allclose(clip.permute(0, 2, 3, 1).numpy(), np.stack(expected) / 255, atol=1e-6)
        differing += not np.array_equal(np.stack(expected), frames.permute(0, 2, 3, 1).numpy())
    assert differing > 6


def test_rand_augment_of_large_frames():
    clip, _ = untouched(rand_augment=PAPER)(noise(200, 300, num_frames=2), None)
    assert clip.shape == (2, 3, 32, 32)


@pytest.mark.parametrize("policy", ["m7-n4", "rand-x3", "rand-m", "augmix-m3", "", "rand m7"])
def test_unknown_rand_augment_is_refused(policy):
    with pytest.raises(ValueError, match="is not timm's notation"):
        untouched(rand_augment=policy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flip": 1.5}, "flip=1.5 is not a probability"),
        ({"grey": -0.1}, "grey=-0.1 is not a probability"),
        ({"erasing": 2}, "erasing=2 is not a probability"),
        ({"crop_scale": (0.0, 1.0)}, "crop_scale"),
        ({"crop_scale": (0.9, 0.5)}, "crop_scale"),
        ({"interpolation": "nearest"}, "interpolation"),
    ],
)
def test_invalid_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        untouched(**changes)


@pytest.mark.parametrize(
    "frames", [torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4).byte(), torch.zeros(2, 4, 4, 3).byte()]
)
def test_frames_of_another_dtype_or_shape_are_refused(frames):
    with pytest.raises(ValueError, match="Give uint8"):
        untouched()(frames, None)
    with pytest.raises(ValueError, match="Give uint8"):
        EvalTransform(**PLAIN)(frames)


# Evaluation


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (41, 33), (32, 32)])
def test_crop_positions_by_brute_force(height, width):
    frames = noise(height, width)
    short = min(height, width)

    def places(num_crops):
        transform = EvalTransform(image_size=24, resize=short, num_crops=num_crops, **PLAIN)
        crops = (transform(frames) * 255).round().to(torch.uint8)
        assert crops.shape == (num_crops, 4, 3, 24, 24)
        assert transform(frames).dtype == torch.float32
        return [find(crop) for crop in crops]

    def find(crop):
        tops, lefts = range(height - 24 + 1), range(width - 24 + 1)
        found = [(y, x) for y in tops for x in lefts if torch.equal(frames[..., y : y + 24, x : x + 24], crop)]
        assert len(found) <= 1
        return found[0] if found else None

    bottom, right = height - 24, width - 24
    centre = (bottom // 2, right // 2)
    ends = [(0, centre[1]), (bottom, centre[1])] if height > width else [(centre[0], 0), (centre[0], right)]
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    assert places(1) == [centre]
    assert places(3) == [ends[0], centre, ends[1]]
    assert places(5) == [centre, *corners]
    assert places(10) == [centre, *corners, *[None] * 5]


def test_last_five_of_ten_crops_are_mirrored():
    crops = EvalTransform(image_size=24, resize=40, num_crops=10, **CLIP)(noise(40, 60))
    assert torch.equal(crops[5:], crops[:5].flip(-1))


def test_three_crops_of_full_height_cover_the_frame():
    assert crop_corners(224, 400, size=224, num_crops=3) == [(0, 0), (0, 88), (0, 176)]


def test_short_side_is_256_224ths_of_the_size_by_default():
    frames = noise(512, 700, num_frames=1)
    whole = EvalTransform(image_size=256, resize=256, num_crops=5, **PLAIN)(frames)
    part = EvalTransform(image_size=224, num_crops=5, **PLAIN)(frames)
    assert torch.equal(part[1], whole[1][..., :224, :224])


def test_resize_to_height_and_width_ignores_the_aspect_ratio():
    transform = EvalTransform(image_size=24, resize=(24, 24), **PLAIN)
    ramp = torch.arange(96).view(1, 1, 1, 96).expand(1, 3, 48, 96).to(torch.uint8)
    crop = transform(ramp)[0, 0, 0, 12] * 255
    assert torch.allclose(crop, torch.arange(24) * 4 + 1.5, atol=1.0)


def test_resizing_agrees_with_pillow():
    frames = noise(90, 120, num_frames=2)
    for name, resample in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        transform = EvalTransform(image_size=40, resize=40, num_crops=3, interpolation=name, **PLAIN)
        for frame, crop in zip(frames, transform(frames)[0], strict=True):
            picture = Image.fromarray(frame.permute(1, 2, 0).numpy()).resize((53, 40), resample)
            expected = np.asarray(picture)[:, :40].transpose(2, 0, 1) / 255
            assert np.abs(crop.numpy() - expected).max() <= 1.01 / 255


def test_evaluation_uses_no_randomness():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    EvalTransform(num_crops=10, **CLIP)(noise(40, 60))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert np.array_equal(before[2], np.random.get_state()[1])


def test_invalid_crops_are_refused():
    with pytest.raises(ValueError, match="num_crops = 2 is not supported"):
        EvalTransform(num_crops=2, **PLAIN)
    with pytest.raises(ValueError, match="resize = 200 makes frames smaller than image_size = 224"):
        EvalTransform(resize=200, **PLAIN)


# Labels


@pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="the folder ../shared/data/annotations is not there")
def test_left_and_right_of_something_something():
    with (ANNOTATIONS / "something-something/sth_labels.csv").open(newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert len(names) == 174
    assert flip_label_pairs(names) == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}


def test_words_are_found_in_any_case_and_punctuation():
    names = [
        "Swipe-LEFT",
        "swipe_right",
        "Copyright",
        "Copyleft",
        "Bright",
        "Look left",
        "left to right",
        "Right to Left!",
    ]
    assert flip_label_pairs(names) == {0: 1, 1: 0, 6: 7, 7: 6}


@pytest.mark.parametrize(
    "names",
    [
        ("SwipeLeft", "SwipeRight"),
        ("swipeLeft", "swipeRight"),
        ("LeftHandWave", "RightHandWave"),
        ("PTZLeft", "PTZRight"),
        ("lean leftwards", "lean rightwards"),
        ("MoveLeftward", "move rightward"),
        ("leftmost", "rightmost"),
        ("circle_clockwise", "circle_anticlockwise"),
        ("TurnHandClockwise", "Turn Hand Counter-Clockwise"),
        ("rotate cw", "rotateCCW"),
        ("left hand clockwise", "right hand anticlockwise"),
    ],
)
def test_words_are_found_in_camel_case_and_with_endings(names):
    assert flip_label_pairs(names) == {0: 1, 1: 0}


@pytest.mark.parametrize(
    "names",
    [
        *(("TurnUpright", "TurnUpleft"), ("Bright", "Bleft"), ("rightful", "leftful"), ("cleft", "cright")),
        ("left hand clockwise", "right hand clockwise"),
    ],
)
def test_parts_of_words_and_half_of_the_directions_are_no_pairs(names):
    assert flip_label_pairs(names) == {}


def test_classes_without_sides_have_no_pairs():
    assert flip_label_pairs(["Punch", "PushUps"]) == {}
    assert flip_label_pairs([]) == {}


# Mixing
