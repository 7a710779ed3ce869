"""A file or folder whose format is detected: each view of it is read once."""

from functools import cached_property
from pathlib import Path
from typing import Any

from side4video.data.lists.class_folders import class_folders
from side4video.data.lists.records import count_comments, split_header
from side4video.data.lists.text_files import read_json, read_lines
from side4video.video.hidden import is_hidden


class ListSource:
    """What the formats look at to recognise a file or folder.

    >>> ListSource(Path("clips/train")).sub_folders, sorted(ListSource(Path("captions.csv")).columns)
    (['anticlockwise', 'clockwise'], ['caption', 'video'])
    """

    def __init__(self, path: Path):
        self.path = path
        self.is_folder = path.is_dir()
        self.suffix = "" if self.is_folder else path.suffix.lower()

    @cached_property
    def names(self) -> frozenset[str]:
        """The names in a folder, without hidden ones; empty for a file."""
        names = (entry.name for entry in self.path.iterdir()) if self.is_folder else ()
        return frozenset(name for name in names if not is_hidden(name))

    @cached_property
    def sub_folders(self) -> list[str]:
        """The sorted names of the sub-folders, without hidden ones."""
        return class_folders(self.path) if self.is_folder else []

    @cached_property
    def lines(self) -> list[str]:
        """The lines of a text file; empty for folders, JSON and XML."""
        return [] if self.is_folder or self.suffix in {".json", ".xml", ".eaf"} else read_lines(self.path)

    @cached_property
    def table(self) -> list[str]:
        """The lines without comments before the header of a table."""
        return self.lines[count_comments(self.lines) :]

    @cached_property
    def columns(self) -> frozenset[str]:
        """The fields of the first line of `table`, as normalised column names."""
        return frozenset(split_header(self.table[0]) if self.table else ())

    @cached_property
    def json(self) -> Any:
        """The content of a `.json` file, None for other files. Raises `DataError` if it is no JSON."""
        return read_json(self.path) if self.suffix == ".json" else None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The objects of a JSON list; empty for other content."""
        content = self.json
        is_list = isinstance(content, list) and all(isinstance(item, dict) for item in content)
        return content if is_list else []

    def has_keys(self, *keys: str) -> bool:
        """Whether each object of a JSON list has these keys."""
        return bool(self.records) and all(record.keys() >= set(keys) for record in self.records)
