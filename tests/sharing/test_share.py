"""The shared folder is checked, complete, and without private data."""

import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from side4video import Embedder, Predictor, from_pretrained
from side4video.adapters.adapter import load_adapter, read_adapter
from side4video.atomic_files import write_json
from side4video.cli import main
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.video_model import VideoModel
from side4video.sharing.share import check_adapter, push_to_hub, save_shareable
from side4video.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("share") / "run"


@pytest.fixture
def run(place, small_run):
    """A run, trained once; tests must not change it."""
    if not place.exists():
        train(small_run(train={"epochs": 1}), out=place)
    return place


@pytest.fixture
def adapter(run, tmp_path):
    return shutil.copytree(run / "best", tmp_path / "adapter")


def test_the_folder_has_only_the_shared_files(run, motion_videos, tmp_path):
    out = tmp_path / "given"
    assert main(["share", str(run), "user/moves", "--folder", str(out), "--license", "mit"]) == 0
    names = ["README.md", "config.json", "model.safetensors", "training.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    video = sorted((motion_videos / "test").glob("*/*.mp4"))[0]
    assert Predictor(out).predict(video) == Predictor(run).predict(video)
    assert read_adapter(out).scores == read_adapter(run).scores
    assert ModelCard.load(out / "README.md").data.license == "mit"
    assert (out / "model.safetensors").read_bytes() == (run / "best/model.safetensors").read_bytes()
    for path in out.iterdir():
        assert str(motion_videos).encode() not in path.read_bytes()
        assert str(run).encode() not in path.read_bytes()


def test_all_other_settings_are_shared(run, tmp_path):
    save_shareable(run, tmp_path)
    own, given = (json.loads((folder / "config.json").read_text()) for folder in (run / "best", tmp_path))
    for name in ("train", "test"):
        assert own["settings"]["data"][name] is not None
        assert given["settings"]["data"][name] is None
        del own["settings"]["data"][name], given["settings"]["data"][name]
    assert own == given


@pytest.fixture
def private(tmp_path, motion_videos):
    """A folder whose name nobody may see, with a list of each kind: of classes, several labels, captions and groups."""
    folder = tmp_path / "home-of-anna/secret-project"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        videos = sorted((motion_videos / split).glob("*/*.mp4"))
        rows = [f"{video},{'left|fast' if place % 2 else 'left'}" for place, video in enumerate(videos)]
        (folder / f"several-{split}.csv").write_text("\n".join(["path,label", *rows]))
        groups = [f"{video.relative_to(motion_videos / split)},g{place}" for place, video in enumerate(videos)]
        (folder / f"groups-{split}.csv").write_text("\n".join(["path,group", *groups]))
        captions = [f"{video},a shape moves {video.parent.name.replace('_', ' ')}" for video in videos]
        (folder / f"captions-{split}.csv").write_text("\n".join(["video,caption", *captions]))
        (folder / split).symlink_to(motion_videos / split)
    return folder


def private_data(kind, folder):
    start = {"captions": "captions-", "several labels": "several-"}.get(kind, "")
    data = {split: folder / f"{start}{split}{'.csv' if start else ''}" for split in ("train", "test")}
    further = {"groups": {"group": str(folder / "groups-train.csv")}, "several labels": {"label_separator": "|"}}
    return data | further.get(kind, {})


@pytest.mark.parametrize("kind", ["folders", "groups", "several labels", "captions"])
def test_no_shared_file_names_a_private_folder(kind, private, small_run, small_retrieval_run, tmp_path):
    make = small_retrieval_run if kind == "captions" else small_run
    train(make(data=private_data(kind, private), train={"epochs": 1}), out=tmp_path / "run")
    assert b"secret-project" in (tmp_path / "run/best/config.json").read_bytes()
    files = save_shareable(tmp_path / "run", tmp_path / "given")
    assert not [file.name for file in files if b"secret" in file.read_bytes() or b"anna" in file.read_bytes()]


def test_adapters_of_earlier_versions_are_shared_without_the_path_of_their_test_list(adapter, tmp_path):
    origin = "best F1 of each class on 40 videos of {}; 1 of 4 classes have fewer than 5 videos there and share one"
    content = json.loads((adapter / "config.json").read_text())
    long = origin.format("/home/anna/my videos of cats/val.csv")
    content["thresholds"] = {"values": [0.5] * len(content["class_names"]), "origin": long}
    content["scores"]["thresholds"] = long
    write_json(adapter / "config.json", content)
    save_shareable(adapter, tmp_path / "given")
    given = json.loads((tmp_path / "given/config.json").read_text())
    assert given["thresholds"]["origin"] == given["scores"]["thresholds"] == origin.format("val.csv")
    assert "anna" not in (tmp_path / "given/README.md").read_text()


def test_other_files_of_an_adapter_are_not_shared(adapter, tmp_path):
    (adapter / "evaluation.json").write_text("{}")
    (adapter / "notes.txt").write_text("mine")
    files = save_shareable(adapter, tmp_path / "given")
    assert {"evaluation.json", "notes.txt"}.isdisjoint(path.name for path in files)
    assert {"evaluation.json", "notes.txt"}.isdisjoint(path.name for path in (tmp_path / "given").iterdir())


def test_the_tokeniser_of_another_adapter_does_not_stay(adapter, tmp_path):
    (tmp_path / "given/text").mkdir(parents=True)
    (tmp_path / "given/text/tokenizer.json").write_text("{}")
    (tmp_path / "given/notes.txt").write_text("mine")
    files = save_shareable(adapter, tmp_path / "given")
    left = {path for path in (tmp_path / "given").rglob("*") if path.is_file()}
    assert left == {*files, tmp_path / "given/notes.txt"}


def test_retrieval(small_retrieval_run, tmp_path):
    train(small_retrieval_run(train={"epochs": 1}), out=tmp_path / "run")
    save_shareable(tmp_path / "run", tmp_path / "given")
    assert isinstance(from_pretrained(tmp_path / "given", device="cpu"), RetrievalModel)
    sentences = ["a shape moves clockwise"]
    own, given = (Embedder(tmp_path / name).embed_texts(sentences).features for name in ("run", "given"))
    torch.testing.assert_close(own.words, given.words, rtol=0, atol=0)


def test_from_pretrained_gives_the_model(run):
    model = from_pretrained(str(run), device="cpu")
    assert isinstance(model, VideoModel)
    assert not model.training


def test_nonfinite_weights_are_refused(adapter, tmp_path):
    tensors = load_file(adapter / "model.safetensors")
    tensors["head.linear.weight"][0, 0] = torch.inf
    save_file(tensors, adapter / "model.safetensors")
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 of \d+ tensors: head\.linear\.weight"):
        save_shareable(adapter, tmp_path / "given")
    assert not (tmp_path / "given").exists()


def test_tensors_that_do_not_fit_are_refused(adapter):
    tensors = load_file(adapter / "model.safetensors")
    del tensors["head.linear.bias"]
    save_file(tensors, adapter / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing, unknown or of another shape: head\.linear\.bias"):
        check_adapter(adapter)


def test_checking_needs_no_weights_of_the_backbone(adapter):
    content = json.loads((adapter / "config.json").read_text())
    content["settings"]["backbone"]["weights"] = "/nowhere/vit.pt"
    write_json(adapter / "config.json", content)
    check_adapter(adapter)
    with pytest.raises(ValueError, match=r"vit\.pt, which does not exist"):
        load_adapter(adapter, device=CPU)


@pytest.mark.parametrize("name", ["moves", "user/moves/best", "user/moves@v1", "../moves", "user/mo ves"])
def test_invalid_names_on_the_hub_are_refused(adapter, name):
    with pytest.raises(ValueError, match="is not a name on the hub"):
        push_to_hub(adapter, name)
