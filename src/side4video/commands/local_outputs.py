"""Outputs that are files and folders of this machine: an address is refused before any work."""

import re
from collections.abc import Sequence
from itertools import pairwise

_FLAGS = {"--out", "--json", "--csv", "--cut", "--edit-list", "--explain", "--folder", "--data.cache"}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://")


def refuse_addresses(command: str, arguments: Sequence[str]) -> None:
    """Refuse addresses as outputs, apart from `train --out` and `index --to`, which write to stores.

    >>> refuse_addresses("train", ["own-clips", "--out", "s3://bucket/run"])
    >>> try:
    ...     refuse_addresses("search", ["index", "a dog", "--csv", "s3://bucket/found.csv"])
    ... except ValueError as error:
    ...     print(str(error)[:40])
    --csv s3://bucket/found.csv is an addres

    Raises:
        ValueError: an output is an address.
    """
    given = [*pairwise(arguments), *(tuple(argument.split("=", 1)) for argument in arguments if "=" in argument)]
    for flag, value in given:
        if flag in _FLAGS and (command, flag) != ("train", "--out") and _ADDRESS.match(value):
            raise ValueError(
                f"{flag} {value} is an address, but {command} writes this to a file or folder of this machine. Give a "
                "path, and copy the result to the address afterwards."
            )
