"""Settings of a probe that is trained instead of a side network."""

from typing import Literal

from pydantic import Field, PositiveInt

from side4video.config.settings import Settings

ProbeName = Literal["linear", "motion", "space-time", "correlation", "attentive"]
PROBES: tuple[ProbeName, ...] = ("linear", "motion", "space-time", "correlation", "attentive")


class ProbeConfig(Settings):
    """A classifier on the frozen tokens, trained instead of a side network. The search can choose one.

    Examples:
        >>> ProbeConfig(name="motion", block=7, grid=1).strength
        10.0
    """

    name: Literal["none", "linear", "motion", "space-time", "correlation", "attentive"] = "none"
    """none: train a side network. linear: the mean frame; motion: how much each place changes; space-time: how each
    place differs from its mean, frame by frame; correlation: which way tokens move; attentive: learned attention."""
    block: int = Field(default=-1, ge=-1)
    """Backbone block whose patches it reads, counted from 0; -1: the pooled summary of the last block (linear)."""
    grid: PositiveInt = 7
    """Number of rows and columns to which its features are averaged."""
    channels: PositiveInt = 32
    """space-time: number of random channels to which tokens are projected."""
    strength: float = Field(default=10.0, gt=0.0)
    """C of the logistic regression, in units of 1 / number of features; larger: less regularisation."""
