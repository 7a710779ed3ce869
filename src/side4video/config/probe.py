"""Settings of a probe that is trained instead of a side network."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from side4video.config.settings import Settings

ProbeName = Literal["linear", "motion", "space-time", "correlation", "combined", "attentive"]
PROBES: tuple[ProbeName, ...] = ("linear", "motion", "space-time", "correlation", "combined", "attentive")


class ProbePart(Settings):
    """One of the probes whose features a combined probe reads.

    Examples:
        >>> part = ProbePart(name="motion", block=7, grid=1, weight=2.0)
        >>> ProbeConfig(name="combined", parts=(part,)).parts[0].weight
        2.0
    """

    name: Literal["linear", "motion", "space-time", "correlation"]
    """Family of the probe, see `probe.name`."""
    block: int = Field(ge=-1)
    """Backbone block, see `probe.block`."""
    grid: PositiveInt
    """Number of rows and columns, see `probe.grid`."""
    weight: float = Field(gt=0.0)
    """Weight of its features relative to the other parts; a larger weight is less regularised."""


class ProbeConfig(Settings):
    """A classifier on the frozen tokens, trained instead of a side network. The search can choose one.

    Examples:
        >>> ProbeConfig(name="motion", block=7, grid=1).strength
        10.0
    """

    name: Literal["none", "linear", "motion", "space-time", "correlation", "combined", "attentive"] = "none"
    """none: train a side network. linear: the mean frame; motion: how much each place changes; space-time: how each
    place differs from its mean, frame by frame; correlation: which way tokens move; combined: several of these, with
    weights; attentive: learned attention."""
    parts: tuple[ProbePart, ...] = ()
    """combined: the probes whose features it reads. The search chooses them and their weights."""
    block: int = Field(default=-1, ge=-1)
    """Backbone block whose patches it reads, counted from 0; -1: the pooled summary of the last block (linear)."""
    grid: PositiveInt = 7
    """Number of rows and columns to which its features are averaged."""
    channels: PositiveInt = 32
    """space-time: number of random channels to which tokens are projected."""
    strength: float = Field(default=10.0, gt=0.0)
    """C of the logistic regression, in units of 1 / number of features; larger: less regularisation."""

    @model_validator(mode="after")
    def _check_parts(self) -> "ProbeConfig":
        if (self.name == "combined") != bool(self.parts):
            raise ValueError("probe.parts are the parts of the probe combined: give both, or neither.")
        return self
