"""Embed the windows of video files, one complete video after another."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from side4video.data.loading.batch import Batch
from side4video.data.loading.loader import TIMEOUT_SECONDS, test_loader
from side4video.models.similarity import VideoFeatures
from side4video.search.index_model import IndexModel
from side4video.search.stores.records import IndexedFile, Window
from side4video.search.window_clips import WINDOWS_PER_READ, DecodedPart, FileSnapshot, VideoPart, WindowClips
from side4video.tasks.clips import choose_workers
from side4video.tasks.unread import UnreadVideo


@dataclass(frozen=True, kw_only=True)
class WindowEmbedder:
    """Embeds videos with a model: the settings for windows and reader processes.

    Attributes:
        model: the model that computes the embeddings.
        window_seconds: length of the windows of long videos.
        overlap_seconds: overlap of neighbouring windows.
        workers: number of reader processes; None: the number of cores minus one, at most 8; 0: read in this process.
        timeout_seconds: limit for one part of a video; a worker that takes longer is killed.

    >>> from side4video.search.index_model import load_index_model
    >>> model = load_index_model("retrieval", device="cpu")
    >>> embedder = WindowEmbedder(model=model, window_seconds=10, overlap_seconds=5, workers=0)
    >>> [(file, windows)] = embedder.embed(["clip.mp4"], on_failure=print)
    >>> file.duration_seconds, len(windows)
    (2.0, 1)
    """

    model: IndexModel
    window_seconds: float
    overlap_seconds: float
    workers: int | None = None
    timeout_seconds: float = TIMEOUT_SECONDS

    def embed(
        self, paths: Sequence[str], *, on_failure: Callable[[UnreadVideo], None]
    ) -> Iterator[tuple[IndexedFile, list[Window]]]:
        """Yield each readable video with all its windows, short videos first. The metadata is empty.

        Args:
            paths: the video files.
            on_failure: called once for each video that cannot be read.
        """
        long: list[FileSnapshot] = []
        for part, features in self._embed_parts([VideoPart(Path(path)) for path in paths], on_failure):
            if part.frame_seconds:
                yield _join(part.file, [(part, features)])
            else:
                long.append(part.file)
        failed: set[str] = set()

        def report_once(video: UnreadVideo) -> None:
            if video.name not in failed:
                failed.add(video.name)
                on_failure(video)

        pending: list[tuple[DecodedPart, VideoFeatures]] = []
        starts = [(file, first) for file in long for first in range(0, len(file.windows), WINDOWS_PER_READ)]
        for part, features in self._embed_parts(
            [VideoPart(file.path, file, first) for file, first in starts], report_once
        ):
            if pending and pending[0][0].file.path != part.file.path:
                pending.clear()  # an incomplete video: one of its later parts could not be read
            pending.append((part, features))
            if sum(len(part.frame_seconds) for part, _ in pending) == len(part.file.windows):
                yield _join(part.file, pending)
                pending.clear()

    def _embed_parts(
        self, parts: Sequence[VideoPart], on_failure: Callable[[UnreadVideo], None]
    ) -> Iterator[tuple[DecodedPart, VideoFeatures]]:
        """Features of the windows of each part, in their order; several parts share a forward pass."""
        if not parts:
            return
        settings = self.model.test_clips()
        clips = WindowClips(
            parts,
            window_seconds=self.window_seconds,
            overlap_seconds=self.overlap_seconds,
            sampling=settings.sampling,
            transform=settings.transform,
        )
        workers = choose_workers(self.workers)  # even for a single file: it may crash its reader
        batches = test_loader(clips, batch_clips=1, workers=workers, timeout_seconds=self.timeout_seconds)
        waiting: list[tuple[DecodedPart, Tensor]] = []
        for part, frames in _read(batches, on_failure):
            waiting.append((part, frames))
            if sum(len(frames) for _, frames in waiting) >= self.model.config.eval.batch:
                yield from self._embed_waiting(waiting)
                waiting.clear()
        yield from self._embed_waiting(waiting)

    def _embed_waiting(
        self, waiting: Sequence[tuple[DecodedPart, Tensor]]
    ) -> Iterator[tuple[DecodedPart, VideoFeatures]]:
        frames = [frames for _, frames in waiting if len(frames)]
        features = self.model.embed_clips(torch.cat(frames)) if frames else None
        nothing = VideoFeatures(torch.empty(0, 0, 0), torch.empty(0, 0))
        start = 0
        for part, views in waiting:
            rows = slice(start, start + len(views))
            yield part, features.map(lambda tensor, rows=rows: tensor[rows]) if features else nothing  # type: ignore[misc]
            start = rows.stop


def _read(batches: Iterable[Batch], on_failure: Callable[[UnreadVideo], None]) -> Iterator[tuple[DecodedPart, Tensor]]:
    for batch in batches:
        for failure in batch.failures:
            on_failure(UnreadVideo(failure.name, failure.reason))
        for about in batch.about:  # at most one
            yield about, batch.clips


def _join(
    snapshot: FileSnapshot, parts: Sequence[tuple[DecodedPart, VideoFeatures]]
) -> tuple[IndexedFile, list[Window]]:
    """Join the windows of all parts of a video."""
    file = IndexedFile(
        path=str(snapshot.path),
        content=snapshot.content,
        size=snapshot.size,
        modified=snapshot.modified,
        duration_seconds=snapshot.duration_seconds,
    )
    features = VideoFeatures.concatenate([features for _, features in parts])
    seconds = [seconds for part, _ in parts for seconds in part.frame_seconds]
    frames = F.normalize(features.frames, dim=-1).numpy().astype(np.float16)
    means = F.normalize(features.frames.mean(dim=1), dim=-1).numpy()
    windows = [
        Window(
            file=file,
            number=number,
            start_seconds=start,
            end_seconds=end,
            frames=frames[number],
            frame_weights=features.weights[number].numpy().astype(np.float32),
            frame_seconds=np.array(seconds[number], np.float32),
            mean=means[number].astype(np.float32),
        )
        for number, (start, end) in enumerate(snapshot.windows)
    ]
    return file, windows
