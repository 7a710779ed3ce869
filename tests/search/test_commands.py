"""`side4video index` and `side4video search` as a user calls them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from side4video import VideoIndex
from side4video.cli import main
from side4video.moments.moment import clock_time


@pytest.fixture
def here(videos, tmp_path, monkeypatch, adapter):
    """The current folder of a user: `videos`, a CSV about them, and an index of them."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{path.relative_to(tmp_path)},{place}" for place, path in enumerate(sorted(videos.glob("*/*.mp4")))]
    Path("facts.csv").write_text("\n".join(["path,number", *rows, "nowhere.mp4,9"]))
    return tmp_path


def index(*arguments):
    return main(["index", "videos", "--to", "index", "--device", "cpu", "--workers", "0", *map(str, arguments)])


def search(*arguments):
    return main(["search", "index", "--device", "cpu", *map(str, arguments)])


def test_index_and_search(here, adapter, capsys):
    assert index("--model", adapter, "--metadata", "facts.csv", "--json", "done.json") == 0
    printed = capsys.readouterr()
    assert "8 embedded, 0 unchanged, 0 moved or copied, 0 removed, 0 not read" in printed.out
    assert "8 videos in 8 windows: index" in printed.out
    assert "'nowhere.mp4' is not a video of the index" in printed.err
    assert json.loads(Path("done.json").read_text())["unknown"] == ["nowhere.mp4"]

    Path("questions.txt").write_text("a ring\n\n")
    command = ["a star moves", "--queries", "questions.txt", "--top-k", "3", "--where", "number>=2", "--json", "f.json"]
    assert search(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["a star moves", "a ring"]
    expected = VideoIndex.open("index", device="cpu").search("a star moves", top_k=8)
    expected = [video for video in expected if video.file.metadata["number"] >= 2][:3]
    found = json.loads(Path("f.json").read_text())["queries"]
    assert [query["text"] for query in found] == ["a star moves", "a ring"]
    assert [video["path"] for video in found[0]["found"]] == [video.file.path for video in expected]
    for place, (line, video) in enumerate(zip(lines[1:4], expected, strict=True), start=1):
        assert line.split()[:4] == [
            f"{place}.",
            f"{video.score:.3f}",
            str(Path(video.file.path).relative_to(here)),
            "0:00-0:02",
        ]
    assert found[0]["found"][0]["metadata"]["number"] >= 2
    assert [match["word"] for match in found[0]["found"][0]["matches"]] == [match.word for match in expected[0].matches]


def test_filters_that_no_video_meets_are_named(here, adapter, capsys):
    assert index("--model", adapter, "--metadata", "facts.csv") == 0
    for filters in (["--path", "*.MP4"], ["--where", "number>=100"], ["--where", "number>3", "--path", "*/none/*"]):
        assert search("a ring", *filters) == 0
        printed = capsys.readouterr()
        assert "nothing found" in printed.out
        assert "no video of the index meets the conditions of --where and --path" in printed.err
    assert search("a ring", "--where", "number>3", "--min-score", "2") == 0
    assert "no video" not in capsys.readouterr().err


def test_index_remembers_its_model_and_refuses_another(here, adapter, capsys, tmp_path):
    assert index("--model", adapter) == 0
    assert index() == 0
    assert "0 embedded, 8 unchanged" in capsys.readouterr().out
    other = shutil.copytree(adapter / "best", tmp_path / "other")
    content = json.loads((other / "config.json").read_text())
    content["settings"]["data"]["num_frames"] = 6
    (other / "config.json").write_text(json.dumps(content))
    assert index("--model", other) == 2
    assert "the settings of frames and pictures differ" in capsys.readouterr().err
    assert search("a star", "--model", other) == 2
    assert "the settings of frames and pictures differ" in capsys.readouterr().err


def test_moved_adapter_is_given_by_its_new_path(here, adapter, capsys, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(adapter / "best", first)
    assert index("--model", first) == 0
    first.rename(second)
    assert search("a star") == 2
    assert "is not at its recorded path" in capsys.readouterr().err
    assert search("a star", "--model", second) == 0
    assert index("--model", second) == 0
    assert search("a star") == 0


def test_by_example_and_by_path(here, adapter, capsys):
    assert index("--model", adapter) == 0
    example = next(Path("videos").glob("*/*.mp4"))
    shutil.copy(example, "example.mp4")
    assert search("--like", "example.mp4", "--top-k", "2") == 0
    first = capsys.readouterr().out.splitlines()[-2:]
    assert first[0].split()[1:3] == ["1.000", str(example)]
    assert search("a star", "--path", "*/clockwise/*") == 0
    assert capsys.readouterr().out.count(".mp4") == 1
    assert search("a star", "--path", "*/nowhere/*") == 0
    assert "nothing found" in capsys.readouterr().out


def test_every_query_is_answered_also_equal_ones(here, adapter, capsys):
    assert index("--model", adapter) == 0
    Path("questions.txt").write_text("a ring\na star\na ring\n")
    assert search("--queries", "questions.txt", "--json", "found.json") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("a ")] == [
        "a ring",
        "a star",
        "a ring",
    ]
    found = json.loads(Path("found.json").read_text())["queries"]
    assert [query["text"] for query in found] == ["a ring", "a star", "a ring"]
    assert found[0]["found"] == found[2]["found"]


def test_results_on_standard_output_come_alone(here, adapter, capsys):
    assert index("--model", adapter) == 0
    capsys.readouterr()
    assert search("a ring", "--json", "-") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["queries"][0]["text"] == "a ring"
    assert printed.err.startswith("a ring\n   1. ")
    assert not Path("-").exists()


def test_long_queries_say_where_they_are_cut(here, adapter, capsys):
    assert index("--model", adapter) == 0
    capsys.readouterr()
    assert search("a ring " * 30, "a ring") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: a ring a ring")
    assert line.endswith("ring”.")
    assert " tokens of a query; this one is cut after “a ring" in line


def test_the_types_of_the_metadata_are_printed_and_refused_conditions_name_values(here, adapter, capsys):
    rows = [
        f"{path},{'n/a' if place == 0 else place},5/{17 + place}/2015,{'red' if place % 2 else 'blue'}"
        for place, path in enumerate(sorted(Path("videos").glob("*/*.mp4")))
    ]
    Path("facts.csv").write_text("\n".join(["path,seconds,recorded,colour", *rows]))
    assert index("--model", adapter, "--metadata", "facts.csv") == 0
    assert "seconds: numbers (1 missing); recorded: dates (month/day/year); colour: text" in capsys.readouterr().out
    found = {}
    for condition in ("seconds>=5", "recorded>=2015-05-23", "colour=red"):
        assert search("a star", "--where", condition, "--json", "found.json") == 0
        found[condition] = len(json.loads(Path("found.json").read_text())["queries"][0]["found"])
    assert found == {"seconds>=5": 3, "recorded>=2015-05-23": 2, "colour=red": 4}
    capsys.readouterr()
    for condition, message in (
        ("colour=Red", "no video has colour 'Red'. Did you mean 'red'"),
        ("colour>red", "because of 'blue', 'red'"),
        ("seconds=1 AND colour=red", "is a second condition"),
    ):
        assert search("a star", "--where", condition) == 2
        assert message in capsys.readouterr().err


def test_bad_files_give_exit_code_1(here, adapter, capsys):
    Path("videos/broken.mp4").write_bytes(b"no video")
    assert index("--model", adapter, "--json", "done.json") == 1
    printed = capsys.readouterr()
    assert "not read: " in printed.err
    assert "8 embedded" in printed.out
    (unread,) = json.loads(Path("done.json").read_text())["unread"]
    assert unread["path"] == str(here / "videos/broken.mp4")
    assert unread["reason"]


def test_file_names_that_are_not_utf8(here, adapter, capsys):
    examples = iter(Path("videos").glob("*/*.mp4"))
    odd = [os.fsdecode(b"videos/caf\xe9.mp4"), 'videos/\x1b[31mit\'s "x".mp4']
    for name in odd:
        next(examples).rename(name)
    Path(os.fsdecode(b"videos/broken\xe9\x1b.mp4")).write_bytes(b"no video")
    assert index("--model", adapter, "--json", "done.json") == 1
    assert search("a star", "--json", "found.json") == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out
    assert "\x1b" not in printed.err
    paths = {video["path"] for video in json.loads(Path("found.json").read_text())["queries"][0]["found"]}
    assert {f"file://{here}/videos/caf%E9.mp4", str(here / odd[1])} <= paths
    assert json.loads(Path("done.json").read_text())["unread"][0]["path"].endswith("/videos/broken%E9%1B.mp4")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["index", "--to", "new", "--model", "clip-b16"], "give videos"),
        (["index", "videos", "--to", "new"], "is not an index yet"),
        (["index", "nowhere", "--to", "new", "--model", "ADAPTER"], "'nowhere' is not a video file"),
        (["index", "videos", "--to", "new", "--model", "runs/none/x"], "is not an adapter"),
        (["index", "videos", "--to", "new", "--model", "clip-b61"], "Did you mean the CLIP model 'clip-b16'?"),
        (["index", "videos", "--to", "new", "--model", "ADAPTER", "--metadata", "none.csv"], "cannot be read"),
        (["search", "new", "a star"], "is not an index. Make one"),
        (["search", "index"], "Nothing to search for"),
        (["search", "index", "a star", "--where", "number"], "is not a condition"),
        (["search", "index", "a star", "--where", "nummer=1"], "Did you mean 'number'"),
        (["search", "index", "--like", "none.mp4"], "it cannot be read (No such file"),
    ],
)
def test_wrong_input(here, adapter, capsys, command, message):
    if command[0] == "search":
        assert index("--model", adapter, "--metadata", "facts.csv") == 0
    words = [str(adapter) if word == "ADAPTER" else word for word in command]
    assert main([*words, "--device", "cpu"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (9.6, "0:10"), (59.9, "1:00"), (75, "1:15"), (3725, "1:02:05")]
)
def test_clock_time(seconds, expected):
    assert clock_time(seconds) == expected
