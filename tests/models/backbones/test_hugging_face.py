"""Weights in Hugging Face's layouts: the tokens after every block equal the hidden states of the library itself."""

import pytest
import torch
import transformers

from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.stated_settings import stated_settings
from side4video.models.backbones.supported_models import activation_of

VISION = {
    "hidden_size": 32,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
DINO = {name: value for name, value in VISION.items() if name != "intermediate_size"}
TEXT = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 99,
    "max_position_embeddings": 16,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DECODER = {
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
}
ARGS = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 8}
CLIP, SIGLIP = "vit_base_patch16_clip_quickgelu_224", "vit_base_patch16_siglip_224"

# kind of model, its settings, the timm name, the attribute that holds the image tower, more arguments of timm
MODELS = {
    "CLIP": ("CLIPModel", {"text_config": TEXT, "vision_config": VISION}, CLIP, "vision_model", {}),
    "CLIP-vision": ("CLIPVisionModel", VISION, CLIP, None, {}),
    "CLIP-vision-gelu": ("CLIPVisionModel", {**VISION, "hidden_act": "gelu"}, CLIP, None, {}),
    "MetaCLIP2": (
        "MetaClip2Model",
        {"text_config": TEXT, "vision_config": VISION},
        "vit_base_patch16_clip_224",
        "vision_model",
        {},
    ),
    "MetaCLIP2-vision-gelu": ("MetaClip2VisionModel", {**VISION, "hidden_act": "gelu"}, CLIP, None, {}),
    "AltCLIP-vision": ("AltCLIPVisionModel", VISION, "vit_base_patch16_clip_224", None, {}),
    "CLIP-projection": ("CLIPVisionModelWithProjection", VISION, CLIP, "vision_model", {}),
    "SigLIP": ("SiglipModel", {"text_config": TEXT, "vision_config": VISION}, SIGLIP, "vision_model", {}),
    "SigLIP-vision": ("SiglipVisionModel", VISION, SIGLIP, None, {}),
    "SigLIP2": (
        "Siglip2Model",
        {"text_config": TEXT, "vision_config": {**VISION, "num_patches": 16}},
        SIGLIP,
        "vision_model",
        {},
    ),
    "DINOv2": ("Dinov2Model", DINO, "vit_small_patch14_dinov2", None, {}),
    "DINOv2-classifier": ("Dinov2ForImageClassification", DINO, "vit_small_patch14_dinov2", "dinov2", {}),
    "DINOv2-giant": (
        "Dinov2Model",
        {**DINO, "use_swiglu_ffn": True},
        "vit_giant_patch14_dinov2",
        None,
        {"mlp_ratio": 5.5},
    ),
    "DINOv2-registers": ("Dinov2WithRegistersModel", DINO, "vit_small_patch14_reg4_dinov2", None, {}),
    "DINOv3": ("DINOv3ViTModel", {**VISION, "num_register_tokens": 4}, "vit_small_patch16_dinov3_qkvb", None, {}),
    "DINOv3-plus": (
        "DINOv3ViTModel",
        {**VISION, "num_register_tokens": 4, "use_gated_mlp": True, "hidden_act": "silu"},
        "vit_small_plus_patch16_dinov3_qkvb",
        None,
        {"mlp_ratio": 4},
    ),
    "ViT": ("ViTModel", VISION, "vit_tiny_patch16_224", None, {}),
    "ViT-classifier": ("ViTForImageClassification", VISION, "vit_tiny_patch16_224", "vit", {}),
    "DeiT": ("DeiTModel", VISION, "deit_base_distilled_patch16_224", None, {}),
    "MSN": ("ViTMSNModel", {**VISION, "hidden_act": "gelu_pytorch_tanh"}, "vit_tiny_patch16_224", None, {}),
    "MAE": ("ViTMAEModel", {**VISION, "mask_ratio": 0.0}, "vit_base_patch16_224.mae", None, {}),
    "MAE-pretraining": (
        "ViTMAEForPreTraining",
        {**VISION, **DECODER, "mask_ratio": 0.0},
        "vit_base_patch16_224.mae",
        "vit",
        {},
    ),
    "I-JEPA": ("IJepaModel", VISION, "vit_huge_patch14_gap_224", None, {"mlp_ratio": 4}),
}


def make(kind):
    """A model of the library with random weights, also where it starts from zeros."""
    name, settings, _, tower, _ = MODELS[kind]
    torch.manual_seed(0)
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model, getattr(model, tower) if tower else model


def hidden_states(kind, tower, pictures):
    """The library's own states after every block."""
    given = {"pixel_values": pictures}
    if kind == "SigLIP2":  # reads patches, row by row, as (row, column, colour)
        patches = pictures.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 4, 5, 1).reshape(len(pictures), 16, -1)
        mask, sizes = torch.ones(len(pictures), 16, dtype=torch.int), torch.tensor([[4, 4]] * len(pictures))
        given = {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": sizes}
    if kind.startswith("MAE"):
        given["noise"] = torch.arange(16.0).repeat(len(pictures), 1)  # keeps the order of the patches
    with torch.no_grad():
        return tower(**given, output_hidden_states=True).hidden_states[1:]


def check_tokens(backbone, states, pictures):
    seen = list(backbone.iterate(pictures[:, None], range(2)))
    for tokens, state in zip(seen, states, strict=True):
        prefix = state.shape[1] - 16
        torch.testing.assert_close(tokens.patches[:, 0], state[:, prefix:], rtol=0, atol=1e-5)
        if prefix:
            torch.testing.assert_close(tokens.summary[:, 0], state[:, :1], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kind", MODELS)
def test_tokens_equal_the_librarys_hidden_states(kind, tmp_path, pictures):
    model, tower = make(kind)
    states = hidden_states(kind, tower, pictures)
    model.save_pretrained(tmp_path / "model")
    torch.save(
        {"state_dict": model.state_dict()}, tmp_path / "model/own.pt"
    )  # the names in memory differ from a file's
    _, _, name, _, more = MODELS[kind]
    for weights in (tmp_path / "model", tmp_path / "model/own.pt"):
        check_tokens(load_backbone(name, weights=weights, image_size=32, model_args={**ARGS, **more}), states, pictures)


@pytest.mark.parametrize(
    ("kind", "name"), [("CLIP", "ViT-B-16-quickgelu.openai"), ("CLIP", CLIP), ("SigLIP", "ViT-B-16-SigLIP.webli")]
)
def test_image_embeddings_equal_the_librarys(kind, name, tmp_path, pictures):
    model, _ = make(kind)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model.get_image_features(pixel_values=pictures).pooler_output
    args = {"weights": tmp_path, "image_size": 32, "model_args": ARGS, "projection_width": expected.shape[1]}
    backbone = load_backbone(name, **args)
    (tokens,) = backbone.iterate(pictures[:, None], [1])
    pooled = backbone.pool(tokens)[:, 0]
    own = pooled if backbone.projection is None else backbone.projection(pooled)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)


def test_sharded_files_of_the_library(tmp_path, pictures, capsys):
    model, tower = make("ViT")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-0*-of-0*.safetensors"))) > 1
    states = hidden_states("ViT", tower, pictures)
    index, part = tmp_path / "model.safetensors.index.json", sorted(tmp_path.glob("model-0*"))[0]
    for path in (tmp_path, index, part):
        backbone = load_backbone("vit_tiny_patch16_224", weights=path, image_size=32, model_args=ARGS)
        check_tokens(backbone, states, pictures)
    index.unlink()
    load_backbone("vit_tiny_patch16_224", weights=tmp_path, image_size=32, model_args=ARGS)
    part.unlink()
    with pytest.raises(FileNotFoundError, match=rf"parts, and 1 of them are missing .*: {part.name}"):
        load_backbone("vit_tiny_patch16_224", weights=tmp_path, image_size=32, model_args=ARGS)


class TestConfigs:
    """What tensors do not tell: config.json next to the weights states it."""

    @pytest.fixture
    def folder(self, tmp_path):
        make("CLIP-vision-gelu")[0].save_pretrained(tmp_path)
        return tmp_path

    def load(self, folder, **kwargs):
        return load_backbone(CLIP, weights=folder, image_size=32, model_args=ARGS, **kwargs)

    def test_the_activation_is_taken_and_printed(self, folder, capsys):
        assert activation_of(self.load(folder).model) == "gelu"
        assert "activation gelu (stated by config.json, not quick_gelu as in" in capsys.readouterr().out

    def test_the_activation_can_be_set(self, folder, capsys):
        assert activation_of(self.load(folder, activation="model").model) == "quick_gelu"
        assert activation_of(self.load(folder, activation="gelu_tanh").model) == "gelu_tanh"
        assert "activation gelu_tanh (as set; config.json states gelu)" in capsys.readouterr().out
        with pytest.raises(ValueError, match="activation = 'relu' is not known"):
            self.load(folder, activation="relu")

    def test_without_a_config_the_name_decides_and_that_is_printed(self, folder, capsys):
        (folder / "config.json").unlink()
        assert activation_of(self.load(folder).model) == "quick_gelu"
        assert "activation quick_gelu (of the model; tensors do not tell)" in capsys.readouterr().out
        self.load(folder, activation="gelu")
        assert "activation gelu (as set);" in capsys.readouterr().out

    @pytest.mark.parametrize("kind", ["SigLIP-vision", "DINOv2-giant", "DINOv3-plus"])
    @pytest.mark.parametrize("preprocessor", [None, '{"resample": 3}'])
    def test_without_a_config_the_layout_decides(self, kind, preprocessor, tmp_path, pictures):
        model, tower = make(kind)
        model.save_pretrained(tmp_path)
        (tmp_path / "config.json").unlink()
        if preprocessor:
            (tmp_path / "preprocessor_config.json").write_text(preprocessor)
        _, _, name, _, more = MODELS[kind]
        backbone = load_backbone(name, weights=tmp_path, image_size=32, model_args={**ARGS, **more})
        assert activation_of(backbone.model) == ("gelu_tanh" if kind == "SigLIP-vision" else "silu")
        check_tokens(backbone, hidden_states(kind, tower, pictures), pictures)

    def test_another_number_of_heads_is_refused(self, folder):
        with pytest.raises(ValueError, match=r"config\.json states 2 attention heads, .* has 4\. Set --backbone"):
            load_backbone(CLIP, weights=folder, image_size=32, model_args={**ARGS, "num_heads": 4})

    def test_a_corrupt_config_is_refused(self, folder):
        (folder / "config.json").write_text("{")
        with pytest.raises(ValueError, match=r"config\.json, next to the weights, is not JSON"):
            self.load(folder)

    @pytest.mark.parametrize("content", ["[]", '{"model_type": [1]}', '{"model_type": "clip", "vision_config": 3}'])
    def test_a_config_of_another_form_states_nothing(self, folder, content):
        (folder / "config.json").write_text(content)
        assert stated_settings(folder).num_heads is None

    def test_the_preprocessing_is_taken_and_printed(self, folder, capsys):
        (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "resample": 2}')
        backbone = self.load(folder)
        assert (backbone.mean, backbone.interpolation) == ((0.5, 0.5, 0.5), "bilinear")
        assert "state: mean 0.5, 0.5, 0.5 (not 0.481455, 0.457827, 0.408211)" in capsys.readouterr().out


def test_biases_that_the_model_lacks_are_refused(tmp_path):
    make("DINOv3")[0].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"biases in blocks\.0\.attn \(q, v\) that the model lacks.*_qkvb"):
        load_backbone("vit_small_patch16_dinov3", weights=tmp_path, image_size=32, model_args=ARGS)
