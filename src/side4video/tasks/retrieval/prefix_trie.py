"""A prefix trie of captions, so that the work for common prefixes is done once.

In a causal text tower, the embedding of a word depends only on the words before it: captions with a common prefix
("a man is ...") have the same embeddings there, bit for bit. A node of the trie is a prefix, and a caption is the path
to its last word. The embeddings are compared: if they differ in a single bit, they get different nodes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from side4video.tasks.retrieval.score_storage import row_chunks

_WORDS_PER_NODE, _MAX_WORDS_PER_NODE = 3, 4
"""Limits of words per node; otherwise captions that are all alike would make a small trie with any number of paths. The
second limit is for equal captions: in one trie they get the same scores bit for bit, so that they tie when ranked."""
_COMPARED_BYTES = 20
"""Per channel of a word: the input, 32 bits, two copies of that or 64 bits, and a comparison flag."""


@dataclass(frozen=True)
class PrefixTrie:
    """A trie of c captions with n nodes, level by level, so that parents come before their children.

    Attributes:
        captions: (c,) indices of the captions.
        padded: whether the captions have padding; it is the same for all captions of a trie.
        word_captions, word_places: (n,) caption and position of a word with the node's embedding.
        parents: (n,) node of the prefix that is one word shorter; 0 for the nodes of the first level.
        levels: nodes of each level, from the root.
        path_nodes, path_captions, path_places: node, caption and position of each caption's words, one caption after
            the other.
        path_starts: (c,) start of each caption in these.
        leaves: (c,) node of each caption's last word.

    >>> import torch
    >>> words = torch.tensor([1.0, 2.0, 3.0, 1.0, 2.0, 4.0]).reshape(2, 3, 1)  # two captions, one prefix
    >>> [trie] = prefix_tries(words, torch.ones(2, 3, dtype=torch.bool), max_nodes=10)
    >>> len(trie.parents), len(trie.path_nodes)  # nodes and words
    (4, 6)
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
    """All captions in tries of at most `max_nodes` nodes and four times as many words, and at least one caption.

    Args:
        words: word embeddings; padding is ignored.
        mask: True for words, at least one per caption.
        max_nodes: largest number of nodes of a trie.
        working_bytes: memory for comparing embeddings.

    Raises:
        ValueError: captions without a word.
    """
    present = mask.cpu().numpy()
    lengths, width = present.sum(axis=1), present.shape[1]
    if not lengths.all():
        empty = np.flatnonzero(lengths == 0)
        raise ValueError(
            f"{len(empty)} captions (numbers {', '.join(map(str, empty[:10]))}) have no word. Even an empty text has "
            "start and end tokens."
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
    """A number per word, equal for words whose embeddings are equal bit for bit; -1 in the padding."""
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
        # compare the bits too: equal hashes do not prove equality
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
    """For sorted captions: True for the words that are not part of a prefix shared with the caption before."""
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
        nodes += more if index > start else length  # the first caption of a trie has no shared prefix
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
