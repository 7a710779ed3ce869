"""The videos that addresses name, and which addresses of an index are gone."""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from side4video.inference.inputs import is_excluded, list_address
from side4video.search.file_states import reason_of
from side4video.search.outages import OutageWatch
from side4video.tasks.unread import UnreadVideo
from side4video.video.decoding import VIDEO_SUFFIXES
from side4video.video.remote import about_file, can_list, video_path
from side4video.video.remote_listing import About, fixed_part

_ASKING_THREADS = 16


@dataclass
class RemoteFiles:
    """The videos that addresses name.

    Attributes:
        found: address -> what its store states.
        unread: files about which their store gave no answer, or which it refuses.
        missing: addresses of files that their stores do not have.

    >>> RemoteFiles().found
    {}
    """

    found: dict[str, About] = field(default_factory=dict)
    unread: list[UnreadVideo] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def find_remote_files(inputs: Sequence[str], listed: Sequence[str], *, exclude: Sequence[str] = ()) -> RemoteFiles:
    """Ask the stores for the videos of addresses.

    Args:
        inputs: addresses of files, folders and patterns.
        listed: addresses of files that lists name.
        exclude: patterns of files that are left out.

    Raises:
        ValueError: an address contains a password, which everybody who reads the index would see.
        FileNotFoundError: a folder or pattern matches no video, or no store has any of the files.
        StoreError: a store does not answer when its folders are listed, or for several files in a row.

    >>> _ = video_path("memory://remote/a.mp4").write_bytes(b"...")
    >>> list(find_remote_files(["memory://remote"], []).found)
    ['memory://remote/a.mp4']
    """
    _check_passwords([*inputs, *listed])
    files = RemoteFiles()
    single = list(filter(_is_file, inputs))
    for given in (given for given in inputs if given not in set(single)):
        files.found |= list_address(video_path(given))
    asked = [address for address in dict.fromkeys([*single, *listed]) if address not in files.found]
    watch = OutageWatch()
    for address, answer in _ask(asked):
        if isinstance(answer, FileNotFoundError):
            files.missing.append(address)
        elif isinstance(answer, OSError):
            files.unread.append(UnreadVideo(address, reason_of(answer)))
            watch.failed(files.unread[-1])
            continue
        else:
            files.found[address] = answer
        watch.answered(address)
    if files.missing and not files.found and not files.unread:
        raise FileNotFoundError(
            f"{files.missing[0]}: there is no such file. Check the address; the index is unchanged."
        )
    files.found = {path: about for path, about in files.found.items() if not is_excluded(video_path(path), exclude)}
    return files


def find_gone(indexed: Iterable[str], inputs: Sequence[str], files: RemoteFiles) -> list[str]:
    """The indexed addresses that no longer exist, below the inputs. Their stores are asked about each of them.

    Raises:
        StoreError: a store does not answer.
    """
    below = _below(inputs)
    known = {*files.found, *files.missing, *(video.name for video in files.unread)}
    asked = [path for path in indexed if path not in known and below(path)]
    gone = []
    for path, answer in _ask(asked):
        if isinstance(answer, FileNotFoundError):
            gone.append(path)
        elif isinstance(answer, OSError):
            raise answer
    return [*(path for path in indexed if path in set(files.missing)), *gone]


def _ask(addresses: Sequence[str]) -> Iterable[tuple[str, About | OSError]]:
    """Each address with what its store states about the file, or the error."""

    def ask(address: str) -> About | OSError:
        try:
            return about_file(video_path(address))
        except OSError as error:
            return error

    with ThreadPoolExecutor(_ASKING_THREADS) as pool:
        try:
            yield from zip(addresses, pool.map(ask, addresses), strict=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _below(inputs: Sequence[str]) -> Callable[[str], bool]:
    """A test for addresses in the folders and patterns."""
    from fsspec.utils import glob_translate

    folders = tuple(f"{given.rstrip('/')}/" for given in inputs)
    patterns = [re.compile(glob_translate(given)).match for given in inputs]
    return lambda path: path.startswith(folders) or any(matches(path) for matches in patterns)


def _is_file(given: str) -> bool:
    """Whether an address names a file: on a web server, or with the suffix of a video and without `*`, `?`, `[`."""
    path = video_path(given)
    return not can_list(path) or (given.lower().endswith(VIDEO_SUFFIXES) and fixed_part(path) == path)


def _check_passwords(addresses: Iterable[str]) -> None:
    for address in addresses:
        parts = urlsplit(address)
        if parts.password is not None:
            shown = address.replace(f":{parts.password}@", ":...@")
            raise ValueError(
                f"{shown}: an index shows its addresses. Give the password as the store's library documents."
            )
