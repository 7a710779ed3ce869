import math

import numpy as np
import pytest

from side4video.demo.still_shapes import COLOURS, FORMS, Shape, draw_shape, draw_still, random_shape, shape_coverage


def shape(**changes):
    return Shape(**{"form": "disc", "colour": "red", "x": 0.5, "y": 0.5, "radius": 0.3, **changes})


@pytest.mark.parametrize(
    ("form", "area"),
    [
        ("disc", math.pi),
        ("ring", math.pi * (1 - 0.5**2)),
        ("triangle", 3 * math.sqrt(3) / 4),
        ("square", 2.0),
        ("star", 10 * 0.5 * 0.45 * math.sin(math.pi / 5)),
        ("cross", 2 * 0.6 * 1.9 - 0.6**2),
    ],
)
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_forms_have_the_area_of_their_geometry(form, area, angle):
    drawn = shape_coverage(shape(form=form, angle=angle), size=512).sum() / (512 * 0.3) ** 2
    assert drawn == pytest.approx(area, rel=0.005)


@pytest.mark.parametrize("form", FORMS)
def test_form_stays_inside_its_circle_and_reaches_it(form):
    y, x = (np.indices((256, 256)) + 0.5) / 256
    distance = np.hypot(x - 0.4, y - 0.6)
    reach = distance[shape_coverage(shape(form=form, x=0.4, y=0.6, radius=0.2), size=256) > 0.5].max()
    assert 0.19 < reach < 0.2 + 1 / 256


def test_angle_turns_clockwise_on_the_screen():
    start = shape_coverage(shape(form="triangle"), size=64)
    turned = shape_coverage(shape(form="triangle", angle=math.pi / 2), size=64)
    np.testing.assert_allclose(turned, np.rot90(start, -1), atol=1e-6)
    assert np.abs(turned - start).max() > 0.9


def test_shape_is_drawn_with_its_place_and_colour():
    picture = np.full((64, 64, 3), 10, dtype=np.uint8)
    drawn = draw_shape(picture, shape(colour="green", x=0.75, y=0.25, radius=0.1))
    assert tuple(drawn[16, 48]) == COLOURS["green"]
    assert (drawn[:, :32] == 10).all()
    assert (drawn[32:] == 10).all()
    assert (picture == 10).all()  # the given picture is left as it was


def test_random_shapes_are_inside_and_use_every_form_and_colour():
    generator = np.random.default_rng(0)
    shapes = [random_shape(generator) for _ in range(400)]
    assert all(min(s.x, s.y) >= s.radius and max(s.x, s.y) <= 1 - s.radius for s in shapes)
    assert {s.form for s in shapes} == set(FORMS)
    assert {s.colour for s in shapes} == set(COLOURS)


def test_generator_determines_the_picture():
    first, second, other = (draw_still(np.random.default_rng(seed), size=48) for seed in (5, 5, 6))
    assert first[0].shape == (48, 48, 3)
    assert first[0].dtype == np.uint8
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert first[1] != other[1]


@pytest.mark.parametrize("wrong", [{"form": "heptagon"}, {"colour": "puce"}])
def test_unknown_forms_and_colours_are_refused(wrong):
    with pytest.raises(ValueError, match=r"is not a known .* Use one of"):
        shape(**wrong)
