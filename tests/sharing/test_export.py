"""Exported models give PyTorch's outputs, for any number of clips, without this package."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from side4video.adapters.adapter import Adapter, load_adapter, save_adapter
from side4video.cli import main
from side4video.config import parse_config
from side4video.models.build import build_model
from side4video.sharing import export
from side4video.sharing.export import METADATA, describe_export, export_adapter

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CPU = torch.device("cpu")
CLASSES = ("jump", "walk", "Überschlag")
SMALL = {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
CLIP = {"name": "vit_base_patch16_clip_quickgelu_224", "weights": "random", "image_size": 32, "model_args": SMALL}
ROPE = {**CLIP, "name": "eva02_base_patch16_clip_224"}
DEEP = {**CLIP, "model_args": {**SMALL, "depth": 3}}
TEXT = {"weights": "random", "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 1}}

KINDS = {
    "CLIP, pre-norm, two taps of three": {"backbone": DEEP, "side": {"width": 16, "taps": (0, 2)}},
}
MORE_KINDS = {
    "retrieval": {"task": "retrieval", "backbone": CLIP, "text": TEXT, "side": {"width": 16}},
    "EVA with rotary positions, post-norm": {"backbone": ROPE, "side": {"width": 16, "variant": "post-norm"}},
    "fused head, no attention": {
        "backbone": CLIP,
        "side": {"width": 16, "attention": False, "stem": False, "centred": True},
        "head": {"fused": True, "pooled_norm": True},
    },
    "a head on a grid, correlations, gates": {
        "backbone": CLIP,
        "side": {"width": 16, "correlation": 1, "temporal_difference": True, "patch_grid": 2, "stem": False},
        "head": {"grid": (2, 2, 2), "pooled_norm": True},
    },
    "EVA, post-norm, fused": {
        "backbone": {**CLIP, "name": "eva02_enormous_patch14_clip_224"},
        "side": {"width": 16, "variant": "post-norm"},
        "head": {"fused": True},
    },
    "SigLIP, which has no class token": {
        "backbone": {**CLIP, "name": "vit_base_patch16_siglip_224"},
        "side": {"width": 16},
        "head": {"fused": True},
    },
    "a probe with attention": {"backbone": DEEP, "probe": {"name": "attentive", "block": 1, "grid": 2}},
    "retrieval with EVA": {"task": "retrieval", "backbone": ROPE, "text": TEXT, "side": {"width": 16}},
}


def make_adapter(folder, settings):
    """An adapter whose tensors all differ from their initial values, so that no missing tensor goes unnoticed."""
    settings = {"data": {"num_frames": 4}, "eval": {"resize": 40}, **settings}
    config = parse_config(settings, source="a test")
    names = () if config.task == "retrieval" else CLASSES
    model = build_model(config, num_classes=len(names), device=CPU)
    generator = torch.Generator().manual_seed(1)
    for tensor in model.trained_state().values():
        if tensor.is_floating_point():
            tensor.add_(0.05 * torch.rand(tensor.shape, generator=generator))
    adapter = Adapter(config=config, class_names=names, fingerprint=model.backbone.fingerprint)
    save_adapter(folder, model, adapter)
    return folder


def outputs(folder, clips):
    model, _ = load_adapter(folder, device=CPU)
    with torch.no_grad():
        if not load_adapter(folder, device=CPU)[1].class_names:
            features = model.embed_videos(clips)
            return [features.frames, features.weights]
        return [model(clips)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`exported(settings)` gives an adapter and its exported model, which tests share."""
    made = []

    def export_once(settings):
        for known, *found in made:
            if known is settings:
                return found
        folder = tmp_path_factory.mktemp("exported")
        adapter = make_adapter(folder / "adapter", settings)
        made.append((settings, adapter, export_adapter(adapter, folder / "model.onnx")))
        return made[-1][1:]

    return export_once


@pytest.mark.slow  # in every run: float16 below, and float32 by docs/how-to/export.md
@pytest.mark.parametrize("settings", (KINDS | MORE_KINDS).values(), ids=KINDS | MORE_KINDS)
def test_onnx_gives_the_same_outputs_for_any_number_of_clips(settings, exported):
    folder, made = exported(settings)
    assert [path.name for path in made.files] == ["model.onnx"]
    (path,) = made.files
    assert made.num_bytes == path.stat().st_size
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for num_clips in (1, 2, 5):
        clips = torch.randn(num_clips, 4, 3, 32, 32)
        expected = outputs(folder, clips)
        found = session.run(None, {"clips": clips.numpy()})
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=1e-4)
    onnx.checker.check_model(path, full_check=True)
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    names = () if "task" in settings else CLASSES
    assert json.loads(entries["class_names"]) == list(names)
    assert json.loads(entries["frames"])["num_frames"] == 4


def test_float16_with_other_operators_and_any_number_of_frames(tmp_path):
    folder = make_adapter(tmp_path / "adapter", {"backbone": CLIP, "side": {"width": 16}})
    path = tmp_path / "model.onnx"
    options = ["--dtype", "float16", "--opset", "20", "--dynamic-frames"]
    assert main(["export", str(folder), str(path), *options]) == 0
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [20]
    assert {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1} == {
        onnx.TensorProto.FLOAT16
    }
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [one.type for one in (*session.get_inputs(), *session.get_outputs())] == ["tensor(float)"] * 2
    for num_clips, num_frames in ((1, 4), (3, 3), (2, 7)):
        clips = torch.randn(num_clips, num_frames, 3, 32, 32)
        [expected], [found] = outputs(folder, clips), session.run(None, {"clips": clips.numpy()})
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=0.02 * float(expected.abs().max()))


@pytest.mark.slow
def test_retrieval_in_float16(exported, tmp_path):
    folder, _ = exported(MORE_KINDS["retrieval"])
    export_adapter(folder, str(tmp_path / "model.onnx"), dtype="float16", dynamic_frames=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    clips = torch.randn(2, 5, 3, 32, 32)
    for one, other in zip(session.run(None, {"clips": clips.numpy()}), outputs(folder, clips), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=0.02 * float(other.abs().max()))


def test_settings_that_do_not_fit_are_refused(tmp_path):
    folder = make_adapter(tmp_path / "adapter", MORE_KINDS["a head on a grid, correlations, gates"])
    out = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match=r"head\.grid = \(2, 2, 2\), which depends on their number"):
        export_adapter(folder, out, dynamic_frames=True)
    with pytest.raises(ValueError, match="dtype = 'int8' is not supported"):
        export_adapter(folder, out, dtype="int8")
    for opset in (17, 1000):
        with pytest.raises(ValueError, match=f"opset = {opset} is not supported. Use 18 to"):
            export_adapter(folder, out, opset=opset)
    with pytest.raises(ValueError, match=r"opset = 18 is a setting of \.onnx files"):
        export_adapter(folder, out.with_suffix(".pt2"), opset=18)
    assert not out.exists()


def test_a_probe_of_optical_flow_is_refused(tmp_path):
    backbone = MORE_KINDS["a head on a grid, correlations, gates"]["backbone"]
    parts = [{"name": name, "block": -1, "grid": 1, "weight": 1.0} for name in ("linear", "flow")]
    for number, probe in enumerate([{"name": "speed"}, {"name": "combined", "parts": parts}]):
        folder = make_adapter(tmp_path / str(number), {"backbone": backbone, "probe": probe})
        with pytest.raises(ValueError, match=r"reads optical flow, which OpenCV computes.*--search off"):
            export_adapter(folder, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_the_metadata_is_complete(tmp_path):
    folder = make_adapter(tmp_path / "adapter", MORE_KINDS["fused head, no attention"])
    described = describe_export(*load_adapter(folder, device=CPU))
    assert described["task"] == "recognition"
    assert described["class_names"] == list(CLASSES)
    frames = {"num_frames": 4, "sampling": "segments", "flavour": "something_something", "stride": None}
    assert described["frames"] == frames
    preprocessing = described["preprocessing"]
    assert (preprocessing["image_size"], preprocessing["resize_short_side"]) == (32, 40)
    assert (preprocessing["crop"], preprocessing["half_pixels"]) == ("centre", "round down")
    assert preprocessing["mean"] == pytest.approx([0.48145466, 0.4578275, 0.40821073])  # CLIP's
    assert preprocessing["std"] == pytest.approx([0.26862954, 0.26130258, 0.27577711])


def test_the_metadata_has_height_and_width_if_resize_has_both(tmp_path):
    settings = MORE_KINDS["fused head, no attention"] | {
        "augment": {"resize": (36, 43)},
        "eval": {"crop_style": "paper"},
    }
    folder = make_adapter(tmp_path / "adapter", settings)
    preprocessing = describe_export(*load_adapter(folder, device=CPU))["preprocessing"]
    assert preprocessing["resize_height_width"] == [36, 43]
    assert "resize_short_side" not in preprocessing
    assert preprocessing["half_pixels"] == "round to even"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["retrieval", "EVA with rotary positions, post-norm"])
def test_pt2_runs_with_torch_alone(kind, tmp_path):
    folder = make_adapter(tmp_path / "adapter", (KINDS | MORE_KINDS)[kind])
    assert main(["export", str(folder), str(tmp_path / "model.pt2")]) == 0
    clips = torch.randn(5, 4, 3, 32, 32)
    save_file({"clips": clips}, tmp_path / "clips.safetensors")
    program = f"""
import sys, torch
from safetensors.torch import load_file, save_file
files = {{{METADATA!r}: ""}}
program = torch.export.load("model.pt2", extra_files=files)
assert not any("text" in name for name in program.state_dict)
model = program.module()
outputs = model(load_file("clips.safetensors")["clips"])
assert not any(name.split(".")[0] in {{"side4video", "timm"}} for name in sys.modules)
save_file({{str(place): output.contiguous() for place, output in enumerate(outputs)}}, "outputs.safetensors")
print(files[{METADATA!r}])
"""
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, text=True)
    found = load_file(tmp_path / "outputs.safetensors")
    for place, expected in enumerate(outputs(folder, clips)):
        torch.testing.assert_close(found[str(place)], expected, rtol=0, atol=1e-6)
    metadata = json.loads(printed)
    assert metadata["frames"]["num_frames"] == 4
    assert metadata["class_names"] == ([] if kind == "retrieval" else list(CLASSES))


@pytest.mark.slow
def test_a_quantised_backbone_is_written_unpacked(tmp_path):
    pytest.importorskip("bitsandbytes")
    settings = {"backbone": {**CLIP, "quantise": "nf4"}, "side": {"width": 16}}
    folder = make_adapter(tmp_path / "adapter", settings)
    assert export_adapter(folder, tmp_path / "model.pt2").largest_difference < 1e-5
    clips = torch.randn(2, 4, 3, 32, 32)
    found = torch.export.load(tmp_path / "model.pt2").module()(clips)
    torch.testing.assert_close(found[0], outputs(folder, clips)[0], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_large_weights_go_into_a_second_file(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_ONNX_BYTES", 1000)
    folder = make_adapter(tmp_path / "adapter", MORE_KINDS["fused head, no attention"])
    made = export_adapter(folder, tmp_path / "out" / "model.onnx")
    assert [path.name for path in made.files] == ["model.onnx", "model.onnx.data"]
    session = onnxruntime.InferenceSession(made.files[0], providers=["CPUExecutionProvider"])
    clips = torch.randn(2, 4, 3, 32, 32)
    np.testing.assert_allclose(
        session.run(None, {"clips": clips.numpy()})[0], outputs(folder, clips)[0].numpy(), rtol=0, atol=1e-4
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.onnx", "model.onnx.data"]


def test_an_inaccurate_export_is_not_written(tmp_path):
    folder = make_adapter(tmp_path / "adapter", MORE_KINDS["fused head, no attention"])
    weights = load_file(folder / "model.safetensors")
    weights["head.linear.weight"].fill_(3e38)  # the outputs are infinite
    save_file(weights, folder / "model.safetensors")
    (tmp_path / "model.pt2").write_text("an older one")
    with pytest.raises(RuntimeError, match="differ"):
        export_adapter(folder, tmp_path / "model.pt2")
    assert (tmp_path / "model.pt2").read_text() == "an older one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "model.pt2"]


def test_other_file_types_are_refused_early(tmp_path, capsys):
    assert main(["export", str(tmp_path), str(tmp_path / "model.bin")]) == 2
    assert ".onnx or .pt2" in capsys.readouterr().err
