"""The videos that a command is given on the command line."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from side4video.video.remote import is_address


def is_one_file(inputs: Sequence[str]) -> bool:
    """Whether the inputs are a single video file, which needs no loader processes.

    >>> is_one_file(["clip.mp4"]), is_one_file(["s3://bucket/clip.mp4"]), is_one_file(["s3://bucket/*.mp4"])
    (True, True, False)
    """
    if len(inputs) != 1:
        return False
    is_remote_file = is_address(inputs[0]) and PurePosixPath(inputs[0]).suffix and not set("*?[") & set(inputs[0])
    return bool(is_remote_file) or Path(inputs[0]).is_file()
