"""Caches the frozen model's tokens of a clip set on disk in 8 bits: later epochs skip videos and backbone.

Each clip set has one NumPy file, which is read through a memory map. Its name is a hash of everything that the tokens
depend on.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from side4video.atomic_files import remove_abandoned, replacing, write_json
from side4video.data.datasets import Clip, Failure, TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading.batch import Batch
from side4video.data.loading.loader import TIMEOUT_SECONDS, test_loader
from side4video.data.loading.order import TrainOrder
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.models.backbones.token_identity import token_identity
from side4video.models.side.int8_tokens import Int8Tokens, to_int8
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.stored_clips import StoredClips, denormalise_pixels
from side4video.video.file_access import content_state
from side4video.video.frame_folder import DEFAULT_TEMPLATE

FORMAT_VERSION = 2
CACHE_SEED = 0
"""Seed of the augmentation of cached clips. It does not depend on the run's seed, so all runs share a cache."""
SPARE_DISK = 0.1
"""Share of the free disk space that a cache must leave free."""
_built_or_tried: set[Path] = set()
"""Files that this process built, or whose unreadable videos it tried to read again: once is enough."""


@dataclass(frozen=True)
class _Views(Dataset):
    """Data set of the cached views of each video."""

    clips: TrainClips | TestClips
    copies: int

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip | Failure:
        if isinstance(self.clips, TestClips):
            return self.clips[index]
        return self.clips.read(index, range(self.copies))


@dataclass(frozen=True)
class _Columns:
    """What a file stores of each clip."""

    blocks: tuple[int, ...]
    pooled: bool
    pixels: bool

    def names(self) -> list[str]:
        """Names of the columns in the file."""
        parts = [f"{part}{block}" for block in self.blocks for part in ("values", "scales")]
        return ["label", *parts, *(["pooled"] if self.pooled else []), *(["pixels"] if self.pixels else [])]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _corrupt(path: Path, error: Exception) -> ValueError:
    what = f"{type(error).__name__}: {str(error)[:200]}"
    return ValueError(f"{path} is corrupt ({what}). Remove it; the next run computes it again.")


def _find(folder: Path, digest: str, needed: _Columns) -> Path | None:
    """Return the smallest file for this content that stores all needed columns; None if there is none."""
    found = []
    for about in folder.glob(f"tokens-{digest}-*.json"):
        path = about.with_suffix(".npy")
        if not path.is_file():
            continue
        try:
            stored = set(_Columns(**json.loads(about.read_text(encoding="utf-8"))["columns"]).names())
        except Exception as error:  # the JSON parser can raise any exception for a corrupt file
            raise _corrupt(about, error) from error
        if set(needed.names()) <= stored:
            found.append(path)
    return min(found, key=lambda path: path.stat().st_size, default=None)


class TokenCache:
    """The cached tokens of a clip set; computed if the folder does not contain them yet.

    Args:
        folder: folder of the caches, with one file for each clip set; created if it does not exist.
        clips: the clip set. Training clips are stored in `copies` augmented versions.
        model: its backbone computes the tokens of the blocks that its side network reads.
        transform: settings of the transform of `clips`, part of the hash in the file name.
        pooled: also store the backbone's pooled summary of each frame, for a fused head or a linear probe.
        copies: number of augmented versions of each training clip; 1 for evaluation.
        also_blocks: further backbone blocks to store, for other models that then read the same file.
        limit_gb: maximum size of the file, in GB (10^9 bytes); None: only the free disk space limits it.
        chunk: views per pass through the backbone.
        workers: number of processes that read videos.
        timeout_seconds: maximum time to read one video; see `train_loader`.
        try_again: read the videos again that could not be read when the file was built, once per process. A timeout or
            an outage of a server is no fact about a video. Off for a run that is resumed: it goes on with its videos.

    Raises:
        OSError: not enough disk space, a file larger than `limit_gb`, or the folder cannot be written.
        ValueError: no video could be read, or the file is corrupt.

    >>> from side4video import load_adapter
    >>> from side4video.tasks.clips import evaluation_clips
    >>> model, adapter = load_adapter(Path("adapter"), device=torch.device("cpu"))
    >>> videos = [LabelledVideo(Path("clip.mp4"), label=0, name="clip.mp4")]
    >>> clips = evaluation_clips(videos, config=adapter.config, backbone=model.backbone)
    >>> cache = TokenCache(Path("cache"), clips, model, transform={"crops": 1}, pooled=False)  # doctest: +ELLIPSIS
    1 videos x 1 views take 0 MB: cache/tokens-...npy
    >>> [batch] = cache.test_batches(videos_per_batch=1)
    >>> sorted(batch.clips.blocks)  # backbone blocks whose tokens are stored
    [0, 1]
    """

    def __init__(
        self,
        folder: Path,
        clips: TrainClips | TestClips,
        model: SideTunedModel,
        *,
        transform: dict[str, Any],
        pooled: bool,
        copies: int = 1,
        also_blocks: Sequence[int] = (),
        limit_gb: float | None = None,
        chunk: int = 8,
        workers: int = 0,
        timeout_seconds: float = TIMEOUT_SECONDS,
        try_again: bool = False,
    ) -> None:
        self._clips, self._model, self._copies, self._limit_gb = clips, model, copies, limit_gb
        taps, stem = set(model.side.taps), model.side.stem is not None
        self._needed = _Columns(tuple(sorted(taps)), pooled=pooled, pixels=stem)
        description = self._describe(transform)
        found = _find(folder, _digest(description), self._needed)
        if found is None:
            self._stored = replace(self._needed, blocks=tuple(sorted(taps | set(also_blocks))))
            found = folder / f"tokens-{_digest(description)}-{_digest(self._stored.to_json())[:8]}.npy"
        self.path, metadata_path = found, found.with_suffix(".json")
        was_built_before = self.path.is_file() and metadata_path.is_file()
        options = {"chunk": chunk, "workers": workers, "timeout_seconds": timeout_seconds}
        if not was_built_before:
            self._build(metadata_path, description, options)
        elif try_again and self.path not in _built_or_tried:
            self._read_again(metadata_path, options)
        _built_or_tried.add(self.path)
        try:
            self._records = np.load(self.path, mmap_mode="r", allow_pickle=False)
            failures = json.loads(metadata_path.read_text(encoding="utf-8"))["failures"]
            self._failures = {
                int(index): Failure(
                    int(index), clips.videos[int(index)].name, clips.videos[int(index)].path, str(reason)
                )
                for index, reason in failures.items()
            }
            self._check_shape()
            if self._failures and was_built_before:
                tqdm.write(
                    f"{len(self._failures)} of {len(clips)} videos could not be read for {self.path} and are left out. "
                    "The next new run tries to read them again."
                )
        except Exception as error:  # NumPy can raise any exception for a corrupt header
            raise _corrupt(self.path, error) from error

    def _check_shape(self) -> None:
        """Raise an error if the file does not fit this clip set, or its length differs from its header."""
        records = self._records
        views = self._copies * self._clips.repeats if isinstance(self._clips, TrainClips) else self._clips.num_clips
        if records.ndim != 2 or len(records) != len(self._clips) or records.shape[1] % views or not records.shape[1]:
            raise ValueError(f"it has {records.shape} clips instead of {len(self._clips)} x a multiple of {views}")
        if missing := set(self._needed.names()) - set(records.dtype.names or ()):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        if self.path.stat().st_size != records.offset + records.nbytes:
            raise ValueError("its length does not match its header")

    def train_batches(self, order: TrainOrder) -> Iterator[Batch]:
        """The remaining batches of a training run, in the given order; epoch e uses version e mod `copies`."""
        assert isinstance(self._clips, TrainClips)
        repeats = self._clips.repeats
        for keys in order:
            first = [(key.index, key.epoch % self._copies * repeats) for key in keys]
            chosen = [(index, view + repeat) for index, view in first for repeat in range(repeats)]
            batch = self._batch([key.index for key in keys], chosen)
            batch.epochs = [key.epoch % self._copies for key in keys if key.index not in self._failures]
            if self._clips.arrow_of_time and len(batch):
                batch.clips = batch.clips.with_reversed()
                batch.labels = torch.tensor([0, 1]).repeat(len(batch.labels))
                batch.views = [2 * views for views in batch.views]
            yield batch

    def test_batches(self, videos_per_batch: int, *, world: int = 1, rank: int = 0) -> Iterator[Batch]:
        """All views of every `world`-th video from `rank` on, once, in the order of the list."""
        views, own_indices = self._records.shape[1], range(rank, len(self._clips), world)
        for start in range(0, len(own_indices), videos_per_batch):
            indices = own_indices[start : start + videos_per_batch]
            yield self._batch(indices, [(index, view) for index in indices for view in range(views)])

    def _batch(self, indices: Sequence[int], chosen: Sequence[tuple[int, int]]) -> Batch:
        readable = [index for index in indices if index not in self._failures]
        rows = [(index, view) for index, view in chosen if index not in self._failures]
        columns = {name: self._column(name, rows) for name in self._needed.names()}
        views = len(rows) // len(readable) if readable else 0
        return Batch(
            clips=self._clips_of(columns) if rows else torch.empty(0),
            labels=columns["label"].long(),
            views=[views] * len(readable),
            indices=readable,
            names=[self._clips.videos[index].name for index in readable],
            failures=[self._failures[index] for index in indices if index in self._failures],
        )

    def _column(self, name: str, rows: Sequence[tuple[int, int]]) -> torch.Tensor:
        column = self._records[name]
        return torch.from_numpy(np.stack([column[row] for row in rows]) if rows else column[:0, 0].copy())

    def _clips_of(self, columns: dict[str, torch.Tensor]) -> StoredClips:
        blocks = {
            block: Int8Tokens(columns[f"values{block}"], columns[f"scales{block}"]) for block in self._needed.blocks
        }
        backbone = self._model.backbone
        return StoredClips(blocks, columns.get("pooled"), columns.get("pixels"), backbone.mean, backbone.std)

    def _describe(self, transform: dict[str, Any]) -> dict[str, Any]:
        """Return everything that the tokens depend on; which of them are stored is in `_Columns`."""
        clips = self._clips
        flip_labels: dict[int, int] = getattr(clips.transform, "flip_labels", {})
        return {
            "format": FORMAT_VERSION,
            "backbone": token_identity(self._model.backbone),
            **({"patch_grid": self._model.side.patch_grid} if self._model.side.patch_grid else {}),
            "sampling": asdict(clips.sampling),
            "transform": transform,
            "frame_template": clips.frame_template or DEFAULT_TEMPLATE,
            **({"fps": clips.fps} if clips.fps else {}),
            **({"num_labels": clips.num_labels} if clips.num_labels else {}),
            "views": [self._copies, clips.repeats] if isinstance(clips, TrainClips) else [clips.num_clips],
            "flip_labels": sorted(flip_labels.items()) if transform.get("flip") else [],
            "videos": [_video_identity(video) for video in clips.videos],
        }

    def _build(self, metadata_path: Path, description: dict[str, Any], options: dict[str, Any]) -> None:
        """Compute and write all tokens. A killed process leaves no file that would be used as a cache."""
        for path in remove_abandoned(self.path.parent, "tokens-*.npy"):
            print(f"Removed {path}, an incomplete file of a killed process.")
        failures: dict[int, str] = {}
        records: np.ndarray | None = None
        with replacing(self.path) as temporary:
            for index, columns in self._encoded(range(len(self._clips)), failures, **options):
                if records is None:
                    records = self._reserve(temporary, columns)
                for name, values in columns.items():
                    records[name][index] = values
            if records is None:
                listed = "; ".join(f"{self._clips.videos[index].name}: {reason}" for index, reason in failures.items())
                raise ValueError(f"None of the {len(self._clips)} videos can be read: {listed[:2000]}")
            del records  # `replacing` flushes the file; NumPy would, too, but stop all threads for as long
            write_json(metadata_path, {"failures": failures, "content": description, "columns": self._stored.to_json()})

    def _read_again(self, metadata_path: Path, options: dict[str, Any]) -> None:
        """Read the videos that could not be read before; what another process reads of the file does not change."""
        try:
            about = json.loads(metadata_path.read_text(encoding="utf-8"))
            self._stored = _Columns(**about["columns"])
            failures = {int(index): str(reason) for index, reason in about["failures"].items()}
        except Exception as error:  # the JSON parser can raise any exception for a corrupt file
            raise _corrupt(metadata_path, error) from error
        if not failures or not all(os.access(path, os.W_OK) for path in (self.path, metadata_path.parent)):
            return
        records: Any = np.load(self.path, mmap_mode="r+", allow_pickle=False)
        read = []
        try:
            for index, columns in self._encoded(sorted(failures), failures, **options):
                for name, values in columns.items():
                    records[name][index] = values
                read.append(index)
        except LostWorkerError as error:  # too many in a row take too long, or crash their reader
            tqdm.write(f"{error} They stay left out.")
        if not read:
            return
        records.flush()
        write_json(metadata_path, about | {"failures": {key: why for key, why in failures.items() if key not in read}})
        tqdm.write(f"Added to {self.path}: {len(read)} videos that could not be read before.")

    def _encoded(
        self, indices: Sequence[int], failures: dict[int, str], *, chunk: int, workers: int, timeout_seconds: float
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """The columns of each video that can be read; `failures` gets the reasons of the others."""
        views: Any = _Views(self._clips, self._copies)
        loader = test_loader(views, batch_clips=1, workers=workers, timeout_seconds=timeout_seconds, chosen=indices)
        for batch in tqdm(loader, desc="cache of tokens", unit="video", dynamic_ncols=True):
            failures |= {failure.index: failure.reason for failure in batch.failures}
            if len(batch):
                parts = [self._encode(part) for part in batch.clips.split(chunk)]
                columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
                yield batch.indices[0], {**columns, "label": batch.labels.numpy()}

    def _reserve(self, path: Path, columns: dict[str, np.ndarray]) -> np.ndarray:
        dtype = np.dtype([(name, values.dtype, values.shape[1:]) for name, values in columns.items()])
        shape = (len(self._clips), len(columns["label"]))
        size, free = dtype.itemsize * shape[0] * shape[1], shutil.disk_usage(path.parent).free
        advice = "Use fewer --data.cache-copies or --data.num-frames"
        if self._limit_gb is not None and size > self._limit_gb * 1e9:
            raise OSError(
                f"The cache of {shape[0]} x {shape[1]} clips takes {size / 1e9:.3g} GB, more than "
                f"data.cache_limit_gb = {self._limit_gb:g}. {advice}, or raise the limit."
            )
        if size > free * (1 - SPARE_DISK):
            raise OSError(
                f"The cache of {shape[0]} x {shape[1]} clips takes {size / 1e6:,.0f} MB, but {path.parent} has only "
                f"{free / 1e6:,.0f} MB free. {advice}, another --data.cache folder, or none."
            )
        tqdm.write(f"{shape[0]} videos x {shape[1]} views take {size / 1e6:,.0f} MB: {self.path}")
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)

    @torch.no_grad()
    def _encode(self, views: torch.Tensor) -> dict[str, np.ndarray]:
        model, columns = self._model, {}
        backbone = model.backbone
        if self._stored.pixels:
            columns["pixels"] = denormalise_pixels(views, backbone.mean, backbone.std).numpy()
        device = next(backbone.parameters()).device
        last = backbone.num_blocks - 1
        read = {*self._stored.blocks, *([last] if self._stored.pooled else [])}
        for tokens in backbone.iterate(views.to(device), read):
            if tokens.block in self._stored.blocks:
                kept = to_int8(torch.cat([tokens.summary, model.side.coarsen(tokens.patches)], dim=2))
                columns[f"values{tokens.block}"] = kept.values.cpu().numpy()
                columns[f"scales{tokens.block}"] = kept.scales.cpu().numpy()
            if self._stored.pooled and tokens.block == last:
                columns["pooled"] = backbone.pool(tokens).float().cpu().numpy()
        return columns


def _video_identity(video: LabelledVideo) -> list[Any]:
    """Identify a video by its path, the state of its content, its labels and its section."""
    state = content_state(video.path)
    file = None if state is None else list(state)
    labels = [] if video.labels is None else [list(video.labels)]
    span = [video.start_seconds, video.end_seconds]
    return [str(video.path.resolve()), file, video.label, video.reverse, *span, *labels]
