"""Embed the windows of video files, one complete video after another."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from side4video.data.datasets import Failure
from side4video.data.loading.batch import Batch
from side4video.data.loading.engine import Engine, LocalEngine
from side4video.data.loading.loader import TIMEOUT_SECONDS
from side4video.models.similarity import VideoFeatures
from side4video.search.index_model import IndexModel
from side4video.search.stores.records import IndexedFile, Window
from side4video.search.window_clips import WINDOWS_PER_READ, DecodedPart, VideoPart, WindowClips
from side4video.tasks.clips import choose_workers
from side4video.tasks.unread import UnreadVideo
from side4video.video.decoding import VideoCache
from side4video.video.remote import video_path


@dataclass(frozen=True)
class EmbeddedPart:
    """Neighbouring windows of a video.

    Attributes:
        file: the video, without metadata.
        num_windows: number of windows of the whole video.
        windows: in order. Empty: the video is long and was only inspected; its windows follow later.

    >>> EmbeddedPart(IndexedFile("film.mp4", "0f3a", 4000, 0, 3600.0), num_windows=719, windows=[]).num_windows
    719
    """

    file: IndexedFile
    num_windows: int
    windows: list[Window]


@dataclass(frozen=True, kw_only=True)
class WindowEmbedder:
    """Embeds videos with a model: the settings for windows and reader processes.

    Attributes:
        model: the model that computes the embeddings.
        window_seconds: length of the windows of long videos.
        overlap_seconds: overlap of neighbouring windows.
        workers: number of reader processes; None: the number of cores minus one, at most 8; 0: read in this process.
        timeout_seconds: limit for one part of a video; a worker that takes longer is killed.
        cache: tables of the video files. Default: those of this process.
        engine: where videos are read and embedded. Default: in this process, with `workers`.

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
    cache: VideoCache | None = None
    engine: Engine | None = None

    def embed(
        self, paths: Sequence[str], *, on_failure: Callable[[UnreadVideo], None]
    ) -> Iterator[tuple[IndexedFile, list[Window]]]:
        """Yield each readable video with all its windows, short videos first. The metadata is empty.

        Args:
            paths: the video files.
            on_failure: called once for each video that cannot be read.
        """
        windows: dict[str, list[Window]] = {}
        for part in self.embed_parts(paths, on_failure=on_failure):
            own = windows.setdefault(part.file.path, [])
            own += part.windows
            if len(own) == part.num_windows:
                yield part.file, windows.pop(part.file.path)

    def embed_parts(
        self,
        paths: Sequence[str],
        *,
        on_failure: Callable[[UnreadVideo], None],
        started: Sequence[tuple[IndexedFile, int, int]] = (),
    ) -> Iterator[EmbeddedPart]:
        """Yield the windows of each readable video in parts as they are embedded: short videos, then long ones.

        Args:
            paths: the video files.
            on_failure: called once for each video that cannot be read. It may have yielded parts before. If it raises
                a StoreError, the videos that were read before are still yielded, before the error.
            started: further videos whose first windows are known: the file as it was, the number of all its windows,
                and the number of known ones.
        """
        starts = list(started)
        for part in self._embed([VideoPart(video_path(path)) for path in paths], on_failure):
            yield part
            if not part.windows:
                starts.append((part.file, part.num_windows, 0))
        failed: set[str] = set()

        def report_once(video: UnreadVideo) -> None:
            if video.name not in failed:
                failed.add(video.name)
                on_failure(video)

        parts = [
            VideoPart(video_path(file.path), file, first)
            for file, num_windows, start in starts
            for first in range(start, num_windows, WINDOWS_PER_READ)
        ]
        for part in _in_order_of_each_video(self._embed(parts, report_once), {file.path: n for file, _, n in starts}):
            if part.file.path not in failed:
                yield part

    def _embed(self, parts: Sequence[VideoPart], on_failure: Callable[[UnreadVideo], None]) -> Iterator[EmbeddedPart]:
        """The windows of each part; several parts share a forward pass."""
        if not parts:
            return
        looks = self.model.test_clips()
        clips = WindowClips(
            parts,
            window_seconds=self.window_seconds,
            overlap_seconds=self.overlap_seconds,
            sampling=looks.sampling,
            transform=looks.transform,
            cache=self.cache,
        )
        # A loader process even for a single file, which may crash its reader.
        engine = self.engine or LocalEngine(choose_workers(self.workers))
        batches = engine.run(clips, _EmbedParts(self.model), batch_clips=1, timeout_seconds=self.timeout_seconds)
        for _, found in batches:
            if isinstance(found, Failure):
                on_failure(UnreadVideo(found.name, found.reason))
            else:
                yield found


@dataclass(frozen=True)
class _EmbedParts:
    """Embeds the windows of batches of one part each: yields the index and the embedded part, or the failure."""

    model: IndexModel

    def on_device(self, name: str) -> "_EmbedParts":
        return _EmbedParts(self.model.on_device(name))

    def __call__(self, batches: Iterable[Batch]) -> Iterator[tuple[int, EmbeddedPart | Failure]]:
        waiting: list[Batch] = []
        for batch in batches:
            waiting += [batch] * bool(batch.about)
            if batch.failures or sum(len(batch.clips) for batch in waiting) >= self.model.config.eval.batch:
                yield from self._embed(waiting)  # also before a failure, at which the caller may stop
                waiting.clear()
            yield from ((failure.index, failure) for failure in batch.failures)
        yield from self._embed(waiting)

    def _embed(self, batches: Sequence[Batch]) -> Iterator[tuple[int, EmbeddedPart]]:
        frames = [batch.clips for batch in batches if len(batch.clips)]
        features = self.model.embed_clips(torch.cat(frames)) if frames else None
        start = 0
        for batch in batches:
            [part], rows = batch.about, slice(start, start + len(batch.clips))
            start = rows.stop
            own = features.map(lambda tensor, rows=rows: tensor[rows]) if features and len(batch.clips) else None  # type: ignore[misc]
            yield (
                batch.indices[0],
                EmbeddedPart(part.file, part.num_windows, [] if own is None else _windows(part, own)),
            )


def _in_order_of_each_video(parts: Iterable[EmbeddedPart], starts: Mapping[str, int]) -> Iterator[EmbeddedPart]:
    """Sort the parts of each video by their windows, from the number in `starts` on."""
    following, waiting = dict(starts), dict[tuple[str, int], EmbeddedPart]()
    for part in parts:
        path = part.file.path
        waiting[path, part.windows[0].number] = part
        while (next_part := waiting.pop((path, following[path]), None)) is not None:
            yield next_part
            following[path] += len(next_part.windows)


def _windows(part: DecodedPart, features: VideoFeatures) -> list[Window]:
    """The windows of a part with their embeddings."""
    frames = F.normalize(features.frames, dim=-1).numpy().astype(np.float16)
    means = F.normalize(features.frames.mean(dim=1), dim=-1).numpy()
    return [
        Window(
            file=part.file,
            number=part.first + place,
            start_seconds=start,
            end_seconds=end,
            frames=frames[place],
            frame_weights=features.weights[place].numpy().astype(np.float32),
            frame_seconds=np.array(part.frame_seconds[place], np.float32),
            mean=means[place].astype(np.float32),
        )
        for place, (start, end) in enumerate(part.windows)
    ]
