"""A run at an fsspec address such as s3://bucket/run: it works in a temporary folder, which is copied to the address.

The run at the address is what counts: a run starts with the files there, also on another machine. Files are uploaded
before the checkpoint that belongs to them, so each checkpoint finds its log and its adapters. The last owner writes.
"""

import json
import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from side4video.config import ConfigError
from side4video.distributed.processes import launched_processes
from side4video.training.checkpoint import CHECKPOINT, PREVIOUS
from side4video.training.temporary_folder import remove_abandoned_folders, set_copied, temporary_folder
from side4video.video.remote import can_list, file_system, is_address, key_in_store, retried, video_path

OWNER = "owner.json"
"""The process that writes to the address; it is not downloaded."""
NOT_COPIED = "frame-tables"
"""Folder of tables of the videos, which a resumed run reads again from the videos."""

Result = TypeVar("Result")
_open_mirrors: dict[Path, "RunMirror"] = {}


class RunTakenOverError(RuntimeError):
    """Another process has resumed the run at the address.

    >>> RunTakenOverError("s3://bucket/run now belongs to another process.").args
    ('s3://bucket/run now belongs to another process.',)
    """


class RunMirror:
    """Copies a run folder to an address.

    Args:
        address: from `video_path`.
        folder: the run folder on this machine.

    >>> here, there = Path("mirrored"), video_path("memory://mirrored")
    >>> here.mkdir()
    >>> mirror = RunMirror(there, here)
    >>> mirror.claim()
    >>> _ = (here / "config.yaml").write_text("seed: 1")
    >>> mirror.upload()
    >>> (there / "config.yaml").read_text(), mirror.problem
    ('seed: 1', '')
    """

    def __init__(self, address: Path, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.problem = ""
        """Why the address lacks the newest files; empty if it has all."""
        self._store = file_system(address)
        self._root = self._store._strip_protocol(key_in_store(address)).rstrip("/")
        self._identity = uuid.uuid4().hex
        self._copied: dict[str, tuple[int, int]] = {}
        self._is_owner = False
        self._stored_checkpoint_is_corrupt = False

    def download(self) -> None:
        """Copy the files at the address to the folder.

        Raises:
            OSError: the store does not answer, or denies access.
            ValueError: the name of a file leads out of the folder.
        """
        self._store.invalidate_cache()
        for key in sorted(self._request(lambda: self._store.find(self._root))):
            name = key[len(self._root) :].lstrip("/")
            if name == OWNER or not name:
                continue
            if ".." in PurePosixPath(name).parts or "\\" in name:
                raise ValueError(f"{self.address} contains {name!r}, which leads out of the run folder. Remove it.")
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._request(partial(self._store.get_file, key, str(path)))
            self._copied[name] = _state(path)

    def claim(self) -> None:
        """Become the owner: an earlier process that still runs ends when it uploads the next time.

        Raises:
            OSError: nothing can be written to the address.
        """
        owner = {"id": self._identity, "host": socket.gethostname(), "process": os.getpid()}
        try:
            self._request(lambda: self._store.pipe_file(self._key(OWNER), json.dumps(owner).encode()))
        except OSError as error:
            raise OSError(
                f"{self.address} cannot be written: {error} Check the address and its credentials, or choose another "
                "--out."
            ) from error
        self._is_owner = True

    def upload(self, *, newest_is_corrupt: bool = False) -> None:
        """Copy new and changed files to the address, the checkpoint last; does nothing before `claim`.

        If the store fails, a warning is printed, `problem` is set, and the next call tries again.

        Args:
            newest_is_corrupt: the newest checkpoint at the address is corrupt: it does not replace the previous one.

        Raises:
            RunTakenOverError: the run belongs to another process by now; nothing was copied.
        """
        self._stored_checkpoint_is_corrupt |= newest_is_corrupt
        if not self._is_owner:
            return
        try:
            self._check_owner()
            changed = [name for name, state in self._files() if self._copied.get(name) != state]
            for name in sorted(set(changed) - {CHECKPOINT, PREVIOUS}):
                self._copy(name)
            if CHECKPOINT in changed:
                self._keep_previous()
                self._copy(CHECKPOINT)
                self._stored_checkpoint_is_corrupt = False
            self.problem = ""
        except OSError as error:
            self.problem = str(error)
            print(f"warning: {self.address} lacks the newest files: {error} The next checkpoint tries again.")
        set_copied(self.folder, copied=not self.problem)

    def _check_owner(self) -> None:
        owner = json.loads(self._request(lambda: self._store.cat_file(self._key(OWNER))))
        if owner["id"] != self._identity:
            self._is_owner = False
            raise RunTakenOverError(
                f"{self.address} now belongs to process {owner['process']} on {owner['host']}, which resumed the run. "
                "This process ends and writes nothing more there."
            )

    def _keep_previous(self) -> None:
        """Copy the stored checkpoint to its second name, so that one is intact even if the upload is cut off."""
        if not self._stored_checkpoint_is_corrupt and CHECKPOINT in self._copied:
            self._request(lambda: self._store.copy(self._key(CHECKPOINT), self._key(PREVIOUS)))

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            if path.is_file() and not path.name.startswith(".") and name.parts[0] != NOT_COPIED:
                yield name.as_posix(), _state(path)

    def _copy(self, name: str) -> None:
        path = self.folder / name
        state = _state(path)  # before: what is appended meanwhile is copied the next time
        self._request(lambda: self._store.put_file(str(path), self._key(name)))
        self._copied[name] = state

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _request(self, request: Callable[[], Result]) -> Result:
        return retried(request, self.address)


@contextmanager
def run_folder(out: str | Path) -> Iterator[Path]:
    """The folder of this machine in which the run of `--out` works: `out` itself, or a temporary one for an address.

    At an address, its files are downloaded first, and what is new is uploaded at the end. Temporary folders of killed
    runs are removed, if their addresses had all files.

    Raises:
        ConfigError: several processes were launched, or the address is that of a web server.
        OSError: the store does not answer; or it lacks the newest files at the end, which then stay in the folder.
    """
    address = video_path(out)
    if not is_address(address):
        yield address
        return
    if launched_processes() > 1:
        raise ConfigError(
            f"{address}: a run of several processes needs a folder that all of them see. Give --out a folder, and copy "
            "it to the address afterwards."
        )
    if not can_list(address):
        raise ConfigError(f"{address}: a web server cannot be written. Give --out a folder or an object store.")
    remove_abandoned_folders()
    with temporary_folder() as folder:
        mirror = _open_mirrors[folder] = RunMirror(address, folder)
        try:
            mirror.download()
            yield folder
            mirror.upload()
        except RunTakenOverError:
            raise
        except BaseException:
            mirror.upload()
            if mirror.problem:
                print(_remedy(mirror), file=sys.stderr)
            raise
        finally:
            del _open_mirrors[folder]
    if mirror.problem:
        raise OSError(_remedy(mirror))


def _remedy(mirror: RunMirror) -> str:
    return (
        f"{mirror.address} lacks the newest files of the run ({mirror.problem}) They are in {mirror.folder}: copy it "
        f"to the address, or continue it with --out {mirror.folder} --resume."
    )


def mirror_of(folder: Path) -> RunMirror | None:
    """The mirror of a run folder in this process; None for a run without an address.

    >>> mirror_of(Path("run")) is None
    True
    """
    return _open_mirrors.get(folder)


def shown_place(path: Path) -> Path:
    """The address of a file or folder of a run at an address, for messages; other paths are returned unchanged.

    >>> shown_place(Path("run/best"))
    PosixPath('run/best')
    """
    for folder, mirror in _open_mirrors.items():
        if path.is_relative_to(folder):
            return mirror.address if path == folder else mirror.address / path.relative_to(folder)
    return path


def _state(path: Path) -> tuple[int, int]:
    about: Any = path.stat()
    return about.st_size, about.st_mtime_ns
