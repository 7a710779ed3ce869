"""Parameters of public functions: one value is a list of one, and every number is checked."""

import io
from pathlib import Path

import numpy as np
import pytest

from side4video.config import ConfigError, parse_config
from side4video.distributed.processes import joined_processes, launched_processes, local_rank
from side4video.parameters import as_list, check_count, check_number
from side4video.tasks.clips import choose_workers

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("one", ["red", Path("a.mp4"), b"content", io.BytesIO(b"content")])
def test_one_value_is_a_list_of_one(one):
    assert as_list(one) == [one]
    assert as_list([one, one]) == as_list((one, one)) == as_list(iter([one, one])) == [one, one]


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_counts(value):
    check_count(value, "top_k")


@pytest.mark.parametrize("value", [0, -1, 1.0, NAN, "3", None, True])
def test_other_values_are_no_counts(value):
    with pytest.raises(ValueError, match=r"^top_k = .* must be a whole number of 1 or more"):
        check_count(value, "top_k")


def test_numbers_in_a_range():
    for value in (0, 0.5, np.float32(1)):
        check_number(value, "score", minimum=0, maximum=1)
    check_number(1e300, "score", above=0)


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY, -0.1, 1.1, "0.5", None, False])
def test_other_values_are_no_numbers_in_the_range(value):
    with pytest.raises(ValueError, match=r"^score = .* must be a finite number, at least 0 and at most 1"):
        check_number(value, "score", minimum=0, maximum=1)


def test_the_bound_itself_is_not_above():
    with pytest.raises(ValueError, match="finite number, above 0"):
        check_number(0.0, "seconds", above=0)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("train", "lr", NAN),
        ("train", "lr", INFINITY),
        ("train", "weight_decay", NAN),
        ("train", "clip_grad_norm", INFINITY),
        ("train", "warmup_epochs", NAN),
        ("train", "betas", [0.9, 1.0]),
        ("train", "betas", [NAN, 0.9]),
        ("data", "timeout_seconds", INFINITY),
        ("augment", "mixup", NAN),
        ("augment", "crop_scale", [0.5, NAN]),
        ("probe", "strength", INFINITY),
        ("text", "decorrelation", NAN),
    ],
)
def test_settings_are_finite_and_in_range(group, name, value):
    with pytest.raises(ConfigError, match=f"{group}.{name}"):
        parse_config({group: {name: value}}, source="test")


def test_one_prompt_is_a_list_of_one():
    assert parse_config({"text": {"prompts": "a video of {}."}}, source="test").text.prompts == ("a video of {}.",)


def test_workers_are_counted_from_0():
    assert choose_workers(0) == 0
    with pytest.raises(ValueError, match="workers = -1 must be a whole number of 0 or more"):
        choose_workers(-1)


@pytest.mark.parametrize(
    ("name", "value"), [("WORLD_SIZE", "auto"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "-2"), ("LOCAL_RANK", "²")]
)
def test_a_wrong_environment_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"The environment variable {name} = '{value}' must be a whole number"):
        launched_processes() if name == "WORLD_SIZE" else local_rank()


def test_a_wrong_variable_of_the_scheduler_is_named(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "two")
    with pytest.raises(ValueError, match="SLURM_STEP_NUM_TASKS = 'two'"):
        launched_processes()


@pytest.mark.parametrize("port", ["http", "65536", "29500,29501"])
def test_a_wrong_port_is_named(monkeypatch, port):
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    wrong = pytest.raises(ValueError, match=f"MASTER_PORT = '{port}' must be a whole number")
    with wrong, joined_processes(None, timeout_minutes=1):
        pass


@pytest.mark.parametrize("minutes", [0, -1, NAN, INFINITY, 1e30])
def test_wrong_timeouts_are_refused(minutes):
    with pytest.raises(ValueError, match="timeout_minutes"), joined_processes(None, timeout_minutes=minutes):
        pass
