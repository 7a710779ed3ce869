"""An index of videos that can be asked: by words, or by an example."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from side4video.search.embedding import WindowEmbedder
from side4video.search.index_model import IndexModel, load_index_model
from side4video.search.metadata import column_kinds
from side4video.search.reranking import match_frames, match_words, query_vectors, score_windows
from side4video.search.results import Found, Match
from side4video.search.stores.filters import Filter
from side4video.search.stores.open_store import open_store
from side4video.search.stores.records import IndexedFile, IndexInfo, Window
from side4video.search.stores.store import Store
from side4video.video.decoding import VideoError

EVERYTHING = Filter()
SHORTLIST = 500
"""Windows that are found by their mean vectors and then scored exactly."""

Score = Callable[[Sequence[Window]], NDArray[np.float32]]
"""Windows to their exact scores."""


class VideoIndex:
    """Videos and the model that knows them; made by `side4video index`.

    Several threads may search at once; their turns at the model come one after the other.

    Attributes:
        info: which model made it, and how.
    """

    def __init__(self, store: Store, model: IndexModel, info: IndexInfo) -> None:
        self.info = info
        self._store, self._model = store, model

    @classmethod
    def open(
        cls,
        address: str | Path,
        *,
        model: str | Path | None = None,
        backbone_weights: str | None = None,
        device: str = "auto",
    ) -> Self:
        """Open an index with the model that made it.

        Args:
            address: its folder, an object-store address as LanceDB takes it, or `qdrant://host:port/name`.
            model: where that model is now; by default where it was when the index was made.
            backbone_weights: local weights of the backbone; by default what the model was made with.
            device: "auto", "cpu", "cuda", ...

        Raises:
            FileNotFoundError: there is no index, or its model is gone.
            ValueError: the model is another than the one that made the index.
        """
        store = open_store(address)
        try:
            info = store.read_info()
            assert info is not None, "a store that is opened to be read has one"
            try:
                loaded = load_index_model(model or info.model, backbone_weights=backbone_weights, device=device)
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f"The model of {address} cannot be found where it was: {error} Give its place: --model FOLDER, or "
                    "model in Python."
                ) from error
            loaded.check_made(info, address)
        except BaseException:
            store.close()
            raise
        return cls(store, loaded, info)

    def search(
        self, text: str, *, top_k: int = 10, filter: Filter = EVERYTHING, shortlist: int = SHORTLIST
    ) -> list[Found]:
        """The `top_k` best videos for some words, best first.

        Args:
            text: what to look for.
            top_k: videos at most.
            filter: others are left out.
            shortlist: windows that are scored exactly; the others are told by their mean vectors that they are worse.

        Raises:
            ValueError: no words, or numbers below 1.
        """
        return self.search_many([text], top_k=top_k, filter=filter, shortlist=shortlist)[0]

    def search_many(
        self, texts: Sequence[str], *, top_k: int = 10, filter: Filter = EVERYTHING, shortlist: int = SHORTLIST
    ) -> list[list[Found]]:
        """The same for several questions, whose words go through the text tower together."""
        features = self._model.embed_texts(texts)
        vectors = query_vectors(features, self.info.similarity)
        found = []
        for place, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
            question = features.map(lambda tensor, place=place: tensor[place : place + 1])  # type: ignore[misc]
            best = self._best_windows(
                vector,
                lambda windows, question=question: score_windows(question, windows, self.info.similarity),  # type: ignore[misc]
                top_k=top_k,
                filter=filter,
                shortlist=shortlist,
            )
            found.append(
                [
                    _found(window, score, match_words(text, question, window, self.info.similarity))
                    for window, score in best
                ]
            )
        return found

    def search_like(
        self, video: str | Path, *, top_k: int = 10, filter: Filter = EVERYTHING, shortlist: int = SHORTLIST
    ) -> list[Found]:
        """The `top_k` videos most like an example, which may be one of the index; it is not among them itself.

        Scores are the cosine of the example's mean embedding and a window's.

        Raises:
            VideoError: the example cannot be read.
        """
        path = str(Path(video).resolve())
        windows = next(self._store.windows_of([path])) or self._embed_example(path)
        mean = np.mean([window.mean for window in windows], axis=0)
        vector = (mean / max(np.linalg.norm(mean), 1e-12)).astype(np.float32)
        best = self._best_windows(
            vector,
            lambda others: np.array([other.mean @ vector for other in others], np.float32),
            top_k=top_k,
            filter=filter,
            shortlist=shortlist,
            without=path,
        )
        return [_found(window, score, match_frames(vector, window)) for window, score in best]

    def files(self) -> dict[str, IndexedFile]:
        """Every video of the index by its path."""
        return self._store.files()

    def columns(self) -> dict[str, type]:
        """The columns of the videos' metadata, and whether they hold `float`, `bool` or `str`."""
        return column_kinds(file.metadata for file in self.files().values())

    def close(self) -> None:
        """Let go of files and connections."""
        self._store.close()

    def _best_windows(
        self,
        vector: NDArray[np.float32],
        score: Score,
        *,
        top_k: int,
        filter: Filter,
        shortlist: int,
        without: str | None = None,
    ) -> list[tuple[Window, float]]:
        """The best window of each of the best videos, best first; equal ones in the order of their paths."""
        if top_k < 1 or shortlist < 1:
            raise ValueError(f"{top_k = } and {shortlist = } must be 1 or more.")
        limit = max(shortlist, top_k + 1)
        while True:
            windows = self._store.nearest(vector, limit=limit, filter=filter)
            others = [window for window in windows if window.file.path != without]
            if len(windows) < limit or len({window.file.path for window in others}) >= top_k:
                break
            limit *= 4  # the windows of a few long videos fill the list
        if not others:
            return []
        scored = zip(others, map(float, score(others)), strict=True)
        ordered = sorted(scored, key=lambda pair: (-pair[1], pair[0].file.path, pair[0].number))
        best: dict[str, tuple[Window, float]] = {}
        for window, value in ordered:
            best.setdefault(window.file.path, (window, value))
        return list(best.values())[:top_k]

    def _embed_example(self, path: str) -> list[Window]:
        embedder = WindowEmbedder(
            model=self._model,
            window_seconds=self.info.window_seconds,
            overlap_seconds=self.info.overlap_seconds,
            workers=0,
        )
        reasons: list[str] = []
        for _, windows in embedder.embed([path], on_failure=lambda unread: reasons.append(unread.reason)):
            return windows
        raise VideoError(path, reasons[0])


def _found(window: Window, score: float, matches: Sequence[Match]) -> Found:
    return Found(window.file, score, window.start_seconds, window.end_seconds, tuple(matches))
