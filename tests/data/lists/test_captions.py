"""Captioned videos in general formats: reading, checking, errors and warnings."""

import csv
import io
import json
import random
import re
from pathlib import Path

import pytest

from side4video.data.lists.annotations import LabelledVideo
from side4video.data.lists.captions import CaptionList, DataError, check_caption_list, read_caption_list


def write(path: Path, content: str | bytes | list | dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, (list, dict)):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)  # bytes: line ends stay as they are
    return path


def write_records(path: Path, *records: dict) -> Path:
    """The records as CSV, JSON lines or a JSON list."""
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, records[0])
        writer.writeheader()
        writer.writerows(records)
        return write(path, text.getvalue())
    return write(path, "\n".join(map(json.dumps, records)) if path.suffix == ".jsonl" else list(records))


def touch(root: Path, *names: str) -> None:
    for name in names:
        write(root / name, "")


def as_dict(found: CaptionList) -> dict[str, tuple[str, ...]]:
    return dict(zip((video.name for video in found.videos), found.captions, strict=True))


def problems(source: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_caption_list(source, **options)
    return str(caught.value)


THREE = {"a b.mp4": ("one", "two"), "c.mp4": ("three, and",)}


class TestOwnData:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("d.csv", 'video,caption\na b.mp4,one\nc.mp4,"three, and"\na b.mp4,two\n'),
            ("d.csv", '\ufeffVideo;Caption\r\na b.mp4;one\r\n\r\nc.mp4; "three, and"\r\na b.mp4;two  \r\n'),
            ("d.tsv", "id\tpath\tsentence\n7\ta b.mp4\tone\n8\tc.mp4\tthree, and\n9\ta b.mp4\ttwo\n"),
            (
                "d.jsonl",
                '{"video": "a b.mp4", "caption": "one"}\n\n{"video":"c.mp4","caption":["three, and"]}\r\n'
                '{"video": "a b.mp4", "caption": " two\\n"}',
            ),
            (
                "d.txt",
                '\ufeff{"Video": "a b.mp4", "captions": ["one", "two"]}\n{"video":"c.mp4","text":"three, and"}\n',
            ),
            ("d.json", {"a b.mp4": ["one", "two"], "c.mp4": "three, and"}),
            ("d", [{"video": "a b.mp4", "caption": ["one", "two"]}, {"video": "c.mp4", "caption": "three, and"}]),
            (
                "d.json",
                json.dumps([{"video": "a b.mp4", "caption": ["one", "two", "\t"]}] * 1)[:-1]
                + ',{"video":"c.mp4","caption":"three, and"}]',
            ),
        ],
    )
    def test_formats(self, tmp_path, name, content):
        found = read_caption_list(write(tmp_path / name, content))
        assert as_dict(found) == THREE
        assert {video.label for video in found.videos} == {None}
        assert [video.path for video in found.videos] == [tmp_path / "a b.mp4", tmp_path / "c.mp4"]
        assert (found.split, found.source) == ("", str(tmp_path / name))

    def test_one_video(self, tmp_path):
        for content in ('{"video": "a.mp4", "caption": "one"}', '{"a.mp4": "one"}', "video,caption\na.mp4,one"):
            assert as_dict(read_caption_list(write(tmp_path / "x", content))) == {"a.mp4": ("one",)}

    def test_text_over_several_lines_and_quotes(self, tmp_path):
        found = read_caption_list(write(tmp_path / "d.csv", 'video,caption\na.mp4,"a ""good""\ncatch\n\nby, him"\n'))
        assert as_dict(found) == {"a.mp4": ('a "good"\ncatch\n\nby, him',)}

    @pytest.mark.parametrize("head", ["caption,caption_2,caption3", "caption,caption,caption"])
    def test_further_columns_hold_further_captions(self, tmp_path, head):
        source = write(tmp_path / "list.csv", f"video,{head}\na.mp4,a dog,a hound,\nb.mp4,a cat,,a tom\n")
        found = read_caption_list(source)
        assert as_dict(found) == {"a.mp4": ("a dog", "a hound"), "b.mp4": ("a cat", "a tom")}
        assert found.notes == ()

    def test_columns_of_captions_that_are_not_used_are_named(self, tmp_path):
        found = read_caption_list(write(tmp_path / "list.csv", "video,caption,text\na.mp4,a dog,hello\n"))
        assert as_dict(found) == {"a.mp4": ("a dog",)}
        assert found.notes == (
            f"{tmp_path}/list.csv: captions are read from the column caption, and 'text' is not used. Name further "
            "columns of captions caption_2, caption_3, ...",
        )

    def test_other_columns_must_not_repeat(self, tmp_path):
        source = write(tmp_path / "list.csv", "video,caption,start,start\na.mp4,a dog,0,1\n")
        assert "has several columns 'start'. Give each its own name." in problems(source)

    def test_parts_of_a_video_are_videos(self, tmp_path):
        text = "video,start,end,caption\na,0,2.5,x\na,2.5,,y\na,0,2.5,z\nb,,,w\n"
        found = read_caption_list(write(tmp_path / "d.csv", text))
        assert [(v.name, v.start_seconds, v.end_seconds) for v in found.videos] == [
            ("a", 0.0, 2.5),
            ("a", 2.5, None),
            ("b", None, None),
        ]
        assert found.captions == (("x", "z"), ("y",), ("w",))

    @pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
    @pytest.mark.parametrize(
        ("columns", "values"),
        [(("startTime", "endTime"), (0.5, 1.5)), (("from", "to"), (0.5, 1.5)), (("start", "duration"), (0.5, 1))],
        ids=str,
    )
    def test_times_with_other_names(self, tmp_path, name, columns, values):
        source = write_records(
            tmp_path / name, {"video": "a", "caption": "x", **dict(zip(columns, values, strict=True))}
        )
        found = read_caption_list(source)
        assert [(video.start_seconds, video.end_seconds) for video in found.videos] == [(0.5, 1.5)]
        assert f"Times: start = '{columns[0].lower()}'" in found.understood[0]

    @pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
    @pytest.mark.parametrize("column", ["timestamp", "segment", "time"])
    def test_start_and_end_in_one_field(self, tmp_path, name, column):
        source = write_records(tmp_path / name, {"video": "a", "caption": "x", column: [0.5, 1.5]})
        found = read_caption_list(source)
        assert [(video.start_seconds, video.end_seconds) for video in found.videos] == [(0.5, 1.5)]

    @pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
    @pytest.mark.parametrize(
        "columns", [("onset", "offset"), ("start", "finish"), ("start", "length"), ("cutStartMs",)]
    )
    def test_unread_times_are_refused(self, tmp_path, name, columns):
        source = write_records(tmp_path / name, {"video": "a", "caption": "x", **dict.fromkeys(columns, 1)})
        assert f"times of unknown meaning: '{columns[-1].lower()}'" in problems(source).replace("'onset', ", "")

    def test_unread_times_of_json_are_refused(self, tmp_path):
        for times in ({"timestamps": [[0, 1], [2, 3]]}, {"segments": [{"start": 0, "end": 1}]}):
            source = write_records(tmp_path / "d.json", {"video": "a", "caption": "x", **times})
            assert "times of unknown meaning" in problems(source)

    def test_frame_numbers_are_refused_unless_there_are_seconds(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,caption,start_frame,endFrame\na,x,0,20\n")
        assert "frame numbers in 'start_frame', 'endframe'. Write start and end in seconds" in problems(source)
        both = write(tmp_path / "b.csv", "video,caption,start,end_sec,stop_frame\na,x,0,1,3\n")
        assert read_caption_list(both).videos[0].end_seconds == 1

    def test_durations_of_files_are_no_times(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,caption,duration\na,x,60\n")
        assert read_caption_list(source).videos[0].end_seconds is None

    @pytest.mark.parametrize(
        "content",
        [
            {"version": 1, "data": [{"video": "a.mp4", "caption": "x y"}]},
            {"a.mp4": {"captions": ["x y"], "fps": 25}},
            {"video": ["a.mp4"], "caption": ["x y"]},
        ],
    )
    def test_objects_in_other_forms(self, tmp_path, content):
        assert as_dict(read_caption_list(write(tmp_path / "a.json", content))) == {"a.mp4": ("x y",)}

    @pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
    def test_columns_by_their_role(self, tmp_path, name):
        """As in the table of WebVid."""
        record = {"videoid": "a", "Name": "a man runs", "caption": "draft", "from_sec": 1, "to_sec": 2}
        source = write_records(tmp_path / name, record)
        columns = {"caption": "name", "path": "videoid", "start": "from_sec", "end": "to_sec"}
        found = read_caption_list(source, columns=columns)
        assert as_dict(found) == {"a": ("a man runs",)}
        assert (found.videos[0].start_seconds, found.videos[0].end_seconds) == (1.0, 2.0)
        with pytest.raises(DataError, match=r"columns 'caption text' do not exist\. The roles are path, caption"):
            read_caption_list(source, columns={"caption": "text"})

    def test_an_object_of_splits(self, tmp_path):
        content = {split: [{"video": f"{split}.mp4", "caption": "x"}] for split in ("train", "test")}
        source = write(tmp_path / "a.json", content)
        assert as_dict(read_caption_list(source, split="test")) == {"test.mp4": ("x",)}

    @pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
    @pytest.mark.parametrize("column", ["split", "Subset", "set", "partition"])
    def test_other_split_columns_in_any_case(self, tmp_path, name, column):
        rows = [("a", "Train"), ("b", "train"), ("c", "Validation")]
        records = [{"video": video, "caption": "x", column: split} for video, split in rows]
        source = write_records(tmp_path / name, *records)
        train = read_caption_list(source, split="train")
        assert (list(as_dict(train)), train.split) == (["a", "b"], "train")
        assert train.understood == (
            f"Split 'train' of the column '{column.lower()}': 2 of 3 rows; others: 'validation' (1).",
        )
        assert list(as_dict(read_caption_list(source, split="test"))) == ["c"]
        assert read_caption_list(source).split == "train + validation"

    @pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.json"])
    def test_split_column(self, tmp_path, name):
        rows = [("a", "x", "train"), ("b", "y", "val"), ("c", "z", "train")]
        records = [dict(zip(("video", "caption", "split"), row, strict=True)) for row in rows]
        content = {
            "d.csv": "video,caption,split\n" + "\n".join(map(",".join, rows)),
            "d.jsonl": "\n".join(map(json.dumps, records)),
            "d.json": records,
        }[name]
        source = write(tmp_path / name, content)
        train = read_caption_list(source, split="train")
        assert (as_dict(train), train.split) == ({"a": ("x",), "c": ("z",)}, "train")
        test = read_caption_list(source, split="test")  # val, for want of a test
        assert (as_dict(test), test.split) == ({"b": ("y",)}, "val")
        assert read_caption_list(source).split == "train + val"
        assert "no split 'extra'; its splits are 'train', 'val'" in problems(source, split="extra")

    @pytest.mark.parametrize(
        ("name", "split"),
        [("my-Test.csv", "test"), ("train9k.csv", "train"), ("validation.csv", "val"), ("contest.csv", "")],
    )
    def test_split_in_the_name(self, tmp_path, name, split):
        assert read_caption_list(write(tmp_path / name, "video,caption\na,b\n"), split="train").split == split

    def test_list_and_captions(self, tmp_path):
        captions = write(tmp_path / "c.json", {"a.mp4": ["x"], "b": ["y", "z"], "c": ["w"]})
        expected = {"b": ("y", "z"), "a.mp4": ("x",)}
        for name, content, again in (
            ("train.txt", "b.mp4\r\na\r\nb\r\n", "'b'"),
            ("train.csv", "key,video\n1,b\n2,a.mp4\n3,b.mp4\n", "'b.mp4'"),
            ("train.json", ["b", "a", "b"], "'b'"),
        ):
            found = read_caption_list(write(tmp_path / name, content), captions=captions)
            assert list(as_dict(found).items()) == list(expected.items())
            assert found.split == "train"
            assert found.notes == (f"1 entries of {tmp_path / name} repeat a video: {again}. Each video is used once.",)

    def test_captions_of_the_list_come_first(self, tmp_path):
        source = write(tmp_path / "t.csv", "video,caption\na,own\n")
        found = read_caption_list(source, captions=write(tmp_path / "c.json", {"a": ["other"]}))
        assert as_dict(found) == {"a": ("own",)}

    def test_names_without_captions(self, tmp_path):
        captions = write(tmp_path / "c.json", {"a": ["x"]})
        source = write(tmp_path / "l.txt", "".join(f"b{n}\n" for n in range(12)) + "a\n")
        found = problems(source, captions=captions)
        assert f"12 of 13 videos of {source} have no captions in {captions}: 'b0'" in found
        assert "(12 in all). The first captions are of 'a'. Check that the two files belong together" in found
        assert f"{source} was read as a list of 13 videos without captions, starting with 'b0'" in problems(source)
        assert "is also a list without captions" in problems(source, captions=source)

    def test_ambiguous_names_are_refused(self, tmp_path):
        captions = write(tmp_path / "c.json", {"a.mp4": ["x"], "a.avi": ["y"]})
        assert as_dict(read_caption_list(write(tmp_path / "l", "a.avi"), captions=captions)) == {"a.avi": ("y",)}
        assert "1 of 1 videos" in problems(write(tmp_path / "l", "a"), captions=captions)

    def test_empty_captions_are_skipped_and_counted(self, tmp_path):
        """Public files contain some; refusing them would force users to edit these files."""
        source = write(tmp_path / "d.csv", "video,caption\na,x\na,  \nb,nan\nc,y\nd\n")
        found = read_caption_list(source)
        assert as_dict(found) == {"a": ("x",), "c": ("y",)}
        assert found.notes == (
            "3 captions are empty or missing (such as N/A); they are skipped.",
            "2 of 4 videos have no caption; they are skipped: 'b', 'd'.",
        )
        assert "has no captions" in problems(write(tmp_path / "d.csv", "video,caption\na, \n"))
        assert "has no captions" in problems(write(tmp_path / "d.csv", "video,caption\n"))

    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_encodings_and_line_ends(self, tmp_path, ends, encoding):
        """Excel and PowerShell write UTF-16, old Macs ended lines with a carriage return."""
        source = tmp_path / "d.csv"
        source.write_bytes(ends.join(["video,caption", "é,eine Größe", "b,y", ""]).encode(encoding))
        assert as_dict(read_caption_list(source)) == {"é": ("eine Größe",), "b": ("y",)}


class TestRefused:
    def test_all_problems_at_once(self, tmp_path):
        lines = [
            '{"video": "a", "caption": "fine"}',
            '{"video": "b", "caption": 7}',
            '{"video": "", "caption": "x"}',
            '{"caption": "x"}',
            '{"video": "c", "caption": ["x", null]}',
            '{"video": "d", "caption": "x", "start": "soon"}',
            '{"video": "e", "caption": "x", "end": Infinity}',
            '{"video": "f\\u0000", "caption": "x"}',
            '{"video": "g", "caption": "\\ud800"}',
            '{"video": "h"}',
            "oops",
        ]
        found = problems(write(tmp_path / "d.jsonl", "\n".join(lines)))
        assert "has captions that are missing or not text in 'line 2', 'line 5', 'line 10'" in found
        assert "has no video name in 'line 3', 'line 4'" in found
        assert "has times that are not seconds, m:ss or h:mm:ss" in found
        assert "in 'line 6', 'line 7'" in found
        assert "names or captions of 2 videos contain invalid characters" in found
        assert r"'f\x00', 'g'" in found
        assert "d.jsonl, line 11, is not JSON" in found
        assert len(found.splitlines()) == 5

    def test_broken_lines(self, tmp_path):
        good = '{"video": "a", "caption": "x"}\n'
        found = problems(write(tmp_path / "d.jsonl", good + "oops\n" + good + "[1]\n"))
        assert "d.jsonl, line 2, is not JSON" in found
        assert "d.jsonl, line 4, is not an object" in found
        found = problems(write(tmp_path / "d.jsonl", good + "oops\n" * 50))
        assert len(found.splitlines()) == 11
        assert "50 lines cannot be read in total" in found

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("\ufeff \n\n", "is empty"),
            (
                "video,caption\na,b,c\nd,e\nf,g,h\n",
                r"more fields than the 2 of its header in 'line 2', 'line 4'\. Put capt",
            ),
            ('video,caption\na,"never closed\nb,c\n', "unexpected end of data. Close every quote"),
            ('video,caption\na,"x" y\n', "line 2: ',' expected after '\"'"),
            ("clap,caption\na,b\n", r"no column of videos among 'caption', 'clap'\. Name it video"),
            ("video,words\na,b\n", "list of 1 videos without captions"),
            (b"video,caption\na,caf\xe9\n", r"not UTF-8 text in 1 lines\. Save it as UTF-8"),
            (b"caf\xe9\nb\n", r"not UTF-8 text in 1 lines\. Save it as UTF-8"),
            (b'{"a": "caf\xe9"}', "not UTF-8 text .*Save it as UTF-8"),
            ("video,caption\na,b\n".encode("utf-16")[:-1], r"not UTF-16 text .*Save it as UTF-8"),
            (b"PK\x03\x04aaa", "is a ZIP archive. Unpack it"),
            ("\n<!DOCTYPE html><title>404</title>", "is a web page, .* Download the file again"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
            ("id,video\n1,a\n2,\n3,b\n4\n", "has no video name in 'line 3', 'line 5'"),
            (b"\x00\x01\x02", "is not text"),
            ('{"a": ["x"', "is not JSON"),
            ("[" * 100_000, "nested too deeply"),
            ('{"a": ["x"], "a": ["y"]}', r"duplicate name in one object: 'a'\. Keep one"),
            ('{"a": [1]}', "captions of 1 videos are not text: 'a'"),
            ('{"a": ["x"], "b": [["x"]], "c": null}', "captions of 1 videos are not text: 'c'"),
            ("{}", "has no captions in a supported format: it is empty, or not an object"),
            ("[]", "it is an empty list"),
            ("[1, 2]", "it is a list of ints"),
            ('[{"video": "a", "caption": "x"}, 3]', "list items that are not objects"),
            ('[{"video": "a", "when": "x"}]', "no captions in a supported format"),
        ],
    )
    def test_broken_files(self, tmp_path, content, message):
        assert re.search(message, problems(write(tmp_path / "d.x", content), format="auto"))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"database": {"-A": {}}, "version": "1.3"}, "ActivityNet's file for detection"),
            ({"v_a": {"duration_second": 9.0, "annotations": [{"segment": [0, 1], "label": "x"}]}}, "in mmaction2"),
            ({"images": [], "annotations": [{"bbox": [0, 0, 1, 1], "image_id": 3}]}, "annotations have no captions"),
            ({"Holding something": "0", "Pushing something": "1"}, "table of class numbers"),
            ({"0": 3, "1": 4}, "table of class numbers"),
            ([{"id": "1", "template": "Holding [something]", "label": "holding"}], "list of Something-Something"),
            ([{"id": "1"}, {"id": "2"}], "list of Something-Something"),
            ({"a": {"start": 3}}, "its first keys are 'a'"),
            ("label,youtube_id,time_start,time_end,split\nclap,abcdefghijk,1,2,val\n", "are for action recognition"),
            ("a.mp4 3\nb.mp4 4\n", "are for action recognition"),
        ],
    )
    def test_files_of_other_tasks_are_identified(self, tmp_path, content, message):
        assert message in problems(write(tmp_path / "d.x", content))

    def test_folders_missing_files_and_formats(self, tmp_path):
        assert "is a folder. Give the file" in problems(tmp_path)
        assert "cannot be read: No such file" in problems(tmp_path / "no.csv")
        source = write(tmp_path / "l.txt", "a\n")
        assert "cannot be read: No such file" in problems(source, captions=tmp_path / "no.json")
        assert "format = 'vhs' is not known. Use auto, msrvtt, " in problems(source, format="vhs")

    @pytest.mark.parametrize("format", ["msvd", "vatex", "didemo", "activitynet", "lsmdc"])
    def test_forced_formats(self, tmp_path, format):
        assert "d.csv" in problems(write(tmp_path / "d.csv", "video,caption\na,b\n"), format=format)
        assert "d.json" in problems(write(tmp_path / "d.json", "[3]"), format=format)
        assert "d.json" in problems(write(tmp_path / "d.json", '{"a": 3}'), format=format)

    def test_csv_that_is_json(self, tmp_path):
        assert "is JSON, not CSV" in problems(write(tmp_path / "d.json", {"a": ["b"]}), format="csv")


class TestNastyText:
    CHARACTERS = "ab ,;\t\"'\n\r\\{}[]:.é日\u2028\x85\x0b\x1c😀\u200b\ufeff\x7f"

    def test_any_text_survives_writing_and_reading(self, tmp_path):
        """CSV from Python's csv module and JSON lines from json round-trip, except for surrounding blanks."""
        import csv

        generator = random.Random(1)
        for trial in range(60):
            texts = ["".join(generator.choices(self.CHARACTERS, k=generator.randrange(1, 12))) for _ in range(8)]
            captions = {f"v{number}": text for number, text in enumerate(texts) if text.strip()}
            path = tmp_path / f"{trial}.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, quoting=csv.QUOTE_ALL)
                writer.writerow(["video", "caption"])
                writer.writerows(captions.items())
            lines = [
                json.dumps({"video": name, "caption": text}, ensure_ascii=False) for name, text in captions.items()
            ]
            jsonl = write(tmp_path / f"{trial}.jsonl", "\n".join(lines))
            expected = {name: (text.strip(),) for name, text in captions.items()}
            assert as_dict(read_caption_list(path)) == expected
            assert as_dict(read_caption_list(jsonl)) == expected

    def test_any_file_is_read_or_refused(self, tmp_path):
        generator = random.Random(2)
        starts = ["video,caption\n", '{"video": "a", "caption": "b"}\n', "", '{"a": ', "a\t1\t2\t3\t4\t5\n", "[", "}q"]
        outcomes = set()
        for trial in range(400):
            length = generator.randrange(30)
            content = generator.choice(starts) + "".join(generator.choices(self.CHARACTERS + "\x00\ud800", k=length))
            source = tmp_path / f"{trial}"
            source.write_bytes(content.encode("utf-8", "surrogatepass"))
            try:
                outcomes.add(bool(read_caption_list(source).captions))
            except DataError:
                outcomes.add(False)
        assert outcomes == {True, False}


class TestFiles:
    def test_suffix_and_sub_folders(self, tmp_path):
        touch(tmp_path, "v/a.webm", "v/deep/b.avi", "v/c.mp4")
        source = write(tmp_path / "d.csv", "video,caption\na,x\ndeep/b,y\nc.mp4,z\n")
        found = read_caption_list(source, root=tmp_path / "v")
        assert [video.path.name for video in found.videos] == ["a.webm", "b.avi", "c.mp4"]
        checked = check_caption_list(found)
        assert (checked.num_listed, checked.num_found, checked.warnings) == (3, 3, ())
        assert checked.captions == found

    @pytest.mark.parametrize("hidden", ["@eaDir", ".Trash-1000/files", "#recycle", "deep/.cache"])
    def test_hidden_folders_are_not_searched(self, tmp_path, hidden):
        touch(tmp_path, f"v/{hidden}/video0.mp4", "v/deep/video0.mp4", f"v/{hidden}/video1.mp4", "v/deep/._video1.mp4")
        source = write_records(tmp_path / "d.csv", *({"video_id": f"video{n}", "sentence": "x"} for n in range(2)))
        found = read_caption_list(source, root=tmp_path / "v")
        assert [video.path.relative_to(tmp_path / "v").as_posix() for video in found.videos] == [
            "deep/video0.mp4",
            "video1",
        ]
        assert found.notes == ()

    def test_other_lines_of_tables(self, tmp_path):
        """Delimiters at the end, and a header between two tables."""
        source = write(tmp_path / "d.csv", "video,caption\na,x,\nvideo,caption\nb,y,,\n")
        assert [video.name for video in read_caption_list(source).videos] == ["a", "b"]
        assert "more fields than the 2 of its header in 'line 2'" in problems(write(source, "video,caption\na,x,z\n"))

    def test_own_names_are_used_exactly(self, tmp_path):
        """Another file of the same stem, or in another folder, may be another video."""
        touch(tmp_path, "a.avi", "x/b.mp4", "c.mp4")
        found = read_caption_list(write(tmp_path / "d.csv", "video,caption\na.mp4,x\nb.mp4,y\nc.mp4,z\n"))
        with pytest.raises(DataError, match=r"2 of 3 videos are missing: 'a\.mp4', 'b\.mp4'"):
            check_caption_list(found)

    def test_missing_videos(self, tmp_path):
        touch(tmp_path, "a.mp4", "c.mp4")
        source = write(tmp_path / "d.csv", "video,caption\na,x\nb,y\nc,z\nd,w\n")
        found = read_caption_list(source)
        with pytest.raises(DataError) as caught:
            check_caption_list(found)
        assert f"{source}: 2 of 4 videos are missing: 'b', 'd'. Looked in '{tmp_path}'. Check root" in str(caught.value)
        checked = check_caption_list(found, allow_missing=True)
        assert (checked.num_listed, checked.num_found) == (4, 2)
        assert as_dict(checked.captions) == {"a": ("x",), "c": ("z",)}
        assert checked.warnings == ("2 of 4 videos are missing: 'b', 'd'; they are skipped.",)

    def test_all_videos_missing_is_always_an_error(self, tmp_path):
        found = read_caption_list(write(tmp_path / "d.csv", "video,caption\na,x\n"), root=tmp_path / "nowhere")
        with pytest.raises(DataError, match="1 of 1 videos are missing"):
            check_caption_list(found, allow_missing=True)

    def test_parts_that_end_before_they_start(self, tmp_path):
        touch(tmp_path, "a.mp4")
        found = read_caption_list(write(tmp_path / "d.csv", "video,caption,start,end\na,x,3,3\nb,y,0,1\n"))
        with pytest.raises(DataError) as caught:
            check_caption_list(found, allow_missing=True)
        assert "1 segments end before they start: 'a from 3.0 to 3.0" in str(caught.value)
        with pytest.raises(DataError, match="1 of 2 videos are missing"):
            check_caption_list(found)

    def test_captions_of_several_videos(self, tmp_path):
        touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
        source = write(tmp_path / "d.json", {"a": ["x", "x", "y"], "b": ["y"], "c": ["z"]})
        checked = check_caption_list(read_caption_list(source))
        assert checked.warnings == (
            "1 captions are shared by several videos, 2 in total, which no search can tell apart "
            "(5 captions, 3 unique): 'y'.",
        )

    def test_two_names_of_one_file(self, tmp_path):
        touch(tmp_path, "a.mp4")
        checked = check_caption_list(read_caption_list(write(tmp_path / "d.json", {"a": ["x"], "a.mp4": ["y"]})))
        assert checked.warnings == (f"1 videos are listed under several names: '{tmp_path}/a.mp4'.",)

    def test_notes_become_warnings(self, tmp_path):
        touch(tmp_path, "a.mp4")
        checked = check_caption_list(read_caption_list(write(tmp_path / "d.json", {"a": ["x", ""]})))
        assert checked.warnings == ("1 captions are empty or missing (such as N/A); they are skipped.",)


def test_a_caption_list_checks_itself(tmp_path):
    video = LabelledVideo(tmp_path, None, "a")
    with pytest.raises(ValueError, match="Every video needs at least one caption"):
        CaptionList((video,), ((),), "", "")
    with pytest.raises(ValueError, match="1 videos, and captions of 2"):
        CaptionList((video,), (("x",), ("y",)), "", "")
