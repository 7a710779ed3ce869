"""Exports an adapter with its backbone as one file that runs without this package: ONNX or `torch.export`.

Recognition: clips (B, T, 3, H, W) -> logits (B, C). Retrieval: clips -> frame embeddings (B, T, E) and weights (B, T);
the text tower is not exported. The number of clips B is dynamic; H and W are the adapter's, and so is T by default.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.adapters.adapter import Adapter, load_adapter
from side4video.config.probe import FLOW_BLOCK
from side4video.models.backbones.quantisation import unpack_linear_layers
from side4video.models.probe_model import ProbeModel
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import VideoModel

SUFFIXES = (".onnx", ".pt2")
MAX_DIFFERENCE = 1e-3
"""Largest allowed difference from PyTorch's outputs, as a share of the largest output."""
MAX_DIFFERENCE_FLOAT16 = 2e-2
"""The same for weights in float16."""
MAX_ONNX_BYTES = 1_900_000_000
"""Largest size of weights inside the ONNX file (its limit is 2 GB); larger weights go to a second file next to it."""
MIN_OPSET = 18
"""Oldest version of the ONNX operators: that of torch's exporter."""
Dtype = Literal["float32", "float16"]
"""Number types of exported weights."""
METADATA = "side4video.json"
"""Name of the metadata among the extra files of a `.pt2` file; in an ONNX file each entry is a metadata property."""


@dataclass(frozen=True)
class ExportResult:
    """The result of an export, verified against PyTorch's outputs on random clips.

    Attributes:
        files: the exported file, and for large ONNX models a second file with the weights.
        num_bytes: total size of the files.
        largest_difference: largest difference from PyTorch's outputs, as a share of the largest output.

    >>> ExportResult(files=(Path("model.onnx"),), num_bytes=10, largest_difference=1e-6).num_bytes
    10
    """

    files: tuple[Path, ...]
    num_bytes: int
    largest_difference: float


class ExportedModel(nn.Module):
    """The exported part of an adapter's model: clips in, a tuple of tensors out.

    Args:
        model: in eval mode; the text tower of a retrieval model is removed.
        dtype: number type of weights and computation; "float16" halves the file. Inputs and outputs are float32.

    >>> model, _ = load_adapter(Path("adapter"), device=torch.device("cpu"))
    >>> program = ExportedModel(model)
    >>> program.output_names, program(torch.zeros(1, 4, 3, 32, 32))[0].shape
    (('logits',), torch.Size([1, 2]))
    """

    def __init__(self, model: SideTunedModel, *, dtype: Dtype = "float32") -> None:
        super().__init__()
        if dtype not in get_args(Dtype):
            raise ValueError(f"{dtype = } is not supported. Use one of {', '.join(get_args(Dtype))}.")
        self.dtype: torch.dtype = getattr(torch, dtype)
        for part in (model.backbone, model.side, model.head):
            part.to(self.dtype)
        if isinstance(model, RetrievalModel):
            model.text = nn.Identity()  # type: ignore[assignment]  # otherwise its weights are exported too
        self.model = model.requires_grad_(False)
        self.output_names = ("logits",) if isinstance(model, VideoModel) else ("frames", "frame_weights")

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> tuple[Tensor, ...]:
        """Logits, or frame embeddings and weights."""
        clips = clips.to(self.dtype)
        if isinstance(self.model, VideoModel):
            return (self.model(clips).float(),)
        assert isinstance(self.model, RetrievalModel)
        features = self.model.embed_videos(clips)
        return features.frames, features.weights


def export_adapter(
    adapter: str | Path,
    out: str | Path,
    *,
    backbone_weights: str | None = None,
    dtype: Dtype = "float32",
    dynamic_frames: bool = False,
    opset: int | None = None,
) -> ExportResult:
    """Export an adapter with its backbone as one self-contained model, and verify its outputs.

    A backbone that was quantised in training is exported unpacked: the same function in more bytes.

    Args:
        adapter: an adapter folder, a run folder, or a name on the Hugging Face hub.
        out: a `.onnx` or `.pt2` file; an existing one is replaced after the new one is complete and verified.
        backbone_weights: local weights of the backbone; by default those used in training.
        dtype: "float32", or "float16" for a file of half the size; inputs and outputs stay float32.
        dynamic_frames: let the number of frames T be any from 3 on. The adapter was trained for one number; scores with
            others are less accurate.
        opset: version of the ONNX operators, 18 or more. Default: that of torch.

    Raises:
        ValueError: unsupported file type, number type or operators, an invalid adapter, a head that needs the
            adapter's number of frames, or a probe that reads optical flow.
        FileNotFoundError: there is no adapter.
        ModuleNotFoundError: ONNX is requested and the extra `export` is not installed.
        RuntimeError: the outputs of the exported model differ from PyTorch's.
    """
    out = Path(out)
    check_export_file(out)
    _check_opset(out, opset)
    model, read = load_adapter(
        Path(adapter), device=torch.device("cpu"), backbone_weights=backbone_weights, dtype="float32"
    )
    unpack_linear_layers(model.backbone)
    if isinstance(model, ProbeModel) and FLOW_BLOCK in model.probe_blocks:
        raise ValueError(
            f"{adapter} reads optical flow, which OpenCV computes; only PyTorch's operations can be exported. Train "
            "a side network (--search off) to export it."
        )
    if dynamic_frames and read.config.head.grid is not None:
        raise ValueError(
            f"dynamic_frames: the head of {adapter} averages frames to the cells of head.grid = "
            f"{read.config.head.grid}, which depends on their number. Export it without dynamic_frames."
        )
    size, frames = model.backbone.image_size, read.config.data.num_frames
    clips = torch.randn(3, frames + 1, 3, size, size, generator=torch.Generator().manual_seed(0))
    tests = [clips[:1, :frames], clips[:, :frames], *([clips] if dynamic_frames else [])]
    with torch.no_grad():
        expected = [ExportedModel(model.eval())(part) for part in tests]
    program = ExportedModel(model, dtype=dtype)
    limit = MAX_DIFFERENCE if dtype == "float32" else MAX_DIFFERENCE_FLOAT16
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder, torch.no_grad():
        made = Path(folder) / out.name
        exported = _export(program, clips[:2] if dynamic_frames else clips[:2, :frames], dynamic_frames=dynamic_frames)
        metadata = describe_export(model, read) | {"dtype": dtype, "dynamic_frames": dynamic_frames}
        if out.suffix == ".onnx":
            _write_onnx(program, exported, made, metadata, opset)
        else:
            _write_torch(exported, made, metadata)
        run = _load_onnx(made) if out.suffix == ".onnx" else _load_torch(made)
        difference = max(_difference(run(part), other) for part, other in zip(tests, expected, strict=True))
        if not difference <= limit:  # NaN is refused too
            raise RuntimeError(
                f"The outputs of the exported model differ from PyTorch's by {difference:.1e}; no file was written."
            )
        files = tuple(path.replace(out.parent / path.name) for path in sorted(made.parent.iterdir()))
    return ExportResult(files, sum(path.stat().st_size for path in files), difference)


def check_export_file(out: Path) -> None:
    """Check the file type before anything is loaded.

    Raises:
        ValueError: the file is neither `.onnx` nor `.pt2`.
        ModuleNotFoundError: ONNX is requested and the extra `export` is not installed.
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(f"{out}: models are exported to {' or '.join(SUFFIXES)} files.")
    if out.suffix == ".onnx":
        try:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"ONNX files need onnx, onnxscript and onnxruntime ({error}). Install them with: "
                "pip install 'side4video[export]'. A .pt2 file needs none of them."
            ) from error


def describe_export(model: SideTunedModel, adapter: Adapter) -> dict[str, Any]:
    """Metadata for programs that run the exported model: frames, preprocessing, class names."""
    data, backbone = adapter.config.data, model.backbone
    return {
        "side4video": version("side4video"),
        "task": adapter.config.task,
        "input": "clips: float32 (batch, frames, 3 = red green blue, height, width), 0..1, then normalised",
        "output": _describe_logits(adapter)
        if adapter.config.task == "recognition"
        else "frames (batch, frames, embedding), not normalised; frame_weights (batch, frames), which sum to 1",
        "class_names": list(adapter.class_names),
        **({} if adapter.thresholds is None else {"thresholds": list(adapter.thresholds.values)}),
        "frames": {
            "num_frames": data.num_frames,
            "sampling": data.sampling,
            "flavour": data.flavour,
            "stride": data.stride,
        },
        "preprocessing": {
            **_resize(adapter.config.test_resize or round(backbone.image_size * 256 / 224)),
            "crop": "centre",
            "half_pixels": {"even": "round down", "paper": "round to even"}[adapter.config.eval.crop_style],
            "image_size": backbone.image_size,
            "interpolation": backbone.interpolation,
            "mean": list(backbone.mean),
            "std": list(backbone.std),
        },
        "backbone": {"name": backbone.name, "fingerprint": adapter.fingerprint},
    }


def _describe_logits(adapter: Adapter) -> str:
    kind = "sigmoid" if adapter.multi_label else "softmax"
    joined = "averaged" if adapter.config.eval.pool == "mean" else "joined by their maximum"
    shown = "; a class is shown if it reaches its threshold" if adapter.multi_label else ""
    return f"logits (batch, classes), before {kind}; the {kind} is {joined} over the views of a video{shown}"


def _resize(size: int | tuple[int, int]) -> dict[str, Any]:
    return {"resize_short_side": size} if isinstance(size, int) else {"resize_height_width": list(size)}


def _check_opset(out: Path, opset: int | None) -> None:
    if opset is None:
        return
    if out.suffix != ".onnx":
        raise ValueError(f"{opset = } is a setting of .onnx files; {out} has no operators of ONNX.")
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not isinstance(opset, int) or not MIN_OPSET <= opset <= newest:
        raise ValueError(f"{opset = } is not supported. Use {MIN_OPSET} to {newest}, the newest of the installed onnx.")


def _export(program: ExportedModel, clips: Tensor, *, dynamic_frames: bool) -> torch.export.ExportedProgram:
    dynamic = {0: torch.export.Dim("batch")} | ({1: torch.export.Dim("frames", min=3)} if dynamic_frames else {})
    return torch.export.export(program, (clips,), dynamic_shapes=(dynamic,))


def _write_torch(exported: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> None:
    torch.export.save(exported, path, extra_files={METADATA: json.dumps(metadata, ensure_ascii=False)})


def _load_torch(path: Path) -> Callable[[Tensor], list[Tensor]]:
    model = torch.export.load(path).module()
    return lambda clips: list(model(clips))


def _write_onnx(
    program: ExportedModel,
    exported: torch.export.ExportedProgram,
    path: Path,
    metadata: Mapping[str, Any],
    opset: int | None,
) -> None:
    with redirect_stdout(StringIO()):  # hides its progress messages
        made = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=opset,
            input_names=["clips"],
            output_names=list(program.output_names),
        )
    assert made is not None
    if opset is not None and made.model.opset_imports[""] != opset:
        raise ValueError(f"{opset = }: torch cannot write this model with these operators. Leave out opset.")
    for name, value in metadata.items():
        made.model.metadata_props[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in program.parameters())
    made.save(path, external_data=num_bytes > MAX_ONNX_BYTES)


def _load_onnx(path: Path) -> Callable[[Tensor], list[Tensor]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda clips: [
        torch.from_numpy(np.asarray(output)) for output in session.run(None, {"clips": clips.numpy()})
    ]


def _difference(outputs: list[Tensor], expected: tuple[Tensor, ...]) -> float:
    """Largest difference of any output, as a share of the largest output."""
    pairs = zip(outputs, expected, strict=True)
    return max(float((one - other).abs().max() / other.abs().max().clamp(min=1e-12)) for one, other in pairs)
