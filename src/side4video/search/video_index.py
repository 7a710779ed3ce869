"""Search in an index of videos, by text or by an example video."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from side4video.models.similarity import TextFeatures
from side4video.models.text.caption_warnings import MOSTLY
from side4video.parameters import as_list
from side4video.search.cached_subtitles import CachedSubtitles
from side4video.search.combined import combine_scores, combine_vectors, text_scores, vectors_of
from side4video.search.examples import example_vector
from side4video.search.index_model import IndexModel, load_index_model, recorded_model
from side4video.search.metadata import column_types, column_values
from side4video.search.occurrences import Occurrence
from side4video.search.ranking import Ranking, Score
from side4video.search.reranking import match_frames, match_words, query_vectors
from side4video.search.results import Match, SearchResult, SubtitleMatch
from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter, parse_filter
from side4video.search.stores.open_store import open_store
from side4video.search.stores.records import IndexedFile, IndexInfo, Window
from side4video.search.stores.store import Store
from side4video.search.subtitle_index import SUBTITLE_WEIGHT, SubtitleQuery

EVERYTHING = Filter()
SHORTLIST = 500
"""Number of windows that the nearest-neighbour search returns for exact scoring."""

CHECK_SECONDS = 1.0
"""A search reads the description of the index again if the last time is longer ago."""


class IndexReplacedError(RuntimeError):
    """The index was made again with another model or other settings since it was opened.

    >>> str(IndexReplacedError("index"))
    'index was made again with another model or other settings since it was opened. Open it again.'
    """

    def __init__(self, address: str | Path) -> None:
        super().__init__(
            f"{address} was made again with another model or other settings since it was opened. Open it again."
        )


class VideoIndex:
    """Indexed videos and the model that embedded them. `side4video index` makes an index.

    Several threads may search at once. They use the model one after the other.

    Attributes:
        info: the model that made the index, and its settings.
        address: the folder or address of the index.
        subtitles: the subtitles of the videos.

    >>> index = VideoIndex.open("index", model="retrieval", device="cpu")
    >>> best, second = index.search("a shape moves clockwise", top_k=2)
    >>> best.score >= second.score, best.start_seconds, best.end_seconds
    (True, 0.0, 2.0)
    >>> index.close()
    """

    def __init__(self, store: Store, model: IndexModel, info: IndexInfo, address: str | Path) -> None:
        self.info, self.address = info, address
        self._store, self._model = store, model
        self.subtitles = CachedSubtitles(store, info)
        self._checked_at = time.monotonic()

    @classmethod
    def open(
        cls,
        address: str | Path,
        *,
        model: str | Path | None = None,
        backbone_weights: str | None = None,
        tokenizer: str | Path | None = None,
        device: str = "auto",
    ) -> Self:
        """Open an index and load the model that made it.

        Args:
            address: the folder of the index, an object-store address for LanceDB, or `qdrant://host:port/name`.
            model: location of the model. Default: its location when the index was made.
            backbone_weights: local weights file of the backbone. Default: the weights the model was made with.
            tokenizer: local tokeniser of a model without an adapter. Default: the hub's.
            device: "auto", "cpu", "cuda", ...

        Raises:
            FileNotFoundError: the index or its model does not exist.
            ValueError: a different model made the index.
        """
        store = open_store(address)
        try:
            info = store.read_info()
            assert info is not None, "open_store without create=True requires one"
            model = model or recorded_model(info, address)
            try:
                loaded = load_index_model(model, backbone_weights=backbone_weights, tokenizer=tokenizer, device=device)
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f"The model of {address} is not at its recorded path: {error} Give its path with --model FOLDER "
                    "(in Python: model)."
                ) from error
            loaded.check_fingerprint(info, address)
        except BaseException:
            store.close()
            raise
        return cls(store, loaded, info, address)

    def search(
        self,
        text: str,
        *,
        top_k: int = 10,
        filter: Filter = EVERYTHING,
        shortlist: int = SHORTLIST,
        moments: int = 1,
        min_score: float | None = None,
        subtitle_weight: float = SUBTITLE_WEIGHT,
    ) -> list[SearchResult]:
        """The `top_k` best videos for a query, best first.

        Args:
            text: the query.
            top_k: maximum number of videos.
            filter: only videos that pass it are searched.
            shortlist: number of windows to score exactly, those whose mean vectors are nearest to the query.
            moments: results per video. 1: its best window. More: all its windows are scored, and those above
                `min_score` that follow each other are one result; the results of a video are next to each other.
            min_score: smallest score of a result, -1 to 1. Default: none; with several `moments`, halfway between the
                mean and the highest score of the video's windows.
            subtitle_weight: weight of subtitles, if the index has any: the score is the model's similarity plus this
                times the share of the query's words in the subtitles of the window (`SubtitleQuery`). 0: pictures only.

        Raises:
            ValueError: the query is empty, `top_k`, `shortlist` or `moments` is below 1, or `subtitle_weight` below 0.
            IndexReplacedError: the index was made again with another model since it was opened.
        """
        options = {"top_k": top_k, "shortlist": shortlist, "moments": moments, "min_score": min_score}
        return self.search_many([text], filter=filter, subtitle_weight=subtitle_weight, **options)[0]  # type: ignore[arg-type]

    def search_many(
        self,
        texts: str | Sequence[str],
        *,
        top_k: int = 10,
        filter: Filter = EVERYTHING,
        shortlist: int = SHORTLIST,
        moments: int = 1,
        min_score: float | None = None,
        subtitle_weight: float = SUBTITLE_WEIGHT,
    ) -> list[list[SearchResult]]:
        """Like `search` for several queries, which go through the text tower in one batch."""
        self._check_same_model()
        texts = as_list(texts)
        ranking = Ranking(top_k=top_k, filter=filter, shortlist=shortlist, moments=moments, min_score=min_score)
        features = self._model.embed_texts(texts)
        kind, found = self.info.similarity, []
        scores = text_scores(features, kind)
        for position, (text, vector) in enumerate(zip(texts, query_vectors(features, kind), strict=True)):
            query = features.map(lambda tensor, position=position: tensor[position : position + 1])  # type: ignore[misc]
            spoken = self.subtitles.query([text], weight=subtitle_weight)
            best = self._best_parts(ranking, vector, scores[position], spoken, subtitle_weight)
            found.append([_to_result(part, self._match_words(text, query, part.best), spoken) for part in best])
        return found

    def search_like(
        self,
        video: str | Path,
        *,
        top_k: int = 10,
        filter: Filter = EVERYTHING,
        shortlist: int = SHORTLIST,
        moments: int = 1,
        min_score: float | None = None,
    ) -> list[SearchResult]:
        """The `top_k` videos most similar to an example, a video or a photo. If it is in the index, it is left out.

        The score is the cosine of the mean embeddings of the example and a window.

        Raises:
            VideoError: the example cannot be read.
        """
        self._check_same_model()
        ranking = Ranking(top_k=top_k, filter=filter, shortlist=shortlist, moments=moments, min_score=min_score)
        path, vector = example_vector(video, self._store, self._model, self.info)
        best = ranking.best_parts(self._store, vector, _cosines(vector), without=path)
        return [_to_result(part, match_frames(vector, part.best)) for part in best]

    def search_combined(
        self,
        texts: str | Sequence[str] = (),
        *,
        like: str | Path | None = None,
        unwanted: str | Sequence[str] = (),
        top_k: int = 10,
        filter: Filter = EVERYTHING,
        shortlist: int = SHORTLIST,
        moments: int = 1,
        min_score: float | None = None,
        subtitle_weight: float = SUBTITLE_WEIGHT,
    ) -> list[SearchResult]:
        """One query of several texts and an example together, without what other texts describe.

        The score is the mean of the scores of the texts and the example, minus the mean of the scores of the unwanted
        texts. The shortlist holds the windows nearest to the mean of the wanted vectors minus that of the unwanted.

        Args:
            texts: texts that should match.
            like: a video or a photo that should match.
            unwanted: texts that should not match.
            top_k, filter, shortlist, moments, min_score: as in `search`.
            subtitle_weight: as in `search`. Subtitles count with their mean over the wanted parts, minus that over the
                unwanted ones; an example has no words.

        Raises:
            ValueError: neither texts nor an example are given, or a text is empty.
            VideoError: the example cannot be read.
        """
        if not texts and like is None:
            raise ValueError(
                f"Nothing is wanted, only {list(unwanted)} unwanted. Add words or an example to search for."
            )
        self._check_same_model()
        ranking = Ranking(top_k=top_k, filter=filter, shortlist=shortlist, moments=moments, min_score=min_score)
        kind, width = self.info.similarity, self.info.embed_dim
        wanted, others = (self._model.embed_texts(some) if some else None for some in (texts, unwanted))
        path, examples = None, np.zeros((0, width), np.float32)
        if like is not None:
            path, vector = example_vector(like, self._store, self._model, self.info)
            examples = vector[None]
        score = combine_scores(
            [*(text_scores(wanted, kind) if wanted else ()), *map(_cosines, examples)],
            text_scores(others, kind) if others else (),
        )
        rows = np.concatenate([vectors_of(wanted, kind, width), examples])
        vector = combine_vectors(rows, vectors_of(others, kind, width))
        spoken = self.subtitles.query(
            as_list(texts), as_list(unwanted), weight=subtitle_weight, num_examples=len(examples)
        )
        best = self._best_parts(ranking, vector, score, spoken, subtitle_weight, without=path)
        if wanted is None:
            return [_to_result(part, match_frames(examples[0], part.best), spoken) for part in best]
        first = wanted.map(lambda tensor: tensor[:1])
        return [_to_result(part, self._match_words(as_list(texts)[0], first, part.best), spoken) for part in best]

    def query_warning(self, text: str) -> str | None:
        """A sentence that says which part of a query the model does not read or know; None if it knows all of it."""
        limit, tokeniser = self._model.max_words, self._model.tokeniser
        if (share := tokeniser.unknown_share(text)) >= MOSTLY:
            return f"The model's text tower does not know {share:.0%} of the letters of this query. Try English."
        if tokeniser.count([text])[0] <= limit:
            return None
        kept, room = tokeniser.read_part(text, max_words=limit), limit - tokeniser.kind.num_special
        return f"The model reads {room} tokens of a query; this one is cut after “{kept}”."

    def _match_words(self, text: str, query: TextFeatures, window: Window) -> list[Match]:
        return match_words(text, query, window, self.info.similarity, tokeniser=self._model.tokeniser)

    def files(self) -> dict[str, IndexedFile]:
        """All videos of the index, by path."""
        return self._store.files()

    def columns(self) -> dict[str, type]:
        """Names of the metadata columns with their types: `float`, `bool`, `date` or `str`."""
        return column_types(file.metadata for file in self.files().values())

    def filter(self, conditions: Sequence[str], path: str | None = None) -> Filter:
        """The filter of conditions such as `camera=north`, checked against the columns and values of the index.

        Raises:
            ValueError: see `side4video.search.stores.filters.parse_condition`.
        """
        metadata = [file.metadata for file in self.files().values()] if conditions else []
        return parse_filter(conditions, path, column_types(metadata), column_values(metadata))

    def close(self) -> None:
        """Close files and connections."""
        self._store.close()

    def _check_same_model(self) -> None:
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        info = self._store.read_info()
        if info is not None and replace(self.info, model=info.model, package_version=info.package_version) != info:
            raise IndexReplacedError(self.address)
        self._checked_at = time.monotonic()

    def _best_parts(
        self,
        ranking: Ranking,
        vector: NDArray[np.float32],
        pictures: Score,
        spoken: SubtitleQuery | None,
        weight: float,
        *,
        without: str | None = None,
    ) -> list[Occurrence]:
        """The best parts by pictures and subtitles; see `Ranking.best_parts`."""
        if spoken is None:
            return ranking.best_parts(self._store, vector, pictures, without=without)

        def score(windows: Sequence[Window]) -> NDArray[np.float32]:
            return pictures(windows) + np.float32(weight) * spoken.scores_of(windows)

        test = make_test(ranking.filter)
        now = None if ranking.filter == EVERYTHING else self._store.files()  # metadata may have changed

        def allowed(file: IndexedFile) -> bool:
            return now is None or (file.path in now and test(now[file.path]))

        places = spoken.best_places(limit=ranking.shortlist, allowed=allowed)
        more = [window for window in self._store.windows_at(places) if test(window.file)]
        return ranking.best_parts(self._store, vector, score, without=without, more=more)


def _cosines(vector: NDArray[np.float32]) -> Score:
    return lambda windows: np.array([window.mean @ vector for window in windows], np.float32)


def _to_result(part: Occurrence, matches: Sequence[Match], spoken: SubtitleQuery | None = None) -> SearchResult:
    cues: tuple[SubtitleMatch, ...] = ()
    said = 0.0
    if spoken is not None:
        best = max(matches, key=lambda match: match.similarity, default=None)
        near = part.best.start_seconds if best is None else best.seconds
        cues = spoken.matches(part.best.file, part.start_seconds, part.end_seconds, near_seconds=near)
        said = float(spoken.scores_of([part.best])[0])
    return SearchResult(
        part.best.file,
        part.score,
        part.start_seconds,
        part.end_seconds,
        tuple(matches),
        subtitles=cues,
        subtitle_score=said,
        is_weak=part.is_weak,
    )
