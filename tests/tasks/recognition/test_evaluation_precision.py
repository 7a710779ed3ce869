"""`eval.precision fp32` loads the frozen part in 32 bits; by default it has the type that the run used."""

import pytest
import torch

from side4video.adapters.adapter import load_adapter
from side4video.config import EvalConfig
from side4video.tasks.clips import autocast
from side4video.tasks.recognition.evaluate import evaluate_adapter
from side4video.tasks.retrieval.evaluate import evaluate_retrieval_adapter
from side4video.training.loop import train


@pytest.mark.parametrize(
    ("settings", "evaluate"),
    [("small_run", evaluate_adapter), ("small_retrieval_run", evaluate_retrieval_adapter)],
)
def test_the_frozen_part_is_loaded_in_32_bits(settings, evaluate, tmp_path, request, monkeypatch):
    config = request.getfixturevalue(settings)(backbone={"dtype": "bfloat16"}, train={"epochs": 1})
    train(config, out=tmp_path / "run")
    loaded = []

    def load(*args, **kwargs):
        loaded.append(load_adapter(*args, **kwargs))
        return loaded[-1]

    monkeypatch.setattr(f"{evaluate.__module__}.load_adapter", load)
    for precision in ("auto", "fp32"):
        changed = EvalConfig(resize=32, precision=precision)
        evaluate(tmp_path / "run", data=config.data, settings=changed, device="cpu")
    assert [model.backbone.dtype for model, _ in loaded] == [torch.bfloat16, torch.float32]


def test_autocast_is_off_in_32_bits():
    with torch.autocast("cpu", dtype=torch.bfloat16), autocast(torch.device("cpu"), "fp32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
