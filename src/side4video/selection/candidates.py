"""What a search compares: settings that differ from those of the run, the simplest first."""

from dataclasses import dataclass, field
from typing import Any, Literal

from side4video.config import PROBES, ProbeName, RunConfig, parse_config

Effort = Literal["quick", "thorough"]


@dataclass(frozen=True)
class Candidate:
    """Settings to compare.

    Attributes:
        name: for tables and files.
        changes: settings by group that differ from those of the run.
        probe: the family, for a probe; its options are chosen on the way. None: a side network.
    """

    name: str
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    probe: ProbeName | None = None

    @property
    def level(self) -> int:
        """How much is trained: 0 a logistic regression, 1 attention, 2 a side network. Ties go to the lower one."""
        return 2 if self.probe is None else int(self.probe == "attentive")

    @property
    def file_name(self) -> str:
        """The name with letters, digits and hyphens alone."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


def changed(config: RunConfig, changes: dict[str, dict[str, Any]]) -> RunConfig:
    """The settings with those of `changes` in their place, checked again; the search is off in them.

    Raises:
        ConfigError: they do not go together.
    """
    content = config.model_dump(mode="json") | {"search": "off"}
    for group, settings in changes.items():
        content[group] = content[group] | settings
    return parse_config(content, source="a candidate of the search")


def frame_choices(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Ways to choose frames, by name: those of the run, and the other kind."""
    if config.data.sampling == "dense":
        return {"dense": {}, "segments": {"sampling": "segments", "stride": None}}
    return {"segments": {}, "dense": {"sampling": "dense", "stride": config.data.stride or 4}}


def probe_candidates(config: RunConfig) -> list[Candidate]:
    """Each family of probes on each choice of frames."""
    return [
        Candidate(f"{name} probe, {frames}", {"data": data} if data else {}, name)
        for name in PROBES
        for frames, data in frame_choices(config).items()
        if config.data.num_frames > 1 or name == "linear"
    ]


def side_candidates(effort: Effort, *, rows: int, num_frames: int) -> list[Candidate]:
    """Side networks, the recipe's own among them.

    Args:
        effort: how many.
        rows: of the backbone's patches.
        num_frames: T.
    """
    alone = {"fused": False, "frozen_probe": False}
    coarse, grid = min(7, rows), [num_frames, min(3, rows), min(3, rows)]
    moving = {"correlation": min(2, coarse - 1), "patch_grid": coarse}
    found = [
        Candidate("side network of the recipe"),
        Candidate("correlation, grid head", {"side": moving, "head": {"grid": grid}}),
    ]
    if effort == "quick":
        return found
    return [
        *found,
        Candidate("correlation, grid head, without the probe", {"side": moving, "head": alone | {"grid": grid}}),
        Candidate("correlation, mean over time", {"side": moving, "head": {"grid": [1, *grid[1:]]}}),
        Candidate("side network without the probe", {"head": alone}),
        Candidate("temporal difference", {"side": {"temporal_difference": True, "patch_grid": coarse}}),
        Candidate("lower learning rate", {"train": {"lr": 1e-3}, "side": {"patch_grid": coarse}}),
        Candidate("stronger dropout", {"head": {"dropout": 0.7}, "side": {"patch_grid": coarse}}),
        Candidate("wide, without the probe", {"head": alone, "side": {"width": 128, "patch_grid": coarse}}),
        Candidate("not centred", {"side": {"centred": False, "patch_grid": coarse}}),
        Candidate("with attention", {"side": {"attention": True, "patch_grid": coarse}}),
        Candidate("half of the taps, with attention", {"side": {"attention": True, "taps": "every-second"}}),
    ]
