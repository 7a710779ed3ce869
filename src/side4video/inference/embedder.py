"""Embeds videos and sentences with an adapter trained for retrieval, and ranks videos for sentences.

`Embedder("runs/mine").rank(["a dog catches a frisbee"], videos)` returns the best videos with their scores.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F

from side4video.adapters.adapter import load_adapter, read_adapter_for
from side4video.data.datasets import TestClips
from side4video.data.lists.annotations import LabelledVideo
from side4video.data.loading.engine import Engine, LocalEngine
from side4video.inference.embedding_file import write_arrays
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.similarity import TextFeatures, VideoFeatures
from side4video.models.video_model import choose_device
from side4video.parameters import as_list, check_count
from side4video.tasks.clips import choose_workers, evaluation_clips, videos_per_batch
from side4video.tasks.retrieval.embeddings import (
    EmbedBatches,
    embed_clips,
    embed_texts,
    show_progress,
)
from side4video.tasks.retrieval.score_matrix import score_matrix
from side4video.tasks.unread import NoReadableVideosError, UnreadVideo, separate_failures
from side4video.video.stored_input import VideoSource, as_path, name_of

_VECTORS = ("frames", "video", "words", "sentence")


@dataclass(frozen=True)
class EmbeddedVideos:
    """Embeddings of videos.

    Attributes:
        paths: paths of the V readable videos, as given.
        features: features of these videos.
        unread: the unreadable videos, each with the reason.

    >>> videos = Embedder("retrieval", device="cpu").embed_videos(["clip.mp4"], workers=0)
    >>> videos.paths, videos.features.frames.shape, videos.unread
    (('clip.mp4',), torch.Size([1, 4, 8]), ())
    """

    paths: tuple[str, ...]
    features: VideoFeatures
    unread: tuple[UnreadVideo, ...]


@dataclass(frozen=True)
class EmbeddedTexts:
    """Embeddings of sentences.

    >>> texts = Embedder("retrieval", device="cpu").embed_texts(["a shape moves clockwise"])
    >>> texts.texts, texts.features.sentence.shape
    (('a shape moves clockwise',), torch.Size([1, 8]))
    """

    texts: tuple[str, ...]
    features: TextFeatures


class Embedder:
    """A trained retrieval model that embeds videos and sentences.

    Args:
        folder: an adapter folder, a run folder, or a name on the Hugging Face hub: `user/name`, `user/name@revision`.
        backbone_weights: local weights file of the backbone. Default: the weights used in training.
        device: "auto", "cpu", "cuda", ...
        dtype: number type of the backbone, such as "float32". Default: the type used in training.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: the adapter is corrupt or for recognition, or the backbone weights differ from those in training.

    >>> embedder = Embedder("retrieval", device="cpu")
    >>> videos = embedder.embed_videos(["clip.mp4", "clips/test/clockwise/0.mp4"], workers=0)
    >>> videos.features.frames.shape  # (V, T, E)
    torch.Size([2, 4, 8])
    >>> [[best, second]] = embedder.rank(["a shape moves clockwise"], videos)  # pairs of path and similarity
    >>> best[1] >= second[1]
    True
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        backbone_weights: str | None = None,
        device: str = "auto",
        dtype: str | None = None,
    ) -> None:
        self.device = choose_device(device)
        read_adapter_for("retrieval", Path(folder))
        model, self.adapter = load_adapter(
            Path(folder), device=self.device, backbone_weights=backbone_weights, dtype=dtype
        )
        assert isinstance(model, RetrievalModel)
        self.model = model

    def embed_videos(
        self,
        paths: VideoSource | Sequence[VideoSource],
        *,
        workers: int | None = None,
        engine: Engine | None = None,
    ) -> EmbeddedVideos:
        """Embed video files or frame folders, each once.

        Args:
            paths: paths of the videos, or contents of video files: bytes or binary file objects. One of them is a list
                of one.
            workers: processes that decode videos. Default: one per core minus one, at most 8, and 0 for one video.
            engine: where the videos are read and embedded. Default: in this process, with `workers`.

        Raises:
            ValueError: no video can be read.
        """
        paths = as_list(paths)
        config, names = self.adapter.config, list(map(name_of, paths))
        engine = engine or LocalEngine(choose_workers(workers) if len(paths) > 1 else 0)
        with ExitStack() as stack:
            files = [stack.enter_context(as_path(path)) for path in paths]
            results = engine.run(
                self._clips(files, names),
                EmbedBatches(self.model, self.device, config.eval.batch),
                batch_clips=videos_per_batch(config.eval),
                timeout_seconds=config.data.timeout_seconds,
            )
            found, unread = separate_failures(dict(show_progress(results, total=len(paths))))
        if not found:
            raise NoReadableVideosError(unread)
        features = VideoFeatures.concatenate(list(found.values()))
        return EmbeddedVideos(tuple(names[index] for index in found), features, unread)

    def embed_frames(self, frames: Any, *, name: str = "frames") -> EmbeddedVideos:
        """Embed one video whose frames you have decoded, equal to a file with these frames.

        >>> videos = Embedder("retrieval", device="cpu").embed_frames(np.zeros((24, 32, 32, 3), np.uint8))
        >>> videos.paths, videos.features.frames.shape  # (V, T, E)
        (('frames',), torch.Size([1, 4, 8]))

        Args:
            frames: all frames of the video, RGB, 0 to 255: numpy uint8 (T, H, W, 3), a uint8 tensor (T, 3, H, W), or a
                list of PIL images or arrays (H, W, 3). The model takes the frames it needs from them.
            name: takes the place of the path in the result.

        Raises:
            TypeError, ValueError: the frames have another type, shape, order of dimensions or number type.
        """
        views = self._clips([], []).views_of(frames)
        return EmbeddedVideos((name,), embed_clips(self.model, views, device=self.device, chunk=1), ())

    def _clips(self, paths: Sequence[Path], names: Sequence[str]) -> TestClips:
        videos = [LabelledVideo(path=path, label=0, name=name) for path, name in zip(paths, names, strict=True)]
        config, backbone = self.adapter.config, self.model.backbone
        return evaluation_clips(videos, config=config, backbone=backbone, num_clips=1, num_crops=1)

    def embed_texts(self, texts: str | Sequence[str]) -> EmbeddedTexts:
        """Embed a sentence or several, truncated to the adapter's maximum number of words.

        Raises:
            ValueError: `texts` is empty, or a sentence is.
        """
        texts = as_list(texts)
        if not texts or not all(text.strip() for text in texts):
            raise ValueError(f"{texts!r}: give at least one sentence, and no empty ones.")
        return EmbeddedTexts(tuple(texts), embed_texts(self.model, texts, device=self.device))

    def rank(
        self, texts: str | Sequence[str], videos: EmbeddedVideos, *, top_k: int = 5
    ) -> list[list[tuple[str, float]]]:
        """Paths and similarities (-1 to 1) of the `top_k` best videos for each sentence, best first.

        Raises:
            ValueError: `top_k` is below 1, or a sentence is empty.
        """
        check_count(top_k, "top_k")
        scores = score_matrix(
            self.embed_texts(texts).features,
            videos.features,
            similarity=self.adapter.config.text.similarity,
            device=self.device,
        )
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        return [
            [(videos.paths[index], float(row[index])) for index in columns]
            for row, columns in zip(scores, best, strict=True)
        ]


def write_embeddings(
    path: Path, *, videos: EmbeddedVideos | None, texts: EmbeddedTexts | None, normalise: bool = False
) -> None:
    """Write embeddings, atomically.

    Arrays with one row per video: `frames` (V, T, E), `frame_weights` (V, T), `video` (V, E), the mean of the frames.
    Arrays with one row per sentence: `words` (C, W, E), `word_mask` and `word_weights` (C, W), `sentence` (C, E).
    The embeddings are not normalised unless `normalise` is set: then every vector of `frames`, `video`, `words` and
    `sentence` has length 1, `video` after the mean over the frames. The names are in `paths` and `texts`: string arrays
    in .npz files, JSON lists in the metadata of .safetensors files.
    """
    arrays: dict[str, Any] = {}
    names: dict[str, Sequence[str]] = {}
    if videos is not None:
        features = videos.features
        arrays |= {"frames": features.frames, "frame_weights": features.weights, "video": features.frames.mean(dim=1)}
        names["paths"] = videos.paths
    if texts is not None:
        words = texts.features
        arrays |= {"words": words.words, "word_mask": words.mask, "word_weights": words.weights}
        arrays["sentence"] = words.sentence
        names["texts"] = texts.texts
    if normalise:
        arrays |= {name: F.normalize(arrays[name], dim=-1) for name in _VECTORS if name in arrays}
    write_arrays(path, arrays, names)
