"""Which clips an epoch uses if every class fills the same share of it."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Int
from numpy import ndarray

BALANCED_STREAM = 4
"""Random stream of these draws, distinct from those of subsets, sampling, augmentation and captions."""


class BalancedDraws:
    """Draws clips so that each class fills the same share of an epoch, give or take one clip.

    A class goes through its clips in random order, again and again, and each epoch continues where the last one ended:
    over the run, the clips of a class are used equally often. The draws follow from the seed and the epoch alone. Each
    has the number of its pass through the class, which takes the place of the epoch in a `ClipKey`: a clip that occurs
    several times in an epoch has other frames and other augmentation each time.

    Example: 2 classes with 1 and 5 clips in epochs of 6. Each class gets 3 places: the single clip is used in each of
    them, and the five clips take turns.

    Args:
        classes: class of each clip; any numbers.
        seed: seed of the run.

    >>> draws = BalancedDraws([7, 8, 8, 8, 8, 8], seed=0)
    >>> sorted(draws.epoch(0)[:, 1].tolist())[:3], sorted(draws.epoch(1)[:, 1].tolist())[:3]
    ([0, 0, 0], [0, 0, 0])
    >>> sorted(index for epoch in range(5) for index in draws.epoch(epoch)[:, 1].tolist() if index)  # 5 x 3 places
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    """

    def __init__(self, classes: Sequence[int], *, seed: int) -> None:
        labels = np.asarray(classes)
        self.num_places, self.seed = len(labels), seed
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        size, larger = divmod(self.num_places, len(self.members))
        order = np.random.default_rng((seed, BALANCED_STREAM)).permutation(len(self.members))
        self.sizes = [size + int(place < larger) for place in np.argsort(order)]
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def describe(self) -> str:
        """A sentence about how often clips are used."""
        turns = [size / len(members) for size, members in zip(self.sizes, self.members, strict=True)]
        return (
            f"{len(self.members)} classes with {min(self.sizes)} to {max(self.sizes)} places each in an epoch of "
            f"{self.num_places} clips; a clip is used {min(turns):.2g} to {max(turns):.2g} times per epoch."
        )

    def _epoch(self, epoch: int) -> Int[ndarray, "N 2"]:
        """The draws of an epoch in order: number of the pass through the class, index of the clip."""
        drawn = np.concatenate(
            [
                self._of_class(number, range(epoch * size, (epoch + 1) * size))
                for number, size in enumerate(self.sizes)
                if size
            ]
        )
        return np.random.default_rng((self.seed, BALANCED_STREAM, 0, epoch)).permutation(drawn)

    def _of_class(self, number: int, places: range) -> Int[ndarray, "P 2"]:
        """Some places of the endless sequence of a class."""
        members, parts = self.members[number], []
        for turn in range(places.start // len(members), -(-places.stop // len(members))):
            shuffled = np.random.default_rng((self.seed, BALANCED_STREAM, 1, number, turn)).permutation(members)
            first = turn * len(members)
            part = shuffled[max(places.start - first, 0) : max(places.stop - first, 0)]
            parts.append(np.stack([np.full_like(part, turn), part], axis=1))
        return np.concatenate(parts)
