"""The retrieval model: untrained it equals CLIP, memory modes have equal gradients, mismatched towers are refused."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from safetensors.torch import save_file

from side4video.config import parse_config
from side4video.models.retrieval_model import RetrievalModel, build_retrieval_model
from side4video.models.similarity import mean_pool_similarity, weighted_token_similarity
from side4video.models.text.text_tower import load_text_tower
from side4video.models.text.tokeniser import clip_tokeniser
from side4video.tasks.retrieval.contrastive import contrastive_loss

CAPTIONS = ["a dog runs", "a cat sleeps on a red chair", "rain"]
CPU = torch.device("cpu")


def small_clip(kind):
    """A small model of open_clip's own, its image tower built by open_clip (CLIP) or by timm (EVA)."""
    torch.manual_seed(3)
    text = CLIPTextCfg(context_length=77, vocab_size=49408, width=32, heads=2, layers=2)
    if kind == "clip":
        vision = CLIPVisionCfg(layers=3, width=64, patch_size=16, image_size=32)
        model = CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text, quick_gelu=True)
    else:
        vision = CLIPVisionCfg(timm_model_name="eva02_base_patch16_clip_224", timm_pool="token", timm_proj=None)
        model = CustomTextCLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
        model.visual.trunk.set_input_size((32, 32))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def settings(kind, path, **groups):
    clip = kind == "clip"
    content = {
        "task": "retrieval",
        "backbone": {
            "name": "vit_base_patch16_clip_quickgelu_224" if clip else "eva02_base_patch16_clip_224",
            "weights": str(path),
            "image_size": 32,
            "model_args": {"embed_dim": 64, "depth": 3, "num_heads": 1} if clip else {},
        },
        "text": {
            "name": "ViT-B-16-quickgelu" if clip else "EVA02-B-16",
            "weights": str(path),
            "max_words": 77,
            "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 2},
        },
        "side": {"width": 16, "variant": "pre-norm" if clip else "post-norm"},
    }
    for name, changes in groups.items():
        content[name] |= changes
    return parse_config(content, source="the test")


@pytest.fixture(scope="module", params=["clip", pytest.param("eva", marks=pytest.mark.slow)])
def pair(request, tmp_path_factory):
    clip = small_clip(request.param)
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in clip.state_dict().items()}, path)
    return request.param, clip, path


@torch.no_grad()
def test_an_untrained_model_is_exactly_the_frozen_clip(pair):
    kind, clip, path = pair
    model = build_retrieval_model(settings(kind, path), device=CPU).eval()
    clips = torch.randn(3, 4, 3, 32, 32)
    videos, texts = model.embed_videos(clips), model.embed_texts(*clip_tokeniser()(CAPTIONS, max_words=77), padded=True)
    images = clip.encode_image(clips.flatten(0, 1)).unflatten(0, (3, 4))
    torch.testing.assert_close(videos.frames, images, rtol=1e-5, atol=1e-5)
    assert torch.equal(texts.sentence, clip.encode_text(open_clip.get_tokenizer("ViT-B-32")(CAPTIONS)))
    expected = F.normalize(texts.sentence, dim=-1) @ F.normalize(images.mean(dim=1), dim=-1).T
    torch.testing.assert_close(mean_pool_similarity(texts, videos), expected, rtol=1e-5, atol=1e-5)
    # The side network adds exact zeros: bit for bit the frozen model's own embeddings.
    tokens = next(model.backbone.iterate(clips, [model.backbone.num_blocks - 1]))
    assert torch.equal(videos.frames, model.backbone.projection(model.backbone.pool(tokens)))


@torch.no_grad()
def test_one_frame_and_one_word_give_the_score_of_clip(pair):
    kind, clip, path = pair
    model = build_retrieval_model(settings(kind, path), device=CPU).eval()
    frame = torch.randn(1, 1, 3, 32, 32)
    ids, mask = clip_tokeniser()(["a dog"], max_words=77)
    score = mean_pool_similarity(model.embed_texts(ids, mask), model.embed_videos(frame))
    own = F.cosine_similarity(clip.encode_image(frame[:, 0]), clip.encode_text(ids))
    torch.testing.assert_close(score[0], own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory", ["exact", "tight"])
def test_memory_modes_give_the_same_gradients(pair, memory):
    kind, _, path = pair
    clips, (ids, mask) = torch.randn(3, 4, 3, 32, 32), clip_tokeniser()(CAPTIONS, max_words=77)
    found = []
    for mode in ("plain", memory):
        model = build_retrieval_model(settings(kind, path), device=CPU).train()
        model.side.set_memory(mode)
        model.text.set_recompute(mode != "plain")
        torch.nn.init.normal_(model.head.side_projection.weight, std=0.1, generator=torch.Generator().manual_seed(2))
        texts, videos = model.embed_texts(ids, mask), model.embed_videos(clips)
        contrastive_loss(weighted_token_similarity(texts, videos), model.logit_scale).backward()
        assert all(parameter.grad is None for parameter in model.backbone.parameters())
        found.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    for name, gradient in found[0].items():
        error = 0.02 if memory == "tight" and ".tap." in name else 1e-4
        assert (found[1][name] - gradient).norm() <= error * gradient.norm() + 1e-6, name


def test_finetuned_and_newly_trained_parameters(pair):
    kind, _, path = pair
    model = build_retrieval_model(settings(kind, path), device=CPU)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    finetuned = {names[id(parameter)] for parameter in model.finetuned_parameters()}
    assert {"text.logit_scale", "text.model.token_embedding.weight", "head.projection.weight"} <= finetuned
    assert {name.split(".")[0] for name in finetuned} == {"text", "head"}
    assert not [name for name in finetuned if "side_projection" in name or name.startswith("head.norm")]


def test_captions_do_not_depend_on_their_batch(pair):
    kind, _, path = pair
    model = build_retrieval_model(settings(kind, path), device=CPU).eval()
    with torch.no_grad():
        together = model.embed_texts(*clip_tokeniser()(CAPTIONS, max_words=32))
        alone = model.embed_texts(*clip_tokeniser()(CAPTIONS[2:], max_words=32))
    torch.testing.assert_close(together.words[2:] * together.mask[2:, :, None], alone.words * alone.mask[..., None])
    torch.testing.assert_close(together.weights[2:], alone.weights)
    torch.testing.assert_close(together.weights.sum(dim=1), torch.ones(3))


def test_towers_that_do_not_fit_each_other_are_refused(pair, tmp_path):
    kind, _, path = pair
    config = settings(kind, path)
    text = load_text_tower(config.text.name, weights="random", model_args={"embed_dim": 24, "layers": 1})
    model = build_retrieval_model(config, device=CPU)
    with pytest.raises(ValueError, match="must share a space of 24 dimensions"):
        RetrievalModel(backbone=model.backbone, side=model.side, text=text)
    with pytest.raises(ValueError, match=r"max_words = 78 must be in 3\.\.77"):
        build_retrieval_model(settings(kind, path, text={"max_words": 78}), device=CPU)
    other = settings(kind, path, text={"weights": "random", "model_args": {"embed_dim": 8}})
    with pytest.raises(ValueError, match=r"head\.weight"):
        build_retrieval_model(other, device=CPU)
