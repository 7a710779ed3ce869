"""Moments as CSV, subtitles, cut clips and edit lists."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from side4video.data.lists.annotations import read_video_list
from side4video.moments import edit_list
from side4video.moments.clips import cut_moments
from side4video.moments.edit_list import check_edit_list, write_edit_list
from side4video.moments.moment import Moment, clock_time
from side4video.moments.subtitles import write_srt, write_webvtt
from side4video.moments.tables import write_csv
from side4video.video.decoding import VideoError, VideoFile
from video.test_video_file import decode_plainly, write_video


@pytest.fixture
def film(tmp_path):
    return write_video(
        tmp_path / "film.mp4", g="10", sc_threshold="0"
    )  # 60 frames, 10 per second, a key frame every second


def moments(film):
    return [Moment(film, 1.2, 2.5, "run, fast", 0.9), Moment(film, 4.0, 6.0, "jump", 0.61234)]


def test_a_csv_is_a_list_that_training_reads(tmp_path, film):
    write_csv(tmp_path / "moments.csv", moments(film))
    with (tmp_path / "moments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"video": str(film), "start": "4.000", "end": "6.000", "label": "jump", "score": "0.6123"}
    listed = read_video_list(tmp_path / "moments.csv")
    found = [(v.path, listed.class_names[v.label], v.start_seconds, v.end_seconds) for v in listed.videos]
    assert found == [(film, "run, fast", 1.2, 2.5), (film, "jump", 4.0, 6.0)]


def test_a_csv_holds_no_formula(tmp_path):
    write_csv(tmp_path / "moments.csv", [Moment(Path("/a.mp4"), 0, 1, "=1+1", 0.5)])
    assert "'=1+1" in (tmp_path / "moments.csv").read_text()


def seconds(text):
    hours, minutes, rest = text.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


@pytest.mark.parametrize("write", [write_webvtt, write_srt])
def test_subtitles_have_a_cue_per_moment(tmp_path, write):
    odd = Moment(Path("a.mp4"), 3599.9996, 7325.5, "a\n\nb --> <i>", 0.5)
    write(tmp_path / "film", [*moments(Path("a.mp4")), odd])
    text = (tmp_path / "film").read_text()
    times = [tuple(map(seconds, cue)) for cue in re.findall(r"^(\S+) --> (\S+)$", text, re.MULTILINE)]
    assert times == [(1.2, 2.5), (4.0, 6.0), (3600.0, 7325.5)]
    cues = text.removeprefix("WEBVTT\n\n").strip().split("\n\n")
    assert len(cues) == 3, "nothing in a name ends a cue"
    assert "run, fast 90 %" in text
    if write is write_webvtt:
        assert text.startswith("WEBVTT\n\n")
        assert "<i>" not in text
    else:
        assert [cue.splitlines()[0] for cue in cues] == ["1", "2", "3"]


def test_exact_clips_have_the_frames_of_the_moment(tmp_path, film):
    files = cut_moments(moments(film), tmp_path / "clips", padding_seconds=0.5)
    assert [file.name for file in files] == ["film-0001-0001.20s-run_fast.mp4", "film-0002-0004.00s-jump.mp4"]
    expected = decode_plainly(film)
    for file, (first, stop) in zip(files, [(7, 30), (35, 60)], strict=True):
        with VideoFile(file) as video:
            found = video.read_pictures(range(video.num_frames)).astype(int)
        assert found.shape == (stop - first, 48, 64, 3)
        for one, other in zip(found, expected[first:stop], strict=True):
            assert np.abs(one - other).mean() < 6, "encoded again, so not bit-equal"


def test_copied_clips_start_at_a_key_frame(tmp_path, film):
    (first, _) = cut_moments(moments(film), tmp_path / "clips", mode="copy")
    with VideoFile(first) as video:
        found = video.read_pictures(range(video.num_frames))
    for one, other in zip(found[:15], decode_plainly(film)[10:25], strict=True):
        assert np.array_equal(one, other)


def test_wrong_cuts_are_refused(tmp_path, film):
    with pytest.raises(ValueError, match="padding_seconds"):
        cut_moments(moments(film), tmp_path, padding_seconds=-1.0)
    with pytest.raises(VideoError, match="no such file"):
        cut_moments(moments(tmp_path / "gone.mp4"), tmp_path / "clips", mode="copy")


def test_an_edit_list_opens_again_with_the_same_parts(tmp_path, film):
    otio = pytest.importorskip("opentimelineio", reason="pip install 'side4video[otio]'")
    write_edit_list(tmp_path / "cut.otio", moments(film), title="my cut", padding_seconds=0.5)
    timeline = otio.adapters.read_from_file(str(tmp_path / "cut.otio"))
    (track,) = timeline.video_tracks()
    ranges = [clip.source_range for clip in track]
    spans = [(r.start_time.to_seconds(), r.end_time_exclusive().to_seconds()) for r in ranges]
    assert spans == [pytest.approx((0.7, 3.0)), pytest.approx((3.5, 6.0))]
    assert [clip.name for clip in track] == ["run, fast", "jump"]
    assert track[0].metadata["side4video"]["score"] == 0.9
    assert {clip.media_reference.target_url for clip in track} == {film.as_uri()}
    assert track[0].available_range().duration.to_seconds() == pytest.approx(6.0)
    assert timeline.name == "my cut"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".otio"] == ["cut.otio"]


def test_an_edit_list_that_cannot_be_written_is_refused_early(tmp_path, monkeypatch):
    pytest.importorskip("opentimelineio", reason="pip install 'side4video[otio]'")
    with pytest.raises(ValueError, match=r"cut.mp4: edit lists are written as .*\.otio"):
        check_edit_list(tmp_path / "cut.mp4")
    monkeypatch.setitem(__import__("sys").modules, "opentimelineio", None)
    with pytest.raises(ModuleNotFoundError, match=r"side4video\[otio\]"):
        edit_list.check_edit_list(tmp_path / "cut.otio")


def test_times_are_short():
    assert [clock_time(s) for s in (0, 59.6, 3600)] == ["0:00", "1:00", "1:00:00"]
    assert clock_time(3599.99, decimals=1) == "59:59.9"
