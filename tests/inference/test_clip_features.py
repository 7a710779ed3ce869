"""Features of videos from recognition adapters, compared with the classifier that reads them and with timm."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from side4video import Predictor, load_backbone
from side4video.cli import main
from side4video.inference.clip_features import check_part
from side4video.models.probe_model import ProbeModel
from side4video.models.probes import LinearProbe

ADAPTER = Path(__file__).parents[1] / "earlier/adapter"


@pytest.fixture(scope="module")
def predictor():
    return Predictor(ADAPTER, device="cpu", num_clips=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory, make_video):
    folder = tmp_path_factory.mktemp("videos")
    frames = [[10 * number for number in range(20)], [200 - 9 * number for number in range(20)]]
    return [make_video(folder / f"{number}.mp4", brightness) for number, brightness in enumerate(frames)]


def views_of(predictor, video):
    return predictor._clips([Path(video)])[0].frames


def test_side_features_are_what_the_classifier_reads(predictor, videos):
    features = predictor.features(videos, part="both", workers=0)
    assert features.paths == tuple(map(str, videos))
    for row, video in zip(features.side, videos, strict=True):
        with torch.inference_mode():
            views = views_of(predictor, video)
            logits = predictor.model(views).mean(dim=0)
            torch.testing.assert_close(predictor.model.head.linear(row), logits, rtol=1e-4, atol=1e-5)


def test_frozen_features_are_those_of_the_image_model(predictor, videos):
    features = predictor.features(videos, part="frozen", workers=0)
    assert features.side is None
    model = predictor.model.backbone.model
    for row, video in zip(features.frozen, videos, strict=True):
        with torch.inference_mode():
            views = views_of(predictor, video)
            tokens = model.forward_features(views.flatten(0, 1))[:, 0]  # timm's class tokens after its last norm
            torch.testing.assert_close(row, tokens.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_one_video_is_a_list_of_one(predictor, videos):
    several, one = predictor.features(videos, workers=0), predictor.features(str(videos[1]))
    assert one.frozen is None
    assert torch.equal(one.side, several.side[1:])


@pytest.mark.parametrize("name", ["features.npz", "features.safetensors"])
def test_the_command_writes_them(videos, tmp_path, name):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    command = ["embed", str(ADAPTER), *map(str, videos), "--part", "both", "--device", "cpu", "--out"]
    assert main([*command, str(tmp_path / name)]) == 0
    expected = Predictor(ADAPTER, device="cpu").features(videos, part="both", workers=0)
    if name.endswith(".npz"):
        with np.load(tmp_path / name, allow_pickle=False) as arrays:
            found, paths = dict(arrays), arrays["paths"].tolist()
    else:
        with safe_open(tmp_path / name, "np") as file:
            found, paths = {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["paths"])  # noqa: SIM118
    assert paths == list(map(str, videos))
    np.testing.assert_allclose(found["side"], expected.side, rtol=1e-5)
    np.testing.assert_allclose(found["frozen"], expected.frozen, rtol=1e-5)


def test_unreadable_videos_are_listed(videos, tmp_path, predictor, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    features = predictor.features([bad, videos[0]], workers=0)
    assert features.paths == (str(videos[0]),)
    assert [video.name for video in features.unread] == [str(bad)]
    assert len(features.side) == 1
    with pytest.raises(ValueError, match="None of the 1 videos can be read"):
        predictor.features(bad)


def test_wrong_requests_are_refused(predictor, videos, tmp_path, capsys):
    with pytest.raises(ValueError, match="part = 'all' is not known"):
        predictor.features(videos, part="all")
    out = tmp_path / "x.npz"
    assert main(["embed", str(ADAPTER), str(videos[0]), "--text", "a dog", "--out", str(out)]) == 2
    assert "leave out --text" in capsys.readouterr().err
    assert not out.exists()


def test_a_probe_has_frozen_features_alone():
    backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 1})
    model = ProbeModel(backbone=backbone, probe=LinearProbe(width=192, num_classes=2), block=-1)
    side, frozen = model.features(torch.zeros(2, 3, 3, 32, 32))
    assert side is None
    assert frozen.shape == (2, 192)
    check_part(model, "frozen")
    with pytest.raises(ValueError, match="a probe without a side network"):
        check_part(model, "both")
