"""An index of videos that can be asked: by words, or by an example."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from side4video.search.filters import Filter
from side4video.search.records import IndexedFile, IndexInfo
from side4video.search.results import Found

EVERYTHING = Filter()


class VideoIndex:
    """Videos and the model that knows them; made by `side4video index`."""

    info: IndexInfo

    @classmethod
    def open(cls, address: str | Path, *, backbone_weights: str | None = None, device: str = "auto") -> Self:
        """Open an index with the model that made it.

        Args:
            address: its folder, an object-store address as LanceDB takes it, or `qdrant://host:port/name`.
            backbone_weights: local weights of the backbone; by default what the model was made with.
            device: "auto", "cpu", "cuda", ...
        """
        raise NotImplementedError

    def search(self, text: str, *, top_k: int = 10, filter: Filter = EVERYTHING, shortlist: int = 500) -> list[Found]:
        """The `top_k` best videos for some words, best first."""
        return self.search_many([text], top_k=top_k, filter=filter, shortlist=shortlist)[0]

    def search_many(
        self, texts: Sequence[str], *, top_k: int = 10, filter: Filter = EVERYTHING, shortlist: int = 500
    ) -> list[list[Found]]:
        """The same for several questions, whose words go through the text tower together."""
        raise NotImplementedError

    def search_like(
        self, video: str | Path, *, top_k: int = 10, filter: Filter = EVERYTHING, shortlist: int = 500
    ) -> list[Found]:
        """The `top_k` videos most like an example, which may be one of the index."""
        raise NotImplementedError

    def files(self) -> dict[str, IndexedFile]:
        """Every video of the index by its path."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files and connections."""
        raise NotImplementedError
