"""Protect the user's files in an output folder: a run replaces only files that an earlier run wrote there."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

_MAX_SHOWN = 3


def hash_files(files: Iterable[Path]) -> dict[str, str]:
    """Name and SHA-256 of each file. A run writes them as `files` in its JSON, as the last step.

    >>> _ = Path("film.csv").write_text("label\\n")
    >>> hash_files([Path("film.csv")])["film.csv"][:8]
    '360e179f'
    """
    return {path.name: _hash(path) for path in files}


def refuse_other_files(places: Iterable[Path], suffixes: Sequence[str], *, flag: str) -> None:
    """Refuse to replace files that no earlier run wrote, or that have changed since.

    Args:
        places: the output files of each input, without their suffixes.
        suffixes: of the output files. Those of `.json` name the hashes of the others, see `hash_files`.
        flag: the flag that names the folder, for the error.

    Raises:
        FileExistsError: there are such files.
    """
    others = [path for place in places for path in _other_files(place, suffixes)]
    if others:
        named = ", ".join(map(str, others[:_MAX_SHOWN])) + f" and {len(others) - _MAX_SHOWN} more" * (
            len(others) > _MAX_SHOWN
        )
        raise FileExistsError(
            f"{flag} would replace files that no earlier run wrote, or that were changed since: {named}. Name another "
            f"folder with {flag}, or move or delete these files."
        )


def _other_files(place: Path, suffixes: Sequence[str]) -> list[Path]:
    files = [place.with_name(place.name + suffix) for suffix in suffixes]
    known = _known_hashes(place.with_name(f"{place.name}.json"))
    return [
        path
        for path in files
        if path.is_file() and (known is None if path.suffix == ".json" else _hash(path) != (known or {}).get(path.name))
    ]


def _known_hashes(path: Path) -> dict[str, str] | None:
    """The hashes in the JSON of an earlier run; None: there is none, or it is another file."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    known = content.get("files") if isinstance(content, dict) else None
    is_ours = isinstance(known, dict) and all(name.startswith(f"{path.stem}.") for name in known)
    return known if is_ours else None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
