"""Selects a subset of the training videos: a number per class, or a fraction of each class."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from side4video.config import DataConfig

SUBSET_STREAM = 3
"""Random stream, distinct from those of sampling, augmentation and captions."""


def choose_videos(
    groups: Sequence[Hashable], *, config: DataConfig, seed: int | None, names: Mapping[Hashable, str] | None = None
) -> list[int]:
    """Indices of the videos that `data.shots` or `data.fraction` select, in order; all videos without either.

    The selection depends only on the list and the seed, and smaller subsets are part of larger ones: each class is
    shuffled once, and the first videos are taken.

    Args:
        groups: the class of each video; for captioned videos one value for all.
        config: settings; `shots` and `fraction` exclude each other.
        seed: seed of the run.
        names: the name of each class, in order; a class without videos has too few. By default the groups that occur.

    >>> choose_videos(["cat", "dog", "cat", "cat"], config=DataConfig(fraction=0.5), seed=0)
    [1, 2, 3]

    Raises:
        ValueError: a class has fewer videos than `shots`, or a seed is needed and missing.
    """
    if config.shots is None and config.fraction is None:
        return list(range(len(groups)))
    if seed is None:
        raise ValueError("data.shots and data.fraction select at random and need a seed: pass the run's seed.")
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        places[group].append(place)
    sizes = {group: len(places[group]) for group in (places if names is None else names)}
    names = {group: str(group) for group in sizes} if names is None else names
    if config.shots is not None:
        few = [f"{name} ({sizes[group]})" for group, name in names.items() if sizes[group] < config.shots]
        if few:
            listed = ", ".join(few[:10]) + (f" and {len(few) - 10} more" if len(few) > 10 else "")
            raise ValueError(
                f"data.shots = {config.shots} is more than the number of training videos of {listed}. Use "
                f"{min(sizes[group] for group in names)} or fewer, data.fraction, or a list without these classes."
            )
    kept = [place for group in places.keys() - names.keys() for place in places[group]]  # unknown: checked elsewhere
    for number, group in enumerate(names):
        order = np.random.default_rng((seed, SUBSET_STREAM, number)).permutation(sizes[group])
        count = config.shots or max(1, round((config.fraction or 1.0) * sizes[group]))
        kept += [places[group][place] for place in order[:count]]
    return sorted(kept)


def describe_choice(num_chosen: int, num_listed: int, config: DataConfig) -> str | None:
    """A log line about the selected subset; None if all videos are used."""
    if config.shots is not None:
        return f"data.shots = {config.shots}: training on {num_chosen} of {num_listed} videos."
    if config.fraction is not None:
        return f"data.fraction = {config.fraction:g}: training on {num_chosen} of {num_listed} videos."
    return None
