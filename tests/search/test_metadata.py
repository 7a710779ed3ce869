"""Metadata of videos from a CSV file."""

import pytest

from side4video.data.lists.text_files import DataError
from side4video.search.metadata import column_types, read_metadata


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_numbers_booleans_or_text(tmp_path):
    source = write(
        tmp_path / "facts.csv",
        "path,Camera,year,indoor,code,mixed,note\n"
        'a.mp4,north,2020,true,007,1,"one, two"\n'
        "b.mp4,south,2021.5,False,008,x,\n",
    )
    (a, first), (b, second) = read_metadata(source).rows
    assert (a, b) == ("a.mp4", "b.mp4")
    assert first == {"camera": "north", "year": 2020.0, "indoor": True, "code": "007", "mixed": "1", "note": "one, two"}
    assert second == {"camera": "south", "year": 2021.5, "indoor": False, "code": "008", "mixed": "x"}
    kinds = column_types([first, second])
    assert kinds == {"camera": str, "code": str, "indoor": bool, "mixed": str, "note": str, "year": float}
    assert column_types([{"year": 1.0}, {"year": "unknown"}]) == {"year": str}


@pytest.mark.parametrize("name", ["file", "name", "video"])
def test_paths_are_relative_to_the_csv_or_unique_endings(tmp_path, name):
    (tmp_path / "sub").mkdir()
    paths = [str(tmp_path / "sub/a.mp4"), "/elsewhere/x/b.mp4", "/elsewhere/y/b.mp4", "/elsewhere/c.mp4"]
    text = f"{name};camera\nsub/a.mp4;1\ny/b.mp4;2\n/elsewhere/c.mp4;3\nother.mp4;4\n"
    found, unknown = read_metadata(write(tmp_path / "facts.csv", text)).match(paths)
    assert {path: columns["camera"] for path, columns in found.items()} == {
        paths[0]: 1.0,
        paths[2]: 2.0,
        paths[3]: 3.0,
    }
    assert unknown == ["other.mp4"]


def test_path_relative_to_the_csv_wins_over_endings(tmp_path):
    paths = [str(tmp_path / "a.mp4"), str(tmp_path / "sub/a.mp4")]
    found, _ = read_metadata(write(tmp_path / "facts.csv", "path,camera\na.mp4,1\n")).match(paths)
    assert list(found) == paths[:1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("path,camera\n", "has no rows"),
        ("clip,camera\na,1\n", "has no column path or file or name, but 'clip', 'camera'"),
        ("path,camera\n,1\n", "path is empty in row '1'"),
        ("path,camera\na.mp4,1,2\n", "does not fit the header"),
    ],
)
def test_unusable_files_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_metadata(write(tmp_path / "facts.csv", text))


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_metadata(tmp_path / "facts.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b.mp4,1\n", "is the end of several paths, .*Give a longer part of the path"),
        ("x/b.mp4,1\n/v/x/b.mp4,2\n", "several rows for .*Keep one row per video"),
    ],
)
def test_ambiguous_rows_are_listed(tmp_path, rows, message):
    source = write(tmp_path / "facts.csv", f"path,camera\n{rows}")
    with pytest.raises(DataError, match=message):
        read_metadata(source).match(["/v/x/b.mp4", "/v/y/b.mp4"])
