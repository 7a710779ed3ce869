"""The table of a video file: when each frame is shown, where decoding can start, and what the header states."""

import hashlib
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from side4video.atomic_files import replacing
from side4video.video.packets import ContainerFacts

FORMAT_VERSION = 3
_NUMBERS = ("end_seconds", "height", "width", "quarter_turns", "is_mirrored", "num_listed")


@dataclass(frozen=True)
class FrameTable:
    """All frames of a file in display order, and how to seek to them.

    Attributes:
        times: display time of each frame in the stream's time base, ascending. None: packets do not correspond to
            frames, so frame n is the n-th decoded one.
        seconds: (n,) float64, when each frame is shown, in seconds since the first frame.
        end_seconds: end of the last frame.
        keys: sorted times at which decoding can start. Empty: only at the beginning.
        height: of a frame before rotation, in pixels.
        width: of a frame before rotation, in pixels.
        quarter_turns: counter-clockwise, to show a frame upright.
        is_mirrored: whether a frame is mirrored before it is rotated.
        num_listed: number of frames stated in the header; 0: not stated.
        container: what the file contains and what its header states.

    >>> facts = ContainerFacts(("matroska", "webm"), num_packets=2, num_listed=0, seconds=0.04, listed_seconds=None)
    >>> times = np.array([0, 40])
    >>> seconds = seconds_since_first(times, Fraction(1, 1000))
    >>> FrameTable(times, seconds, 0.08, times[:1], 48, 64, 0, False, 0, facts).seconds.tolist()
    [0.0, 0.04]
    """

    times: NDArray[np.int64] | None
    seconds: NDArray[np.float64]
    end_seconds: float
    keys: NDArray[np.int64]
    height: int
    width: int
    quarter_turns: int
    is_mirrored: bool
    num_listed: int
    container: ContainerFacts


def seconds_since_first(times: NDArray[np.int64], time_base: Fraction) -> NDArray[np.float64]:
    """Seconds since the first of the ascending `times`, each the float nearest to the exact value.

    >>> seconds_since_first(np.array([512, 1024, 1536]), Fraction(1, 12800))
    array([0.  , 0.04, 0.08])
    """
    first, last = int(times[0]), int(times[-1])
    if (last - first) * time_base.numerator < 2**53:  # then the products below are exact
        return (times - first) * time_base.numerator / time_base.denominator
    return np.array([float((int(time) - first) * time_base) for time in times])


def write_table(path: Path, table: FrameTable) -> None:
    """Write a table to a safetensors file, atomically: 16 bytes for each frame.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {"seconds": table.seconds, "keys": table.keys}
    if table.times is not None:
        arrays["times"] = table.times
    numbers = {name: getattr(table, name) for name in _NUMBERS}
    about = json.dumps({"format": FORMAT_VERSION, **numbers, "container": asdict(table.container)})
    with replacing(path) as temporary:
        save_file(arrays, temporary, {"about": about, "sha256": _digest(about, arrays)})


def read_table(path: Path) -> FrameTable | None:
    """Read a table; None if there is none, or if it is corrupt or of another version: then the file is listed again."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        about: dict[str, Any] = json.loads(metadata["about"])
        if metadata["sha256"] != _digest(metadata["about"], arrays) or about["format"] != FORMAT_VERSION:
            return None
        container = about["container"]
        return FrameTable(
            times=arrays.get("times"),
            seconds=arrays["seconds"],
            keys=arrays["keys"],
            container=ContainerFacts(**{**container, "names": tuple(container["names"])}),
            **{name: about[name] for name in _NUMBERS},
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _digest(about: str, arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(about.encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
