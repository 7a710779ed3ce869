"""Heat maps: heat is drawn at the evidence, on one scale for all pictures of a class."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from side4video.inference.explanation import ClassEvidence, Explanation
from side4video.reports.heatmaps import SIDE, draw_attention, draw_colour_scale, draw_evidence
from side4video.reports.report import ClipExample, write_report

STEP = SIDE + 3  # a frame and the gap after it


def explanation(places, *, appearance=None, num_frames=4, seconds=None):
    evidence = ClassEvidence(
        name="left",
        score=0.9,
        change_places=places,
        change_frames=places.sum((1, 2)),
        appearance_places=np.zeros((4, 4)) if appearance is None else appearance,
        appearance=0.0,
        change=float(places.sum()),
    )
    pictures = np.full((num_frames, 64, 64, 3), 100, np.uint8)
    return Explanation(path=Path("a.mp4"), pictures=pictures, frame_seconds=seconds, classes=(evidence,))


def pixels(address):
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def yellowness(strip, picture):
    """Red and green minus blue in each of the 4 x 4 places of a picture of the strip."""
    left = picture * STEP + (9 if picture else 0)
    part = strip[:SIDE, left : left + SIDE]
    colour = (part[..., 0] + part[..., 1]) / 2 - part[..., 2]
    return colour.reshape(4, SIDE // 4, 4, SIDE // 4).mean((1, 3))


def draw(found):
    return pixels(draw_evidence(found, found.classes[0]))


def test_places_with_evidence_are_yellow_and_others_grey():
    places = np.zeros((4, 4, 4), np.float32)
    places[2, 1, 3] = 5.0
    strip = draw(explanation(places))
    heats = [yellowness(strip, picture) for picture in range(5)]  # the appearance, then four frames
    assert np.unravel_index(heats[3].argmax(), (4, 4)) == (1, 3)
    assert heats[3].max() > 20
    assert max(heats[number].max() for number in (0, 1, 2, 4)) == 0


def test_reversed_evidence_is_shown_in_the_mirrored_frame():
    places = np.zeros((4, 4, 4), np.float32)
    places[2, 1, 3] = 5.0
    strip = draw(explanation(places[::-1]))
    assert yellowness(strip, 2).max() > 20
    assert yellowness(strip, 3).max() == 0


def test_appearance_and_change_share_one_scale():
    places, appearance = np.zeros((4, 4, 4), np.float32), np.zeros((4, 4))
    places[0, 0, 0], appearance[3, 3] = 0.05, 5.0
    strip = draw(explanation(places, appearance=appearance))
    assert yellowness(strip, 0)[3, 3] > 20
    assert yellowness(strip, 1).max() < 5


def test_evidence_against_a_class_is_not_shown_as_evidence_for_it():
    strip = draw(explanation(np.full((4, 4, 4), -3.0, np.float32)))
    assert max(yellowness(strip, picture).max() for picture in range(5)) == 0


def test_sixteen_frames_show_the_stronger_of_each_pair():
    places = np.zeros((16, 4, 4), np.float32)
    places[5, 2, 2] = 1.0
    strip = draw(explanation(places, num_frames=16, seconds=tuple(range(16))))
    assert strip.shape[1] == 9 * STEP + 9
    assert [yellowness(strip, picture).max() > 5 for picture in range(9)].index(True) == 1 + 5 // 2


def test_bars_show_the_evidence_of_frames():
    places = np.zeros((4, 4, 4), np.float32)
    places[1, 0, 0], places[3, 0, 0] = 2.0, 1.0
    strip = draw(explanation(places))
    middles = [place * STEP + 9 + SIDE // 2 for place in (1, 2, 3, 4)]
    heights = [int((strip[SIDE : SIDE + 24, middle].sum(1) > 0).sum()) for middle in middles]
    assert heights[1] > 1.8 * heights[3] > 1.8 * heights[0]


def test_colour_scale_brightens_evenly():
    ramp = pixels(draw_colour_scale())[0]
    brightness = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness[40:]) >= -1).all()
    assert brightness[-1] > 2 * brightness[0]


def test_clip_without_evidence_is_grey():
    strip = draw(explanation(np.zeros((1, 4, 4), np.float32), num_frames=1))
    assert yellowness(strip, 1).max() == pytest.approx(0)


def test_attention_has_no_appearance_picture(tmp_path):
    places = np.zeros((4, 4, 4), np.float32)
    attention = np.full((4, 4, 4), 0.001)
    attention[2, 1, 3] = 0.937
    found = replace(explanation(places), attention=attention)
    strip = pixels(draw_attention(found))
    assert strip.shape[1] == 4 * STEP
    assert (
        strip[: SIDE // 2, 2 * STEP + SIDE * 3 // 4 : 2 * STEP + SIDE, 2].min()
        < 60
        < 150
        < strip[:SIDE, 2 * STEP :, 0].max()
    )
    shown = ClipExample(
        name="1.mp4", frames=found.pictures, predicted_class="a", score=0.5, true_class="a", explanation=found
    )
    write_report(tmp_path / "report.html", title="Report", examples=[shown])
    assert 'alt="Attention of the probe in 1.mp4"' in (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError, match="has no attentive probe"):
        draw_attention(explanation(places))
