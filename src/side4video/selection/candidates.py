"""The candidates of a search: the settings that each one changes, the simplest first."""

from dataclasses import dataclass, field
from typing import Any, Literal

from side4video.config import PROBES, ProbeName, RunConfig, parse_config
from side4video.models.probes import COARSE_GRID

Effort = Literal["probes", "quick", "thorough"]


@dataclass(frozen=True)
class Candidate:
    """Settings to compare.

    Attributes:
        name: name in tables and files.
        changes: settings, by group, that differ from the settings of the run.
        probe: family of a probe, whose options the search chooses too. None: a side network.

    >>> candidate = Candidate("linear probe, dense", {"data": {"sampling": "dense", "stride": 4}}, "linear")
    >>> candidate.level, candidate.file_name
    (0, 'linear-probe--dense')
    """

    name: str
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    probe: ProbeName | None = None

    @property
    def level(self) -> int:
        """Complexity: 0 one cue, 1 several cues, 2 attention, 3 side network. On ties the lower level is chosen."""
        return 3 if self.probe is None else {"combined": 1, "attentive": 2}.get(self.probe, 0)

    @property
    def file_name(self) -> str:
        """The name, with letters, digits and hyphens only."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


def changed(config: RunConfig, changes: dict[str, dict[str, Any]]) -> RunConfig:
    """Apply `changes` to the settings, switch the search off, and check the result.

    Raises:
        ConfigError: the settings are invalid together.
    """
    content = config.model_dump(mode="json") | {"search": "off"}
    for group, settings in changes.items():
        content[group] = content[group] | settings
    return parse_config(content, source="a candidate of the search")


def frame_choices(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return two ways to sample frames, by name: the sampling of the run and the other kind."""
    if config.data.sampling == "dense":
        return {"dense": {}, "segments": {"sampling": "segments", "stride": None}}
    return {"segments": {}, "dense": {"sampling": "dense", "stride": config.data.stride or 4}}


def probe_candidates(config: RunConfig, effort: Effort) -> list[Candidate]:
    """Return each family of probes with each way to sample frames; only "thorough" has the attentive probe.

    The attentive probe is trained step by step, which takes longer than all others together.
    """
    return [
        Candidate(f"{name} probe, {frames}", {"data": data} if data else {}, name)
        for name in PROBES
        if name != "attentive" or effort == "thorough"
        for frames, data in frame_choices(config).items()
        if config.data.num_frames > 1 or name == "linear"
    ]


def side_candidates(effort: Effort, *, rows: int, num_frames: int) -> list[Candidate]:
    """Return the side networks to compare, including the recipe's own.

    All read patches averaged to at most 7 x 7, so that they share cached tokens.

    Args:
        effort: "probes" for none, "quick" for two, "thorough" for all.
        rows: rows of the backbone's patches.
        num_frames: T.

    >>> [candidate.name for candidate in side_candidates("quick", rows=14, num_frames=8)]
    ['side network of the recipe', 'correlation, grid head']
    """
    if effort == "probes":
        return []
    alone = {"fused": False, "frozen_probe": False}
    coarse, grid = min(COARSE_GRID, rows), [num_frames, min(3, rows), min(3, rows)]
    moving, gridded = {"correlation": min(2, coarse - 1)}, {"grid": grid}
    found: list[tuple[str, dict[str, dict[str, Any]]]] = [
        ("side network of the recipe", {}),
        ("correlation, grid head", {"side": moving, "head": gridded}),
    ]
    if effort == "thorough":
        found += [
            ("correlation, grid head, without the probe", {"side": moving, "head": alone | gridded}),
            ("correlation, mean over time", {"side": moving, "head": {"grid": [1, *grid[1:]]}}),
            ("side network without the probe", {"head": alone}),
            ("temporal difference", {"side": {"temporal_difference": True}}),
            ("lower learning rate", {"train": {"lr": 1e-3}}),
            ("stronger dropout", {"head": {"dropout": 0.7}}),
            ("wide, without the probe", {"head": alone, "side": {"width": 128}}),
            ("not centred", {"side": {"centred": False}}),
            ("with attention", {"side": {"attention": True}}),
            ("half of the taps, with attention", {"side": {"attention": True, "taps": "every-second"}}),
        ]
    return [
        Candidate(name, changes | {"side": changes.get("side", {}) | {"patch_grid": coarse}}) for name, changes in found
    ]
