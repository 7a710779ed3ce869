"""Names of classes, files and captions are escaped on every page: they create no tags, attributes or Markdown."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from side4video.cli import main
from side4video.config import dump_config
from side4video.sharing.model_card import CardFacts, card_text

TAG = "<img src=x onerror=alert(1)>"  # file names hold no slash, so no </script>
QUOTES = "\" onmouseover=\"alert(2)' onfocus='alert(3)"
HARMLESS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "section",
    "figure",
    "figcaption",
    "footer",
}
HARMLESS |= {
    "h1",
    "h2",
    "h3",
    "p",
    "div",
    "span",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "img",
    "details",
    "summary",
}
HARMLESS |= {
    "ul",
    "ol",
    "li",
    "code",
    "pre",
    "br",
    "b",
    "strong",
    "em",
    "small",
    "dl",
    "dt",
    "dd",
    "caption",
    "article",
}


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.sources, self.text = set(), set(), set(), ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.sources |= {value.partition(":")[0] for name, value in attributes if name in {"src", "href"}}

    def handle_data(self, text):
        self.text += text


def assert_harmless(path, *shown):
    page = Page(path)
    assert page.tags <= HARMLESS
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.sources <= {"data"}
    for text in shown:
        assert text in " ".join(page.text.split())
    return page


@pytest.fixture(scope="module")
def hostile(motion_videos, tmp_path_factory):
    """Two classes and two files in each set whose names are HTML."""
    folder = tmp_path_factory.mktemp("hostile")
    for split in ("train", "test"):
        shutil.copytree(motion_videos / split, folder / split)
        (folder / split / "clockwise").rename(folder / split / TAG)
        (folder / split / "anticlockwise").rename(folder / split / QUOTES)
        for name in (TAG, QUOTES):
            clip = sorted((folder / split / name).iterdir())[0]
            clip.rename(clip.with_name(f"{name}.mp4"))
    return folder


def test_the_report_of_a_run_and_its_card(hostile, small_run, tmp_path):
    data = {"train": hostile / "train", "test": hostile / "test"}
    (tmp_path / "run.yaml").write_text(dump_config(small_run(data=data, train={"epochs": 1}, about=TAG + QUOTES)))
    assert main(["train", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run")]) == 0
    assert_harmless(tmp_path / "run/report.html", TAG, QUOTES, f"{TAG}/{TAG}.mp4")
    card = (tmp_path / "run/best/README.md").read_text()
    assert not re.search(r"(?<!\\)<(img|a|script)", card)
    assert not re.search(r"(?<!\\)<(img|a|script)", card_text(tmp_path / "run/best", CardFacts(), picture=True))


def test_a_file_of_weights_cannot_leave_its_code_span_in_the_card(hostile, small_run, tmp_path):
    from safetensors.torch import save_file

    from side4video.models.backbones.loading import load_backbone

    settings = small_run().backbone
    backbone = load_backbone(settings.name, weights="random", image_size=32, model_args=dict(settings.model_args))
    weights = tmp_path / f"w`{TAG}`.safetensors"
    save_file(backbone.model.state_dict(), weights)
    data = {"train": hostile / "train", "test": None}
    config = small_run(data=data, train={"epochs": 1}, backbone={"weights": str(weights)})
    (tmp_path / "run.yaml").write_text(dump_config(config))
    assert main(["train", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run")]) == 0
    lines = (tmp_path / "run/last/README.md").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("In training, the image model's weights came from the file "))
    assert line.count("`") == 2
    assert not any("<img" in text for text in re.sub(r"`[^`]*`|\\<", "", "\n".join(lines)).splitlines())


def test_the_page_of_checked_data(hostile, tmp_path):
    broken = tmp_path / "train"
    shutil.copytree(hostile / "train", broken)
    for name in (TAG, QUOTES):
        (broken / name / f"{name}.mp4").write_bytes(b"no video")
    command = ["check-data", "--data.train", str(broken), "--data.test", str(hostile / "test")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert_harmless(tmp_path / "out/index.html", f"{TAG}/{TAG}.mp4", f"{QUOTES}/{QUOTES}.mp4")


def test_the_report_of_a_retrieval_run(hostile, small_retrieval_run, tmp_path):
    import csv

    files = {}
    for split in ("train", "test"):
        with (tmp_path / f"{split}.csv").open("w") as file:
            writer = csv.writer(file)
            writer.writerow(["video", "caption"])
            for clip in sorted((hostile / split).glob("*/*.mp4")):
                writer.writerow([clip, f"{TAG} {QUOTES} </td></script> [x](http://y) {clip.parent.name}"])
        files[split] = tmp_path / f"{split}.csv"
    (tmp_path / "run.yaml").write_text(dump_config(small_retrieval_run(data=files, train={"epochs": 1})))
    assert main(["train", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run")]) == 0
    assert_harmless(tmp_path / "run/report.html", f"{TAG} {QUOTES} </td></script> [x](http://y)")
