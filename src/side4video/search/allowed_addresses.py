"""Which addresses of an index may be fetched: addresses that this user indexed on this machine, or allows.

An index that comes from elsewhere could name any address, also one that only this machine can reach. So no address is
fetched because an index contains it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from side4video.atomic_files import write_json
from side4video.system.paths import home_folder
from side4video.video.remote import is_address, video_path
from side4video.video.remote_listing import fixed_part

EVERY_ADDRESS = "all"
_UNQUOTED = 3  # times that an address may have been quoted


class AllowedAddresses:
    """Tests whether addresses are below given ones.

    Args:
        roots: addresses of folders and files, or `all`.

    >>> allowed = AllowedAddresses(["s3://bucket/clips"])
    >>> allowed.contains("s3://bucket/clips/a.mp4"), allowed.contains("http://169.254.169.254/latest/a.mp4")
    (True, False)
    """

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = tuple(root.rstrip("/") for root in roots)

    def contains(self, address: str) -> bool:
        """Whether an address is one of the roots or below one. Names with `..` or `::` are below none."""
        if EVERY_ADDRESS in self._roots:
            return True
        plain = address
        for _ in range(_UNQUOTED):
            plain = unquote(plain)
        if "::" in plain or ".." in plain.replace("\\", "/").split("/"):
            return False
        return address in self._roots or address.startswith(tuple(f"{root}/" for root in self._roots))

    def check(self, path: str) -> None:
        """Check an address before it is fetched. Files of this machine pass.

        Raises:
            ValueError: the address is not allowed.
        """
        if is_address(path) and not self.contains(path):
            raise ValueError(refusal(path))


def refusal(path: str) -> str:
    """Why an address is not fetched, and what to do."""
    folder = path.rpartition("/")[0]
    return (
        f"{path} is not fetched: it is not below an address that you indexed on this machine, and an index from "
        f"elsewhere could name any address. If you trust it: --allow-addresses {folder}"
    )


def allowed_addresses(index: str | Path, more: Sequence[str] = ()) -> AllowedAddresses:
    """The addresses that this user has indexed into `index` on this machine, and `more`."""
    return AllowedAddresses([*_known(_record(index)), *more])


def remember_addresses(index: str | Path, addresses: Iterable[str]) -> None:
    """Allow to fetch the videos of these files, folders and patterns from `index`; paths of this machine are ignored.

    The addresses are kept in this user's folder for the state of programs, not in the index.
    """
    roots = [str(fixed_part(video_path(address))) for address in addresses if is_address(address)]
    record = _record(index)
    known = _known(record)
    if record is not None and set(roots) - set(known):
        with suppress(OSError):  # a home that cannot be written: `--allow-addresses` is needed
            record.parent.mkdir(parents=True, exist_ok=True)
            write_json(record, {"index": str(index), "addresses": sorted({*known, *roots})})


def _record(index: str | Path) -> Path | None:
    """The file with the addresses of an index; None for a user without a home folder."""
    home = home_folder()
    states = os.environ.get("XDG_STATE_HOME") or (home and home / ".local" / "state")
    if states is None:
        return None
    place = str(index) if is_address(index) else os.path.realpath(index)
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:32]
    return Path(states) / "side4video" / "indexed-addresses" / f"{name}.json"


def _known(record: Path | None) -> list[str]:
    if record is None:
        return []
    try:
        return [str(address) for address in json.loads(record.read_text("utf-8"))["addresses"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
