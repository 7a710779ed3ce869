"""The notebooks run from top to bottom, with small numbers, and keep small outputs of a complete run."""

import json
import re
import tomllib
from pathlib import Path

import matplotlib.pyplot
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
SMALL = {
    "CLIPS_PER_CLASS": 2,
    "TEST_CLIPS_PER_CLASS": 1,
    "CLIPS_PER_CAPTION": 1,
    "COLOURS": ("red", "blue"),
    "EPOCHS": 2,
}
"""The sizes at the top of the notebooks, and what the test uses in their place."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def cells(path, kind="code"):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def code(cell):
    """The source of a cell, with small sizes."""
    source = "".join(cell["source"])
    for name, value in SMALL.items():
        source = re.sub(rf"^{name} = .*$", f"{name} = {value!r}", source, flags=re.MULTILINE)
    return source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: matplotlib.pyplot.close("all"))
    names = {"__name__": "__main__"}
    for number, cell in enumerate(cells(path), start=1):
        exec(compile(code(cell), f"{path.name}, code cell {number}", "exec"), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_works_without_a_checkout_and_keeps_small_outputs(path):
    first, *others = cells(path)
    install = "".join(first["source"])
    assert re.search(r'if importlib\.util\.find_spec\("\w+"\) is None:', install)
    (wanted,) = re.findall(r'"install", "-q", "side4video(?:\[(\w+)\])?"', install)
    assert not wanted or wanted in EXTRAS
    assert [cell["execution_count"] for cell in cells(path)] == list(range(1, len(others) + 2)), "run it once, in order"
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert {output.get("name") for output in outputs} <= {"stdout", None}, "progress bars and warnings are removed"
    assert len(outputs) >= 4
    assert path.stat().st_size < 100_000
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8"))


def test_there_are_three_notebooks_and_pages_link_to_them():
    assert len(NOTEBOOKS) == 3
    page = (ROOT / "docs/tutorials/notebooks.md").read_text(encoding="utf-8")
    assert all(f"../notebooks/{path.name}" in page for path in NOTEBOOKS)
