"""From video files to windows with what the model knows of them, whole videos at a time."""

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
from side4video.search.window_clips import WINDOWS_TOGETHER, SeenFile, SeenPart, VideoPart, WindowClips
from side4video.tasks.clips import choose_workers
from side4video.tasks.unread import UnreadVideo


@dataclass(frozen=True, kw_only=True)
class WindowEmbedder:
    """A model, and how it cuts and reads videos.

    Attributes:
        model: that embeds.
        window_seconds, overlap_seconds: of the windows of long videos.
        workers: processes that read videos; None: one per core but one, at most 8; 0: this one.
        timeout_seconds: that one of them may take for a part of a video.
    """

    model: IndexModel
    window_seconds: float
    overlap_seconds: float
    workers: int | None = None
    timeout_seconds: float = TIMEOUT_SECONDS

    def embed(
        self, paths: Sequence[str], *, on_failure: Callable[[UnreadVideo], None]
    ) -> Iterator[tuple[IndexedFile, list[Window]]]:
        """Each video that can be read with all its windows; short ones first. Metadata is left empty.

        Args:
            paths: of the files.
            on_failure: called with each that cannot be read.
        """
        long: list[SeenFile] = []
        for part, features in self._embed_parts([VideoPart(Path(path)) for path in paths], on_failure):
            if part.frame_seconds:
                yield _join(part.file, [(part, features)])
            else:
                long.append(part.file)
        failed: set[str] = set()

        def note(video: UnreadVideo) -> None:
            if video.name not in failed:
                failed.add(video.name)
                on_failure(video)

        found: list[tuple[SeenPart, VideoFeatures]] = []
        starts = [(file, first) for file in long for first in range(0, len(file.windows), WINDOWS_TOGETHER)]
        for part, features in self._embed_parts([VideoPart(file.path, file, first) for file, first in starts], note):
            if found and found[0][0].file.path != part.file.path:
                found.clear()  # of a video that could not be read to its end
            found.append((part, features))
            if sum(len(part.frame_seconds) for part, _ in found) == len(part.file.windows):
                yield _join(part.file, found)
                found.clear()

    def _embed_parts(
        self, parts: Sequence[VideoPart], on_failure: Callable[[UnreadVideo], None]
    ) -> Iterator[tuple[SeenPart, VideoFeatures]]:
        """Features of the windows of each part, in the order of the parts; clips of several share a forward pass."""
        if not parts:
            return
        looks = self.model.test_clips()
        clips = WindowClips(
            parts,
            window_seconds=self.window_seconds,
            overlap_seconds=self.overlap_seconds,
            sampling=looks.sampling,
            transform=looks.transform,
        )
        workers = choose_workers(self.workers)  # for a single file too: one that crashes its reader may be the last
        batches = test_loader(clips, batch_clips=1, workers=workers, timeout_seconds=self.timeout_seconds)
        waiting: list[tuple[SeenPart, Tensor]] = []
        for part, frames in _read(batches, on_failure):
            waiting.append((part, frames))
            if sum(len(frames) for _, frames in waiting) >= self.model.config.eval.batch:
                yield from self._embed_waiting(waiting)
                waiting.clear()
        yield from self._embed_waiting(waiting)

    def _embed_waiting(self, waiting: Sequence[tuple[SeenPart, Tensor]]) -> Iterator[tuple[SeenPart, VideoFeatures]]:
        frames = [frames for _, frames in waiting if len(frames)]
        features = self.model.embed_clips(torch.cat(frames)) if frames else None
        nothing = VideoFeatures(torch.empty(0, 0, 0), torch.empty(0, 0))
        start = 0
        for part, views in waiting:
            rows = slice(start, start + len(views))
            yield part, features.map(lambda tensor, rows=rows: tensor[rows]) if features else nothing  # type: ignore[misc]
            start = rows.stop


def _read(batches: Iterable[Batch], on_failure: Callable[[UnreadVideo], None]) -> Iterator[tuple[SeenPart, Tensor]]:
    for batch in batches:
        for failure in batch.failures:
            on_failure(UnreadVideo(failure.name, failure.reason))
        for about in batch.about:  # one at most
            yield about, batch.clips


def _join(seen: SeenFile, parts: Sequence[tuple[SeenPart, VideoFeatures]]) -> tuple[IndexedFile, list[Window]]:
    """The windows of a video from those of its parts."""
    file = IndexedFile(
        path=str(seen.path),
        content=seen.content,
        size=seen.size,
        modified=seen.modified,
        duration_seconds=seen.duration_seconds,
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
        for number, (start, end) in enumerate(seen.windows)
    ]
    return file, windows
