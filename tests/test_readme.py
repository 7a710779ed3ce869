"""README and documentation agree with the repository: targets, links, files, rooms."""

import re
from functools import cache
from pathlib import Path

import pytest

from test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_files_that_ci_names_exist():
    named = re.findall(r"\b(?:tests|benchmarks|tools)/[\w./]+", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


DOCUMENTS = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("tools/*.md"))


@pytest.mark.parametrize("document", [path.relative_to(ROOT).as_posix() for path in DOCUMENTS])
def test_links_to_files_exist(document):
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{document} links to {target}"


@pytest.mark.parametrize(
    "document", [path.relative_to(ROOT).as_posix() for path in DOCUMENTS if path.stem != "CHANGELOG"]
)
def test_named_python_files_exist(document):
    for name in re.findall(r"`([\w./-]+\.py)`", (ROOT / document).read_text(encoding="utf-8")):
        assert any((start / name).is_file() for start in (ROOT, ROOT / "src/side4video", (ROOT / document).parent)), (
            f"{document} names {name}"
        )


OTHER_CLASSES = {"ModelHubMixin"}
"""Classes of other libraries that documents name although the code does not use them."""


@cache
def words_of_the_code():
    sources = (path for folder in ("src", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py"))
    return {word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(
    "document", [path.relative_to(ROOT).as_posix() for path in DOCUMENTS if path.stem != "CHANGELOG"]
)
def test_named_classes_exist(document):
    known = words_of_the_code() | OTHER_CLASSES
    text = (ROOT / document).read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[A-Z][a-z0-9]+){2,})\b", text):
        assert name in known, f"{document} names {name}"


def test_the_design_page_has_a_line_for_each_room_on_its_floor():
    text = (ROOT / "docs/background/design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (`[^|]+) \|", text, re.MULTILINE)
    described = {(int(floor), name) for floor, names in rows for name in re.findall(r"`([\w/]+)`", names)}
    assert described == {(floor, name) for floor, names in enumerate(FLOORS, start=1) for name in names}


PLAINER = {
    r"(is|are|was|were) said": "report, print, warn",
    r"let(s|ting)? go": "close, free, drop",
    r"[,.;:)] of (which|whom|whose)": "whose, of them",
    r"that of": "the noun",
    r"those that": "the noun, or those with",
    r"without a word": "silently",
    r"whoever|nobody": "the one who does it",
    r"mend(s|ed|ing)?": "fix",
    r"by (itself|themselves)": "automatically, alone",
    r"lies? in": "is in, is stored in",
    r"stands? for": "means, represents",
    r"behind": "after",
    r"besides?": "next to, with",
    r"as it (is|was)": "unchanged",
    r"(take|takes|taking|taken|took) over": "load, adopt",
    r"signs? of life|roll ?call": "heartbeat",
    r"word tree": "prefix trie",
    r"by heart": "overfits",
    r"at hand": "available",
}
"""Phrases that engineers read twice, and what to write instead."""

PROSE = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def prose_of(document):
    """The lines of a document with their numbers, without its blocks of code."""
    text = re.sub(r"(?ms)^```.*?^```$", lambda block: "\n" * block[0].count("\n"), (ROOT / document).read_text("utf-8"))
    return list(enumerate(text.splitlines(), start=1))


@pytest.mark.parametrize("document", PROSE)
def test_prose_is_in_plain_words(document):
    for number, line in prose_of(document):
        for phrase, better in PLAINER.items():
            found = re.search(rf"(?<!\w){phrase}\b", line, re.IGNORECASE)
            assert not found, f"{document}, line {number}: {found[0]!r}; plainer: {better}"


@pytest.mark.parametrize("document", PROSE)
def test_lines_of_prose_are_short(document):
    long = [number for number, line in prose_of(document) if len(line) > 160 and not line.startswith("|")]
    assert not long, f"{document}, lines {long}: at most 160 characters; tables may be longer"


def test_readme_is_short_and_starts_with_the_install_command():
    assert len(README.splitlines()) <= 200
    assert README.index("pip install side4video") < README.index("make demo") < README.index("## ")
    assert sum(path.stat().st_size for path in (ROOT / "docs").rglob("*.webp")) < 100_000, "pictures stay small"


def test_the_readme_links_every_page():
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*/*.md")}
    assert pages <= set(re.findall(r"\]\(([^)#]+)\)", README))


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_the_index_page_lists_every_script(folder):
    listed = set(re.findall(r"^\| `(\w+\.py)` \|", (ROOT / folder / "README.md").read_text("utf-8"), re.MULTILINE))
    assert listed == {path.name for path in (ROOT / folder).glob("*.py")}


def test_the_index_page_of_benchmarks_lists_every_figure():
    text = (ROOT / "benchmarks/README.md").read_text("utf-8")
    assert not [path.name for path in (ROOT / "docs/figures").iterdir() if f"`{path.name}`" not in text]
