"""Write one self-contained HTML page about a checked data set.

The page makes no requests, follows the reader's light or dark preference and fits a phone.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from side4video.atomic_files import write_text
from side4video.checking.escaping import escape_surrogates
from side4video.checking.findings import KINDS
from side4video.checking.set_checker import CheckedSet

_SHOWN = 200
"""Maximum number of listed findings per kind; reasons.csv has all of them."""


def write_check_page(path: Path, sets: Sequence[CheckedSet], *, summary: str) -> None:
    """Write the page. Names are shown as plain text, never as HTML.

    Args:
        path: the HTML file; an existing one is replaced, a missing folder is created.
        sets: the checked sets with their findings.
        summary: paragraph below the heading.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    by_kind = defaultdict(list)
    for one in sets:
        for finding in one.findings:
            by_kind[finding.kind].append(finding)
    page = environment.get_template("check_data.html.jinja").render(
        summary=summary,
        sets=sets,
        kinds=[(name, KINDS[name], by_kind[name]) for name in KINDS if by_kind[name]],
        shown=_SHOWN,
    )
    write_text(path, escape_surrogates(page))
