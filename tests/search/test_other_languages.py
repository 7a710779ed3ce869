"""Search, training and checks with text towers and tokenisers of other languages, through the real commands."""

import json
import shutil

import pytest
import torch

from side4video.adapters.adapter import load_adapter, read_adapter
from side4video.cli import main
from side4video.config import dump_config
from side4video.sharing.share import save_shareable
from side4video.tasks.retrieval.embeddings import embed_texts
from side4video.training.loop import train
from small_tokenisers import make_tokeniser

TEXT = {
    "name": "ViT-B-16-SigLIP2",
    "max_words": 16,
    "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 1, "context_length": 16, "vocab_size": 346},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    return make_tokeniser(tmp_path_factory.mktemp("tokeniser") / "gemma", "gemma")


def test_words_of_a_chinese_query_have_their_moments(
    small_retrieval_run, motion_videos, gemma, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model, index = tmp_path / "model.yaml", str(tmp_path / "index")
    model.write_text(dump_config(small_retrieval_run(text=TEXT, data={"train": None, "test": None})))
    source = str(motion_videos / "test/clockwise")
    assert main(["index", source, "--to", index, "--model", str(model), "--workers", "0"]) == 2
    assert "--text.tokenizer FILE" in capsys.readouterr().err
    options = ["--text.tokenizer", str(gemma / "tokenizer.json"), "--device", "cpu"]
    assert main(["index", source, "--to", index, "--model", str(model), "--workers", "0", *options]) == 0
    assert main(["search", index, "红色的球", "ωψ", *options, "--json", str(tmp_path / "found.json")]) == 0
    assert "warning: ωψ: The model's text tower does not know 100% of the letters" in capsys.readouterr().err
    chinese, unknown = json.loads((tmp_path / "found.json").read_text())["queries"]
    assert [match["word"] for match in chinese["found"][0]["matches"]] == ["红", "色", "的", "球"]
    assert [match["word"] for match in unknown["found"][0]["matches"]] == ["ωψ"]


def test_an_adapter_has_its_tokeniser(small_retrieval_run, gemma, tmp_path, capsys):
    folder = shutil.copytree(gemma, tmp_path / "gemma")
    config = small_retrieval_run(text=TEXT | {"tokenizer": str(folder), "loss": "sigmoid"}, train={"epochs": 1})
    train(config, out=tmp_path / "run")
    model, _ = load_adapter(tmp_path / "run", device=CPU)
    expected = embed_texts(model, ["红色的球 turns"], device=CPU)
    assert model.logit_bias.item() != -10, "the sigmoid loss trains it"
    shutil.rmtree(folder)
    files = save_shareable(tmp_path / "run", tmp_path / "shared", name="user/name", license="mit")
    assert (tmp_path / "shared/text/tokenizer.json") in files
    moved, adapter = load_adapter(tmp_path / "shared", device=CPU)
    assert adapter.config.text.tokenizer == str(tmp_path / "shared/text")
    assert torch.equal(embed_texts(moved, ["红色的球 turns"], device=CPU).words, expected.words)
    assert str(folder) not in (tmp_path / "shared/config.json").read_text()
    assert read_adapter(tmp_path / "run").config.text.loss == "sigmoid"


def test_captions_in_another_language_are_reported_before_training(
    captioned_videos, small_retrieval_run, tmp_path, capsys
):
    lines = (captioned_videos / "train.csv").read_text().splitlines()
    captions = captioned_videos / "chinese.csv"
    captions.write_text("\n".join([lines[0], *(f"{line.split(',')[0]},红色的球在移动" for line in lines[1:])]) + "\n")
    count = len(lines) - 1
    message = f"{count} of {count} captions are mostly unknown to CLIP's tokeniser: it has no token for 100%"
    single = captioned_videos / "single.csv"
    single.write_text("\n".join(captions.read_text().splitlines()[:2]) + "\n")
    main(["check-data", "--data.train", str(single), "--out", str(tmp_path / "check"), "--processes", "1"])
    notes = json.loads((tmp_path / "check/summary.json").read_text())["sets"]["train"]["notes"]
    assert any(note.startswith("1 of 1 captions are mostly unknown to CLIP's tokeniser") for note in notes)
    config = small_retrieval_run(data={"train": captions, "test": None}, text={"max_words": 2})
    with pytest.raises(ValueError, match="max_words"):
        train(config, out=tmp_path / "run")
    assert message in capsys.readouterr().out
