"""The model of an index: adapters and untrained CLIP models, and how they are distinguished."""

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

from side4video.adapters.adapter import CONFIG, WEIGHTS, read_weights
from side4video.atomic_files import write_tensors
from side4video.config import dump_config, parse_config
from side4video.data.sampling import FrameSampling
from side4video.demo.still_clip import (
    BACKBONE_ARGS,
    BACKBONE_NAME,
    TEXT_ARGS,
    TEXT_NAME,
    WEIGHTS_PATH,
    create_clip,
    unpack_weights,
    write_clip_file,
)
from side4video.models.text.tokeniser import clip_tokeniser
from side4video.search.index_model import load_index_model, plain_clip_config


@pytest.fixture(scope="module")
def small_clip(tmp_path_factory):
    """A YAML file with the demonstration's small CLIP as a run that was never trained."""
    folder = tmp_path_factory.mktemp("small-clip")
    write_clip_file(folder / "clip.safetensors")
    settings = {
        "task": "retrieval",
        "backbone": {"name": BACKBONE_NAME, "weights": str(folder / "clip.safetensors"), "model_args": BACKBONE_ARGS},
        "text": {
            "name": TEXT_NAME,
            "weights": str(folder / "clip.safetensors"),
            "model_args": TEXT_ARGS,
            "max_words": 16,
            "similarity": "mean-pool",
        },
        "data": {"num_frames": 4},
        "eval": {"resize": 64},
    }
    (folder / "clip.yaml").write_text(dump_config(parse_config(settings, source="small")))
    return folder / "clip.yaml"


def changed(adapter, tmp_path, *, settings=None, tensors=None):
    """A copy of an adapter with other settings, or with some tensors changed."""
    folder = shutil.copytree(adapter / "best", tmp_path / "changed")
    if settings:
        content = json.loads((folder / CONFIG).read_text())
        for group, changes in settings.items():
            content["settings"][group] |= changes
        (folder / CONFIG).write_text(json.dumps(content))
    if tensors:
        state = read_weights(folder)
        write_tensors(folder / WEIGHTS, {name: tensors(name, tensor) for name, tensor in state.items()})
    return folder


def test_moved_adapter_matches_the_index(adapter, model, tmp_path):
    copy = load_index_model(shutil.copytree(adapter / "best", tmp_path / "copy"), device="cpu")
    assert copy.fingerprint == model.fingerprint
    copy.check_fingerprint(model.describe(window_seconds=10, overlap_seconds=5), "the index")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"data": {"num_frames": 8}}}, ": the settings of frames and pictures differ"),
        ({"settings": {"text": {"similarity": "mean-pool"}}}, ": the settings of frames and pictures differ"),
        ({"settings": {"eval": {"resize": 40}}}, ": the settings of frames and pictures differ"),
        ({"settings": {"eval": {"resize": [64, 80]}}}, ": the settings of frames and pictures differ"),
        ({"settings": {"eval": {"crop_style": "paper"}}}, ": the settings of frames and pictures differ"),
        (
            {"tensors": lambda name, tensor: tensor + 1e-6 * (name == "head.projection.weight")},
            ": the trained weights differ",
        ),
    ],
)
def test_another_adapter_is_refused(adapter, model, tmp_path, change, message):
    other = load_index_model(changed(adapter, tmp_path, **change), device="cpu")
    with pytest.raises(ValueError, match="not by .*changed" + message):
        other.check_fingerprint(model.describe(window_seconds=10, overlap_seconds=5), "the index")


def test_further_trained_adapter_is_refused(adapter, tmp_path):
    folder = shutil.copytree(adapter / "best", tmp_path / "place")
    info = load_index_model(folder, device="cpu").describe(window_seconds=10, overlap_seconds=5)
    write_tensors(folder / WEIGHTS, {name: tensor * 2 for name, tensor in read_weights(folder).items()})
    with pytest.raises(ValueError, match=r"which has changed since: the trained weights differ.*Make a new index"):
        load_index_model(folder, device="cpu").check_fingerprint(info, "the index")


def test_settings_without_effect_on_embeddings_are_ignored(adapter, model, tmp_path):
    change = {"eval": {"batch": 3, "every": 7}, "train": {"lr": 0.5}, "data": {"workers": 2}}
    other = load_index_model(changed(adapter, tmp_path, settings=change), device="cpu")
    assert other.fingerprint == model.fingerprint


def test_untrained_model_embeds_like_clip(small_clip):
    model = load_index_model(small_clip, device="cpu")
    assert model.similarity == "mean-pool"
    clips = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    clip = create_clip(vocab_size=TEXT_ARGS["vocab_size"]).eval()
    clip.load_state_dict(unpack_weights(load_file(WEIGHTS_PATH)))
    texts = ["a red square on the left", "a disc"]
    with torch.inference_mode():
        frames = clip.encode_image(clips.flatten(0, 1)).unflatten(0, (2, 4))
        sentences = clip.encode_text(clip_tokeniser()(texts, max_words=TEXT_ARGS["context_length"])[0])
    torch.testing.assert_close(model.embed_clips(clips).frames, frames, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.embed_texts(texts).sentence, sentences, rtol=1e-4, atol=1e-5)


def test_untrained_models_are_distinguished(small_clip, tmp_path):
    model = load_index_model(small_clip, device="cpu")
    assert load_index_model(small_clip, device="cpu").fingerprint == model.fingerprint
    content = yaml.safe_load(small_clip.read_text())
    content["text"]["weights"] = "random"
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(content))
    other = load_index_model(tmp_path / "other.yaml", device="cpu")
    with pytest.raises(ValueError, match=": the trained weights differ"):
        other.check_fingerprint(model.describe(window_seconds=10, overlap_seconds=5), "the index")


def test_short_names_of_clip_models():
    config = plain_clip_config("clip-b16", weights="clip.pt")
    assert config.backbone.name == "vit_base_patch16_clip_quickgelu_224.openai"
    assert (config.text.name, config.text.similarity) == ("ViT-B-16-quickgelu", "mean-pool")
    assert (config.backbone.weights, config.text.weights) == ("clip.pt", "clip.pt")
    assert config.data.num_frames == 12
    assert plain_clip_config("eva02-clip-l14").text.tag == "merged2b_s4b_b131k"


def test_models_without_text_tower_and_other_tasks_are_refused(small_run, tmp_path):
    with pytest.raises(ValueError, match=r"dinov2-b14 has no text tower.*clip-b16"):
        load_index_model("dinov2-b14", device="cpu")
    (tmp_path / "run.yaml").write_text(dump_config(small_run()))
    with pytest.raises(ValueError, match=r"is a run for recognition\. Use a run whose task is retrieval"):
        load_index_model(tmp_path / "run.yaml", device="cpu")
    with pytest.raises(FileNotFoundError, match="is not an adapter"):
        load_index_model(tmp_path / "nothing", device="cpu")


def test_frame_sampling_of_the_model(model):
    assert model.test_clips().sampling == FrameSampling(num_frames=4)
