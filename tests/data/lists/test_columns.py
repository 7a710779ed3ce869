"""Columns of lists by their names and content, the units of times, and what is refused."""

import json
import re
from pathlib import Path

import pytest

from side4video.data.lists.annotations import DataError, check_video_list, read_video_list

FAULTS = Path(__file__).parents[3] / "../shared/data/faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")
TIMES = [
    ("start", "end"),
    ("start_sec", "end_sec"),
    ("Start Time", "End-Time"),
    ("begin", "stop"),
    ("start", "stop"),
    ("start_timestamp", "stop_timestamp"),
    ("startTime", "endTime"),
    ("starttime", "endtime"),
    ("from", "to"),
    ("start(s)", "Stop (sec)"),
]
SPANS = ["[0.5, 1.5]", "(0.5,1.5)", "0.5-1.5", "0:00.5 - 0:01.5", "0.5,1.5", "0.5 1.5", "0.5 to 1.5"]


def times_of(path: Path, **options):
    return [(video.start_seconds, video.end_seconds) for video in read_video_list(path, **options).videos]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def read(path: Path, **options):
    found = read_video_list(path, **options)
    return [(video.name, found.class_names[video.label]) for video in found.videos]


class TestHeaders:
    @pytest.mark.parametrize(
        "header",
        ["Video Path,Class Label", "filepath,label", "path,class_id", "video_name,tag", "clip_path;label", "v,w"],
    )
    def test_headers_are_no_videos(self, tmp_path, header):
        sign = ";" if ";" in header else ","
        source = write(tmp_path / "a.csv", f"{header}\na.mp4{sign}x\nb.mp4{sign}y\n")
        assert read(source) == [("a.mp4", "x"), ("b.mp4", "y")]

    def test_what_was_understood_is_reported(self, tmp_path):
        source = write(tmp_path / "a.csv", "Video Path,Class Label,note,fold\na.mp4,x,1,2\n")
        notes = read_video_list(source).notes
        assert "Columns: path = 'video_path', label = 'class_label'; ignored: 'note', 'fold'." in notes

    def test_semicolons_without_header(self, tmp_path):
        assert read(write(tmp_path / "a.csv", "a.mp4;x\nb.mp4;y y\n")) == [("a.mp4", "x"), ("b.mp4", "y y")]

    def test_settings_name_columns(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,label,verb,noun\na.mp4,7,cut,onion\n")
        assert read(source, columns={"label": "Verb"}) == [("a.mp4", "cut")]
        with pytest.raises(DataError, match=r"columns 'label=verbs' do not exist.*'video', 'label', 'verb', 'noun'"):
            read(source, columns={"label": "verbs"})
        with pytest.raises(DataError, match=r"'lable=verb' do not exist\. The roles are path, label"):
            read(source, columns={"lable": "verb"})

    def test_a_column_of_captions_is_no_label_but_may_be_a_class(self, tmp_path):
        assert read(write(tmp_path / "a.csv", "video,verb,caption\na.mp4,x,a man cuts\n")) == [("a.mp4", "x")]
        classes = write(tmp_path / "b.csv", "video,text,speech\na.mp4,1,0\nb.mp4,0,1\n")
        assert read_video_list(classes).class_names == ("text", "speech")

    def test_a_list_without_paths_names_its_columns(self, tmp_path):
        source = write(tmp_path / "a.csv", "number,label\n1,x\n")
        with pytest.raises(DataError, match=r"no column of paths; its columns are 'number', 'label'"):
            read(source, format="csv")

    def test_several_labels_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="several labels for one video, such as '0,2'"):
            read(write(tmp_path / "a.txt", "a.mp4 0,2\nb.mp4 1,2\n"), delimiter=" ")

    def test_the_header_decides_which_columns_exist(self, tmp_path):
        """Rows may leave out their last fields, also the first row."""
        source = write(
            tmp_path / "a.csv", "video,label,start,end,split\na.mp4,x\nb.mp4,y,0.5,1.5,train\nc.mp4,x,,,test\n"
        )
        assert times_of(source) == [(None, None), (0.5, 1.5), (None, None)]
        assert read(source, split="test") == [("c.mp4", "x")]

    @pytest.mark.parametrize("index", ["", "Unnamed: 0"])
    def test_the_index_of_pandas_is_no_split_time_or_group(self, tmp_path, index):
        rows = "17,a.mp4,x,0.5,1.5\n18,b.mp4,y,1,\n"
        source = write(tmp_path / "a.csv", f"{index},video,label,start,end\n{rows}")
        found = read_video_list(source, split="train")
        assert read(source) == [("a.mp4", "x"), ("b.mp4", "y")]
        assert [(one.start_seconds, one.end_seconds, one.group) for one in found.videos] == [
            (0.5, 1.5, None),
            (1.0, None, None),
        ]
        assert ("ignored: 'unnamed:_0'" in " ".join(found.notes)) == bool(index)

    @pytest.mark.parametrize("index", ["", "Unnamed: 0"])
    def test_the_index_of_pandas_is_no_frame_rate(self, tmp_path, index):
        times = []
        for name in (index, "number"):
            source = write(tmp_path / "a.csv", f"{name},video,label,start_frame,end_frame\n50,a.mp4,x,25,50\n")
            [video] = read_video_list(source).videos
            times.append((video.start_seconds, video.end_seconds))
        assert times[0] == times[1]

    @pytest.mark.parametrize("index", ["", "Unnamed: 0", "Unnamed: 0.1"])
    def test_the_index_of_pandas_is_no_label_and_no_class(self, tmp_path, index):
        assert read(write(tmp_path / "a.csv", f"{index},video,verb\n0,a.mp4,x\n1,b.mp4,y\n")) == [
            ("a.mp4", "x"),
            ("b.mp4", "y"),
        ]
        of_classes = write(tmp_path / "b.csv", f"{index},video,x,y\n0,a.mp4,1,0\n1,b.mp4,0,1\n")
        assert read_video_list(of_classes).class_names == ("x", "y")
        [video] = read_video_list(write(tmp_path / "c.csv", f"{index},video\n7,a.mp4\n")).videos
        assert video.label is None

    def test_fields_without_a_name_are_ignored_in_json(self, tmp_path):
        source = write(tmp_path / "a.jsonl", '{"": 0, "video": "a.mp4", "verb": "x"}\n')
        assert read(source) == [("a.mp4", "x")]

    @needs_faults
    @pytest.mark.parametrize(
        "name",
        ["caps.csv", "filepath.csv", "class_id.csv", "semicolon_no_header.csv", "keras.csv", "metadata.jsonl"],
    )
    def test_lists_of_other_tools(self, name):
        expected = ["0", "1"] if name == "class_id.csv" else ["x", "y"]
        assert read(FAULTS / "unknown_header" / name) == [("a.mp4", expected[0]), ("b.mp4", expected[1])]


class TestTimes:
    @pytest.mark.parametrize("names", TIMES)
    def test_usual_names(self, tmp_path, names):
        source = write(tmp_path / "a.csv", f"video,label,{names[0]},{names[1]}\na.mp4,x,0:00:00.5,1.5\nb.mp4,x,,\n")
        assert times_of(source) == [(0.5, 1.5), (None, None)]

    def test_camel_case_of_all_roles(self, tmp_path):
        header = "id,videoName,className,startFrame,endFrame,frameRate"
        source = write(tmp_path / "a.csv", f"{header}\n7,a.mp4,x,5,15,10\n")
        assert read(source) == [("a.mp4", "x")]
        assert times_of(source) == [(0.45, 1.45)]

    @pytest.mark.parametrize("name", ["duration", "durationSeconds", "duration_sec"])
    def test_start_and_duration(self, tmp_path, name):
        text = f"video,label,start,{name}\na.mp4,x,1:00,2.5\nb.mp4,x,,4\nc.mp4,x,3,\n"
        source = write(tmp_path / "a.csv", text)
        assert times_of(source) == [(60, 62.5), (None, 4), (3, None)]
        assert f"duration = '{name.lower()}'" in " ".join(read_video_list(source).notes)

    def test_a_duration_alone_or_with_an_end_is_that_of_the_file(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,label,duration,start,end\na.mp4,x,60,1,2\n")
        assert times_of(source) == [(1, 2)]
        assert times_of(write(tmp_path / "b.csv", "video,label,duration\na.mp4,x,60\n")) == [(None, None)]

    @pytest.mark.parametrize("span", SPANS)
    @pytest.mark.parametrize("name", ["segment", "timestamps", "time"])
    def test_start_and_end_in_one_field(self, tmp_path, name, span):
        source = write(tmp_path / "a.csv", f'video,label,{name}\na.mp4,x,"{span}"\nb.mp4,x,\n')
        assert times_of(source) == [(0.5, 1.5), (None, None)]

    @pytest.mark.parametrize("name", ["segment", "timestamp", "timestamps"])
    def test_pairs_of_json(self, tmp_path, name):
        records = [{"video": "a.mp4", "label": "x", name: [0.5, 1.5]}, {"video": "b.mp4", "label": "x", name: None}]
        assert times_of(write(tmp_path / "a.json", json.dumps(records))) == [(0.5, 1.5), (None, None)]
        lines = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
        assert times_of(lines) == [(0.5, 1.5), (None, None)]
        assert times_of(lines, columns={"segment": name}) == [(0.5, 1.5), (None, None)]

    @pytest.mark.parametrize(
        "times",
        [
            {"segments": [[0.5, 1.5], [2, 3]]},
            {"segments": [{"start": 0.5, "end": 1.5}]},
            {"segment": [0.5, 1.5, 2]},
            {"segment": [0.5, None]},
            {"start": {"seconds": 1}, "end": {"seconds": 2}},
            {"interval": [1, 2]},
            {"time": "1-2", "timestamps": [1, 2]},
            {"start": 1, "segment": [1, 2]},
        ],
        ids=str,
    )
    def test_other_times_of_json_are_refused(self, tmp_path, times):
        source = write(tmp_path / "a.json", json.dumps([{"video": "a.mp4", "label": "x", **times}]))
        with pytest.raises(DataError, match="times of unknown meaning"):
            read_video_list(source)

    @pytest.mark.parametrize(
        "column", ["from,a door", "time,12:30", "segment,3", "range,wide", 'time,"1,5"', "friends,2", "context,1"]
    )
    def test_other_columns_are_no_times(self, tmp_path, column):
        name, _, field = column.partition(",")
        assert times_of(write(tmp_path / "a.csv", f"video,label,{name}\na.mp4,x,{field}\n")) == [(None, None)]

    def test_an_end_frame_alone_is_read(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,label,end_frame,fps\na.mp4,x,15,10\n")
        assert times_of(source) == [(None, 1.45)]

    @pytest.mark.parametrize(
        "names",
        [
            *(
                "start,finish",
                "t_onset,t_offset",
                "stop,clip start",
                "clipStartTime",
                "clip_start_ms",
            ),
            *("first_frame,last_frame", "start,end_frame", "start_frame,end", "start,length", "start_frame,num_frames"),
            *("from", "to_frame"),
        ],
    )
    def test_half_an_interval_is_refused(self, tmp_path, names):
        source = write(tmp_path / "a.csv", f"video,label,{names}\na.mp4,x{',1' * len(names.split(','))}\n")
        with pytest.raises(DataError, match="times of unknown meaning"):
            read_video_list(source)

    def test_settings_name_unknown_times(self, tmp_path):
        source = write(tmp_path / "a.csv", "video,label,onset,offset\na.mp4,x,1,2\n")
        [video] = read_video_list(source, columns={"start": "onset", "end": "offset"}).videos
        assert (video.start_seconds, video.end_seconds) == (1, 2)

    def test_frame_numbers(self, tmp_path):
        from PIL import Image

        from side4video.video.decoding import open_video

        for number in range(60):
            Image.new("L", (4, 4), number).save(tmp_path / f"{number:03d}.png")
        source = write(tmp_path / "a.csv", "video,label,start_frame,stop_frame\n.,x,0,10\n.,x,29,31\n.,x,45.0,60\n")
        with pytest.raises(DataError, match=r"line 2: .* Frame numbers need the frames per second: give --data\.fps"):
            read_video_list(source)
        for fps in (25, 29.97, 59.94):
            ranges = []
            for part in read_video_list(source, fps=fps).videos:
                video = open_video(tmp_path, fps=fps, start_seconds=part.start_seconds, end_seconds=part.end_seconds)
                frames = video.read([0, video.num_frames - 1])[:, 0, 0, 0].tolist()
                ranges.append((frames[0], frames[1] + 1))
            assert ranges == [(0, 10), (29, 31), (45, 60)]

    def test_seconds_come_before_frame_numbers(self, tmp_path):
        header = "video,label,start_timestamp,stop_timestamp,start_frame,stop_frame"
        source = write(tmp_path / "a.csv", f"{header}\na.mp4,x,00:00:01.50,00:01:02.25,90,3735\n")
        found = read_video_list(source)
        assert (found.videos[0].start_seconds, found.videos[0].end_seconds) == (1.5, 62.25)
        assert "ignored: 'start_frame', 'stop_frame'" in " ".join(found.notes)

    @needs_faults
    @pytest.mark.parametrize(
        "name", ["begin-stop", "start-stop", "start_sec-end_sec", "start_timestamp-stop_timestamp"]
    )
    def test_lists_with_other_names(self, name):
        videos = read_video_list(FAULTS / f"unknown_columns/{name}.csv").videos
        assert [(video.start_seconds, video.end_seconds) for video in videos] == [(0.5, 1.0)] * 2


class TestSpreadsheets:
    """Tables as spreadsheet programs write them."""

    def test_decimal_commas_and_empty_rows(self, tmp_path):
        rows = "a.mp4;shot;0,5;2,25\r\na.mp4;pass;0:00:03,500;4\r\n;;;\r\n;;;\r\n"
        source = write(tmp_path / "x.csv", f"\ufeffsep=;\r\nvideo;label;start;end\r\n{rows}")
        assert times_of(source) == [(0.5, 2.25), (3.5, 4.0)]
        assert [video.line for video in read_video_list(source).videos] == [3, 4]

    @pytest.mark.parametrize("span", ["0,5-2,25", "0,5 ; 2,25", "0,5 2,25"])
    def test_spans_with_decimal_commas(self, tmp_path, span):
        source = write(tmp_path / "x.csv", f"video\tlabel\ttime\na.mp4\tshot\t{span}\n")
        assert times_of(source) == [(0.5, 2.25)]

    def test_a_time_with_a_decimal_comma_is_no_span(self, tmp_path):
        rows = 'a.mp4,shot,"0:01,5"\na.mp4,shot,"0:03,5"\n'
        with pytest.raises(DataError, match="times of unknown meaning: 'time'"):
            read_video_list(write(tmp_path / "x.csv", f"video,label,time\n{rows}"))

    def test_thousands_or_decimals_are_refused(self, tmp_path):
        source = write(tmp_path / "x.csv", "video;label;start;end\na.mp4;shot;1,234;1,236\n")
        with pytest.raises(DataError, match=r"line 2: '1,234' may be thousands or decimals. Write seconds"):
            read_video_list(source)

    @pytest.mark.parametrize(
        ("header", "rows", "unread"),
        [
            ("Datei;action;Beginn;Ende", ["a.mp4;shot;0,5;2", "a.mp4;shot;3;4,5"], "'beginn', 'ende'"),
            ("ファイル;action;開始;終了", ["a.mp4;shot;1;2", "a.mp4;shot;3;4"], "'開始', '終了'"),
            ("fichier;action;début;fin", ["a.mp4;shot;0:01;0:02", "b.mp4;shot;0:03;0:04"], "'début', 'fin'"),
            ("Datei;action;Start;Ende", ["a.mp4;shot;1;2", "a.mp4;shot;3;4"], "'ende'; known are start = 'start'"),
            ("Datei;action;Start;Dauer", ["a.mp4;shot;7;2", "a.mp4;shot;9;2"], "'dauer'; known are start = 'start'"),
            ("Datei;action;Zeit", ["a.mp4;shot;0:01", "a.mp4;shot;0:05"], "'zeit'"),
        ],
    )
    def test_times_with_headers_in_other_languages_are_refused(self, tmp_path, header, rows, unread):
        source = write(tmp_path / "x.csv", "\n".join([header, *rows]))
        with pytest.raises(DataError, match=f"times of unknown meaning: {unread}") as error:
            read_video_list(source)
        start, end = re.search(r"--data.columns start (\S+) end (\S+)\.", str(error.value)).groups()
        if "known are none" in str(error.value) and "Zeit" not in header:
            assert None not in times_of(source, columns={"start": start.strip("'"), "end": end.strip("'")})[0]

    @pytest.mark.parametrize(
        "rows",
        [["a.mp4,run,240,320", "b.mp4,run,240,320"], ["a.mp4,run,9:30,", "b.mp4,run,10:30,"], ["a.mp4,run,3,1"] * 2],
    )
    def test_other_numbers_are_no_times(self, tmp_path, rows):
        source = write(tmp_path / "x.csv", "\n".join(["video,label,height,width", *rows]))
        assert times_of(source) == [(None, None)] * 2

    @pytest.mark.parametrize(
        "text",
        [
            "# exported by a tool\n# 2024-01-01\npath,label\na.mp4,run\nb.mp4,walk\n",
            "path,label\na.mp4,run,\nb.mp4,walk,,\n",
            "path,label\na.mp4,run\npath,label\nb.mp4,walk\n",  # two tables, one after the other
            "#,path,label\n1,a.mp4,run\n2,b.mp4,walk\n",
            "# path,label\na.mp4,run\nb.mp4,walk\n",
        ],
        ids=["comments", "delimiters at the end", "headers inside", "a column of numbers", "a header as a comment"],
    )
    def test_other_lines_of_tables(self, tmp_path, text):
        assert read(write(tmp_path / "x.csv", text)) == [("a.mp4", "run"), ("b.mp4", "walk")]

    def test_a_table_without_paths_is_no_list_of_videos(self, tmp_path):
        with pytest.raises(DataError, match="no column of paths; its columns are 'action', 'start', 'end'"):
            read_video_list(write(tmp_path / "x.csv", "action,start,end\nshot,1,2\n"))

    def test_a_table_without_a_header_is_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"such as 'a.mp4,run,0.5,2'.*path,label,start,end"):
            read_video_list(write(tmp_path / "x.csv", "a.mp4,run,0.5,2\na.mp4,walk,3,4.5\n"))

    def test_an_empty_path_names_its_line(self, tmp_path):
        with pytest.raises(DataError, match=r"line 3: the column video is empty in .*'', 'run'"):
            read_video_list(write(tmp_path / "x.csv", "video,label\na.mp4,run\n,run\n"))

    def test_xml_of_other_tools_is_named(self, tmp_path):
        source = write(tmp_path / "x.anvil", '<?xml version="1.0"?>\n<annotation/>\n')
        with pytest.raises(DataError, match="XML that is not CVAT's"):
            read_video_list(source)


class TestNestedObjects:
    def test_fields_of_inner_objects_are_columns(self, tmp_path):
        objects = [{"video": {"path": f"{name}.mp4"}, "label": {"id": 7, "name": name}} for name in "ab"]
        source = write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, objects)))
        with pytest.raises(DataError, match=r"no label.*--data.columns label NAME.*'label.id', 'label.name'"):
            check_video_list(read_video_list(source))
        assert read(source, columns={"label": "label.name"}) == [("a.mp4", "a"), ("b.mp4", "b")]

    def test_times_of_inner_objects_are_not_ignored(self, tmp_path):
        source = write(tmp_path / "x.jsonl", '{"video": "a.mp4", "label": "x", "span": {"start": 1, "end": 2}}')
        with pytest.raises(DataError, match=r"times of unknown meaning: 'span.start', 'span.end'"):
            read_video_list(source)
        assert times_of(source, columns={"start": "span.start", "end": "span.end"}) == [(1.0, 2.0)]
