"""AdamW in 32 and 8 bits: trained parameters, size of the state, and exact checkpoints."""

import copy
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from golden_rows import golden_rows
from side4video.config import TrainConfig
from side4video.models.retrieval_model import build_retrieval_model
from side4video.models.video_model import build_video_model
from side4video.training.checkpoint import CHECKPOINT, Progress, load_checkpoint, save_checkpoint
from side4video.training.loop import train
from side4video.training.optimizer import build_optimizer, learning_rate
from side4video.training.run_log import RunLog

EIGHT_BITS = "adamw-8bit"


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, *, steps: int, first: int = 0) -> nn.Module:
    """Steps with gradients that depend only on the step."""
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.randn(parameter.shape, generator=generator) + 0.5
        optimizer.step()
    return model


def config(name: str, **settings) -> TrainConfig:
    return TrainConfig(optimizer=name, **settings)


def test_eight_bits_train_nearly_like_32_bits():
    start = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 63))  # 4096 and 4032 numbers: only the first is quantised
    models = {}
    for name in ("adamw", EIGHT_BITS):
        model = copy.deepcopy(start)
        models[name] = stepped(model, build_optimizer(model, config(name, weight_decay=0.15)), steps=20)
    exact, eight = models["adamw"], models[EIGHT_BITS]
    torch.testing.assert_close(eight[1].state_dict(), exact[1].state_dict(), rtol=1e-4, atol=1e-5)
    moved = (exact[0].weight - start[0].weight).norm()
    assert 1e-5 < (eight[0].weight - exact[0].weight).norm() / moved < 0.1


def test_fake_tensors_have_a_state_of_the_same_bytes():
    """A memory plan can therefore count it."""

    def state():
        model = nn.Sequential(nn.Linear(128, 96), nn.LayerNorm(96))
        optimizer = build_optimizer(model, config(EIGHT_BITS))
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        values = [value for parameter in model.parameters() for value in optimizer.state[parameter].items()]
        return [(key, value.dtype, value.nbytes) if isinstance(value, torch.Tensor) else key for key, value in values]

    real = state()
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert state() == real


def test_bytes_of_the_state():
    model = nn.Sequential(nn.Linear(128, 96, bias=False), nn.LayerNorm(96))
    optimizer = build_optimizer(model, config(EIGHT_BITS))
    stepped(model, optimizer, steps=1)
    large, small = (optimizer.state[parameter] for parameter in (model[0].weight, model[1].weight))
    tables = large["qmap1"].nbytes + large["qmap2"].nbytes
    assert sum(v.nbytes for v in large.values() if isinstance(v, torch.Tensor)) - tables == 2 * (12288 + 48 * 4)
    assert sum(v.nbytes for v in small.values() if isinstance(v, torch.Tensor)) == 2 * 96 * 4


@pytest.mark.parametrize("name", ["adamw", EIGHT_BITS])
def test_every_trained_parameter_decays_and_nothing_else(name, small_run):
    """Without gradients there is only decay: one step multiplies by 1 - lr x decay, up to rounding."""
    model = build_video_model(small_run(), num_classes=8, device=torch.device("cpu"))
    before = copy.deepcopy(model)
    optimizer = build_optimizer(model, config(name, lr=0.5, weight_decay=0.2))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for (label, now), old in zip(model.named_parameters(), before.parameters(), strict=True):
        expected = old * 0.9 if old.requires_grad else old
        torch.testing.assert_close(now, expected, rtol=1e-6, atol=1e-7, msg=label)


def decays(model: nn.Module, **settings) -> dict[str, float]:
    """The weight decay of each trained parameter, by its name."""
    groups = build_optimizer(model, config("adamw", weight_decay=0.2, **settings)).param_groups
    of_parameter = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
    return {name: of_parameter[parameter] for name, parameter in model.named_parameters() if parameter in of_parameter}


def test_in_the_papers_retrieval_all_but_biases_decay(small_retrieval_run):
    model = build_retrieval_model(small_retrieval_run(), device=torch.device("cpu"))
    found = decays(model, decay_biases=False, decay_norms=True)
    assert found == {name: 0.0 if "bias" in name else 0.2 for name in found}
    one_dimensional = {name for name, parameter in model.named_parameters() if name in found and parameter.ndim < 2}
    decayed = {name for name in one_dimensional if found[name]}
    assert {"text.logit_scale", "head.final_norm.weight", "side.blocks.0.mlp_norm.weight"} <= decayed
    assert any(name.endswith("in_proj_bias") for name in found)
    assert {name for name, decay in decays(model, decay_biases=False).items() if not decay} == one_dimensional


@pytest.mark.parametrize(
    ("biases", "norms", "expected"),
    [
        (True, None, [0.2, 0.2, 0.2, 0.2]),
        (False, None, [0.2, 0.0, 0.0, 0.0]),
        (False, True, [0.2, 0.0, 0.2, 0.0]),
        (True, False, [0.2, 0.2, 0.0, 0.2]),
    ],
)
def test_which_parameters_decay(biases, norms, expected):
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    assert list(decays(model, decay_biases=biases, decay_norms=norms).values()) == expected


STEPS = 100_000  # in an epoch: enough for the one step by which the warm-up of recognition is ahead


@pytest.mark.parametrize(
    "row",
    golden_rows(group="recognition", key="factor"),
    ids=lambda row: "{epochs}-{warmup_epochs}-{epoch}".format(**row),
)
def test_every_golden_rate_of_recognition(row):
    settings = TrainConfig(epochs=row["epochs"], warmup_epochs=row["warmup_epochs"], lr=1)
    rate = learning_rate(round(row["epoch"] * STEPS), steps_per_epoch=STEPS, config=settings)
    assert rate == pytest.approx(row["factor"], abs=1.01 / (STEPS * row["warmup_epochs"]))


@pytest.mark.parametrize(
    "row", golden_rows(group="retrieval", key="factor"), ids=lambda row: "{progress}".format(**row)
)
def test_every_golden_rate_of_retrieval(row):
    """Five epochs; the warm-up is half an epoch, a tenth of the steps."""
    settings = TrainConfig(epochs=5, warmup_epochs=0.5, lr=1, cosine="whole-run")
    rate = learning_rate(round(row["progress"] * 5 * STEPS), steps_per_epoch=STEPS, config=settings)
    assert rate == pytest.approx(row["factor"], abs=1e-12)


def test_cosines_differ():
    rates = [
        learning_rate(50, steps_per_epoch=20, config=TrainConfig(epochs=5, warmup_epochs=0.5, lr=1, cosine=cosine))
        for cosine in ("after-warmup", "whole-run")
    ]
    assert rates == pytest.approx([0.5868, 0.5], abs=1e-4)


def test_a_checkpoint_restores_the_state_bit_for_bit(small_run, tmp_path):
    settings = small_run(train={"optimizer": EIGHT_BITS})
    model, other = (build_video_model(settings, num_classes=8, device=torch.device("cpu")) for _ in range(2))
    optimizer, restored = (build_optimizer(each, settings.train) for each in (model, other))
    stepped(model, optimizer, steps=3)
    save_checkpoint(tmp_path, model=model, optimizer=optimizer, progress=Progress(step=3))
    assert load_checkpoint(tmp_path, model=other, optimizer=restored)[0].step == 3
    quantised = 0
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        state, again = optimizer.state.get(one, {}), restored.state.get(two, {})
        assert {key: type(value) for key, value in state.items()} == {key: type(v) for key, v in again.items()}
        for key, value in state.items():
            same = torch.equal(value, again[key]) if isinstance(value, torch.Tensor) else value == again[key]
            assert same, key
            assert getattr(value, "dtype", None) == getattr(again[key], "dtype", None)
        quantised += "qmap1" in state
    assert quantised > 0
    assert load_file(tmp_path / CHECKPOINT)["optimizer.side.stem.weight.state1"].dtype == torch.uint8
    stepped(model, optimizer, steps=2, first=3)
    stepped(other, restored, steps=2, first=3)
    for name, tensor in model.trained_state().items():
        assert torch.equal(tensor, other.trained_state()[name]), name


def test_a_lost_step_count_would_change_the_weights(small_run, tmp_path):
    """The test above can fail: it would detect this."""
    settings = small_run(train={"optimizer": EIGHT_BITS})
    model = build_video_model(settings, num_classes=8, device=torch.device("cpu"))
    optimizer = build_optimizer(model, settings.train)
    stepped(model, optimizer, steps=3)
    save_checkpoint(tmp_path, model=model, optimizer=optimizer, progress=Progress(step=3))
    load_checkpoint(tmp_path, model=model, optimizer=optimizer)
    for state in optimizer.state.values():
        state.update({"step": 0} if state else {})
    stepped(model, optimizer, steps=1, first=3)
    wrong = {name: tensor.clone() for name, tensor in model.trained_state().items()}
    load_checkpoint(tmp_path, model=model, optimizer=optimizer)
    stepped(model, optimizer, steps=1, first=3)
    assert not torch.equal(wrong["side.stem.weight"], model.trained_state()["side.stem.weight"])


def test_a_missing_bitsandbytes_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModuleNotFoundError, match=r"train\.optimizer = 'adamw-8bit' needs.*side4video\[quantised\]"):
        build_optimizer(nn.Linear(2, 2), config(EIGHT_BITS))
    build_optimizer(nn.Linear(2, 2), config("adamw"))


def test_an_interrupted_run_ends_with_the_same_weights(small_run, tmp_path, monkeypatch):
    """The last checkpoint is one step before the interruption, as after a kill."""
    settings = small_run(train={"optimizer": EIGHT_BITS, "checkpoint_minutes": 0}, head={"dropout": 0.2})
    train(settings, out=tmp_path / "whole")
    advance, steps = RunLog.update_progress, []

    def stop_at_step_4(log, **shown):
        advance(log, **shown)
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "update_progress", stop_at_step_4)
        with pytest.raises(KeyboardInterrupt):
            train(settings, out=tmp_path / "cut")
    train(settings, out=tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / name / "last" / "model.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    for name in whole:
        assert torch.equal(whole[name], cut[name]), name
