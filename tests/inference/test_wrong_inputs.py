"""The Python API and the commands refuse wrong types, numbers and weights, before the first layer runs."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from side4video import Embedder, Predictor, VideoModel, load_adapter, load_backbone
from side4video.cli import main
from side4video.models.side.side_network import SideNetwork
from side4video.selection.run import train

EARLIER = Path(__file__).parents[1] / "earlier"
ADAPTER = EARLIER / "adapter"


@pytest.fixture(scope="module")
def predictor():
    return Predictor(str(ADAPTER), device="cpu")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieval")
    shutil.unpack_archive(EARLIER / "retrieval.zip", folder)
    return Embedder(folder, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def video(tmp_path_factory, make_video):
    return make_video(tmp_path_factory.mktemp("video") / "grey.mp4", [10 * number for number in range(20)])


def test_one_string_is_a_list_of_one(predictor, embedder, video):
    [one] = predictor.predict_videos(str(video), workers=0)
    [other] = predictor.predict_videos([video], workers=0)
    assert one.classes == other.classes
    name = predictor.class_names[0]
    assert [found.name for found in predictor.explain(video, classes=name).classes] == [name]
    videos = embedder.embed_videos(str(video), workers=0)
    assert videos.paths == (str(video),)
    with video.open("rb") as file:
        assert len(embedder.embed_videos(file, workers=0).paths) == 1
    assert len(embedder.rank("red", videos)) == 1
    assert embedder.rank("red", videos) == embedder.rank(["red"], videos)
    assert embedder.embed_texts("red").texts == ("red",)


@pytest.mark.parametrize("top_k", [0, -1, 1.5])
def test_wrong_numbers_of_results_are_refused(predictor, embedder, video, top_k):
    for call in (
        lambda: predictor.predict(video, top_k=top_k),
        lambda: predictor.predict_videos([video], top_k=top_k),  # before the first prediction is requested
        lambda: embedder.rank(["red"], None, top_k=top_k),
    ):
        with pytest.raises(ValueError, match=r"top_k = .* must be a whole number of 1 or more"):
            call()


@pytest.mark.parametrize("views", [{"num_clips": 0}, {"num_clips": -1}, {"num_crops": 2}, {"num_crops": 0}])
def test_wrong_numbers_of_views_are_refused(views):
    with pytest.raises(ValueError, match=next(iter(views))):
        Predictor(ADAPTER, device="cpu", **views)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--top-k", "-1"], "top_k"),
        (["--top-k", "0"], "top_k"),
        (["--clips", "0"], "num_clips"),
        (["--crops", "2"], "num_crops"),
        (["--reconnect-seconds", "nan"], "reconnect_seconds"),
        (["--timeline", "--min-score", "nan"], "min_score"),
        (["--timeline", "--window-seconds", "inf"], "window_seconds"),
        (["--timeline", "--min-seconds", "inf"], "min_seconds"),
        (["--timeline", "--padding-seconds", "nan"], "padding_seconds"),
        (["--engine", "ray", "--explain", "folder"], "--engine ray"),
        (["--device", "gpu"], "device = 'gpu' is not known"),
    ],
)
def test_wrong_numbers_of_a_command_are_named(video, capsys, flags, named):
    assert main(["predict", str(ADAPTER), str(video), "--device", "cpu", *flags]) == 2
    output = capsys.readouterr()
    assert named in output.err
    assert not output.out


def test_devices_by_name_or_object():
    for device in ("cpu", torch.device("cpu")):
        model, _ = load_adapter(str(ADAPTER), device=device)
        assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda clips: clips.transpose(1, 2), ValueError, "(B, C, T, H, W)"),
        (lambda clips: clips[0], ValueError, "(B, T, 3, 32, 32)"),
        (lambda clips: clips[..., :16], ValueError, "(B, T, 3, 32, 32)"),
        (lambda clips: clips.to(torch.uint8), ValueError, "must be floating point"),
        (lambda clips: clips.double(), ValueError, "clips.to(torch.float32)"),
        (lambda clips: clips.half(), ValueError, "clips.to(torch.float32)"),
        (lambda clips: clips.to("meta"), ValueError, "Frames are on meta"),
        (lambda clips: clips.numpy(), TypeError, "numpy.ndarray"),
    ],
)
def test_wrong_clips_are_refused_before_the_first_layer(predictor, embedder, change, error, named):
    for model, call in ((predictor.model, predictor.model), (embedder.model, embedder.model.embed_videos)):
        ran = []
        hook = nn.modules.module.register_module_forward_pre_hook(lambda module, _, ran=ran: ran.append(module))
        try:
            with pytest.raises(error) as raised:
                call(change(torch.zeros(1, 4, 3, 32, 32)))
        finally:
            hook.remove()
        assert named in str(raised.value)
        assert ran in ([], [model])


def test_a_head_of_your_own():
    backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 2})
    side = SideNetwork(backbone_width=192, num_patches=4, patch_size=16, taps=[0, 1], width=64)
    head = nn.Sequential(nn.Flatten(1), nn.LazyLinear(7))
    model = VideoModel(backbone=backbone, side=side, head=head)
    assert model(torch.zeros(2, 4, 3, 32, 32)).shape == (2, 7)
    assert model.finetuned_parameters() == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_adapter_that_is_not_finite_is_refused(tmp_path, video, capsys, bad):
    shutil.copytree(ADAPTER, tmp_path / "adapter")
    weights = tmp_path / "adapter/model.safetensors"
    state = load_file(weights)
    state["head.linear.bias"][0] = bad
    save_file(state, weights, {"format": "pt"})
    assert main(["predict", str(tmp_path / "adapter"), str(video), "--device", "cpu"]) == 2
    output = capsys.readouterr()
    assert "NaN or infinity in 1 of" in output.err
    assert "head.linear.bias" in output.err
    assert not output.out


def test_weights_of_a_backbone_that_are_not_finite_are_refused(tmp_path):
    given = {"image_size": 32, "model_args": {"depth": 1}}
    state = load_backbone("vit_tiny_patch16_224", weights="random", **given).model.state_dict()
    state["norm.weight"][3] = 1e5
    state["norm.bias"][:] = 3e38  # its sum exceeds the range of float32, its values do not
    save_file(state, tmp_path / "large.safetensors")
    load_backbone("vit_tiny_patch16_224", weights=tmp_path / "large.safetensors", **given)
    with pytest.raises(ValueError, match=r"as float16: NaN or infinity in 2 of .* norm\.weight"):
        load_backbone("vit_tiny_patch16_224", weights=tmp_path / "large.safetensors", dtype=torch.float16, **given)


def test_scores_that_are_not_finite_are_an_error(video):
    predictor = Predictor(ADAPTER, device="cpu")
    nn.init.constant_(predictor.model.head.linear.bias, float("nan"))
    with pytest.raises(FloatingPointError, match="outputs contain NaN or infinity"):
        predictor.predict(video)


def test_training_takes_settings_and_no_name(tmp_path):
    with pytest.raises(TypeError, match="load_config"):
        train("own-clips", out=tmp_path)


def test_number_types_of_a_backbone_are_checked():
    with pytest.raises(ValueError, match="dtype = 'float16' is not a number type of weights"):
        load_backbone("vit_tiny_patch16_224", weights="random", dtype="float16")
