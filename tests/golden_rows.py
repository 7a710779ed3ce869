"""Rows of numbers that the paper's official code printed; see tests/golden/README.md.

`SIDE4VIDEO_GOLDEN` names another folder, whose files may have other names and other rows of the same form.
"""

import json
import os
from pathlib import Path

GOLDEN = Path(os.environ.get("SIDE4VIDEO_GOLDEN", Path(__file__).parent / "golden"))


def golden_contents():
    """The content of each JSON file by its path."""
    return {path: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}


def golden_rows(*, group=None, key):
    """Rows that have `key`: of the lists that are called `group` in their file, or of the files that are a list."""
    contents = golden_contents().values()
    lists = [content.get(group) for content in contents if isinstance(content, dict)] if group else list(contents)
    return [row for rows in lists if isinstance(rows, list) for row in rows if isinstance(row, dict) and key in row]
