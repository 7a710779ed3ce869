"""The one exception that reading a video raises."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Fault = Literal["missing", "unreadable", "audio-only", "no-frames", "damaged", "beyond-end"]


class VideoError(RuntimeError):
    """A video cannot be read as requested: it is missing, corrupt, empty or too short. Reading raises no other errors.

    >>> error = VideoError("a.mp4", "there is no such file.", "missing")
    >>> str(error), error.fault
    ('a.mp4: there is no such file.', 'missing')

    Args:
        path: The file or the frame folder.
        reason: What is wrong with it, as a sentence.
        fault: The kind of error, for counting; "unreadable" covers every kind without a name of its own.
    """

    def __init__(self, path: str | Path, reason: str, fault: Fault = "unreadable") -> None:
        super().__init__(str(path), reason, fault)  # everything in `args`, so that it can be pickled
        self.path = Path(path) if isinstance(path, str) else path
        self.reason = reason
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"  # an address is not a path: `Path` would drop a slash


def check_indices(path: Path, indices: Sequence[int], *, num_frames: int, num_listed: int = 0) -> None:
    """Refuse frame numbers that the video at `path` does not have; `num_listed` is the number stated in its header.

    Raises:
        VideoError: A number is outside 0 to `num_frames - 1`.
        ValueError: `indices` is empty.
    """
    if not len(indices):
        raise ValueError("indices is empty. Request at least one frame.")
    if outside := sorted({int(index) for index in indices if not 0 <= index < num_frames}):
        listed = f" ({num_frames} of {num_listed} listed)" if num_listed > num_frames else ""
        raise VideoError(path, f"frames {outside} were requested, but there are only 0 to {num_frames - 1}{listed}.")
