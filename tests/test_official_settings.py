"""The paper's recipes against a table of the official settings with the source of each value."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from side4video.config import load_config, recipe_names, recipe_text

TABLE = json.loads((Path(__file__).parent / "golden/official_settings.json").read_text(encoding="utf-8"))["settings"]
PAPER = [name for name in recipe_names() if not name.startswith("own-")]
OWN_MATTERS = {  # how this package names files, models and data; the official code has nothing to compare
    *("about", "preset", "figures", "text.name", "text.tag"),
    *("data.format", "data.allow_missing", "data.frame_template", "eval.resize"),
}


def official(name):
    """The official settings of a recipe."""
    rows = [row for row in TABLE if fnmatchcase(name, row["recipes"])]
    settings = {row["setting"]: row["value"] for row in rows}
    assert len(rows) == len(settings), "two rows set the same"
    return settings


def value_of(config, setting):
    for part in setting.split("."):
        config = getattr(config, part)
    return list(config) if isinstance(config, tuple) else config


@pytest.mark.parametrize("name", PAPER)
def test_every_setting_equals_the_official_one(name):
    config, expected = load_config(name), official(name)
    assert len(expected) > 30
    assert {setting: value_of(config, setting) for setting in expected} == expected


@pytest.mark.parametrize("name", PAPER)
def test_every_setting_of_a_recipe_is_in_the_table(name):
    content = yaml.safe_load(recipe_text(name))
    groups = {group: values for group, values in content.items() if isinstance(values, dict) and group != "figures"}
    given = {f"{group}.{key}" for group, values in groups.items() for key in values} | content.keys() - groups.keys()
    assert given - OWN_MATTERS <= official(name).keys()


def test_every_row_has_a_source_and_a_recipe():
    for row in TABLE:
        assert row["source"].startswith(("Recognition", "Retrieval", "arXiv")), row
        assert any(fnmatchcase(name, row["recipes"]) for name in PAPER), row
