"""Metadata of videos from a CSV file."""

import unicodedata

import pytest

from side4video.data.lists.text_files import DataError
from side4video.search.metadata import column_types, read_column, read_metadata
from side4video.search.stores.dates import read_dates


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


@pytest.mark.parametrize(
    ("fields", "kind", "values", "note"),
    [
        (["7.5", "n/a", "9", "60"], "numbers", [7.5, None, 9.0, 60.0], "1 missing"),
        ([".50", "1,024", "", "NaN", "-3"], "numbers", [0.5, 1024.0, None, None, -3.0], "2 missing"),
        (["true", "null", "FALSE"], "true or false", [True, None, False], "1 missing"),
        (["7", "two", "9", "60"], "text", ["7", "two", "9", "60"], "because of 'two'"),
        (["none", "N/A", "light"], "text", ["none", None, "light"], ""),
        (["2015-05-17", "2022-01-01 10:20", "-"], "dates", ["2015-05-17", "2022-01-01T10:20:00", None], "1 missing"),
        (["", "n/a"], "text", [None, None], ""),
        (["2023:07:01 12:30:00", "0000:00:00 00:00:00"], "dates", ["2023-07-01T12:30:00", None], "1 missing"),
        (["0:01:30", "10:20:30"], "text", ["0:01:30", "10:20:30"], ""),
        (["7106594312292453675", "7106594312292453676"], "text", ["7106594312292453675", "7106594312292453676"], ""),
        (["1", "2", "-9007199254740993"], "text", ["1", "2", "-9007199254740993"], "because of '-9007199254740993'"),
        (["9" * 5000, "9007199254740993.0"], "text", ["9" * 5000, "9007199254740993.0"], ""),
        (["9007199254740992", "1e20"], "numbers", [9007199254740992.0, 1e20], ""),
    ],
)
def test_types_of_columns(fields, kind, values, note):
    assert read_column(fields) == (kind, values, note)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["5/17/2015", "1/2/2022"], ["2015-05-17", "2022-01-02"]),
        (["17/5/2015", "1/2/2022"], ["2015-05-17", "2022-02-01"]),
        (["17.5.2015", "01.02.2022 09:05"], ["2015-05-17", "2022-02-01T09:05:00"]),
        (["2015/5/17", "2022-02-01T09:05:07Z"], ["2015-05-17", "2022-02-01T09:05:07"]),
        (["2022-02-01T01:00:00+02:00"], ["2022-01-31T23:00:00"]),
        (["2022:02:01 01:00:00+02:00", "2022:02:01"], ["2022-01-31T23:00:00", "2022-02-01"]),
        (["2022:02:01:05", "2022:13:01"], [None, None]),
        (["5/17/2015 12:05 AM", "5/17/2015 1:05:30 PM"], ["2015-05-17T00:05:00", "2015-05-17T13:05:30"]),
        (["2015-02-30"], [None]),
        (["5/17/15", "5/17/2015"], [None, None]),
        (["2015"], [None]),
    ],
)
def test_dates_as_spreadsheets_write_them(fields, expected):
    assert read_dates(fields)[0] == expected


def test_dates_that_may_mean_two_days_stay_text_and_say_so(tmp_path):
    source = write(tmp_path / "facts.csv", "path,recorded,seconds\na.mp4,5/6/2015,7\nb.mp4,1/2/2022,n/a\n")
    found = read_metadata(source)
    assert found.columns == {
        "recorded": "text (dates such as 5/6/2015 are ambiguous: write 2015-06-05 or 2015-05-06)",
        "seconds": "numbers (1 missing)",
    }
    assert found.rows[1] == ("b.mp4", {"recorded": "1/2/2022"})


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


@pytest.mark.parametrize(("on_disk", "in_list"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_unicode_forms_of_names_are_equal(tmp_path, on_disk, in_list):
    paths = [unicodedata.normalize(on_disk, str(tmp_path / name)) for name in ("Café.mp4", "b/Café.mp4", "c/né.mp4")]
    text = unicodedata.normalize(in_list, "path,camera\nCafé.mp4,1\nné.mp4,2\n")
    found, unknown = read_metadata(write(tmp_path / "facts.csv", text)).match(paths)
    assert (set(found), unknown) == ({paths[0], paths[2]}, [])


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
