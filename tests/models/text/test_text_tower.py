"""CLIP's text tower and tokeniser: against open_clip's own model and tokeniser, and what is refused."""

import math

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from safetensors.torch import save_file

from side4video.models.text.caption_warnings import describe_truncated
from side4video.models.text.text_tower import load_text_tower
from side4video.models.text.tokeniser import clip_tokeniser

ARGS = {"embed_dim": 16, "width": 32, "heads": 2, "layers": 2, "context_length": 20}
NAME = "ViT-B-16-quickgelu"


def small_clip(kind=CLIP, *, quick_gelu=True):
    torch.manual_seed(3)
    vision = CLIPVisionCfg(layers=1, width=64, patch_size=16, image_size=32)
    text = CLIPTextCfg(context_length=20, vocab_size=49408, width=32, heads=2, layers=2)
    model = kind(embed_dim=16, vision_cfg=vision, text_cfg=text, quick_gelu=quick_gelu)
    with torch.no_grad():  # fresh ones are too much alike to notice a wrong activation
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
@pytest.mark.parametrize(("kind", "name"), [(CLIP, NAME), (CustomTextCLIP, "EVA02-L-14")])
def test_a_file_of_a_whole_model_gives_its_sentence_embeddings(kind, name, ending, tmp_path):
    clip, path = small_clip(kind, quick_gelu=name == NAME), tmp_path / f"clip{ending}"
    state = {key: tensor.contiguous() for key, tensor in clip.state_dict().items()}
    save_file(state, path) if ending == ".safetensors" else torch.save({"state_dict": state}, path)
    tower = load_text_tower(name, weights=path, model_args=ARGS)
    captions = ["a red square moves up", "dogs!", "a very long caption " * 20]
    ids, mask = clip_tokeniser()(captions, max_words=20)
    assert torch.equal(ids, open_clip.get_tokenizer("ViT-B-32")(captions, context_length=20))
    with torch.no_grad():
        words, sentence = tower(ids)
        assert torch.equal(sentence, clip.encode_text(ids)), "bit for bit"
        ends = mask.sum(dim=1) - 1
        torch.testing.assert_close(words[torch.arange(3), ends], sentence)
    assert tower.logit_scale.item() == pytest.approx(clip.logit_scale.item())


def test_a_file_with_only_the_text_tower_is_supported(tmp_path):
    clip, path = small_clip(), tmp_path / "text.safetensors"
    save_file({k: v.contiguous() for k, v in clip.state_dict().items() if not k.startswith(("visual.", "logit"))}, path)
    tower = load_text_tower(NAME, weights=path, model_args=ARGS)
    assert tower.logit_scale.item() == pytest.approx(math.log(1 / 0.07), rel=1e-6)


def test_words_after_the_end_are_ignored():
    tower = load_text_tower(NAME, weights="random", model_args=ARGS)
    (long, _), (short, mask) = (clip_tokeniser()(["a dog"], max_words=words) for words in (20, 6))
    with torch.no_grad():
        torch.testing.assert_close(tower(long)[0][:, :4], tower(short)[0][:, :4])
    assert mask.tolist() == [[True] * 4 + [False] * 2]


def test_long_captions_keep_their_end_and_exclamation_marks_are_words():
    ids, mask = clip_tokeniser()(["one two three four five", "!"], max_words=4)
    assert ids[0, -1] == 49407
    assert ids[0, 0] == 49406
    assert ids[1].tolist() == [49406, 256, 49407, 0]
    assert mask.tolist() == [[True] * 4, [True, True, True, False]]


def test_random_weights_depend_only_on_the_seed():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, same, other = (load_text_tower(NAME, weights="random", model_args=ARGS, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    key = "transformer.resblocks.1.mlp.c_fc.weight"
    assert torch.equal(first.model.state_dict()[key], same.model.state_dict()[key])
    assert not torch.equal(first.model.state_dict()[key], other.model.state_dict()[key])


def test_recomputing_gives_the_same_gradients():
    tower = load_text_tower(NAME, weights="random", model_args=ARGS)
    ids, _ = clip_tokeniser()(["a dog runs"], max_words=8)
    found = []
    for on in (False, True):
        tower.set_recompute(on)
        tower.zero_grad()
        tower(ids)[1].sum().backward()
        found.append(tower.model.transformer.resblocks[0].mlp.c_fc.weight.grad.clone())
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("ViT-B-16-quickgellu", {}, "Did you mean ViT-B-16-quickgelu"),
        (NAME, {"depth": 3}, "model_args of the text tower: unknown depth. Known: "),
    ],
)
def test_other_towers_are_refused(name, args, message):
    with pytest.raises(ValueError, match=message):
        load_text_tower(name, weights="random", model_args=args)


def test_files_and_tags_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no weight file"):
        load_text_tower(NAME, weights=tmp_path / "none.pt")
    save_file({"visual.conv1.weight": torch.zeros(1)}, tmp_path / "image.safetensors")
    with pytest.raises(ValueError, match=r"as the text tower of ViT-B-16-quickgelu: .* missing"):
        load_text_tower(NAME, weights=tmp_path / "image.safetensors", model_args=ARGS)
    with pytest.raises(ValueError, match="open_clip has openai"):
        load_text_tower(NAME, tag="laion2b")
    with pytest.raises(ValueError, match="no room between start and end"):
        clip_tokeniser()(["a"], max_words=2)


def test_counts_of_words_are_those_of_open_clip():
    captions = ["", "a dog", "Backflipping, twice!", "naïve   café"]
    full = open_clip.get_tokenizer("ViT-B-16")(captions)
    assert clip_tokeniser().count(captions) == [int(row.argmax()) + 1 for row in full]


def test_truncated_captions_are_counted_and_their_read_part_shown():
    captions = ["a dog runs over a hill", "a dog", "a dog runs"]
    assert describe_truncated(captions, max_words=8) == []
    (sentence,) = describe_truncated(captions, max_words=5)
    assert sentence.startswith("1 of 3 captions are longer than --text.max-words 5 ")
    assert sentence.endswith("'a dog runs over a hill'. The longest has 8.")
    assert clip_tokeniser().read_part(captions[0], max_words=5) == "a dog runs"
    first, second = clip_tokeniser()([captions[0], "a dog runs"], max_words=5)[0]
    assert first.equal(second)
