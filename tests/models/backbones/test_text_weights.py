"""Text towers from files in Hugging Face's layouts: open_clip's tower gives the library's own hidden states."""

import pytest
import torch
import transformers
from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer
from torch import nn

from side4video.models.backbones.text_weights import check_text_activation, read_text_weights

TEXT = {
    "hidden_size": 24,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 99,
    "max_position_embeddings": 12,
    "bos_token_id": 97,
    "eos_token_id": 98,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
IDS = torch.tensor([[97, 5, 3, 60, 98, *[1] * 7], [97, 8, 9, 10, 11, 98, *[1] * 6]])


def make(name, **settings):
    torch.manual_seed(0)
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def clip_tower():
    return TextTransformer(12, 99, 24, 2, 2, output_dim=20, act_layer=QuickGELU, norm_layer=LayerNorm).eval()


def siglip_tower():
    return TextTransformer(
        12,
        99,
        24,
        2,
        2,
        output_dim=24,
        pool_type="last",
        no_causal_mask=True,
        proj_bias=True,
        act_layer=lambda: nn.GELU(approximate="tanh"),
        norm_layer=lambda width: LayerNorm(width, eps=1e-6),
    ).eval()


def load(tower, path):
    state = read_text_weights(path)
    tower.load_state_dict({name.removeprefix("text."): value for name, value in state.items() if "text." in name})
    return state


@pytest.mark.parametrize("own", [False, True])
def test_clip(tmp_path, own):
    model = make("CLIPModel", text_config=TEXT, vision_config=VISION, projection_dim=20)
    model.save_pretrained(tmp_path)
    path = tmp_path / "own.ckpt" if own else tmp_path
    if own:
        torch.save({"state_dict": {f"net.{name}": tensor for name, tensor in model.state_dict().items()}}, path)
    tower = clip_tower()
    state = load(tower, path)
    with torch.no_grad():
        expected = model.get_text_features(IDS)
    expected = getattr(expected, "pooler_output", expected)
    torch.testing.assert_close(tower(IDS), expected, rtol=0, atol=1e-5)
    assert torch.equal(state["logit_scale"], model.logit_scale)


@pytest.mark.parametrize("kind", ["CLIPTextModel", "MetaClip2TextModel"])
@pytest.mark.parametrize("stated", ["gelu", "quick_gelu"])
def test_an_activation_that_contradicts_the_name_is_refused(tmp_path, kind, stated):
    make(kind, **TEXT, projection_dim=20, hidden_act=stated).save_pretrained(tmp_path)
    right, wrong = ("ViT-B-16", "ViT-B-16-quickgelu") if stated == "gelu" else ("ViT-B-16-quickgelu", "ViT-B-16")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        check_text_activation(path, name=right, quick_gelu="quick" in right)
        with pytest.raises(ValueError, match=f"uses {stated}, but {wrong} uses .*use the name {right},"):
            check_text_activation(path, name=wrong, quick_gelu="quick" in wrong)


def test_an_activation_that_no_tower_has_is_refused_and_an_unknown_one_is_not(tmp_path):
    make("CLIPTextModel", **TEXT, projection_dim=20, hidden_act="gelu_pytorch_tanh").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"uses gelu_tanh.*a text tower of the same kind"):
        check_text_activation(tmp_path, name="ViT-B-16", quick_gelu=False)
    (tmp_path / "config.json").unlink()
    check_text_activation(tmp_path, name="ViT-B-16", quick_gelu=False)


@pytest.mark.parametrize(("name", "sizes"), [("SiglipModel", {}), ("Siglip2Model", {"num_patches": 4})])
def test_siglip(tmp_path, name, sizes):
    model = make(name, text_config=TEXT, vision_config={**VISION, **sizes})
    model.save_pretrained(tmp_path)
    tower = siglip_tower()
    state = load(tower, tmp_path)
    with torch.no_grad():
        expected = model.text_model(IDS).pooler_output
    torch.testing.assert_close(tower(IDS), expected, rtol=0, atol=1e-5)
    assert state["logit_bias"].item() == model.logit_bias.item()


@pytest.mark.parametrize("name", ["CLIPTextModel", "CLIPTextModelWithProjection"])
def test_a_text_tower_alone(tmp_path, name):
    model = make(name, **TEXT, projection_dim=20)
    model.save_pretrained(tmp_path)
    state = read_text_weights(tmp_path)
    assert ("text.text_projection" in state) == name.endswith("Projection")
    assert {name for name in clip_tower().state_dict() if name != "text_projection"} == {
        name.removeprefix("text.") for name in state if name != "text.text_projection"
    }


@pytest.mark.parametrize("prefix", ["", "text.", "model.", "module.text."])
def test_open_clips_names_under_any_prefix(tmp_path, prefix):
    tower = clip_tower()
    state = {f"{prefix}{name}": tensor for name, tensor in tower.state_dict().items()}
    outer = prefix.removesuffix("text.")
    state |= {f"{outer}visual.conv1.weight": torch.zeros(1), f"{outer}logit_scale": torch.tensor(2.0)}
    torch.save(state, tmp_path / "w.pt")
    found = read_text_weights(tmp_path / "w.pt")
    assert found.keys() == {f"text.{name}" for name in tower.state_dict()} | {"logit_scale"}


def test_averaged_weights_and_values_that_are_not_finite(tmp_path, capsys):
    state = clip_tower().state_dict()
    broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    torch.save({"model": broken, "model_ema": state}, tmp_path / "w.pt")
    read_text_weights(tmp_path / "w.pt")
    assert "text tower, averaged (EMA) weights under model_ema, not model" in capsys.readouterr().out
    with pytest.raises(ValueError, match="NaN or infinity in"):
        read_text_weights(tmp_path / "w.pt", key="raw")
