"""Writes a timeline as JSON, CSV, subtitles and a page."""

from pathlib import Path

from side4video.atomic_files import write_json
from side4video.moments.subtitles import write_srt, write_webvtt
from side4video.moments.tables import write_csv
from side4video.timeline.page import write_timeline_page
from side4video.timeline.timeline import Timeline


def write_timeline(folder: Path, timeline: Timeline, *, name: str | None = None) -> Path:
    """Write `NAME.json`, `.csv`, `.vtt`, `.srt` and `.html` into a folder, and return the page.

    Args:
        folder: created if it does not exist; existing files are replaced.
        timeline: what to write.
        name: name of the files. Default: of the video, without its suffix.
    """
    place = folder / (name or timeline.path.stem)
    page = place.with_name(f"{place.name}.html")
    write_json(place.with_name(f"{place.name}.json"), timeline.to_json())
    write_csv(place.with_name(f"{place.name}.csv"), timeline.moments)
    write_webvtt(place.with_name(f"{place.name}.vtt"), timeline.moments)
    write_srt(place.with_name(f"{place.name}.srt"), timeline.moments)
    write_timeline_page(page, timeline)
    return page
