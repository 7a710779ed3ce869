"""Examples of a search, videos and photos, as vectors."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from side4video.search.index_model import IndexModel
from side4video.search.photos import is_photo, read_photo
from side4video.search.stores.records import IndexInfo, Window
from side4video.search.stores.store import Store
from side4video.search.window_embedder import WindowEmbedder
from side4video.system.paths import as_listed, real_path
from side4video.video.remote import is_address, video_path
from side4video.video.video_error import VideoError


def example_vector(
    video: str | Path, store: Store, model: IndexModel, info: IndexInfo
) -> tuple[str, NDArray[np.float32]]:
    """The path that the index has for an example, and its (E,) mean embedding, of length 1.

    Raises:
        VideoError: the example cannot be read.

    >>> from side4video.search.index_model import load_index_model
    >>> from side4video.search.stores.open_store import open_store
    >>> store, model = open_store("index"), load_index_model("retrieval", device="cpu")
    >>> path, vector = example_vector("clip.mp4", store, model, store.read_info())
    >>> bool(abs(vector @ vector - 1) < 1e-5)
    True
    """
    is_remote = is_address(video_path(video))
    path = str(video_path(video)) if is_remote else as_listed([os.path.abspath(video)])[0]  # noqa: PTH100 - links keep their names
    if not is_remote and is_photo(Path(path)):
        views = model.test_clips().views_of([read_photo(Path(path))])
        mean = model.embed_clips(views).frames.mean(dim=(0, 1)).numpy()
    else:
        spellings = [path] if is_remote else [path, real_path(path)]
        indexed = zip(spellings, store.windows_of(spellings), strict=True)
        path, windows = next(((name, found) for name, found in indexed if found), (path, []))
        windows = windows or _embed(path, model, info)
        mean = np.mean([window.mean for window in windows], axis=0)
    return path, np.asarray(mean / max(np.linalg.norm(mean), 1e-12), np.float32)


def _embed(path: str, model: IndexModel, info: IndexInfo) -> list[Window]:
    embedder = WindowEmbedder(
        model=model, window_seconds=info.window_seconds, overlap_seconds=info.overlap_seconds, workers=0
    )
    reasons: list[str] = []
    for _, windows in embedder.embed([path], on_failure=lambda unread: reasons.append(unread.reason)):
        return windows
    raise VideoError(path, reasons[0])
