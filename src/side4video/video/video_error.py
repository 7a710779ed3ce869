"""The one exception that reading a video raises."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Fault = Literal["missing", "unreadable", "audio-only", "no-frames", "damaged"]


class VideoError(RuntimeError):
    """A video that cannot be read as asked: missing, broken, empty or too short. Reading one raises nothing else.

    Args:
        path: The file or the frame folder.
        reason: What is wrong with it, as a sentence.
        fault: Of which kind that is, for counting; "unreadable" is all that is not told apart further.
    """

    def __init__(self, path: str | Path, reason: str, fault: Fault = "unreadable") -> None:
        super().__init__(str(path), reason, fault)  # all in `args`: it crosses process borders
        self.path = Path(path)
        self.reason = reason
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def check_indices(path: Path, indices: Sequence[int], *, num_frames: int, num_listed: int = 0) -> None:
    """Refuse frame numbers that the video at `path` does not have; `num_listed` is what its header promises.

    Raises:
        VideoError: A number is outside 0 to `num_frames - 1`.
        ValueError: There is no number at all.
    """
    if not len(indices):
        raise ValueError("indices is empty. Ask for one frame at least.")
    if outside := sorted({int(index) for index in indices if not 0 <= index < num_frames}):
        listed = f" ({num_frames} of {num_listed} listed)" if num_listed > num_frames else ""
        raise VideoError(path, f"frames {outside} were asked for, but there are only 0 to {num_frames - 1}{listed}.")
