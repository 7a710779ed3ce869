"""Tries of captions: every word is on its caption's path, nothing is computed twice, and only equal bits are shared."""

import numpy as np
import pytest
import torch

from side4video.tasks.retrieval import prefix_trie
from side4video.tasks.retrieval.prefix_trie import number_distinct_words, prefix_tries

SENTENCES = ("a man runs", "a dog", "a man", "a man runs", "a", "the man runs", "a man cooks fish")


def embedded(sentences, *, places):
    """A different number for every prefix, in each of two channels."""
    beginnings = sorted({tuple(s.split()[:n]) for s in sentences for n in range(1, len(s.split()) + 1)})
    words, mask = torch.full((len(sentences), places, 2), -1.0), torch.zeros(len(sentences), places, dtype=torch.bool)
    for row, sentence in enumerate(sentences):
        tokens = sentence.split()
        for place in range(len(tokens)):
            words[row, place] = 1 + beginnings.index(tuple(tokens[: place + 1]))
            mask[row, place] = True
    return words, mask, beginnings


@pytest.mark.parametrize("max_nodes", [1, 3, 4, 6, 100])
def test_every_path_has_the_embeddings_of_its_caption(max_nodes):
    words, mask, _ = embedded(SENTENCES, places=4)
    seen = []
    for tree in prefix_tries(words, mask, max_nodes=max_nodes):
        embeddings = words[tree.word_captions, tree.word_places]
        ends = [*tree.path_starts[1:], len(tree.path_nodes)]
        for caption, start, end, leaf in zip(tree.captions, tree.path_starts, ends, tree.leaves, strict=True):
            path = tree.path_nodes[start:end]
            np.testing.assert_array_equal(embeddings[path], words[caption][mask[caption]])
            np.testing.assert_array_equal(tree.path_captions[start:end], caption)
            np.testing.assert_array_equal(words[caption, tree.path_places[start:end]], embeddings[path])
            assert path[-1] == leaf
            for level, node in enumerate(path):
                assert tree.levels[level].start <= node < tree.levels[level].stop
                assert level == 0 or tree.parents[node] == path[level - 1]
            assert tree.padded == (end - start < 4)
        assert len(tree.parents) <= max_nodes or len(tree.captions) == 1
        seen += tree.captions.tolist()
    assert sorted(seen) == list(range(len(SENTENCES)))


def test_each_prefix_is_one_node():
    words, mask, beginnings = embedded(SENTENCES, places=5)
    (tree,) = prefix_tries(words, mask, max_nodes=100)
    assert len(tree.word_captions) == len(beginnings)
    assert [level.stop - level.start for level in tree.levels] == [2, 3, 3, 1]


def test_equal_captions_do_not_make_an_unbounded_trie():
    words, mask, _ = embedded(["a man"] * 50, places=3)
    assert [len(tree.captions) for tree in prefix_tries(words, mask, max_nodes=4)] == [8] * 6 + [2]


def test_equal_captions_are_in_the_same_trie():
    words, mask, _ = embedded(["a b", "a c", *["a d"] * 5, "a e"], places=3)
    trees = [tree.captions.tolist() for tree in prefix_tries(words, mask, max_nodes=3)]
    assert trees == [[0, 1], [2, 3, 4, 5, 6], [7]]


def test_embeddings_that_differ_in_one_bit_are_distinct():
    words = torch.zeros(3, 1, 4)
    words[1, 0, 2] = 1e-45
    words[2, 0, 2] = -0.0
    numbers = number_distinct_words(words, np.ones((3, 1), dtype=bool), 1000)
    assert len(set(numbers.flatten())) == 3


def test_equal_hashes_do_not_prove_equality(monkeypatch):
    """With all factors 1 the hash is the sum: rows with the same numbers in another order collide."""

    class Ones:
        def integers(self, *arguments, size, dtype):
            return np.ones(size, dtype=dtype)

    monkeypatch.setattr(prefix_trie.np.random, "default_rng", lambda seed: Ones())
    words = torch.tensor([[[1.0, 2.0]], [[2.0, 1.0]], [[1.0, 2.0]], [[2.0, 1.0]]])
    numbers = number_distinct_words(words, np.ones((4, 1), dtype=bool), 1000).flatten()
    assert numbers[0] == numbers[2]
    assert numbers[1] != numbers[0]


def test_padding_has_no_number():
    words, mask, _ = embedded(["a", "a b"], places=3)
    np.testing.assert_array_equal(number_distinct_words(words, mask.numpy(), 1000) < 0, ~mask.numpy())
