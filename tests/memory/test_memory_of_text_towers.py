"""The command `memory` for models whose text towers have other tokenisers than CLIP's, at reduced size."""

import json

import pytest
import torch
from transformers import MT5Config, XLMRobertaConfig

from side4video.cli import main
from side4video.config import load_config, parse_config
from side4video.models.retrieval_model import build_retrieval_model

SMALL = {"width": 32, "heads": 2, "layers": 2, "embed_dim": 64, "vocab_size": 90}
TOWERS = {
    "ViT-H-14-worldwide-quickgelu.metaclip2_worldwide": SMALL,
    "ViT-B-16-SigLIP2.webli": SMALL,
    "xlm-roberta-base-ViT-B-32.laion5b_s13b_b90k": XLMRobertaConfig(
        vocab_size=90, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    ),
    "mt5-base-ViT-B-32": MT5Config(vocab_size=90, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2),
}


@pytest.mark.parametrize(
    "name", [name if name.startswith("mt5") else pytest.param(name, marks=pytest.mark.slow) for name in TOWERS]
)
def test_memory_is_planned_without_weights_and_tokeniser(name, tmp_path, capfd):
    model, _, tag = name.partition(".")
    content = load_config("own-captions").model_dump(mode="json")
    content["backbone"] |= {"name": name, "model_args": {"embed_dim": 64, "depth": 2, "num_heads": 2}}
    content["text"] |= {"name": model, "tag": tag or "none", "model_args": {"embed_dim": 64}}
    content["side"] |= {"width": 64, "taps": "all"}
    content["train"] |= {"device": "cpu"}
    if isinstance(TOWERS[name], dict):
        content["text"]["model_args"] = TOWERS[name]
    else:
        TOWERS[name].save_pretrained(tmp_path)
        content["text"]["tokenizer"] = str(tmp_path)
    (tmp_path / "recipe.yaml").write_text(json.dumps(content))
    capfd.readouterr()
    assert main(["memory", str(tmp_path / "recipe.yaml"), "--card", "24GB", "--json", str(tmp_path / "plan.json")]) == 0
    printed = capfd.readouterr()
    assert "largest batch" in printed.out
    assert printed.err == ""
    plan = json.loads((tmp_path / "plan.json").read_text())
    for part in ("backbone", "text"):
        content[part]["weights"] = "random"
    built = build_retrieval_model(parse_config(content, source="test"), device=torch.device("meta"))
    trained = sum(parameter.numel() for parameter in built.parameters() if parameter.requires_grad)
    assert plan["trained_parameters"] == trained
    for mode in plan["modes"].values():
        assert mode["peak_bytes_by_category"]["trained weights"] == pytest.approx(
            4 * trained, rel=0.05
        )  # and causal masks


def test_a_tower_of_transformers_needs_its_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name = "xlm-roberta-base-ViT-B-32"
    flags = ["--backbone.name", f"{name}.laion5b_s13b_b90k", "--text.name", name, "--text.tag", "laion5b_s13b_b90k"]
    assert main(["memory", "own-captions", *flags]) == 2
    assert "give it: --text.tokenizer FOLDER" in capsys.readouterr().err
