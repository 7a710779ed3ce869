"""Folders of videos with a table of labels: `metadata.csv` or `.jsonl` (Hugging Face), `_classes.csv` (Roboflow)."""

from collections.abc import Callable
from pathlib import Path

from side4video.data.lists.columns import LABEL_COLUMNS
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.split_names import choose_split, is_split
from side4video.data.lists.tables import read_csv, read_json_lines
from side4video.data.lists.text_files import DataError, first_few

TABLES: dict[str, Callable[[Path, ReadOptions], Table]] = {
    "metadata.csv": read_csv,
    "metadata.jsonl": read_json_lines,
    "_classes.csv": read_csv,
}
_PARQUET = "metadata.parquet"


def is_described_folder(source: ListSource) -> bool:
    """Whether a folder contains such a table, or its sub-folders are splits and one of them does."""
    if not source.is_folder:
        return False
    known = {*TABLES, _PARQUET}
    return bool(source.names & known) or any(
        (source.path / name / table).is_file() for name in _split_folders(source.sub_folders) for table in known
    )


def read_described_folder(source: Path, options: ReadOptions) -> Table:
    """Read the table of a folder, or that of the sub-folder which `options.split` names.

    Paths start from the table's folder. If no column has a usual name of labels, the class is the path's first folder.
    A single table whose paths all start with names of splits has these splits.
    """
    found = ListSource(source)
    prefix = ""
    notes: tuple[str, ...] = ()
    if not found.names & {*TABLES, _PARQUET}:
        splits = _split_folders(found.sub_folders)
        if options.split is None:
            raise DataError(f"{source} contains the splits {first_few(splits)}. Give one of them.")
        prefix = choose_split(splits, options.split, source)
        notes = (f"The sub-folders are splits; {prefix!r} is read.",)
        found = ListSource(source / prefix)
    names = [name for name in TABLES if name in found.names]
    if not names:
        raise DataError(
            f"{found.path} has no {', '.join(TABLES)}"
            f"{', and parquet files are not read' if _PARQUET in found.names else ''}. Write the table as metadata.csv "
            "with the columns file_name and label."
        )
    table = TABLES[names[0]](found.path / names[0], options)
    rows, more = _split_by_path(table.rows, options, source) if not prefix else (table.rows, ())
    if table.class_names is None and table.label_column not in {*LABEL_COLUMNS, *options.columns.values()}:
        rows, label_note = _labels_of_folders(rows)
        more = (*more, *label_note)
    inside = f"{prefix}/" if prefix else ""
    rows = [
        row._replace(name=inside + row.name, candidates=tuple(inside + name for name in row.candidates)) for row in rows
    ]
    return table._replace(rows=rows, notes=(f"The table is {inside}{names[0]}.", *notes, *table.notes, *more))


def _split_folders(names: list[str]) -> list[str]:
    return [name for name in names if is_split(name)]


def _labels_of_folders(rows: list[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """The class of each row is the first folder that is no split, as in `train/dog/1.mp4`, if each row has one."""
    folders = [[part for part in row.name.split("/")[:-1] if not is_split(part)] for row in rows]
    if not all(folders):
        return rows, ()
    labelled = [row._replace(label=own[0], labels=None) for row, own in zip(rows, folders, strict=True)]
    return labelled, ("No column has a usual name of classes: the folders are the classes.",)


def _split_by_path(rows: list[Row], options: ReadOptions, source: Path) -> tuple[list[Row], tuple[str, ...]]:
    splits = sorted({row.name.split("/")[0] for row in rows})
    if options.split is None or len(splits) < 2 or not all(map(is_split, splits)):
        return rows, ()
    chosen = choose_split(splits, options.split, source)
    kept = [row for row in rows if row.name.split("/")[0] == chosen]
    return kept, (f"The folders {first_few(splits)} are splits; {chosen!r} is read.",)
