"""Settings of a probe that is trained instead of a side network."""

from typing import Literal, get_args

from pydantic import Field, PositiveInt, model_validator

from side4video.config.settings import Settings

ProbeName = Literal["linear", "motion", "space-time", "correlation", "flow", "speed", "combined", "attentive"]
PROBES: tuple[ProbeName, ...] = get_args(ProbeName)
FLOW_BLOCK = -2
"""Stands for the optical flow of the frames where other probes read a backbone block."""
_FLOW_PROBES = ("flow", "speed")


class ProbePart(Settings):
    """One of the probes that a combined probe adds up.

    Examples:
        >>> part = ProbePart(name="motion", block=7, grid=1, weight=0.4)
        >>> ProbeConfig(name="combined", parts=(part,)).parts[0].weight
        0.4
    """

    name: Literal["linear", "motion", "space-time", "correlation", "flow", "speed"]
    """Family of the probe, see `probe.name`."""
    block: int = Field(ge=-1)
    """Backbone block, see `probe.block`."""
    grid: PositiveInt
    """Number of rows and columns, see `probe.grid`."""
    strength: float = Field(default=10.0, gt=0.0)
    """Its own regularisation, see `probe.strength`."""
    weight: float = Field(gt=0.0)
    """Weight of its logits in the sum."""


class ProbeConfig(Settings):
    """A classifier on the frozen tokens, trained instead of a side network. The search can choose one.

    Examples:
        >>> ProbeConfig(name="motion", block=7, grid=1).strength
        10.0
    """

    name: Literal["none"] | ProbeName = "none"
    """none: train a side network. linear: the mean frame; motion: how much each place changes; space-time: how each
    place differs from its mean, frame by frame; correlation: which way tokens move; flow: which way pixels move;
    speed: how fast pixels move; combined: the weighted sum of several of these; attentive: learned attention."""
    parts: tuple[ProbePart, ...] = ()
    """combined: the probes that it adds up. The search chooses them and their weights."""
    block: int = Field(default=-1, ge=-1)
    """Backbone block whose patches it reads, counted from 0; -1: the pooled summary of the last block (linear). flow
    and speed read the frames instead."""
    grid: PositiveInt = 7
    """Number of rows and columns to which its features are averaged."""
    channels: PositiveInt = 32
    """space-time: number of random channels to which tokens are projected."""
    strength: float = Field(default=10.0, gt=0.0)
    """C of the logistic regression, in units of 1 / number of features; larger: less regularisation. Each part of a
    combined probe has its own."""

    @model_validator(mode="after")
    def _check_parts(self) -> "ProbeConfig":
        if (self.name == "combined") != bool(self.parts):
            raise ValueError("probe.parts are the parts of the probe combined: give both, or neither.")
        return self

    @property
    def singles(self) -> tuple["ProbeConfig", ...]:
        """The settings of each part of a combined probe; of any other probe, its own."""
        parts = [part.model_dump(exclude={"weight"}) for part in self.parts]
        return tuple(ProbeConfig(**part) for part in parts) or (self,)


def block_read(probe: ProbeConfig) -> int:
    """The backbone block that a probe reads; -1: the pooled summary; `FLOW_BLOCK`: optical flow.

    >>> block_read(ProbeConfig(name="motion", block=7)), block_read(ProbeConfig(name="flow"))
    (7, -2)
    """
    return FLOW_BLOCK if probe.name in _FLOW_PROBES else probe.block
