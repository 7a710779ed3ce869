"""The flag of all commands for the cache of remote videos."""

import os
from collections.abc import Sequence

FLAG = "--remote-cache-gb"
_SETTING = "SIDE4VIDEO_REMOTE_CACHE_GB"  # of video.remote_cache, which is not imported here: help stays fast


def take_remote_cache(arguments: Sequence[str]) -> list[str]:
    """The arguments without the flag, whose value becomes the environment variable for this process and its children.

    Arguments after `--` are not flags.

    >>> take_remote_cache(["clips", "--top-k", "3"])
    ['clips', '--top-k', '3']

    Raises:
        ValueError: the flag has no value, or not a number above 0.
    """
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    rest: list[str] = []
    given = iter(arguments[:end])
    for argument in given:
        name, equals, value = argument.partition("=")
        if name != FLAG:
            rest.append(argument)
            continue
        value = value if equals else next(given, "")
        if not _is_positive(value):
            raise ValueError(f"{FLAG} {value} must be a number above 0: GB for blocks of remote videos.")
        os.environ[_SETTING] = value
    return [*rest, *arguments[end:]]


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
