"""Finished parts of a long benchmark, so that it can be resumed."""

import json
import sys
from pathlib import Path
from typing import Any


class Log:
    """Finished parts, one JSON line each.

    Args:
        path: the file; created if it does not exist.
        settings: settings of the run; rows with other settings are ignored.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.settings = path, settings
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = [row for row in map(json.loads, lines) if row["settings"] == settings]

    def find(self, **key: Any) -> dict[str, Any] | None:
        """The finished part with these values."""
        return next((row for row in self.rows if all(row.get(name) == value for name, value in key.items())), None)

    def add(self, **row: Any) -> None:
        """Write a finished part."""
        self.rows.append(row | {"settings": self.settings})
        with self.path.open("a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")
        print({name: value for name, value in row.items() if name != "settings"}, file=sys.stderr)
