"""The files in which `predict --timeline` and `search` write moments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from side4video.parameters import check_number

if TYPE_CHECKING:
    from side4video.moments.moment import Moment


@dataclass(frozen=True)
class MomentOutput:
    """Files for the moments that were found.

    Examples:
        >>> MomentOutput(cut=Path("moments")).needs_times, MomentOutput(csv=Path("moments.csv")).needs_times
        (True, False)
    """

    csv: Path | None = None
    """Write the moments to this CSV file: video, start, end, label, score. Of `predict` without --timeline: video,
    label, score."""
    cut: Path | None = None
    """Folder for the moments as video files, one each."""
    cut_mode: Literal["exact", "copy"] = "exact"
    """exact: encode the moment again as H.264. copy: copy the compressed pictures, from the key frame before it on."""
    padding_seconds: float = 0.0
    """Added before and after each moment in --cut and --edit-list, within the video."""
    edit_list: Path | None = None
    """Write the moments one after the other as an edit list: .otio, or a format of an installed OpenTimelineIO
    adapter. Needs the extra otio."""

    @property
    def needs_times(self) -> bool:
        """Whether a file is to be written that only moments have."""
        return self.cut is not None or self.edit_list is not None

    def check(self) -> None:
        """Check the settings before minutes of work.

        Raises:
            ValueError: the padding is negative, or the edit list has an unknown suffix.
            ModuleNotFoundError: OpenTimelineIO is needed and not installed.
        """
        check_number(self.padding_seconds, "padding_seconds", minimum=0)
        if self.edit_list is not None:
            from side4video.moments.edit_list import check_edit_list

            check_edit_list(self.edit_list)

    def write(self, moments: "Sequence[Moment]", *, title: str) -> None:
        """Write the files and print where they are."""
        if self.csv is not None:
            from side4video.moments.tables import write_csv

            write_csv(self.csv, moments)
            print(f"written to {self.csv}")
        if self.cut is not None:
            from side4video.moments.clips import cut_moments

            files = cut_moments(moments, self.cut, mode=self.cut_mode, padding_seconds=self.padding_seconds)
            print(f"{len(files)} clips written to {self.cut}")
        if self.edit_list is not None:
            from side4video.moments.edit_list import write_edit_list

            write_edit_list(self.edit_list, moments, title=title, padding_seconds=self.padding_seconds)
            print(f"written to {self.edit_list}")
