"""Captions as paths through a tree of words, so that what equal beginnings have in common is computed once.

A causal text tower sees only what stands before a word: captions that begin alike ("a man is ...") have the same
embeddings there, bit for bit. A node of the tree is a beginning of some captions, and a caption is the path to its last
word. Nothing is assumed: where embeddings differ in a single bit, nodes do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from side4video.tasks.retrieval.score_storage import row_chunks

_WORDS_PER_NODE, _MAX_WORDS_PER_NODE = 3, 4
"""Where a tree ends, or captions that are all alike would make a small tree with any number of paths. The second is for
equal captions: in one tree they get bit for bit the same scores, so that they tie when they are ranked."""
_COMPARED_BYTES = 20
"""For each channel of a word: as it comes, in 32 bits, twice of that or in 64 bits, and whether it differs."""


@dataclass(frozen=True)
class PrefixTrie:
    """Some captions; n nodes, level by level, so that parents stand before their children.

    Attributes:
        captions: (c,) numbers of the captions.
        padded: whether they have fewer words than there is room for. All captions of a tree agree in that.
        word_captions, word_places: (n,) caption and place of a word that has the node's embedding.
        parents: (n,) node of the beginning that is one word shorter; 0 for the nodes of the first level.
        levels: nodes of each level, the first one first.
        path_nodes, path_captions, path_places: nodes of each caption's words, one caption after the other, and which
            words these are.
        path_starts: (c,) where each caption begins in them.
        leaves: (c,) node of each caption's last word.
    """

    captions: Int[ndarray, " c"]
    padded: bool
    word_captions: Int[ndarray, " n"]
    word_places: Int[ndarray, " n"]
    parents: Int[ndarray, " n"]
    levels: tuple[slice, ...]
    path_nodes: Int[ndarray, " p"]
    path_captions: Int[ndarray, " p"]
    path_places: Int[ndarray, " p"]
    path_starts: Int[ndarray, " c"]
    leaves: Int[ndarray, " c"]


def prefix_tries(
    words: Float[Tensor, "C W E"], mask: Bool[Tensor, "C W"], *, max_nodes: int, working_bytes: int = 16 * 2**20
) -> Iterator[PrefixTrie]:
    """All captions, in trees of at most `max_nodes` nodes and four times as many words, and at least one caption.

    Args:
        words: embeddings; what the mask leaves out is not looked at.
        mask: where there is a word, at least one in each caption.
        max_nodes: size of a tree.
        working_bytes: memory for comparing embeddings.

    Raises:
        ValueError: captions without a word.
    """
    present = mask.cpu().numpy()
    lengths, width = present.sum(axis=1), present.shape[1]
    if not lengths.all():
        empty = np.flatnonzero(lengths == 0)
        raise ValueError(
            f"{len(empty)} captions (numbers {', '.join(map(str, empty[:10]))}) have no word. Even an empty text has a "
            "start and an end."
        )
    places = np.argsort(~present, axis=1, kind="stable")  # words first, padding last
    rows = np.take_along_axis(number_distinct_words(words, present, working_bytes), places, axis=1)
    order = np.lexsort(rows.T[::-1])
    for padded in (True, False):
        captions = order[(lengths[order] < width) == padded]
        new = _new_words(rows[captions])
        for chunk in _chunks(new.sum(axis=1), lengths[captions], max_nodes):
            part = captions[chunk]
            yield _trie(part, padded, new[chunk], places[part], lengths[part])


def number_distinct_words(
    words: Float[Tensor, "C W E"], present: Bool[ndarray, "C W"], working_bytes: int
) -> Int[ndarray, "C W"]:
    """A number for each word, the same for words whose embeddings are bit for bit the same; -1 where there is none."""
    captions, places = np.nonzero(present)
    factors = np.random.default_rng(0).integers(2**64, size=words.shape[2], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(captions), dtype=np.uint64)
    for chunk in row_chunks(len(hashes), words.shape[2], itemsize=_COMPARED_BYTES, chunk_bytes=working_bytes):
        bits = _bits(words, captions[chunk], places[chunk])
        hashes[chunk] = bits.astype(np.uint64) @ factors  # modulo 2**64
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    numbers = first[group]
    again = np.flatnonzero(numbers != np.arange(len(numbers)))
    for chunk in row_chunks(len(again), words.shape[2], itemsize=_COMPARED_BYTES, chunk_bytes=working_bytes):
        # equal hashes are no proof
        one, other = again[chunk], numbers[again[chunk]]
        differ = _bits(words, captions[one], places[one]) != _bits(words, captions[other], places[other])
        wrong = one[differ.any(axis=1)]
        numbers[wrong] = wrong
    result = np.full(present.shape, -1, dtype=np.int64)
    result[captions, places] = numbers
    return result


def _bits(words: Float[Tensor, "C W E"], captions: Int[ndarray, " r"], places: Int[ndarray, " r"]) -> ndarray:
    return words[captions, places].float().cpu().numpy().view(np.uint32)


def _new_words(rows: Int[ndarray, "c W"]) -> Bool[ndarray, "c W"]:
    """In sorted captions: the words up to which no caption before begins in the same way."""
    differs = np.ones(rows.shape, dtype=bool)
    differs[1:] = rows[1:] != rows[:-1]
    return np.logical_or.accumulate(differs, axis=1) & (rows >= 0)


def _chunks(new: Int[ndarray, " c"], lengths: Int[ndarray, " c"], max_nodes: int) -> Iterator[slice]:
    start, nodes, words = 0, 0, 0
    for index, (more, length) in enumerate(zip(new.tolist(), lengths.tolist(), strict=True)):
        most_words = max_nodes * (_WORDS_PER_NODE if more else _MAX_WORDS_PER_NODE)
        if index > start and (nodes + more > max_nodes or words + length > most_words):
            yield slice(start, index)
            start, nodes, words = index, 0, 0
        nodes += more if index > start else length  # the first caption of a tree shares nothing
        words += length
    if len(new):
        yield slice(start, len(new))


def _trie(
    captions: Int[ndarray, " c"],
    padded: bool,
    new: Bool[ndarray, "c W"],
    places: Int[ndarray, "c W"],
    lengths: Int[ndarray, " c"],
) -> PrefixTrie:
    depth = lengths.max()
    new = new[:, :depth].copy()
    new[0] = np.arange(depth) < lengths[0]
    ends = np.cumsum(new.sum(axis=0))
    starts = np.concatenate([[0], ends[:-1]])
    nodes = starts + np.cumsum(new, axis=0) - 1  # sorted, so the last new word in this place is on the same path
    level, row = np.nonzero(new.T)
    path_row, path_level = np.nonzero(np.arange(depth) < lengths[:, None])
    return PrefixTrie(
        captions=captions,
        padded=padded,
        word_captions=captions[row],
        word_places=places[row, level],
        parents=np.where(level > 0, nodes[row, level - 1], 0),
        levels=tuple(slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)),
        path_nodes=nodes[path_row, path_level],
        path_captions=captions[path_row],
        path_places=places[path_row, path_level],
        path_starts=np.cumsum(lengths) - lengths,
        leaves=nodes[np.arange(len(captions)), lengths - 1],
    )
