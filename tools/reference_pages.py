"""Writes commands and settings into the documentation while MkDocs builds it: they are always those of the code.

MkDocs calls `on_page_markdown` (`hooks` in mkdocs.yml). It replaces `<!-- commands -->` in a page with a section per
command and `<!-- settings -->` with a table per group of settings.
"""

import contextlib
import inspect
import io
import os
from collections.abc import Callable
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from unittest import mock

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from side4video.cli import COMMANDS, main
from side4video.config import RunConfig, Settings

COLUMNS = 100
"""Width of the help texts."""
BOUNDS = {Ge: ("ge", "from {}"), Gt: ("gt", "above {}"), Le: ("le", "to {}"), Lt: ("lt", "below {}")}


def commands() -> str:
    """A section for each command: its help, without the settings that the page about settings lists."""
    return "\n\n".join(f"## {name}\n\n{COMMANDS[name]}\n\n```text\n{help_of(name)}\n```" for name in COMMANDS)


def help_of(name: str) -> str:
    """What `side4video NAME --help` prints, up to the first group of settings."""
    output = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": str(COLUMNS), "NO_COLOR": "1"}),
        contextlib.redirect_stdout(output),
        contextlib.suppress(SystemExit),
    ):
        main([name, "--help"])
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    groups = tuple(f"{group} options" for group in RunConfig.model_fields)
    end = next((number for number, line in enumerate(lines) if line.strip("╭─╮ ").startswith(groups)), len(lines))
    return "\n".join(lines[:end]).rstrip()


def settings() -> str:
    """A table for each group of settings: flag, values, default, meaning."""
    fields = RunConfig.model_fields
    plain = {name: field for name, field in fields.items() if not _is_group(field)}
    sections = [f"## Whole run\n\n{_table('', plain)}"]
    for name, field in fields.items():
        if _is_group(field):
            group = field.annotation
            about = inspect.cleandoc(group.__doc__).partition("\n\nExamples:")[0]
            sections.append(f"## {name}\n\n{about}\n\n{_table(f'{name}.', group.model_fields)}")
    return "\n\n".join(sections)


def values_of(annotation: Any, metadata: list[Any] = ()) -> str:
    """The values that a setting takes, in words.

    >>> values_of(Literal["a", "b"] | None), values_of(float, [Ge(0.0), Lt(1.0)]), values_of(tuple[int, ...])
    ('`a`, `b` or none', 'float from 0.0 below 1.0', 'several: int')
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in {Union, UnionType}:
        named = [values_of(part, metadata) for part in inner if part is not type(None)]
        return " or ".join([*named, *["none"] * (type(None) in inner)])
    if origin is tuple:
        several = "several" if Ellipsis in inner else str(len(inner))
        return f"{several}: {values_of(inner[0])}"
    if origin is dict:
        return "pairs of name and value"
    if hasattr(annotation, "__metadata__"):  # Annotated, such as PositiveInt
        return values_of(annotation.__origin__, list(annotation.__metadata__))
    bounds = [
        text.format(getattr(bound, name))
        for bound in metadata
        for name, text in [BOUNDS.get(type(bound), ("", ""))]
        if name
    ]
    return " ".join([annotation.__name__, *bounds])


def _is_group(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Settings)


def _table(prefix: str, fields: dict[str, FieldInfo]) -> str:
    rows = ["| flag | values | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        flag = f"`--{prefix}{name}`".replace("_", "-")
        meaning = " ".join((field.description or "").split())
        cells = (flag, values_of(field.annotation, field.metadata), _default(field), meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", {}):
        return ""
    if isinstance(value, tuple):
        return "<br>".join(f"`{part}`" for part in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


MARKERS: dict[str, Callable[[], str]] = {"<!-- commands -->": commands, "<!-- settings -->": settings}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page: puts what is generated in the place of its marker."""
    for marker, write in MARKERS.items():
        if marker in markdown:
            markdown = markdown.replace(marker, write())
    return markdown
