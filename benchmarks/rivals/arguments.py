"""The arguments that all scripts for few clips have, and a run of `train own-clips` with them."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rivals.data_sets import DATA_SETS, set_config
from rivals.ours import choose_probe_alone, run_ours, with_run
from side4video.config import RunConfig
from side4video.selection.fold_results import SearchResult, read_search


@dataclass(frozen=True)
class FewClipsArguments:
    """What to run."""

    sets: Path
    """Folder of the development sets."""
    weights: str
    """Weights of ViT-Tiny: a file, hub or random."""
    work: Path
    """Folder of the log and the runs."""
    out: Path
    """The JSON file of the results."""
    only_sets: tuple[str, ...] = tuple(DATA_SETS)
    seeds: int = 3
    epochs: int = 20
    batch: int = 16
    """Clips of a step; 8 with half of the epochs is as many steps in half of the time."""
    image_size: int = 224
    """Side of the frames in pixels; 112 takes a quarter of the time."""
    minutes: float = math.inf
    """Start no new part after so many minutes."""
    probes_alone: bool = False
    """Choose among probes, without side networks, training and reports, which is much faster."""
    ours_flags: tuple[str, ...] = ()
    """More flags of `train own-clips`, such as --search thorough."""
    model_args: dict[str, int] = field(default_factory=dict)
    """Arguments of a smaller image model, for tests."""

    def __post_init__(self) -> None:
        check_known("only-sets", self.only_sets, DATA_SETS)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that change results; lines of the log with other settings are ignored."""
        ours = ["probes alone"] if self.probes_alone else [*self.ours_flags]
        return {"epochs": self.epochs, "batch": self.batch, "image_size": self.image_size, "ours": ours}

    def config(self, name: str, *, shots: int | None = None) -> RunConfig:
        """The recipe own-clips on one of the sets, or on `shots` training clips of each class."""
        config = set_config(
            name, sets=self.sets, weights=self.weights, image_size=self.image_size, model_args=self.model_args
        )
        return with_run(config, epochs=self.epochs, batch=self.batch, cache=self.work / "tokens", shots=shots)

    def run_ours(self, config: RunConfig, out: Path, *, seed: int) -> tuple[dict[str, Any], SearchResult | None]:
        """The result of `rivals.ours.run_ours`, or of the choice among probes; and the search."""
        if self.probes_alone:
            return choose_probe_alone(config, out, seed=seed)
        return run_ours(config, out, seed=seed, flags=[*self.ours_flags]), read_search(out)


def check_known(name: str, given: tuple[str, ...], known: Any) -> None:
    """Refuse values that are not known.

    Raises:
        ValueError: it names them and the known ones.
    """
    if unknown := set(given) - set(known):
        raise ValueError(f"{name}: {', '.join(sorted(unknown))} not known. Use some of {', '.join(known)}.")
