"""Writes a timeline as JSON, CSV, subtitles and a page."""

from pathlib import Path

from side4video.atomic_files import write_json
from side4video.earlier_outputs import hash_files
from side4video.moments.subtitles import write_srt, write_webvtt
from side4video.moments.tables import write_csv
from side4video.timeline.page import write_timeline_page
from side4video.timeline.timeline import Timeline

SUFFIXES = (".csv", ".vtt", ".srt", ".html", ".json")


def write_timeline(folder: Path, timeline: Timeline, *, name: str | None = None) -> Path:
    """Write `NAME.json`, `.csv`, `.vtt`, `.srt` and `.html` into a folder, and return the page.

    Args:
        folder: created if it does not exist; existing files are replaced. The JSON names the hashes of the others, so
            that `earlier_outputs.refuse_other_files` knows them.
        timeline: what to write.
        name: name of the files. Default: of the video, without its suffix.
    """
    place = folder / (name or timeline.path.stem)
    table, webvtt, srt, page, numbers = (place.with_name(place.name + suffix) for suffix in SUFFIXES)
    write_csv(table, timeline.moments)
    write_webvtt(webvtt, timeline.moments)
    write_srt(srt, timeline.moments)
    write_timeline_page(page, timeline)
    write_json(numbers, {**timeline.to_json(), "files": hash_files([table, webvtt, srt, page])})
    return page
