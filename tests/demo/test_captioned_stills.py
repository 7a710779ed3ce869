import numpy as np
import pytest

from side4video.demo.captioned_stills import PLACES, StillCaption, draw_captioned_still, name_shape
from side4video.demo.moving_captions import MOTIONS
from side4video.demo.still_shapes import COLOURS, FORMS


def centre_of(picture, threshold=230):
    """Centre of mass of the white pixels, (x, y) in fractions of the side."""
    y, x = np.nonzero(picture.min(axis=2) > threshold)
    return (x.mean() + 0.5) / picture.shape[1], (y.mean() + 0.5) / picture.shape[0]


@pytest.mark.parametrize(
    ("place", "lies"),
    [
        ("on the left", lambda x, y: x < 0.38 and 0.37 < y < 0.63),
        ("on the right", lambda x, y: x > 0.62 and 0.37 < y < 0.63),
        ("up there", lambda x, y: y < 0.38 and 0.37 < x < 0.63),
        ("down there", lambda x, y: y > 0.62 and 0.37 < x < 0.63),
        ("in the middle", lambda x, y: 0.37 < x < 0.63 and 0.37 < y < 0.63),
    ],
)
def test_shape_is_where_the_caption_says(place, lies):
    generator = np.random.default_rng(0)
    for _ in range(20):
        picture = draw_captioned_still(generator, StillCaption("disc", "white", place))
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert lies(*centre_of(picture))


def test_shape_has_the_colour_that_the_caption_says():
    for colour, channels in COLOURS.items():
        picture = draw_captioned_still(np.random.default_rng(1), StillCaption("square", colour, "in the middle"))
        assert (picture == channels).all(axis=2).sum() > 80


def test_captions_are_unique_and_name_no_motion():
    captions = [str(caption) for caption in StillCaption.all_captions()]
    assert len(set(captions)) == len(captions) == len(FORMS) * len(COLOURS) * len(PLACES)
    assert "a red square on the left" in captions
    assert not any("move" in caption for caption in captions)


def test_motion_words_equal_place_words():
    words = {word for place in PLACES for word in place.split()}
    assert set(MOTIONS) <= words


@pytest.mark.parametrize(("colour", "words"), [("orange", "an orange disc"), ("red", "a red disc")])
def test_articles(colour, words):
    assert name_shape("disc", colour) == words


def test_unknown_places_are_refused():
    with pytest.raises(ValueError, match="is not a known place"):
        draw_captioned_still(np.random.default_rng(0), StillCaption("disc", "red", "behind"))
