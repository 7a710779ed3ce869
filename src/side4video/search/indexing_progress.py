"""The progress bar of an update of an index: windows per second, remaining time, videos done."""

from typing import Self

from tqdm import tqdm


class IndexingProgress:
    """Counts windows. The number of windows of a video is known once it was opened; until then it counts as one.

    Args:
        num_videos: number of videos to embed.
        silent: show nothing.

    >>> with IndexingProgress(2, silent=True) as progress:
    ...     progress.opened("film.mp4", num_windows=720, num_done=80)  # 80 are kept from an interrupted run
    ...     progress.embedded("film.mp4", 8)
    ...     progress.embedded("clip.mp4", 1)
    ...     progress.num_windows, progress.num_done
    (721, 89)
    """

    def __init__(self, num_videos: int, *, silent: bool) -> None:
        self.num_windows, self.num_done = num_videos, 0
        self._num_videos, self._videos_done = num_videos, 0
        self._left: dict[str, int] = {}
        self._bar = tqdm(total=num_videos, desc="index", unit="window", dynamic_ncols=True, disable=silent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def opened(self, path: str, *, num_windows: int, num_done: int = 0) -> None:
        """Note a long video, whose first `num_done` windows are known."""
        self.num_windows += num_windows - 1
        self.num_done += num_done
        self._left[path] = num_windows - num_done
        if not self._bar.disable:
            self._bar.initial += num_done  # not part of the speed
            self._bar.n += num_done
        self._show()

    def embedded(self, path: str, num_windows: int) -> None:
        """Count windows of a video."""
        self.num_done += num_windows
        self._left[path] = self._left.get(path, num_windows) - num_windows
        self._videos_done += self._left[path] == 0
        self._bar.update(num_windows)
        self._show()

    def failed(self, path: str) -> None:
        """Note that a video cannot be read."""
        self.num_windows -= self._left.pop(path, 1)
        self._videos_done += 1
        self._show()

    def _show(self) -> None:
        self._bar.total = self.num_windows
        self._bar.set_postfix_str(f"{self._videos_done} of {self._num_videos} videos", refresh=False)
