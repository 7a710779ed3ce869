"""Lists with a row for each frame or second."""

import json

import pytest

from side4video.data.lists.annotations import DataError, read_video_list


def write(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))
    return path


def segments(path, **options):
    found = read_video_list(path, **options)
    return [
        (
            video.name,
            found.class_names[video.label] if video.labels is None else {found.class_names[c] for c in video.labels},
            video.start_seconds,
            video.end_seconds,
        )
        for video in found.videos
    ]


def test_neighbouring_frames_are_a_segment(tmp_path):
    labels = ["run"] * 3 + ["walk"] * 2 + ["run"]
    rows = [("a.mp4", frame, label) for frame, label in enumerate(labels)] + [("b.mp4", 7, "run"), ("b.mp4", 8, "run")]
    path = write(tmp_path / "l.csv", "video,frame,label", reversed(rows))  # in any order
    between = 0.5 / 10  # boundaries lie between two frames
    assert segments(path, fps=10) == [
        ("a.mp4", "run", 0.0, pytest.approx(0.3 - between)),
        ("a.mp4", "walk", pytest.approx(0.3 - between), pytest.approx(0.5 - between)),
        ("a.mp4", "run", pytest.approx(0.5 - between), pytest.approx(0.6 - between)),
        ("b.mp4", "run", pytest.approx(0.7 - between), pytest.approx(0.9 - between)),
    ]
    notes = " ".join(read_video_list(path, fps=10).notes)
    assert "moment = 'frame'" in notes
    assert "A row for each frame ('frame', from 0, every 1)" in notes


@pytest.mark.parametrize("name", ["second", "Seconds", "sec"])
def test_every_fifth_second_with_gaps(tmp_path, name):
    """A gap ends a segment; frames without a label, as pandas writes them, are left out."""
    rows = [("a.mp4", s, label) for s, label in [(0, "x"), (5, "x"), (10, "nan"), (15, "x"), (20, "x"), (40, "x")]]
    path = write(tmp_path / "l.csv", f"video,{name},label", rows)
    assert "1 parts without a label are left out." in read_video_list(path).notes
    assert segments(path) == [
        ("a.mp4", "x", 0.0, 10.0),
        ("a.mp4", "x", 15.0, 25.0),
        ("a.mp4", "x", 40.0, 45.0),
    ]


def test_a_column_for_each_class(tmp_path):
    rows = [("a.mp4", 0, 1, 0), ("a.mp4", 1, 1, 0), ("a.mp4", 2, 1, 1), ("a.mp4", 3, 0, 0), ("a.mp4", 4, 0, 1)]
    assert segments(write(tmp_path / "l.csv", "video,second,groom,rear", rows)) == [
        ("a.mp4", {"groom"}, 0.0, 2.0),
        ("a.mp4", {"groom", "rear"}, 2.0, 3.0),
        ("a.mp4", {"rear"}, 4.0, 5.0),
    ]


class TestSeveralRowsOfOneMoment:
    """As tools write them that have a row for each label, person or box."""

    ROWS = (("a.mp4", 0, "x"), ("a.mp4", 1, "x"), ("a.mp4", 1, "y"), ("a.mp4", 2, "y"), ("a.mp4", 2, "x"))

    def test_equal_labels_count_once(self, tmp_path):
        rows = [*self.ROWS[:2], ("a.mp4", 1, "x"), ("a.mp4", 1, "nan"), ("a.mp4", 2, "y")]
        path = write(tmp_path / "l.csv", "video,second,label", rows)
        assert segments(path) == [("a.mp4", "x", 0.0, 2.0), ("a.mp4", "y", 2.0, 3.0)]

    def test_two_labels_are_refused(self, tmp_path):
        path = write(tmp_path / "l.csv", "video,second,label", self.ROWS)
        message = r"2 seconds have several labels: 'a.mp4 1: x, y', 'a.mp4 2: x, y'\. .* give --data\.multi-label true"
        with pytest.raises(DataError, match=message):
            read_video_list(path)

    def test_several_labels_are_merged(self, tmp_path):
        rows = [*self.ROWS, ("a.mp4", 3, "x|z"), ("a.mp4", 3, "nan"), ("a.mp4", 4, "nan"), ("a.mp4", 5, "x")]
        assert segments(write(tmp_path / "l.csv", "video,second,label", rows), multi_label=True) == [
            ("a.mp4", {"x"}, 0.0, 1.0),
            ("a.mp4", {"x", "y"}, 1.0, 3.0),
            ("a.mp4", {"x", "z"}, 3.0, 4.0),
            ("a.mp4", {"x"}, 5.0, 6.0),
        ]

    def test_lists_of_json_are_merged(self, tmp_path):
        rows = [{"video": "a.mp4", "second": second, "labels": [label]} for _, second, label in self.ROWS]
        (tmp_path / "l.json").write_text(json.dumps(rows))
        assert segments(tmp_path / "l.json") == [("a.mp4", {"x"}, 0.0, 1.0), ("a.mp4", {"x", "y"}, 1.0, 3.0)]


def test_each_split_is_joined_alone(tmp_path):
    rows = [
        ("a.mp4", 0, "x", "train"),
        ("a.mp4", 1, "x", "train"),
        ("a.mp4", 2, "x", "train"),
        ("b.mp4", 3, "y", "test"),
    ]
    path = write(tmp_path / "l.csv", "video,second,label,split", rows)
    assert segments(path, split="train") == [("a.mp4", "x", 0.0, 3.0)]
    assert segments(path, split="test") == [("b.mp4", "y", 3.0, 4.0)]


@pytest.mark.parametrize(
    "rows",
    [
        [("a.mp4", 3, "x"), ("b.mp4", 5, "y"), ("c.mp4", 9, "x")],  # a chosen frame of each video
        [("a.mp4", 3, "x"), ("a.mp4", 50, "x"), ("a.mp4", 61, "x"), ("a.mp4", 300, "x")],  # some chosen frames
        [("a.mp4", 1.5, "x"), ("a.mp4", 2.5, "x"), ("a.mp4", 3.5, "x")],
    ],
)
def test_other_numbers_are_ignored(tmp_path, rows):
    found = segments(write(tmp_path / "l.csv", "video,frame,label", rows))
    assert {row[2:] for row in found} == {(None, None)}


def test_times_come_first(tmp_path):
    rows = [("a.mp4", number, "x", number, number + 2) for number in range(4)]
    found = segments(write(tmp_path / "l.csv", "video,frame,label,start,end", rows))
    assert found == [("a.mp4", "x", float(number), float(number + 2)) for number in range(4)]
