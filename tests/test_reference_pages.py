"""The generated pages of the documentation name every command and every setting."""

import re
from pathlib import Path

import pytest

from reference_pages import commands, help_of, on_page_markdown, settings
from side4video.cli import COMMANDS
from side4video.config import RunConfig, Settings

REFERENCE = Path(__file__).parents[1] / "docs/reference"


def flags(model, prefix=""):
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from flags(field.annotation, f"{name}.")
        else:
            yield f"--{prefix}{name}".replace("_", "-")


def test_every_setting_has_a_row_with_its_meaning():
    rows = re.findall(r"^\| `(--[\w.-]+)` \| (.+?) \| (.*?) \| (.+) \|$", settings(), re.MULTILINE)
    assert sorted(row[0] for row in rows) == sorted(flags(RunConfig))
    by_flag = {row[0]: row for row in rows}
    assert by_flag["--train.memory"][1:3] == ("`plain`, `exact`, `tight`", "`exact`")
    assert by_flag["--head.dropout"][1] == "float from 0.0 below 1.0"
    assert by_flag["--data.shots"][1:3] == ("int above 0 or none", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section_with_its_help(name):
    text = help_of(name)
    assert "Error" not in text
    assert text.startswith(f"usage: side4video {name}") or text == COMMANDS[name]
    assert "--train.lr" not in text, "settings have a page of their own"


def test_markers_are_replaced_and_other_pages_left_alone():
    for page, content in (("commands", commands()), ("settings", settings())):
        text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
        assert on_page_markdown(text) == text.replace(f"<!-- {page} -->", content) != text
    assert on_page_markdown("no marker") == "no marker"
