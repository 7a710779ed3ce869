"""The windows of long videos that are not complete yet, on disk: a killed `index` continues inside a video."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from side4video.atomic_files import replacing
from side4video.search.file_states import state_of_file
from side4video.search.stores.index_locks import PARTIAL
from side4video.search.stores.records import IndexedFile, IndexInfo, Window
from side4video.system.paths import cache_folder

_ARRAYS = ("frames", "frame_weights", "frame_seconds", "mean")


def partial_folder(address: str | Path) -> Path:
    """Where the partial work of an index is kept: in its folder; for other addresses in this user's cache folder."""
    if "://" not in str(address):
        return Path(address) / PARTIAL
    return cache_folder() / "partial" / hashlib.sha256(str(address).encode()).hexdigest()[:32]


class PartialWork:
    """The first windows of videos, one folder per video and one file per commit.

    Args:
        folder: see `partial_folder`; made with the first commit.
        info: description of the index; windows that another model or other settings made are not found.

    >>> from dataclasses import replace
    >>> from side4video.search.stores.open_store import open_store
    >>> store = open_store("index")
    >>> window = next(store.windows_of(list(store.files())[:1]))[0]
    >>> size, modified = state_of_file("clip.mp4")
    >>> file = replace(window.file, path="clip.mp4", size=size, modified=modified)
    >>> work = PartialWork(Path("partial"), store.read_info())
    >>> work.save(file, 2, [window])
    >>> found, num_windows, windows = work.find("clip.mp4")
    >>> found == file, num_windows, bool((windows[0].mean == window.mean).all())
    (True, 2, True)
    """

    def __init__(self, folder: Path, info: IndexInfo) -> None:
        self.folder = folder
        self._settings = [info.fingerprint, info.num_frames, info.window_seconds, info.overlap_seconds]

    def save(self, file: IndexedFile, num_windows: int, windows: Sequence[Window]) -> None:
        """Add windows of a video that has `num_windows` in all; they follow those saved before."""
        about = {"file": {**asdict(file), "metadata": {}}, "num_windows": num_windows}
        times = np.array([[window.start_seconds, window.end_seconds] for window in windows])
        arrays = {name: np.stack([getattr(window, name) for window in windows]) for name in _ARRAYS}
        path = self._folder_of(file.path) / f"{windows[0].number:08d}.safetensors"
        with replacing(path) as temporary:
            save_file({**arrays, "times": times}, temporary, {"about": json.dumps(about)})

    def find(self, path: str) -> tuple[IndexedFile, int, list[Window]] | None:
        """A video, the number of all its windows, and those saved; None if there are none, or the file has changed."""
        found: tuple[IndexedFile, int, list[Window]] | None = None
        with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError):  # corrupt: embedded again
            for part in sorted(self._folder_of(path).glob("*.safetensors")):
                file, num_windows, windows = _read(part)
                known = found[2] if found else []
                if (file.size, file.modified) != state_of_file(path) or int(part.stem) != len(known):
                    break
                found = (file, num_windows, known + windows)
        return found

    def forget(self, path: str) -> None:
        """Remove the windows of a video."""
        shutil.rmtree(self._folder_of(path), ignore_errors=True)

    def clear(self) -> None:
        """Remove everything, also what other settings have left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _folder_of(self, path: str) -> Path:
        text = json.dumps([path, *self._settings])
        return self.folder / hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: Path) -> tuple[IndexedFile, int, list[Window]]:
    with safe_open(path, framework="numpy") as opened:
        about: dict[str, Any] = json.loads(opened.metadata()["about"])
        arrays: dict[str, NDArray[Any]] = {name: opened.get_tensor(name) for name in (*_ARRAYS, "times")}
    file, first = IndexedFile(**about["file"]), int(path.stem)
    windows = [
        Window(file, first + place, float(start), float(end), **{name: arrays[name][place] for name in _ARRAYS})
        for place, (start, end) in enumerate(arrays["times"])
    ]
    return file, int(about["num_windows"]), windows
