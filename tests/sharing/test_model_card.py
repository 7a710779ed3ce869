"""The card states the results of the run, in metadata that the hub's library reads, without paths of the data."""

import json
import re

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file

from side4video.adapters.adapter import find_adapter, read_adapter
from side4video.atomic_files import write_json
from side4video.cli import main
from side4video.config import load_config
from side4video.selection.probe_run import train_probe
from side4video.sharing.model_card import MARKER, CardFacts, card_text, write_model_card
from side4video.training.loop import train


@pytest.fixture
def run(small_run, tmp_path):
    train(small_run(), out=tmp_path / "run")
    return tmp_path / "run"


def change_config(folder, change):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)


def results(card):
    return {result.metric_name: result for result in card.data.eval_results}


def test_the_metadata_match_the_run(run):
    card = ModelCard.load(write_model_card(run, CardFacts(name="user/moves", license="mit", dataset="Moving shapes")))
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == ("mit", "side4video", "video-classification")
    assert data.base_model is None  # random weights
    assert data.model_name == "user/moves"
    found, evaluation = results(card), json.loads((run / "evaluation.json").read_text())
    assert found["top-1 accuracy"].metric_value == evaluation["top1"]
    assert found["top-5 accuracy"].metric_value == evaluation["top5"]
    assert found["mean of the classes' accuracies"].metric_value == evaluation["mean_class_accuracy"]
    assert found["top-1 accuracy"].metric_args == {"videos": evaluation["num_videos"], "views": evaluation["views"]}
    assert {result.dataset_name for result in found.values()} == {"Moving shapes"}
    assert {result.dataset_type for result in found.values()} == {"moving-shapes"}


def test_a_resize_to_height_and_width_is_stated(run):
    change_config(find_adapter(run), lambda content: content["settings"]["eval"].update(resize=[36, 43]))
    text = write_model_card(run, CardFacts()).read_text()
    assert "to height 36 and width 43 pixels (bicubic), then 32 x 32 from the middle" in text


def test_the_text_is_complete(run, motion_videos):
    text = write_model_card(run, CardFacts(name="user/moves")).read_text()
    numbers = sum(tensor.numel() for tensor in load_file(run / "best/model.safetensors").values())
    assert f"{numbers:,} parameters" in text
    assert 'Predictor("user/moves")' in text
    assert "No licence is stated" in text
    assert "8 videos, 1 view of each" in text
    assert "Trained on: train, 24 videos" in text
    assert "short side to 32 pixels (bicubic), then 32 x 32 from the middle" in text
    assert "mean 0.5, 0.5, 0.5" in text
    assert r"crossing\_anticlockwise" in text
    assert "`train.epochs` | 2 |" in text
    assert re.search(r"Steps: 6 \(2 of 2 epochs\)", text)
    assert re.search(r"Time: \d+ s, with evaluations, on cpu", text)
    assert str(motion_videos) not in text
    assert str(run) not in text


def test_time_and_memory_are_those_of_the_run(run):
    found = read_adapter(run).run
    assert found["steps"] == 6
    assert found["train_samples"] == 24
    assert 0 < found["seconds"] < 600
    assert 50 < found["peak_memory_mb"] < 100_000


def test_the_picture_shows_the_curves(run):
    write_model_card(run)
    with Image.open(run / "best/training.png") as picture:
        assert picture.width > 2 * picture.height  # loss and top-1 side by side
        assert len(np.unique(np.asarray(picture.convert("RGBA")).reshape(-1, 4), axis=0)) > 50
    assert "](training.png)" in (run / "best/README.md").read_text()


def test_too_many_unreadable_videos_leave_no_score(run):
    change_config(run / "best", lambda content: content["scores"].update(videos=7, unread=1))
    card = ModelCard.load(write_model_card(run, CardFacts()))
    assert not card.data.eval_results
    assert "top-1 accuracy" not in card.text
    assert "No score: 1 of 8 videos" in card.text


def test_without_a_run_there_is_no_picture_and_no_scores(run, tmp_path):
    (run / "best").rename(tmp_path / "alone")
    change_config(tmp_path / "alone", lambda content: content.update(scores={}, run={}))
    card = ModelCard.load(write_model_card(tmp_path / "alone"))
    assert card.data.eval_results is None
    assert "Not evaluated" in card.text
    assert "training.png" not in card.text
    assert "Time:" not in card.text


def test_the_backbone_and_its_licence_are_named(run):
    def use_openai(content):
        content["settings"]["backbone"].update(name="vit_base_patch16_clip_quickgelu_224.openai", weights="hub")

    change_config(run / "best", use_openai)
    card = ModelCard.load(write_model_card(run))
    assert card.data.base_model == "timm/vit_base_patch16_clip_224.openai"
    assert card.data.base_model_relation == "adapter"
    assert "which it needs: apache-2.0" in card.text


def test_weights_from_a_file_are_named_without_their_folder(run):
    change_config(run / "best", lambda content: content["settings"]["backbone"].update(weights="/home/me/vit.pt"))
    card = ModelCard.load(write_model_card(run))
    assert card.data.base_model is None
    assert "`vit.pt`" in card.text
    assert "/home/me" not in card.text
    assert read_adapter(run).fingerprint in card.text


def test_a_card_changed_by_hand_is_kept(run):
    path = write_model_card(run, CardFacts(license="mit"))
    path.write_text(path.read_text().replace(MARKER, "Mind the gap."))
    again = ModelCard.load(write_model_card(run))
    assert "Mind the gap." in again.text
    assert again.data.license == "mit"
    assert ModelCard.load(write_model_card(run, CardFacts(license="apache-2.0"))).data.license == "apache-2.0"
    assert "Mind the gap." in path.read_text()


def test_the_licence_stays_until_another_is_given(run):
    write_model_card(run, CardFacts(license="cc-by-4.0"))
    assert ModelCard.load(write_model_card(run)).data.license == "cc-by-4.0"


@pytest.mark.parametrize("license", ["My Own", "mit\nlicense_name: x", "", "../x"])
def test_invalid_licences_are_refused(license):
    with pytest.raises(ValueError, match="is not a licence name on the hub"):
        CardFacts(license=license)


def test_training_refuses_an_invalid_licence_before_it_starts(motion_videos, tmp_path, capsys):
    data = ["--data.train", str(motion_videos / "train"), "--out", str(tmp_path / "run")]
    assert main(["train", "own-clips", *data, "--license", "My Own"]) == 2
    assert "is not a licence name on the hub" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_card_that_cannot_be_read_is_refused(run):
    (run / "best/README.md").write_text("---\nlicense: [mit\n---\nhello\n")
    with pytest.raises(ValueError, match="cannot be read as metadata"):
        write_model_card(run)


def test_names_are_escaped(run):
    odd = ["<script>alert(1)</script>", "a | b", "[x](http://y)", "two\nlines"]

    def rename(content):
        content["class_names"][:4] = odd

    change_config(run / "best", rename)
    text = card_text(find_adapter(run), CardFacts(), picture=False)
    assert "<script" not in text.replace("\\<script", "")
    assert r"a \| b" in text
    assert r"\[x\](http://y)" in text
    assert "two lines" in text


def test_a_probe_is_not_called_a_side_network(small_run, tmp_path):
    parts = [{"name": name, "block": -1, "grid": 1, "weight": 1.0} for name in ("linear", "flow")]
    for probe, reads in (
        ({"name": "speed", "grid": 1}, "the `speed` probe, reads optical flow of the frames."),
        (
            {"name": "combined", "parts": parts},
            "the `combined` probe, reads the tokens of the frozen image model `vit_tiny_patch16_224` and optical flow",
        ),
    ):
        out = tmp_path / probe["name"]
        train_probe(small_run(probe=probe, data={"test": None}), out=out)
        text = write_model_card(out / "last").read_text()
        assert reads in text
        assert "spatial-temporal side network" not in text


def test_retrieval(small_retrieval_run, tmp_path):
    train(small_retrieval_run(), out=tmp_path / "run")
    card = ModelCard.load(write_model_card(tmp_path / "run", CardFacts(name="user/search")))
    evaluation = json.loads((tmp_path / "run/evaluation.json").read_text())
    found = results(card)
    for direction, key in (("text to video", "text_to_video"), ("video to text", "video_to_text")):
        for k in (1, 5, 10):
            result = found[f"{direction}, recall at {k}"]
            assert result.metric_type == f"recall_at_{k}"
            assert result.metric_value == evaluation["scores"][key][f"recall_at_{k}"]
            assert result.metric_args == {"videos": 8, "captions": 8, "views": 1}
    assert "text-video-retrieval" in card.data.tags
    assert 'Embedder("user/search")' in card.text
    assert evaluation["scores"]["text_to_video"]["definition"] in card.text
    assert str(tmp_path) not in str(card)
    assert load_config(tmp_path / "run/config.yaml").task == "retrieval"
