"""README and documentation agree with the repository: targets, links, files, rooms."""

import re
from pathlib import Path

import pytest

from test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


DOCUMENTS = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("tools/*.md"))


@pytest.mark.parametrize("document", [path.relative_to(ROOT).as_posix() for path in DOCUMENTS])
def test_links_to_files_lead_somewhere(document):
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{document} links to {target}"


@pytest.mark.parametrize(
    "document", [path.relative_to(ROOT).as_posix() for path in DOCUMENTS if path.stem != "CHANGELOG"]
)
def test_python_files_that_are_named_exist(document):
    for name in re.findall(r"`([\w./-]+\.py)`", (ROOT / document).read_text(encoding="utf-8")):
        assert any((start / name).is_file() for start in (ROOT, ROOT / "src/side4video")), f"{document} names {name}"


def test_the_design_page_has_a_line_for_each_room_on_its_floor():
    text = (ROOT / "docs/background/design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (`[^|]+) \|", text, re.MULTILINE)
    described = {(int(floor), name) for floor, names in rows for name in re.findall(r"`([\w/]+)`", names)}
    assert described == {(floor, name) for floor, names in enumerate(FLOORS, start=1) for name in names}
