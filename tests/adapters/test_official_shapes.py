"""Retrieval checkpoints of the paper's large models: files with the official names and shapes fit their recipes.

Names and shapes come from the golden files, whose models are small: each size is replaced by that of the real model,
and blocks are repeated. The tensors of a file share one number, so that files of gigabytes take kilobytes.
"""

import json
import re
from pathlib import Path

import pytest
import torch

from side4video.config import load_config
from side4video.models.build import build_model
from side4video.models.official import detect_layout, from_official, read_official_checkpoint

META = torch.device("meta")
GOLDEN = Path(__file__).parents[1] / "golden"
SIDE = {64: 320, 256: 1280, 192: 960}  # d, 4 d, 3 d; in the golden models d = 64

SIZES = {  # recipe -> sizes in the golden model and in the real one, of the side network and of the rest of the tower
    "msrvtt-l14": (
        SIDE | {128: 1024, 17: 257, 16: 14},
        {128: 1024, 384: 3072, 512: 4096, 17: 257, 16: 14, 64: 768},
    ),
    "msvd-e14": (
        SIDE | {96: 1792, 16: 256},
        {96: 1792, 288: 5376, 192: 15360, 17: 257, 48: 1024},
    ),
}
BLOCKS = {"msrvtt-l14": (24, 24), "msvd-e14": (64, 32)}  # of the tower, of the side network
EMBED_DIM = {"msrvtt-l14": 768, "msvd-e14": 1024}


def official_shapes(name, side_width):
    """Every tensor of the official model except its text tower: name -> shape."""
    clip = name.endswith("l14")
    golden = json.loads((GOLDEN / f"retrieval_{'clip' if clip else 'eva'}.json").read_text())["shapes"]
    start = "clip." if clip else ""
    side, tower = SIZES[name]
    side = side | {64: side_width, 256: 4 * side_width, 192: 3 * side_width}
    shapes = {}
    for official, shape in golden.items():
        if not official.startswith(f"{start}visual."):
            continue
        sizes = side if "side_" in official else tower
        real = [sizes.get(size, size) for size in shape]
        number = re.search(r"\.(\d+)\.", official)
        blocks = BLOCKS[name]["side_" in official]
        repeated = number is not None and re.search(r"(blocks|side_lns|side_linears|side_transformer)\.\d", official)
        if not repeated:
            shapes[official] = real
        elif number[1] == "0":
            shapes |= {official.replace(".0.", f".{block}.", 1): real for block in range(blocks)}
    weights = {"0.weight": [EMBED_DIM[name]] * 2, "0.bias": [EMBED_DIM[name]], "2.weight": [1, EMBED_DIM[name]]}
    for layer, shape in (weights | {"2.bias": [1]}).items():
        shapes |= {f"{kind}_weight_fc.{layer}": shape for kind in ("text", "video")}
    return {
        key if key.startswith(("clip.", "text_", "video_")) else f"clip.{key}": shape for key, shape in shapes.items()
    }


def official_file(name, path, *, side_width, text):
    """A checkpoint with these shapes, and a text tower with those of open_clip."""
    number = torch.zeros(1, dtype=torch.float16)
    state = {key: number.expand(shape) for key, shape in official_shapes(name, side_width).items()}
    start = "clip." if name.endswith("l14") else "clip.text."
    state |= {start + key: number.expand(tensor.shape) for key, tensor in text.items() if key != "attn_mask"}
    state["clip.logit_scale"] = torch.tensor(4.6)
    torch.save({"model_state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}, path)


def on_meta(name):
    config = load_config(name)
    random = {group: getattr(config, group).model_copy(update={"weights": "random"}) for group in ("backbone", "text")}
    with META:
        return build_model(config.model_copy(update=random), num_classes=0, device=META)


@pytest.mark.parametrize("name", SIZES)
def test_a_checkpoint_of_the_papers_large_retrieval_models_fits_its_recipe(name, tmp_path):
    model = on_meta(name)
    official_file(name, tmp_path / "official.pt", side_width=320, text=dict(model.text.model.state_dict()))
    assert (tmp_path / "official.pt").stat().st_size < 10**6
    official = read_official_checkpoint(tmp_path / "official.pt")
    layout = detect_layout(official)
    assert (layout.retrieval, layout.num_blocks) == (True, BLOCKS[name][1])
    ours = {key: tuple(tensor.shape) for key, tensor in model.trained_state().items()}
    assert {key: tuple(tensor.shape) for key, tensor in from_official(official).items()} == ours


def test_a_checkpoint_with_the_side_width_of_recognition_does_not_fit(tmp_path):
    model = on_meta("msrvtt-l14")
    official_file("msrvtt-l14", tmp_path / "official.pt", side_width=512, text=dict(model.text.model.state_dict()))
    state = from_official(read_official_checkpoint(tmp_path / "official.pt"))
    with pytest.raises(ValueError, match="of another shape"):
        model.load_trained_state(state)
