"""One HTML page with the player and a coloured bar per class; a click on a bar seeks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from side4video.atomic_files import write_text
from side4video.moments.moment import clock_time
from side4video.system.paths import relative_path
from side4video.timeline.timeline import Timeline
from side4video.video.remote import is_address

_GOLDEN_ANGLE = 137.508  # degrees: successive hues are far apart for any number of classes


def coloured_rows(moments: Sequence[Any]) -> list[tuple[str, int, list[Any]]]:
    """Of each class its name, its hue in degrees, and its moments; the classes in the order of their first moments.

    >>> from side4video.moments.moment import Moment
    >>> [row[:2] for row in coloured_rows([Moment(Path("film.mp4"), 0.0, 2.5, "run", 0.9)])]
    [('run', 210)]
    """
    names = dict.fromkeys(moment.name for moment in moments)
    return [
        (name, round(place * _GOLDEN_ANGLE + 210) % 360, [one for one in moments if one.name == name])
        for place, name in enumerate(names)
    ]


def write_timeline_page(path: Path, timeline: Timeline) -> None:
    """Write the page. It contains no video: it plays the file next to it, under its path relative to the page.

    Names are shown as plain text. The page makes no network requests.

    Args:
        path: the HTML file; an existing one is replaced, its folder is created.
        timeline: what to show.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    film = timeline.path.absolute()
    relative = None if is_address(film) else relative_path(str(film), str(path.parent.absolute()))
    page = environment.get_template("timeline.html.jinja").render(
        title=timeline.path.name,
        source=film.as_uri() if relative is None else quote(relative),
        timeline=timeline,
        rows=coloured_rows(timeline.moments),
        clock=lambda seconds: clock_time(seconds, decimals=1),
    )
    write_text(path, page)
