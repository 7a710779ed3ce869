"""One HTML page with the player and a coloured bar per class; a click on a bar seeks."""

from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from side4video.atomic_files import write_text
from side4video.moments.moment import clock_time
from side4video.system.paths import relative_path
from side4video.timeline.timeline import Timeline
from side4video.video.remote import is_address

GOLDEN_ANGLE = 137.508  # degrees: successive hues are far apart for any number of classes


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
    names = list(dict.fromkeys(moment.name for moment in timeline.moments))
    film = timeline.path.absolute()
    relative = None if is_address(film) else relative_path(str(film), str(path.parent.absolute()))
    page = environment.get_template("timeline.html.jinja").render(
        title=timeline.path.name,
        source=film.as_uri() if relative is None else quote(relative),
        timeline=timeline,
        rows=[
            (name, round(place * GOLDEN_ANGLE + 210) % 360, [one for one in timeline.moments if one.name == name])
            for place, name in enumerate(names)
        ],
        clock=lambda seconds: clock_time(seconds, decimals=1),
    )
    write_text(path, page)
