import pytest
import torch
from open_clip import SimpleTokenizer
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file, save_file

from side4video.demo.still_clip import (
    BACKBONE_ARGS,
    BACKBONE_NAME,
    TEXT_ARGS,
    TEXT_NAME,
    WEIGHTS_PATH,
    Vocabulary,
    create_clip,
    pack_weights,
    unpack_weights,
    write_clip_file,
)
from side4video.models.backbones.loading import load_backbone
from side4video.models.text.text_tower import load_text_tower
from side4video.models.text.tokeniser import clip_tokeniser

CAPTIONS = ["a red square", "an orange disc up there"]


@pytest.fixture(scope="module")
def full_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "new" / "clip.safetensors"
    write_clip_file(path)
    return path


@pytest.fixture(scope="module")
def full_clip(full_file):
    """open_clip's own model with 49,408 tokens, filled from the file."""
    image = BACKBONE_ARGS
    vision = CLIPVisionCfg(
        layers=image["depth"],
        width=image["embed_dim"],
        head_width=image["embed_dim"] // image["num_heads"],
        patch_size=16,
        image_size=64,
    )
    text = CLIPTextCfg(**{name: value for name, value in TEXT_ARGS.items() if name != "embed_dim"})
    clip = CLIP(TEXT_ARGS["embed_dim"], vision, text, quick_gelu=True)
    clip.load_state_dict(load_file(full_file))
    return clip.eval()


def test_packed_weights_are_small():
    assert WEIGHTS_PATH.stat().st_size < 1_350_000
    assert {tensor.dtype for tensor in load_file(WEIGHTS_PATH).values()} == {torch.float16, torch.int32}


def test_timm_and_open_clip_read_the_same_image_tower(full_file, full_clip):
    backbone = load_backbone(
        BACKBONE_NAME, weights=full_file, model_args=BACKBONE_ARGS, projection_width=TEXT_ARGS["embed_dim"]
    )
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (tokens,) = backbone.iterate(pictures[None], [backbone.num_blocks - 1])
        embeddings = backbone.projection(backbone.pool(tokens))[0]
        torch.testing.assert_close(embeddings, full_clip.encode_image(pictures), rtol=1e-4, atol=1e-4)


def test_text_tower_equals_open_clip(full_file, full_clip):
    tower = load_text_tower(TEXT_NAME, weights=full_file, model_args=TEXT_ARGS)
    ids, _ = clip_tokeniser()(CAPTIONS, max_words=TEXT_ARGS["context_length"])
    with torch.no_grad():
        _, sentences = tower(ids)
        torch.testing.assert_close(sentences, full_clip.encode_text(ids), rtol=1e-4, atol=1e-4)
    assert tower.logit_scale.item() == pytest.approx(full_clip.logit_scale.item())


def test_packed_and_full_vocabulary_encode_the_same(full_file, full_clip):
    packed = load_file(WEIGHTS_PATH)
    ids = packed.pop("token_embedding.ids")
    small = create_clip(vocab_size=len(ids)).eval()
    small.load_state_dict({name: tensor.float() for name, tensor in packed.items()})
    tokens = SimpleTokenizer(context_length=TEXT_ARGS["context_length"])(CAPTIONS)
    renumbered = torch.tensor([[ids.tolist().index(token) for token in row] for row in tokens.tolist()])
    with torch.no_grad():
        torch.testing.assert_close(small.encode_text(renumbered), full_clip.encode_text(tokens), rtol=0, atol=1e-6)


def test_unknown_tokens_are_zero_and_known_ones_are_not():
    table = unpack_weights(load_file(WEIGHTS_PATH))["token_embedding.weight"]
    assert table.shape == (49408, TEXT_ARGS["width"])
    known = set(load_file(WEIGHTS_PATH)["token_embedding.ids"].tolist())
    assert set(table.abs().sum(dim=1).nonzero().flatten().tolist()) == known


def test_words_are_renumbered_in_order():
    words = Vocabulary(CAPTIONS)
    tokens = SimpleTokenizer(context_length=TEXT_ARGS["context_length"])(CAPTIONS)
    encoded = words.encode(CAPTIONS)
    assert words.ids[encoded].equal(tokens)
    assert encoded.max() == len(words) - 1
    assert words.ids[-1] == 49407  # the end of the text is the highest number, which the tower looks for


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="a red elephant"):
        Vocabulary(CAPTIONS).encode(["a red elephant"])


def test_packing_loses_half_precision_only(tmp_path):
    words = Vocabulary(CAPTIONS)
    clip = create_clip(vocab_size=len(words))
    packed = pack_weights(clip, words)
    save_file(packed, tmp_path / "packed.safetensors")
    write_clip_file(tmp_path / "full.safetensors", tmp_path / "packed.safetensors")
    full = load_file(tmp_path / "full.safetensors")
    own = clip.state_dict()
    assert full.keys() == own.keys()
    for name, tensor in own.items():
        read = full[name][words.ids] if name == "token_embedding.weight" else full[name]
        torch.testing.assert_close(read, tensor, rtol=1e-3, atol=1e-6)
