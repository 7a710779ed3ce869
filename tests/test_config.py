"""Settings: recipes, files, errors that name every problem."""

import subprocess
import sys
from pathlib import PureWindowsPath

import pytest
import yaml

from side4video.config import (
    MODEL_PRESETS,
    ConfigError,
    DataConfig,
    RunConfig,
    dump_config,
    load_config,
    parse_config,
    recipe_names,
    recipe_text,
)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_survives_a_round_trip(name, tmp_path):
    config = load_config(name)
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
    assert config.about
    assert f"side4video train {name}" in recipe_text(name)


def test_recipes_with_a_preset_have_its_sizes():
    config = load_config("ssv2-b16-light")
    assert (config.backbone, config.side) == MODEL_PRESETS["b16-light"]


def test_a_suffix_sets_the_frames():
    config, row = load_config("ssv2-e14"), load_config("ssv2-e14-f16")
    assert (config.data.num_frames, row.data.num_frames) == (8, 16)
    assert row == config.model_copy(update={"data": config.data.model_copy(update={"num_frames": 16})})
    assert load_config("msrvtt-b32-f12") == load_config("msrvtt-b32")
    assert load_config("own-clips-8gb-f32").data.num_frames == 32
    commands = [line for line in recipe_text("ssv2-e14-f16").splitlines() if " train " in line]
    assert len(commands) == 2
    assert all("side4video train ssv2-e14-f16 " in line for line in commands)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ssv2-e14-f32", r"has no variant with 32 frames. Use ssv2-e14-f8 or ssv2-e14-f16 \(3 crops x 2 clips\)"),
        ("k400-b16-f4", "Use k400-b16-f8 or k400-b16-f16 or k400-b16-f32"),
        ("msvd-e14-f8", r"Use msvd-e14-f12 \(1 view\)"),
        ("ssv2-e15-f16", "no recipe 'ssv2-e15-f16'"),
        ("ssv2-e14-f", "no recipe 'ssv2-e14-f'"),
        ("ssv2-e14-f-8", "no recipe 'ssv2-e14-f-8'"),
        ("ssv2-e14-f16-f16", "no recipe"),
    ],
)
def test_frames_that_a_recipe_does_not_have_are_refused(name, said):
    with pytest.raises(ConfigError, match=said):
        load_config(name)


@pytest.mark.parametrize("views", [{"clips": 2}, {"crops": 3}, {"final_clips": 4}, {"final_crops": 3}])
def test_retrieval_has_one_view(views):
    with pytest.raises(
        ConfigError, match=rf"eval.{next(iter(views))} = \d: task retrieval embeds one view of each video"
    ):
        parse_config({"task": "retrieval", "eval": views}, source="test")


def test_fields_next_to_a_preset_override_it():
    config = parse_config({"preset": "b16", "side": {"width": 128}}, source="test")
    assert config.side.width == 128
    assert config.backbone == MODEL_PRESETS["b16"][0]


def test_all_problems_are_listed_with_close_matches():
    settings = {"train": {"epoch": 3, "lr": -1}, "sidd": {}, "data": {"num_frames": 0}}
    with pytest.raises(ConfigError) as caught:
        parse_config(settings, source="mine.yaml")
    message = str(caught.value)
    assert "mine.yaml has 4 invalid settings" in message
    assert "train.epoch: no such setting; did you mean 'epochs'?" in message
    assert "train.lr = -1" in message
    assert "sidd: no such setting; did you mean 'side'?" in message
    assert "data.num_frames = 0" in message


def test_unknown_recipes_presets_and_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'ssv2-b16'"):
        load_config("ssv2-b17")
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="preset = 'b17' is not known"):
        parse_config({"preset": "b17"}, source="test")
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(ConfigError, match="must contain settings by name, not list"):
        load_config(path)
    path.write_text("a: [1\n")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(path)


def test_yaml_cannot_run_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text(yaml.dump({"about": "x"}) + f"seed: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(ConfigError):
        load_config(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"about: caf\xe9", id="Latin-1"),
        pytest.param("about: café".encode("utf-16"), id="UTF-16"),
        pytest.param(b"seed: " + b"[" * 10_000, id="nested"),
        pytest.param(b"about: 2001-99-99", id="no date"),
        pytest.param(b"about: \0", id="NUL"),
        pytest.param(b"? [1, 2]\n: 3", id="a list as a name"),
        pytest.param(b"seed: " + b"9" * 5000, id="a number too long to read"),
        pytest.param(b"a: &a [*a]", id="a list in itself"),
    ],
)
def test_invalid_files_are_refused_and_named(content, tmp_path):
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"odd\.yaml") as caught:
        load_config(tmp_path / "odd.yaml")
    assert len(str(caught.value)) < 2000


def test_exponential_yaml_is_refused_at_once(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "seed: *i", "side:", "  taps: *i"]))
    with pytest.raises(ConfigError, match="invalid settings") as caught:
        load_config(tmp_path / "bomb.yaml")
    assert len(str(caught.value)) < 20_000


def test_mixing_needs_two_clips_in_a_forward_pass():
    with pytest.raises(ConfigError, match="micro_batch must be 2 or more"):
        parse_config({"augment": {"mixup": 0.2}, "train": {"micro_batch": 1}}, source="test")
    assert parse_config({"augment": {"mixup": 0.2}, "train": {"micro_batch": 2}}, source="test").augment.mixup == 0.2


@pytest.mark.parametrize("flavour", ["msrvtt", "vatex"])
def test_frames_of_retrieval_are_for_retrieval(flavour):
    with pytest.raises(ConfigError, match=f"data.flavour = '{flavour}' is for task retrieval"):
        parse_config({"data": {"flavour": flavour}}, source="test")
    assert parse_config({"task": "retrieval", "data": {"flavour": flavour}}, source="test").data.flavour == flavour


@pytest.mark.parametrize("size", [0, [224], [224, 0], [224, 224, 224]])
def test_a_size_is_one_number_or_two(size):
    with pytest.raises(ConfigError, match=r"eval\.resize"):
        parse_config({"eval": {"resize": size}}, source="test")


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().train.lr = 1.0


def test_reading_settings_imports_nothing_slow():
    code = "import sys, side4video.cli; assert not {'torch', 'timm', 'av', 'sklearn'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_frozen_probe_needs_a_fused_head():
    with pytest.raises(ConfigError, match=r"set head\.fused too"):
        parse_config({"head": {"frozen_probe": True}}, source="test")


def test_paths_are_written_with_slashes():
    data = DataConfig.model_construct(train=PureWindowsPath(r"clips\train"), num_frames=16)
    content = data.model_dump(mode="json")
    assert (content["train"], content["num_frames"], content["test"]) == ("clips/train", 16, None)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"probe": {"name": "motion"}}, "probe.name"),
        ({"head": {"fused": True, "init": "text"}}, "head.init"),
        ({"augment": {"mixup": 0.2}}, "augment.mixup"),
        ({"augment": {"cutmix": 1.0}}, "augment.cutmix"),
        ({"train": {"shard_backbone": True}}, "train.shard_backbone"),
    ],
)
@pytest.mark.parametrize("effort", ["probes", "quick", "thorough"])
def test_settings_that_a_search_does_not_support_are_refused(settings, name, effort):
    with pytest.raises(ConfigError, match=rf"{name}: not supported by the search.*--search off"):
        parse_config({"search": effort} | settings, source="test")
    assert parse_config({"search": "off"} | settings, source="test").search == "off"
