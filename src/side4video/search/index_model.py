"""The model of an index, a trained adapter or a plain CLIP model, and the fingerprint that identifies it."""

import difflib
import hashlib
import json
import threading
from collections.abc import Sequence
from copy import copy
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.adapters.adapter import load_adapter, read_adapter, read_adapter_for
from side4video.config import CLIP_TOWERS, RunConfig, load_config, parse_config
from side4video.data.datasets import TestClips
from side4video.models.backbones.fingerprint import fingerprint, sample_weights
from side4video.models.backbones.names import NAMED_BACKBONES
from side4video.models.retrieval_model import RetrievalModel, build_retrieval_model
from side4video.models.similarity import Similarity, TextFeatures, VideoFeatures
from side4video.models.text.text_settings import text_settings
from side4video.models.text.text_tower import load_configured_tokeniser
from side4video.models.text.tokeniser import Tokeniser
from side4video.models.video_model import choose_device
from side4video.parameters import as_list
from side4video.search.combined import is_blank
from side4video.search.stores.records import IndexInfo
from side4video.tasks.clips import autocast, evaluation_clips
from side4video.tasks.retrieval.embeddings import embed_texts
from side4video.video.remote import is_address, video_path

_FINGERPRINT_PARTS = ("the frozen model's weights", "the trained weights", "the settings of frames and pictures")
"""What the three parts of a fingerprint cover, as named in errors."""


class IndexModel:
    """A retrieval model with the settings for its input. Thread-safe: a lock serialises the forward passes.

    Args:
        name: where the model comes from: an adapter folder or hub name, a YAML file, or a backbone's short name.
        model: in eval mode, on its device.
        config: the settings of the run.
        trained: True for an adapter; False for the frozen CLIP model alone.
        device: the model's device.

    Attributes:
        fingerprint: three hashes: of the frozen weights (32 digits), of the trained weights, and of the settings that
            change the embedding of a video (16 digits each).

    >>> model = load_index_model("retrieval", device="cpu")
    >>> model.embed_texts(["a disc turns", "a square moves"]).words.shape[0]
    2
    """

    def __init__(
        self, name: str, model: RetrievalModel, config: RunConfig, *, trained: bool, device: torch.device
    ) -> None:
        self.name, self.model, self.config, self.device = name, model, config, device
        self.fingerprint = "-".join(
            (
                model.backbone.fingerprint,
                _hash_tensors(model.trained_state()) if trained else _hash_towers(model),
                _hash_settings(config, model),
            )
        )
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def on_device(self, name: str) -> Self:
        """The same model, moved to another device."""
        moved = copy(self)
        moved.device = choose_device(name)
        moved.model.to(moved.device)
        return moved

    @property
    def similarity(self) -> Similarity:
        """How the model compares words and frames."""
        return self.config.text.similarity

    @property
    def tokeniser(self) -> Tokeniser:
        """The tokeniser of the text tower."""
        return self.model.text.tokeniser

    @property
    def max_words(self) -> int:
        """Maximum number of tokens of a query, with start and end; longer queries are truncated."""
        return self.model.max_words

    def describe(self, *, window_seconds: float, overlap_seconds: float) -> IndexInfo:
        """The description of an index that this model makes."""
        return IndexInfo(
            model=self.name,
            fingerprint=self.fingerprint,
            similarity=self.similarity,
            num_frames=self.config.data.num_frames,
            embed_dim=self.model.text.embed_dim,
            window_seconds=window_seconds,
            overlap_seconds=overlap_seconds,
            package_version=version("side4video"),
        )

    def check_fingerprint(self, info: IndexInfo, address: str | Path) -> None:
        """Check that this model made an index.

        Raises:
            ValueError: another model did; the error names the difference and the remedy.
        """
        theirs, own = info.fingerprint.split("-"), self.fingerprint.split("-")
        same = [self.model.backbone.has_fingerprint(theirs[0]), theirs[1] == own[1], theirs[2] == own[2]]
        if all(same):
            return
        differ = " and ".join(part for part, equal in zip(_FINGERPRINT_PARTS, same, strict=True) if not equal)
        changed = "which has changed since" if info.model == self.name else f"not by {self.name}"
        raise ValueError(
            f"{address} was made by {info.model}, {changed}: {differ} differ. Embeddings of different models cannot "
            "be compared. Make a new index in another folder, or set --model (in Python: model) to the path of the "
            "model that made this index."
        )

    def embed_texts(self, texts: str | Sequence[str]) -> TextFeatures:
        """Features of queries, on the CPU.

        Raises:
            ValueError: the list is empty, or a text is.
        """
        texts = as_list(texts)
        if not texts or (blank := [number for number, text in enumerate(texts, start=1) if is_blank(text)]):
            which = f"query {blank[0]} of {len(texts)} is empty" if texts else "there is no query"
            raise ValueError(f"{which}: each query must contain a word. Give at least one query, and leave none empty.")
        with self._lock:
            return embed_texts(self.model, texts, device=self.device)

    @torch.inference_mode()
    def embed_clips(self, clips: Float[Tensor, "B T 3 H W"]) -> VideoFeatures:
        """Features of clips, on the CPU."""
        with self._lock, autocast(self.device, "auto"):
            parts = [
                self.model.embed_videos(part.to(self.device)).map(Tensor.cpu)
                for part in clips.split(self.config.eval.batch)
            ]
        return VideoFeatures.concatenate(parts)

    def test_clips(self) -> TestClips:
        """An empty evaluation set that carries the model's frame sampling and transform."""
        return evaluation_clips([], config=self.config, backbone=self.model.backbone, num_clips=1, num_crops=1)


def load_index_model(
    name: str | Path,
    *,
    backbone_weights: str | None = None,
    tokenizer: str | Path | None = None,
    device: str = "auto",
    dtype: str | None = None,
) -> IndexModel:
    """Load a model for an index by name.

    Args:
        name: an adapter folder, run folder or hub name of a retrieval adapter; the short name of a CLIP model, such as
            `clip-b16`; or a YAML file of a retrieval run, whose untrained model is used.
        backbone_weights: local weights of the frozen model; without an adapter, a file with the whole CLIP model.
        tokenizer: local tokeniser of a model without an adapter: a tokenizer.json, a SentencePiece model, or a folder
            with one of them. Default: the hub's. An adapter has its own.
        device: "auto", "cpu", "cuda", ...
        dtype: number type of the frozen model, such as "float32". Default: "auto", or the type used in training.

    Raises:
        FileNotFoundError: the adapter does not exist.
        ValueError: the model does not support text queries, the adapter is corrupt, or the backbone's weights differ
            from the weights that the adapter was trained on.
    """
    chosen = choose_device(device)
    name = str(name)
    if _is_plain_clip(name):
        config = plain_clip_config(name, weights=backbone_weights)
        if tokenizer is not None:
            text = config.text.model_copy(update={"tokenizer": str(tokenizer)})
            config = config.model_copy(update={"text": text})
        if dtype is not None:
            config = config.model_copy(update={"backbone": config.backbone.model_copy(update={"dtype": dtype})})
        load_configured_tokeniser(config.text)  # before minutes of work
        name = str(Path(name).resolve()) if Path(name).is_file() else name
        return IndexModel(
            name, build_retrieval_model(config, device=chosen).eval(), config, trained=False, device=chosen
        )
    try:
        config = read_adapter_for("retrieval", Path(name)).config
    except FileNotFoundError as error:
        if not (close := difflib.get_close_matches(name, NAMED_BACKBONES, n=1)):
            raise
        raise FileNotFoundError(f"{error} Did you mean the CLIP model {close[0]!r}?") from error
    model, _ = load_adapter(Path(name), device=chosen, backbone_weights=backbone_weights, dtype=dtype)
    assert isinstance(model, RetrievalModel)
    name = str(Path(name).resolve()) if Path(name).exists() else name
    return IndexModel(name, model, config, trained=True, device=chosen)


def model_config(name: str | Path) -> RunConfig:
    """The settings of the model that `load_index_model` loads by this name."""
    return plain_clip_config(str(name)) if _is_plain_clip(str(name)) else read_adapter(Path(name)).config


def recorded_model(info: IndexInfo, address: str | Path) -> str:
    """The model that an index names; not if it is at an address, which only the user may have fetched.

    Raises:
        ValueError: the model is at an address such as s3://bucket/run.
    """
    if is_address(video_path(Path(info.model))):
        raise ValueError(
            f"{address} was made with the model at {info.model}. An address that an index contains is not fetched. If "
            "you trust it, give it with --model (in Python: model)."
        )
    return info.model


def _is_plain_clip(name: str) -> bool:
    return name in NAMED_BACKBONES or Path(name).suffix in {".yaml", ".yml"}


def plain_clip_config(name: str, *, weights: str | None = None) -> RunConfig:
    """Settings of a plain CLIP model: 12 frames, one vector per sentence and one per window.

    Args:
        name: a backbone's short name, or a YAML file of a retrieval run.
        weights: a local file with the whole CLIP model.

    Raises:
        ValueError: the model has no text tower, or the run is not a retrieval run.
    """
    if name not in NAMED_BACKBONES:
        config = load_config(name)
        if config.task != "retrieval":
            raise ValueError(f"{name} is a run for {config.task}. Use a run whose task is retrieval.")
    else:
        named = NAMED_BACKBONES[name]
        tower = CLIP_TOWERS.get(named.name, named.text)
        if tower is None:
            known = ", ".join(short for short, other in NAMED_BACKBONES.items() if other.text)
            raise ValueError(f"{name} has no text tower, so it cannot embed queries. Use one of {known}.")
        config = parse_config(
            {
                "task": "retrieval",
                "backbone": {"name": named.name},
                "text": {
                    "name": tower[0],
                    "tag": tower[1],
                    "max_words": text_settings(tower[0]).context_length,
                    "similarity": "mean-pool",
                },
                "data": {"num_frames": 12},
            },
            source=name,
        )
    # An untrained side network adds exactly zero, so the smallest one is enough.
    side = config.side.model_copy(update={"taps": (-1,), "width": 64, "stem": False, "attention": False})
    parts: dict[str, Any] = {"side": side}
    if weights is not None:
        parts["backbone"] = config.backbone.model_copy(update={"weights": weights})
        parts["text"] = config.text.model_copy(update={"weights": weights})
    return config.model_copy(update=parts)


def _hash_tensors(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _hash_towers(model: RetrievalModel) -> str:
    """Hash of the text tower and the projection, independent of their dtype."""
    towers = nn.ModuleDict({"text": model.text, "projection": model.head.projection})
    return fingerprint("no adapter", sample_weights(towers))


def _hash_settings(config: RunConfig, model: RetrievalModel) -> str:
    data, backbone = config.data, model.backbone
    settings = {
        "frames": [data.num_frames, data.sampling, data.flavour, data.stride],
        "pictures": [backbone.image_size, config.test_resize, backbone.interpolation],
        "colours": [[round(number, 6) for number in numbers] for numbers in (backbone.mean, backbone.std)],
        "similarity": config.text.similarity,
    }
    if config.eval.crop_style != "even":  # indexes older than this setting stay valid
        settings["crops"] = config.eval.crop_style
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
