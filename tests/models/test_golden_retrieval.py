"""The retrieval models against the numbers that the paper's official code printed; see golden/README.md."""

import json

import pytest
import torch
from safetensors.torch import save_file

from golden import (
    RELATIVE,
    ROUNDING,
    assert_equals,
    golden_files,
    load_golden_backbone,
    make_clips,
    make_side_network,
    make_tensor,
)
from side4video.models.official import detect_layout, from_official, read_official_checkpoint, to_official
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.similarity import channel_decorrelation, mean_pool_similarity, weighted_token_similarity
from side4video.models.text.text_tower import load_text_tower
from side4video.tasks.retrieval.contrastive import contrastive_loss

FILES = golden_files("retrieval")


def build(golden, folder):
    """Our model with the golden weights, and the official state dict they come from."""
    config = golden["config"]
    official = {name: make_tensor(name, shape) for name, shape in golden["shapes"].items()}
    clip = "clip" in golden["kind"]
    layout = detect_layout(official)
    assert layout.retrieval
    weights = folder / "clip.safetensors"
    save_file(
        {name.removeprefix("clip."): tensor.contiguous() for name, tensor in official.items() if "side_" not in name},
        weights,
    )
    if not clip:  # the file holds the image tower alone, and a file of weights may hold nothing of which nobody knows
        save_file({name.removeprefix("visual."): t for name, t in official.items() if "side_" not in name}, weights)
    backbone = load_golden_backbone(golden, weights, projection_width=config["embed_dim"])
    side = make_side_network(golden, backbone, layout, summary_position=clip)
    text = load_text_tower(
        "ViT-B-16-quickgelu",
        weights=weights if clip else "random",
        model_args={
            "embed_dim": config["embed_dim"],
            "width": config.get("text_width", 64),
            "heads": config.get("text_heads", 1),
            "layers": config.get("text_layers", 1),
            "vocab_size": config.get("vocab", 60),
            "context_length": config.get("context", 16),
        },
    )
    model = RetrievalModel(backbone=backbone, side=side, text=text, max_words=config.get("words", 9))
    if not clip:  # the golden model is the image tower alone; the rest of ours stays random
        trained = model.trained_state()
        rest = {name.removeprefix("clip."): tensor for name, tensor in to_official(trained, layout).items()}
        official |= {name: tensor for name, tensor in rest.items() if not name.startswith("visual.")}
    return model.load_trained_state(from_official(official)), official


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def case(request, tmp_path_factory):
    golden = json.loads(request.param.read_text())
    return golden, make_clips(golden["config"]), tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="module")
def with_texts(case):
    if "text_layers" not in case[0]["config"]:
        pytest.skip("this golden file pins the image tower alone")
    return case


def embed_texts(model, config, *, padded=False):
    ids, mask = torch.tensor(config["token_ids"]), torch.tensor(config["token_mask"]).bool()
    return model.embed_texts(ids, mask, padded=padded)


def test_frame_embeddings(case):
    golden, clips, folder = case
    model = build(golden, folder)[0].eval()
    with torch.no_grad():
        videos = model.embed_videos(clips)
    assert_equals(videos.frames, golden["eval"]["video_frames"], "frames")


def test_word_embeddings_and_both_similarities(with_texts):
    golden, clips, folder = with_texts
    model = build(golden, folder)[0].eval()
    with torch.no_grad():
        videos, texts = model.embed_videos(clips), embed_texts(model, golden["config"])
    expected = torch.tensor(golden["eval"]["text_tokens"]).reshape(texts.words.shape)
    mask = texts.mask.unsqueeze(-1)  # what stands behind the end of a text is never read
    assert_equals(texts.words * mask, (expected * mask).flatten().tolist(), "words")
    assert_equals(weighted_token_similarity(texts, videos), golden["eval"]["wti_similarity"], "wti")
    assert_equals(mean_pool_similarity(texts, videos), golden["eval"]["mean_pool_similarity"], "mean-pool")


@pytest.mark.parametrize("memory", ["plain", "exact"])
@pytest.mark.parametrize("term", ["plain", "cdcr"])
def test_loss_and_every_gradient(with_texts, term, memory):
    golden, clips, folder = with_texts
    config, expected = golden["config"], golden["train"][term]
    model, official = build(golden, folder)
    model.train().side.set_memory(memory)
    model.text.set_recompute(memory != "plain")
    texts, videos = embed_texts(model, config, padded=term == "cdcr"), model.embed_videos(clips)
    similarity = weighted_token_similarity(texts, videos)
    logits = model.logit_scale.exp() * similarity
    loss = contrastive_loss(similarity, model.logit_scale)
    assert_equals(logits.detach(), expected["logits"], "logits")
    assert loss.item() == pytest.approx(expected["similarity_loss"], rel=RELATIVE)
    if term == "cdcr":
        decorrelation = channel_decorrelation(texts, videos)
        assert decorrelation.item() == pytest.approx(expected["cdcr_loss"], rel=RELATIVE)
        loss = loss + config["cdcr_lambda"] * decorrelation
    assert loss.item() == pytest.approx(expected["loss"], rel=RELATIVE)
    loss.backward()
    check_gradients(model, official, expected)


@pytest.mark.parametrize("memory", ["plain", "exact"])
def test_gradients_of_the_image_tower(case, memory):
    golden, clips, folder = case
    if "loss" not in golden["config"]:
        pytest.skip("this golden file pins the whole loss")
    model, official = build(golden, folder)
    model.train().side.set_memory(memory)
    frames = model.embed_videos(clips).frames
    assert_equals(frames.detach(), golden["train"]["video_frames"], "frames")
    loss = frames.pow(2).mean()
    assert loss.item() == pytest.approx(golden["train"]["loss"], rel=RELATIVE)
    loss.backward()
    check_gradients(model, official, golden["train"])


def without_clip(state):
    """The golden EVA file contains only the image tower, whose names lack the prefix of CLIP's names."""
    return {name.removeprefix("clip."): tensor for name, tensor in state.items()}


def check_gradients(model, official, expected):
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    ours = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in named.items()}
    gradients = without_clip(to_official(ours, detect_layout(official)))
    for name, norm in expected["grad_l2"].items():
        own = gradients[name.removeprefix("clip.")].norm().item()
        assert own == pytest.approx(norm, rel=RELATIVE, abs=ROUNDING), name
    known = {name.removeprefix("clip.") for name in expected["grad_l2"]}
    assert all(tensor.norm() == 0 for name, tensor in gradients.items() if name not in known)


def test_official_names_round_trip_bit_for_bit(case):
    golden, _, folder = case
    model, official = build(golden, folder)
    back = without_clip(to_official(model.trained_state(), detect_layout(official)))
    frozen = ("visual.conv1", "visual.class_embedding", "visual.positional_embedding", "visual.ln_pre")
    frozen += ("visual.transformer.resblocks", "visual.cls_token", "visual.pos_embed", "visual.patch_embed")
    trained = without_clip(official)
    trained = {name: t for name, t in trained.items() if not name.startswith((*frozen, "visual.blocks"))}
    assert trained.keys() == {name for name in back if not name.endswith("num_batches_tracked")}
    for name, tensor in trained.items():
        assert torch.equal(back[name], tensor), name


def test_official_checkpoint_files_are_unwrapped(with_texts, tmp_path):
    golden, _, folder = with_texts
    model, official = build(golden, folder)
    path = tmp_path / "official.pt"
    torch.save({"model_state_dict": {f"module.{name}": tensor for name, tensor in official.items()}}, path)
    model.load_trained_state(from_official(read_official_checkpoint(path)))


def test_incomplete_checkpoints_are_refused(case):
    golden, _, folder = case
    official = build(golden, folder)[1]
    name = next(name for name in official if name.endswith("side_proj"))
    weights = next(name for name in official if name.endswith("video_weight_fc.0.bias"))
    del official[weights]
    with pytest.raises(ValueError, match=r"1 tensors of the side network are missing: video_weight_fc\.0\.bias"):
        from_official(official)
    del official[name]  # then it looks like a recognition model without its classifier
    with pytest.raises(ValueError, match=r"are missing: fc\.weight"):
        from_official(official)
