"""The arguments of both demonstrations, apart from what those import to train, so that help is fast."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoArguments:
    """Make moving-shape videos, teach a frozen image model to understand them, and write a report."""

    out: Path = Path("runs/demo")
    """Folder for the videos and the run. The run of a previous demonstration is replaced, its videos are reused."""
    train_clips_per_class: int = 80
    """Training clips of each of the eight motions."""
    test_clips_per_class: int = 20
    """Held-out clips of each motion."""
    epochs: int = 6
    """Passes over the training clips."""
    seed: int = 0
    """Seed of the videos, the initial weights and the order of the clips."""


@dataclass(frozen=True)
class RetrievalDemoArguments:
    """Make videos with captions, teach a frozen image-text model to search them by motion, and make them searchable."""

    out: Path = Path("runs/demo-retrieval")
    """Folder for videos, run and index. Run and index of a previous demonstration are replaced, its videos reused."""
    train_clips_per_caption: int = 12
    """Training clips of each caption that is not held out."""
    forms: tuple[str, ...] = ("disc", "square", "triangle")
    """Forms of the shapes."""
    colours: tuple[str, ...] = ("red", "yellow", "green", "blue", "magenta", "white")
    """Colours of the shapes."""
    epochs: int = 6
    """Passes over the training clips."""
    seed: int = 0
    """Seed of the videos, the initial weights and the order of the clips."""
