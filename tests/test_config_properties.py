"""Any valid settings round-trip through a file; any others raise a `ConfigError`."""

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from side4video.config import ConfigError, RunConfig, dump_config, load_config, parse_config

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
nasty = st.sampled_from(
    ["null", "yes", "1e3", "0x10", "~", "- a", "a: b", "#x", "'", '"', "!!python/x", "1:30", "\n", " "]
)
paths = (texts | nasty).map(Path)
positive = st.integers(1, 10**6)
shares = st.floats(0, 1, exclude_max=True)

groups = {
    "about": texts | nasty,
    "seed": st.integers(0, 2**40),
    "backbone": st.fixed_dictionaries(
        {},
        optional={
            "image_size": st.none() | positive,
            "model_args": st.dictionaries(texts, st.booleans() | st.integers() | texts | st.floats(0, 1), max_size=3),
        },
    ),
    "side": st.fixed_dictionaries(
        {},
        optional={"taps": st.sampled_from(["all", "every-second"]) | st.lists(st.integers(-9, 9)), "width": positive},
    ),
    "data": st.fixed_dictionaries(
        {},
        optional={
            "train": st.none() | paths,
            "test": paths,
            "root": paths,
            "delimiter": st.none() | texts | nasty,
            "frame_template": texts,
            "num_frames": positive,
            "workers": st.none() | st.integers(0, 99),
        },
    ),
    "augment": st.fixed_dictionaries(
        {}, optional={"resize": st.none() | positive | st.tuples(positive, positive), "flip": shares, "grey": shares}
    ),
    "train": st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(1e-30, 1e30),
            "weight_decay": st.floats(0, 1e300),
            "betas": st.tuples(shares, shares),
            "batch": positive,
        },
    ),
    "eval": st.fixed_dictionaries(
        {},
        optional={
            "max_unread": shares,
            "crops": st.sampled_from([1, 3, 5, 10]),
            "crop_style": st.sampled_from(["even", "paper"]),
            "resize": st.none() | positive | st.tuples(positive, positive),
        },
    ),
}
settings = st.fixed_dictionaries({}, optional=groups)


@given(settings)
@example({"about": "\x85\u2028\ufeff\x00\x1b"})
def test_settings_survive_a_file(tmp_path_factory, content):
    config = parse_config(content, source="any")
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | nasty,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*RunConfig.model_fields, "preset", "trian"]) | texts, anything, max_size=4))
@example({"preset": []})
@example({"preset": "b16", "backbone": [1]})
@example({"preset": "b16", "text": "x"})
def test_other_settings_are_read_or_refused(content):
    with suppress(ConfigError):
        assert isinstance(parse_config(content, source="mine.yaml"), RunConfig)


@given(st.sampled_from(["eval", "train", "data", "side"]), anything.filter(lambda value: not isinstance(value, dict)))
def test_invalid_groups_are_refused(group, value):
    with pytest.raises(ConfigError, match=group):
        parse_config({group: value}, source="mine.yaml")


@given(texts | anything.map(lambda value: yaml.safe_dump(value)))
def test_any_file_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with suppress(ConfigError):
        assert isinstance(load_config(path), RunConfig)
