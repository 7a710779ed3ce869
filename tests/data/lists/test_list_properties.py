"""Lists and captions with arbitrary text: valid files round-trip, and others raise a `DataError`."""

import csv
import json
import unicodedata
from contextlib import suppress

from hypothesis import assume, example, given
from hypothesis import strategies as st

from side4video.data.lists.annotations import DataError, VideoList, read_video_list
from side4video.data.lists.captions import CaptionList, read_caption_list
from side4video.data.lists.class_numbers import class_number
from side4video.data.lists.text_files import is_missing_value, strip_invisible

# Any letters of any script, signs and emoji; no halves of surrogate pairs, which no text file holds.
letters = st.characters(exclude_categories=["Cs", "Cc"])
names = st.text(letters, min_size=1, max_size=12).map(strip_invisible).filter(bool)
nasty = st.sampled_from(
    [
        '"',
        '""',
        "'",
        ",",
        ";",
        "a,b",
        'say "no"',
        "\u2028",
        "\x85",
        "\xa0x",
        "#",
        "=1+1",
        "null",
        "-",
        "a\tb",
        "{}",
        "\ufeffa",
    ]
)
captions = (
    (st.text(letters, min_size=1, max_size=30) | nasty)
    .map(strip_invisible)
    .filter(lambda text: text and not is_missing_value(text))
)
paths = st.text(letters.filter(lambda letter: letter not in "/\\"), min_size=1, max_size=12).map(
    lambda name: f"{strip_invisible(name) or 'x'}.mp4"
)
labels = names.map(lambda name: unicodedata.normalize("NFC", name)).filter(
    lambda name: class_number(name) is None and not is_missing_value(name)
)
rows = st.lists(st.tuples(paths, labels), min_size=1, max_size=6, unique_by=lambda row: row[0])


def write_csv(path, header, lines, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *lines])
    return path


@given(rows, st.sampled_from(",;\t"))
def test_a_csv_of_labels_round_trips(tmp_path_factory, rows, delimiter):
    path = write_csv(tmp_path_factory.mktemp("list") / "train.csv", ["video", "label"], rows, delimiter)
    read = read_video_list(path)
    assert read.class_names == tuple(sorted({label for _, label in rows}))
    assert [(video.name, read.class_names[video.label]) for video in read.videos] == rows


@given(
    st.lists(
        st.tuples(paths, st.lists(captions, min_size=1, max_size=3)),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row[0],
    )
)
def test_captions_round_trip_in_every_format(tmp_path_factory, videos):
    folder = tmp_path_factory.mktemp("captions")
    lines = [(name, caption) for name, several in videos for caption in several]
    write_csv(folder / "a.csv", ["video", "caption"], lines)
    rows = [{"video": name, "caption": caption} for name, caption in lines]
    (folder / "a.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    for form in ("csv", "json", "jsonl"):
        read = read_caption_list(folder / f"a.{form}", format=form)
        assert [(v.name, list(c)) for v, c in zip(read.videos, read.captions, strict=True)] == videos, form


@given(st.lists(st.tuples(paths, st.integers(0, 30)), min_size=1, max_size=6), st.sampled_from([" ", "\t", ",", "::"]))
@example([("#20_Rhythm_clap.avi", 0), ("a.avi", 1)], ",")  # of HMDB51
def test_a_plain_list_of_numbers_round_trips(tmp_path_factory, rows, delimiter):
    assume(not any(sign in name for name, _ in rows for sign in ("::", ",", "\t", '"', " ")))
    path = tmp_path_factory.mktemp("list") / "train.txt"
    path.write_text("".join(f"{name}{delimiter}{label}\n" for name, label in rows), encoding="utf-8")
    read = read_video_list(path, format="list", delimiter=delimiter)
    assert [(video.name, video.label) for video in read.videos] == rows
    assert len(read.class_names) == max(label for _, label in rows) + 1


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
@example(b"path,label\n\x00,\x00")
@example(b'video,caption\n"a,b\nc')
@example(b"[" * 5000)
@example(b"\xef\xbb\xbf")
def test_random_bytes_are_read_or_raise_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("rubbish") / "list.txt"
    path.write_bytes(content)
    for read, kind in ((read_video_list, VideoList), (read_caption_list, CaptionList)):
        with suppress(DataError):
            assert isinstance(read(path), kind)


keys = st.text(max_size=8) | st.sampled_from(["video", "caption", "sentences", "videos", "annotations", "enCap"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_or_raises_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("rubbish") / "captions.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for read in (read_video_list, read_caption_list):
        with suppress(DataError):
            read(path)
