"""Adapters are uploaded to a small real hub on this machine and downloaded again; every failure has its error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from hub_server import TOKEN, running_hub
from side4video import Embedder, Predictor, from_pretrained, push_to_hub
from side4video.adapters.adapter import find_adapter, load_adapter
from side4video.adapters.hub import download, is_downloaded, parse_hub_name
from side4video.cli import main
from side4video.training.loop import train

FILES = ["README.md", "config.json", "model.safetensors", "training.png"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, motion_videos):
    """A short run, by the command."""
    folder = tmp_path_factory.mktemp("hub")
    settings = {
        "backbone": {
            "name": "vit_tiny_patch16_224",
            "weights": "random",
            "image_size": 32,
            "model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
        },
        "side": {"width": 16},
        "data": {
            "train": str(motion_videos / "train"),
            "test": str(motion_videos / "test"),
            "num_frames": 4,
            "workers": 0,
        },
        "train": {"epochs": 1, "batch": 8, "log_every": 1, "device": "cpu"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
    assert main(["train", str(folder / "recipe.yaml"), "--out", str(folder / "run"), "--license", "mit"]) == 0
    return folder / "run"


def one_video(folder):
    return sorted((folder / "test").glob("*/*.mp4"))[0]


@pytest.mark.parametrize(
    ("text", "repo_id", "revision"),
    [("user/name", "user/name", None), ("user/a.b-c_d@refs/pr/1", "user/a.b-c_d", "refs/pr/1")],
)
def test_valid_names_on_the_hub(text, repo_id, revision):
    name = parse_hub_name(text)
    assert (name.repo_id, name.revision) == (repo_id, revision)
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    ["name", "/user/name", "./name", "../name", "a/b/c", "user/", "user/na..me", "user/na--me", "user/name@", ""],
)
def test_invalid_names_on_the_hub(text):
    assert parse_hub_name(text) is None


def test_a_shared_adapter_gives_the_same_predictions(run, hub, motion_videos, tmp_path):
    assert push_to_hub(run, "user/moves") == f"{hub.address}/user/moves"
    assert sorted(hub.commits["user/moves"][hub.newest("user/moves")]) == FILES
    video = one_video(motion_videos)
    assert Predictor("user/moves").predict(video) == Predictor(run).predict(video)
    model = from_pretrained("user/moves", device="cpu")
    own, _ = load_adapter(run, device=torch.device("cpu"))
    for name, tensor in own.trained_state().items():
        torch.testing.assert_close(model.trained_state()[name], tensor, rtol=0, atol=0)
    snapshot = find_adapter(Path("user/moves"))
    assert is_downloaded(snapshot)
    assert not is_downloaded(run)
    assert sorted(path.name for path in snapshot.iterdir()) == ["config.json", "model.safetensors"]


@pytest.fixture
def tokeniser(tmp_path):
    """A tokenizer.json of whole words with CLIP's number of tokens and its start and end, in a folder."""
    words = ["a", "shape", "moves", "clockwise", "[UNK]"]
    names = [*words, *(f"x{place}" for place in range(len(words), 49406)), "<|startoftext|>", "<|endoftext|>"]
    made = Tokenizer(WordLevel({name: place for place, name in enumerate(names)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    (tmp_path / "words").mkdir()
    made.save(str(tmp_path / "words/tokenizer.json"))
    return tmp_path / "words"


def test_a_shared_adapter_has_its_tokeniser(tokeniser, small_retrieval_run, hub, tmp_path):
    for name, text in (("own", {"tokenizer": str(tokeniser)}), ("clip", {})):
        train(small_retrieval_run(text=text, train={"epochs": 1}), out=tmp_path / name)
    push_to_hub(tmp_path / "own", "user/finds")
    with_tokeniser = hub.newest("user/finds")
    assert sorted(hub.commits["user/finds"][with_tokeniser]) == [*FILES[:3], "text/tokenizer.json", FILES[3]]
    push_to_hub(tmp_path / "clip", "user/finds")
    assert sorted(hub.commits["user/finds"][hub.newest("user/finds")]) == FILES, "CLIP's is part of open_clip"
    for name, revision in (("own", with_tokeniser), ("clip", hub.newest("user/finds"))):
        mine, shared = Embedder(tmp_path / name), Embedder(f"user/finds@{revision}")
        ids = [one.model.tokenise(["a shape moves clockwise"])[0].tolist() for one in (mine, shared)]
        assert ids[0] == ids[1]
        features = [one.embed_texts(["a shape moves clockwise"]).features.words for one in (mine, shared)]
        torch.testing.assert_close(*features, rtol=0, atol=0)


def test_no_path_of_this_machine_is_uploaded(run, hub, motion_videos):
    push_to_hub(run, "user/moves")
    files = hub.commits["user/moves"][hub.newest("user/moves")]
    for name, content in files.items():
        for place in (motion_videos, run, Path.home()):
            assert str(place).encode() not in content, f"{place} in {name}"
    assert str(motion_videos) in (run / "best/config.json").read_text(), "the run's own settings stay whole"


def test_evaluate_needs_local_data_and_writes_nothing_to_the_cache(run, hub, motion_videos, tmp_path, monkeypatch):
    push_to_hub(run, "user/moves")
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "user/moves"]) == 2  # where the author's videos lay is not known here
    data = ["--data.test", str(motion_videos / "test"), "--data.workers", "0"]
    assert main(["evaluate", "user/moves", *data, "--device", "cpu"]) == 0
    assert json.loads((tmp_path / "evaluation-user-moves.json").read_text())["num_videos"] == 8
    snapshot = find_adapter(Path("user/moves"))
    assert sorted(path.name for path in snapshot.iterdir()) == ["config.json", "model.safetensors"]


def test_each_revision_is_a_separate_adapter(run, hub, motion_videos):
    push_to_hub(run, "user/moves")
    first = hub.newest("user/moves")
    config = json.loads(hub.commits["user/moves"][first]["config.json"])
    config["class_names"] = [f"class {place}" for place in range(len(config["class_names"]))]
    hub.commit("user/moves", {"config.json": json.dumps(config).encode()})
    assert Predictor("user/moves").class_names[0] == "class 0"
    assert Predictor(f"user/moves@{first}").class_names == Predictor(run).class_names
    with pytest.raises(FileNotFoundError, match="no revision 'v9'"):
        Predictor("user/moves@v9")


def test_a_local_folder_takes_precedence_over_the_hub(run, hub, monkeypatch):
    monkeypatch.chdir(run.parent.parent)
    assert Predictor(f"{run.parent.name}/run").class_names
    assert not hub.requests


def test_a_misspelled_run_is_not_looked_up_on_the_hub(hub, monkeypatch, tmp_path):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"runs/mien is not an adapter.* The hub was not queried"):
        Predictor("runs/mien")
    assert not hub.requests


def test_without_a_token_nothing_is_sent(run, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PermissionError, match="hf auth login"):
        push_to_hub(run, "user/moves")
    assert not hub.commits


def test_everything_is_checked_before_anything_is_sent(run, hub, tmp_path, capsys):
    assert main(["share", str(run), "no-name"]) == 2
    assert "user/name" in capsys.readouterr().err
    assert main(["share", str(run), "user/moves", "--license", "My Own"]) == 2
    assert "licence" in capsys.readouterr().err
    assert main(["share", str(tmp_path), "user/moves"]) == 2
    assert "is not an adapter" in capsys.readouterr().err
    assert not hub.requests


def test_a_private_repository_is_hidden_from_others(run, hub, monkeypatch):
    push_to_hub(run, "user/moves", private=True)
    assert hub.private == {"user/moves": True}
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(FileNotFoundError, match=r"neither a local folder nor a repository .* private"):
        Predictor("user/moves")


def test_a_repository_without_an_adapter_is_refused(hub):
    hub.commit("user/other", {"pytorch_model.bin": b"a pickle"})
    with pytest.raises(FileNotFoundError, match=r"is not an adapter: it has no model\.safetensors and no config\.json"):
        Predictor("user/other")
    assert not any("pytorch_model.bin" in request for request in hub.requests)


def test_cached_adapters_work_offline(run, hub, motion_videos, monkeypatch):
    push_to_hub(run, "user/moves")
    Predictor("user/moves")
    download.cache_clear()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert Predictor("user/moves").predict(one_video(motion_videos))
    with pytest.raises(FileNotFoundError, match=r"user/movies is neither a local folder.* cannot be reached"):
        Predictor("user/movies")
    with pytest.raises(OSError, match="cannot be uploaded"):
        push_to_hub(run, "user/moves")


PAGE = b"<!DOCTYPE html><html><body>Please log in.</body></html>"
ADAPTER = {name: (Path(__file__).parents[1] / "earlier/adapter" / name).read_bytes() for name in FILES[1:3]}


@pytest.mark.parametrize("page", [PAGE, b"{}", b"[]"])
def test_the_cache_is_used_if_a_mirror_answers_with_a_page(hub, capsys, page):
    hub.commit("user/moves", ADAPTER)
    cached = find_adapter(Path("user/moves"))
    download.cache_clear()
    hub.page = page
    assert find_adapter(Path("user/moves")) == cached
    assert "does not answer like a hub" in capsys.readouterr().err


def test_a_page_is_named_where_nothing_is_cached(hub):
    hub.page = PAGE
    with pytest.raises(OSError, match=r"user/moves cannot be downloaded: http.* does not answer like a hub"):
        find_adapter(Path("user/moves"))
    with pytest.raises(OSError, match="cannot be uploaded"):
        push_to_hub(Path(__file__).parents[1] / "earlier/adapter", "user/moves")


def test_a_page_in_place_of_a_file_is_no_adapter(hub):
    hub.commit("user/moves", {**ADAPTER, "config.json": PAGE})
    with pytest.raises(OSError, match=r"config\.json is an HTML page: a mirror, a proxy or a login page"):
        find_adapter(Path("user/moves"))


def test_training_starts_from_an_adapter_of_the_hub(run, hub, small_run, tmp_path, capsys):
    push_to_hub(run, "user/moves")
    train(small_run(train={"epochs": 1}), out=tmp_path / "next", init_from=Path("user/moves"))
    assert "Loaded all" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_in_separate_processes(run, motion_videos, tmp_path):
    """As for a user: the environment defines the hub and the token."""
    video = one_video(motion_videos)
    with running_hub() as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}

        def side4video(*arguments):
            command = [sys.executable, "-m", "side4video", *map(str, arguments)]
            return subprocess.check_output(command, env=environment, cwd=tmp_path, text=True, stderr=subprocess.PIPE)

        assert f"{hub.address}/user/moves" in side4video("share", run, "user/moves", "--private")
        assert str(video) in side4video("predict", "user/moves", video, "--device", "cpu")
    snapshots = tmp_path / "home/hub/models--user--moves/snapshots"
    assert sorted(path.name for path in snapshots.rglob("*.*")) == ["config.json", "model.safetensors"]
