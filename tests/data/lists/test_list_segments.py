"""Segments of long files in lists: times, lines, overlaps, groups, and the frames that training reads."""

import json
import math
import random

import pytest

from side4video.data.datasets import ClipKey, TrainClips
from side4video.data.lists.annotations import DataError, LabelledVideo, check_video_list, read_video_list
from side4video.data.lists.groups import find_groups
from side4video.data.lists.list_formats import detect_format
from side4video.data.lists.segments import describe_parts, overlapping, parse_seconds
from side4video.data.sampling import FrameSampling


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        (None, None),
        ("0", 0.0),
        ("83.5", 83.5),
        (12, 12.0),
        ("1:23.5", 83.5),
        ("0:01:23.5", 83.5),
        ("2:00:00", 7200.0),
        ("90:00", 5400.0),
        (" 1:05 ", 65.0),
        ("1:5", math.nan),
        ("1:60", math.nan),
        ("1:60:00", math.nan),
        ("1:2:03", math.nan),
        ("-1:00", math.nan),
        ("1:23,5", 83.5),
        ("0:01:23,500", 83.5),
        ("2,5", 2.5),
        ("1,234", math.nan),
        ("1,234.5", math.nan),
        ("nan", None),
        ("NaT", None),
        ("None", None),
        (" - ", None),
        ("12.5s", 12.5),
        ("90 sec", 90.0),
        ("1h 2m 3.5s", 3723.5),
        ("2 min", 120.0),
        ("500ms", 0.5),
        ("1s 250ms", 1.25),
        ("0 days 00:01:02.5", 62.5),
        ("1 day 0:00:01", 86401.0),
        ("1,500s", math.nan),
        ("10%", math.nan),
        ("00:00:01:12", math.nan),
        (math.nan, math.nan),
        ("inf", math.nan),
        ("soon", math.nan),
        (True, math.nan),
        ([1], math.nan),
    ],
)
def test_times(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds, nan_ok=True)


def write(path, text):
    path.write_text(text)
    return path


def write_lines(path, *records):
    return write(path, "\n".join(json.dumps(record) for record in records) + "\n")


@pytest.fixture
def film(tmp_path):
    (tmp_path / "film.mp4").touch()
    return tmp_path / "film.mp4"


def test_csv_and_json_lines_give_the_same_segments(tmp_path, film):
    table = write(
        tmp_path / "list.csv",
        "video,label,start,end\nfilm.mp4,run,0:00:05,0:00:07.5\n\nfilm.mp4,sit,1:02,\nfilm.mp4,run,,4\n",
    )
    lines = write_lines(
        tmp_path / "list.jsonl",
        {"video": "film.mp4", "label": "run", "start": 5, "end": "7.5", "notes": ["ignored"]},
        {"video": "film.mp4", "label": "sit", "start": "1:02", "end": None},
        {"video": "film.mp4", "label": "run", "end": "0:04"},
    )
    one, two = read_video_list(table), read_video_list(lines)
    assert (detect_format(table), detect_format(lines)) == ("csv", "jsonl")
    assert one.videos == two.videos
    assert one.class_names == two.class_names == ("run", "sit")
    times = [(video.start_seconds, video.end_seconds, video.label) for video in one.videos]
    assert times == [(5.0, 7.5, 0), (62.0, None, 1), (None, 4.0, 0)]
    assert [video.line for video in one.videos] == [2, 4, 5], "empty lines count"
    assert [video.line for video in two.videos] == [1, 2, 3]
    assert {str(video.path) for video in one.videos} == {str(film)}


def test_json_lines_may_give_numbers_as_labels_and_a_split(tmp_path, film):
    lines = write_lines(
        tmp_path / "list.ndjson",
        {"path": "film.mp4", "class": 1, "split": "train"},
        {"path": "film.mp4", "class": 0, "split": "test", "start": 3},
    )
    (video,) = read_video_list(lines, split="test", class_names=["a", "b"]).videos
    assert (video.label, video.start_seconds, video.line) == (0, 3.0, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"video": "film.mp4", "label": "a", "start": "1:75"}\n',
            r"list\.jsonl, line 1: '1:75' is not a time\. Write",
        ),
        ('{"video": "film.mp4", "label": "a"}\n["film.mp4"]\n', r"list\.jsonl, line 2, is no object"),
        ('{"video": "film.mp4", "label": "a"}\n{"video": \n', r"list\.jsonl, line 2, is not JSON"),
        ('{"video": ["film.mp4"], "label": "a"}\n', r"the column video is a list in"),
        ('{"label": "a"}\n', r"list\.jsonl has no column of paths"),
        ('{"video": "film.mp4", "label": "a"}\n{"label": "a"}\n', r"the column video is empty in"),
    ],
)
def test_wrong_lines_are_named(tmp_path, film, text, message):
    with pytest.raises(DataError, match=message):
        read_video_list(write(tmp_path / "list.jsonl", text))


def test_a_wrong_time_in_a_csv_is_named_with_its_line(tmp_path, film):
    table = write(tmp_path / "list.csv", "video,label,start,end\nfilm.mp4,a,0,1\n\n\nfilm.mp4,a,1:02:3,2\n")
    with pytest.raises(DataError, match=r"line 5: '1:02:3' is not a time\. Write seconds, m:ss or h:mm:ss"):
        read_video_list(table)


def test_wrong_order_and_two_labels_are_errors_with_lines(tmp_path, film):
    rows = "film.mp4,a,5,5\nfilm.mp4,b,9,2\nfilm.mp4,a,20,30\nfilm.mp4,b,20,30\n"
    with pytest.raises(DataError) as caught:
        check_video_list(read_video_list(write(tmp_path / "list.csv", "video,label,start,end\n" + rows)))
    text = str(caught.value)
    assert (
        "2 segments end before they start: 'film.mp4 from 5.0 to 5.0 (line 2)', 'film.mp4 from 9.0 to 2.0 (line 3)'"
        in text
    )
    assert (
        "1 videos have two labels: 'film.mp4 from 20.0 to 30.0 (line 4) and film.mp4 from 20.0 to 30.0 (line 5)'"
        in text
    )


def test_overlaps_are_warnings_with_lines(tmp_path, film):
    rows = "film.mp4,a,0,10\nfilm.mp4,b,10,20\nfilm.mp4,a,15,25\n"
    checked = check_video_list(read_video_list(write(tmp_path / "list.csv", "video,label,start,end\n" + rows)))
    assert checked.warnings == (
        "1 segments overlap an earlier one of their file: 'film.mp4 from 10.0 to 20.0 (line 3) and film.mp4 from 15.0 "
        "to 25.0 (line 4)'.",
    )


def segments_of(path, *times):
    return [LabelledVideo(path, 0, "film.mp4", start, end) for start, end in times]


def test_overlaps_by_brute_force(film):
    chance = random.Random(0)
    for _ in range(200):
        times = [(start := chance.randrange(12), start + chance.randrange(1, 5)) for _ in range(chance.randrange(1, 7))]
        segments = segments_of(film, *times)
        found = {place for place, _ in overlapping(segments)}
        for place, (start, end) in enumerate(times):
            before = [
                other
                for number, other in enumerate(times)
                if (other, number) < ((start, end), place) and other != (start, end) and other[1] > start
            ]
            assert place not in found or before, times
            if before and times.count((start, end)) == 1:
                assert place in found, times
        for one, other in overlapping(segments):
            assert max(times[one][0], times[other][0]) < min(times[one][1], times[other][1])


def test_open_ends_overlap_and_whole_files_do_not(film):
    assert list(overlapping(segments_of(film, (0.0, None), (50.0, 60.0)))) == [(1, 0)]
    assert list(overlapping(segments_of(film, (None, None), (None, None)))) == []
    assert list(overlapping([*segments_of(film, (0.0, 5.0)), *segments_of(film.with_name("b.mp4"), (1.0, 4.0))])) == []


def test_how_a_list_is_summed_up(film):
    assert describe_parts(segments_of(film, (None, None))) is None
    assert describe_parts(segments_of(film, (0.0, 2.5), (4.0, 5.0))) == "2 segments of 1 file, 3.5 s in all"
    mixed = [*segments_of(film, (0.0, None)), *segments_of(film.with_name("b.mp4"), (None, 3.0), (None, None))]
    assert describe_parts(mixed) == "2 segments of 2 files, and 1 whole videos"


def test_segments_of_one_file_stay_together_in_folds(film):
    other = film.with_name("other.mp4")
    clips = [*segments_of(film, (0.0, 1.0), (1.0, 2.0)), *segments_of(other, (0.0, 1.0))]
    found = find_groups(clips, None)
    assert found.groups == (str(film), str(film), str(other))
    assert "the file that each segment is a part of" in found.origin
    assert find_groups(clips[:2], None).groups is None, "one file gives no folds"


def levels(frames, label):
    """Frame n of the videos here has grey level 2 n."""
    return (frames.float().mean(dim=(1, 2, 3), keepdim=True) / 2).expand(-1, 3, 2, 2), label


@pytest.mark.parametrize("kind", ["segments", "dense"])
def test_training_reads_a_segment_like_a_file_of_its_own(tmp_path, make_video, kind):
    film = make_video(tmp_path / "film.mp4", range(0, 240, 2))  # 120 frames, 10 per second
    cut = make_video(tmp_path / "cut.mp4", range(100, 160, 2))  # frames 50 to 79
    sampling = FrameSampling(num_frames=4, kind=kind, stride=3 if kind == "dense" else None)
    for seed in range(5):
        of_segment, of_file = (
            TrainClips([video], sampling=sampling, transform=levels, seed=seed, repeats=2)[ClipKey(1, 0)].frames
            for video in (LabelledVideo(film, 0, "film", 5.0, 8.0), LabelledVideo(cut, 0, "cut"))
        )
        assert of_segment.round().tolist() == of_file.round().tolist()
        assert 50 <= of_segment.min().round() <= of_segment.max().round() <= 79


def test_a_segment_beyond_the_end_is_a_failure_with_its_line(tmp_path, make_video):
    make_video(tmp_path / "film.mp4", range(0, 200, 5))  # 4 seconds
    table = write(tmp_path / "list.csv", "video,label,start,end\nfilm.mp4,a,0,2\nfilm.mp4,b,0:01:00,0:01:05\n")
    videos = read_video_list(table).videos
    clips = TrainClips(videos, sampling=FrameSampling(num_frames=4), transform=levels, seed=0)
    assert clips[ClipKey(0, 0)].frames.shape[1] == 4
    failure = clips[ClipKey(0, 1)]
    assert failure.reason.startswith(
        "there is no frame from start_seconds=60.0 to end_seconds=65.0; the video is 4.000"
    )
    assert failure.reason.endswith("(line 3 of its list)")


@pytest.mark.parametrize(
    "header", ["start_ms,end_ms", "Start (ms),End (ms)", "begin_ms,stop_ms", "startMs,endMs", "start_ms,duration_ms"]
)
def test_columns_of_milliseconds(tmp_path, header):
    end = 1000 if "duration" in header else 1500
    source = write(tmp_path / "a.csv", f"video,{header},label\na.mp4,500,{end},run\nb.mp4,0:01,0:02,run\n")
    if "duration" in header:
        source = write(tmp_path / "a.csv", f"video,{header},label\na.mp4,500,{end},run\n")
    video = read_video_list(source).videos[0]
    assert (video.start_seconds, video.end_seconds) == (0.5, 1.5)


def test_segments_before_the_start_are_refused(tmp_path):
    (tmp_path / "a.mp4").touch()
    source = write(tmp_path / "a.csv", "video,start,end,label\na.mp4,-1,1,run\n")
    with pytest.raises(DataError, match=r"1 segments start before 0: 'a\.mp4 from -1\.0 to 1\.0 \(line 2\)'"):
        check_video_list(read_video_list(source))
