"""Opening a file to be read through PyAV, whose versions differ in that."""

from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

# Some files (of HMDB51, say) have metadata that is not UTF-8: an error before PyAV 19, unless it is to be left out.
_LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


def open_container(path: Path, options: dict[str, str] | None = None) -> InputContainer:
    """Open a file to read its packets; use as a context.

    Args:
        path: of the file.
        options: FFmpeg's, for its container.

    Raises:
        av.FFmpegError, OSError, ValueError: it is none that FFmpeg reads.
    """
    return av.open(str(path), "r", options=options, **_LENIENT)
