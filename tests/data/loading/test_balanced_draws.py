"""Epochs in which every class fills the same share, counted by brute force."""

from collections import Counter

import numpy as np
import pytest

from side4video.data.loading.balanced_draws import BalancedDraws
from side4video.data.loading.order import TrainOrder

CLASSES = [5] * 20 + [9] * 3 + [2] * 1 + [7] * 7


def order(**options) -> TrainOrder:
    draws = BalancedDraws(CLASSES, seed=3)
    given = {"num_samples": 31, "global_batch": 8, "micro_batch": 2, "seed": 3, "total_steps": 40, "draws": draws}
    return TrainOrder(**given | options)


def keys_of(order: TrainOrder, steps: range):
    return [key for step in steps for batch in order.step_batches(step) for key in batch]


def test_each_class_fills_the_same_share_of_every_epoch():
    for epoch in range(6):
        keys = keys_of(order(), range(epoch * 4, epoch * 4 + 4))
        assert len(keys) == 31
        assert sorted(Counter(CLASSES[key.index] for key in keys).values()) == [7, 8, 8, 8]  # 31 places for 4 classes


def test_the_clips_of_a_class_are_used_equally_often_over_the_run():
    counts = Counter(key.index for key in keys_of(order(), range(40)))
    for label in set(CLASSES):
        used = [counts[index] for index, own in enumerate(CLASSES) if own == label]
        assert max(used) - min(used) <= 1


def test_no_clip_has_the_same_augmentation_twice():
    keys = keys_of(order(), range(40))
    assert len(set(keys)) == len(keys) == 310
    first = [key.epoch for key in keys_of(order(), range(4)) if CLASSES[key.index] == 2]
    assert sorted(first) == list(range(len(first)))  # the single clip of class 2, in its passes 0 to 6 or 7


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_what_one_process_takes(world):
    ranks = [order(world=world, rank=rank) for rank in range(world)]
    for step in range(40):
        shares = [keys_of(one, range(step, step + 1)) for one in ranks]
        assert [key for share in shares for key in share] == keys_of(order(), range(step, step + 1))


def test_a_resumed_order_continues_where_it_stopped():
    whole = list(order())
    done = sum(order().num_micro_batches(step) for step in range(13))
    assert list(order(start_step=13)) == whole[done:]


def test_the_seed_decides():
    same, other = (BalancedDraws(CLASSES, seed=seed).epoch(2) for seed in (3, 4))
    assert np.array_equal(same, BalancedDraws(CLASSES, seed=3).epoch(2))
    assert not np.array_equal(same, other)
