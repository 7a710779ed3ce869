import base64
import io
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from side4video.reports.report import Chart, ClipExample, most_confused, write_report
from side4video.reports.report_pictures import draw_panels
from side4video.tasks.recognition.class_table import rows_of_confusion

HOSTILE = '<script>alert("1")</script>'


class Page(HTMLParser):
    """The tags with their attributes and the visible text of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.lasttag != "style":
            self.texts.append(data)

    def pictures(self, kind):
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        prefix = f"data:image/{kind};base64,"
        return [base64.b64decode(source.removeprefix(prefix)) for source in sources if source.startswith(prefix)]


def svg_texts(svg):
    return [node.text.strip() for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def example(*, name="a/1.mp4", true_class="left", predicted_class="left", score=0.75, frames=None):
    frames = np.zeros((8, 16, 16, 3), dtype=np.uint8) if frames is None else frames
    return ClipExample(name=name, true_class=true_class, predicted_class=predicted_class, score=score, frames=frames)


LOSS = Chart(title="Loss", lines={"train": ([0, 1, 2], [2.0, 1.0, 0.5])}, x_label="step", y_label="loss")


@pytest.fixture
def counts():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, size=300)
    predictions = np.where(generator.random(300) < 0.6, labels, generator.integers(0, 5, size=300))
    return labels, predictions


def test_page_shows_everything_it_was_given(tmp_path):
    path = tmp_path / "new folder" / "report.html"
    write_report(
        path,
        title="Moving shapes",
        summary="Eight motions.",
        scores={"linear probe": 0.125, "side network": 0.9875},
        settings={"side width": 64},
        charts=[LOSS],
        confusion=np.array([[9, 3], [0, 8]]),
        class_names=["left", "right"],
        examples=[example(name="ok.mp4"), example(name="bad.mp4", predicted_class="right", score=0.5)],
    )
    page = Page(path)
    for words in ("Moving shapes", "Eight motions.", "linear probe 12.5 %", "side network 98.8 %", "side width 64"):
        assert words in page.text
    assert "left right 3 25.0 %" in page.text  # most confused: 3 of 12
    assert "left 12 9 75.0 % 46.8 % to 91.1 % 100.0 % 85.7 %" in page.text
    assert "100.0 % 72.7 % 84.2 %" in page.text  # precision 8 of 11, and twice 8 of 8 + 11
    assert page.text.index("bad.mp4") < page.text.index("ok.mp4")
    assert "wrong true left , predicted right (50.0 %)" in page.text
    curve, matrix = page.pictures("svg+xml")
    assert {"step", "loss"} <= set(svg_texts(curve))
    assert sorted(text for text in svg_texts(matrix) if text.isdigit()) == ["3", "8", "9"]
    assert len(page.pictures("png")) == 2


def test_page_with_only_a_title_has_no_empty_sections(tmp_path):
    write_report(tmp_path / "r.html", title="Empty")
    assert Page(tmp_path / "r.html").text == "Empty Empty"  # the window's title and the heading


def test_page_is_self_contained(tmp_path):
    write_report(tmp_path / "r.html", title="t", charts=[LOSS], examples=[example()])
    page = Page(tmp_path / "r.html")
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base", "form", "a"}
    sources = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)
    assert "url(" not in (tmp_path / "r.html").read_text()
    assert any("default-src 'none'" in (attributes.get("content") or "") for _, attributes in page.tags)


def test_names_are_escaped(tmp_path):
    write_report(
        tmp_path / "r.html",
        title=HOSTILE,
        summary=HOSTILE,
        scores={HOSTILE: 0.5},
        settings={HOSTILE: HOSTILE},
        charts=[Chart(title=HOSTILE, lines={HOSTILE: ([0], [1]), "b": ([0], [1])}, x_label=HOSTILE, y_label=HOSTILE)],
        confusion=np.array([[1, 1], [0, 1]]),
        class_names=[HOSTILE, '" onload="alert(2)'],
        examples=[example(name=HOSTILE + '" onerror="x', true_class=HOSTILE, predicted_class=HOSTILE)],
    )
    page = Page(tmp_path / "r.html")
    assert "script" not in {tag for tag, _ in page.tags}
    assert not {name for _, attributes in page.tags for name in attributes if name.startswith("on")}
    assert page.text.count(HOSTILE) >= 9
    for svg in page.pictures("svg+xml"):
        assert b"<script" not in svg
        assert any(text.startswith("<script>") for text in svg_texts(svg))


def test_class_names_with_other_alphabets_and_dollars_are_drawn(tmp_path):
    names = ["跳舞", "$a_b$ and $c^{$"]
    write_report(tmp_path / "r.html", title="t", confusion=np.eye(2, dtype=int), class_names=names)
    (matrix,) = Page(tmp_path / "r.html").pictures("svg+xml")
    assert set(names) <= set(svg_texts(matrix))


@pytest.mark.parametrize(("num_classes", "num_pictures"), [(2, 1), (60, 1), (61, 0), (400, 0)])
def test_confusion_is_drawn_up_to_sixty_classes_and_always_listed(tmp_path, num_classes, num_pictures):
    confusion = np.eye(num_classes, dtype=int)
    confusion[0, 1] = 3
    names = [f"class {i:03d}" for i in range(num_classes)]
    write_report(tmp_path / "r.html", title="t", confusion=confusion, class_names=names)
    page = Page(tmp_path / "r.html")
    assert len(page.pictures("svg+xml")) == num_pictures
    assert "class 000 class 001 3 75.0 %" in page.text
    assert (("details", {}) in page.tags) == (num_classes > 30)  # folded when long


def test_film_strip_shows_the_frames_themselves(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, size=(16, 20, 30, 3), dtype=np.uint8)
    write_report(tmp_path / "r.html", title="t", examples=[example(frames=frames)])
    (png,) = Page(tmp_path / "r.html").pictures("png")
    strip = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert strip.shape == (20, 8 * 30 + 7 * 2, 3)
    for place in range(8):
        np.testing.assert_array_equal(strip[:, place * 32 : place * 32 + 30], frames[2 * place + 1])


def test_film_strip_scales_large_frames_down(tmp_path):
    write_report(tmp_path / "r.html", title="t", examples=[example(frames=np.zeros((3, 448, 224, 3), np.uint8))])
    (png,) = Page(tmp_path / "r.html").pictures("png")
    assert Image.open(io.BytesIO(png)).size == (3 * 56 + 2 * 2, 112)


def test_clip_of_unknown_class_is_neither_right_nor_wrong(tmp_path):
    write_report(tmp_path / "r.html", title="t", examples=[example(true_class=None)])
    assert "unknown predicted left (75.0 %)" in Page(tmp_path / "r.html").text


def test_rows_of_classes_agree_with_scikit_learn(counts):
    scores = rows_of_confusion("abcde", confusion_matrix(*counts))
    precision, recall, _, clips = precision_recall_fscore_support(*counts)
    assert [score.videos for score in scores] == clips.tolist()
    assert [score.precision for score in scores] == pytest.approx(precision.tolist())
    assert [score.recall for score in scores] == pytest.approx(recall.tolist())


def test_classes_without_clips_or_predictions_have_no_share():
    seen, unseen = rows_of_confusion(["seen", "unseen"], np.array([[0, 2], [0, 0]]))
    assert (seen.recall, seen.precision) == (0.0, None)
    assert (unseen.recall, unseen.precision) == (None, 0.0)


def test_most_confused_pairs_agree_with_counting(counts):
    labels, predictions = counts
    counted = {(i, j): int(sum((labels == i) & (predictions == j))) for i in range(5) for j in range(5) if i != j}
    pairs = most_confused(confusion_matrix(*counts), "01234", limit=4)
    assert [pair.num_clips for pair in pairs] == sorted(counted.values(), reverse=True)[:4]
    for pair in pairs:
        assert pair.num_clips == counted[int(pair.true_class), int(pair.predicted_class)]
        assert pair.share == pytest.approx(pair.num_clips / sum(labels == int(pair.true_class)))


def test_perfect_matrix_has_no_confused_pairs(tmp_path):
    assert most_confused(np.eye(3, dtype=int), "abc") == []
    write_report(tmp_path / "r.html", title="t", confusion=np.eye(3, dtype=int), class_names="abc")
    assert "None: all predictions are correct." in Page(tmp_path / "r.html").text


def test_same_input_gives_the_same_page(tmp_path):
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, title="t", charts=[LOSS], confusion=np.eye(2, dtype=int), class_names="ab")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scores": {"probe": 12.5}}, "'probe' is 12.5, outside 0 to 1"),
        ({"scores": {"probe": float("nan")}}, "outside 0 to 1"),
        ({"examples": [example(score=99.0)]}, "outside 0 to 1"),
        ({"confusion": np.eye(3, dtype=int), "class_names": ["a", "b"]}, "does not fit 2 class names"),
        ({"confusion": np.ones((2, 3), dtype=int), "class_names": ["a", "b"]}, "does not fit"),
        ({"examples": [example(frames=np.zeros((8, 16, 16, 3)))]}, "Give uint8"),
        ({"examples": [example(frames=np.zeros((16, 16, 3), np.uint8))]}, "Give uint8"),
        ({"charts": [Chart(title="c", lines={"a": ([1, 2], [1])}, x_label="x", y_label="y")]}, "2 x and 1 y"),
    ],
)
def test_invalid_input_is_refused_and_nothing_is_written(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / "r.html", title="t", **wrong)
    assert not list(tmp_path.iterdir())


def test_panels_are_one_reproducible_picture():
    panels = {"Loss": ({"training": ([1, 2, 3], [3.0, 2.0, 1.0])}, "step", "loss"), "Top-1": ({}, "step", "share")}
    picture = draw_panels(panels)
    assert picture == draw_panels(panels)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height
    with pytest.raises(ValueError, match="has 2 x and 1 y values"):
        draw_panels({"Loss": ({"training": ([1, 2], [3.0])}, "step", "loss")})
