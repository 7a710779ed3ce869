"""`evaluate --timeline`: mAP of timelines against the segments of a list."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from side4video.cli import main
from side4video.demo.moving_shapes import Scene, draw_clip
from side4video.demo.videos import write_video
from side4video.inference.predictor import Predictor
from side4video.timeline.detection import THRESHOLDS

ADAPTER = Path(__file__).parents[1] / "earlier/adapter"
WINDOWS = ("--window-seconds", "2", "--min-score", "0.5")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for number in range(2):
        motions = ("clockwise", "anticlockwise", "clockwise")
        clips = [draw_clip(Scene.random(np.random.default_rng([number, n]), size=32), m) for n, m in enumerate(motions)]
        write_video(folder / f"{number}.mp4", np.concatenate(clips), frames_per_second=12)
    return folder


def write_list(path, rows):
    path.write_text("\n".join(["path,label,start,end", *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def evaluate(segments, out, *more):
    data = ["--data.test", str(segments), "--data.root", str(segments.parent), "--device", "cpu"]
    adapter = shutil.copytree(ADAPTER, out.parent / "adapter", dirs_exist_ok=True)  # scores go into its model card
    return main(["evaluate", str(adapter), "--timeline", *WINDOWS, *data, "--json", str(out), *more])


def test_segments_equal_to_the_timeline_score_one(films, tmp_path, capsys):
    predictor, rows = Predictor(ADAPTER, device="cpu"), []
    for film in sorted(films.glob("*.mp4")):
        timeline = predictor.timeline(film, window_seconds=2.0)
        rows += [(film.name, m.name, m.start_seconds, m.end_seconds) for m in timeline.moments]
    assert evaluate(write_list(films / "own.csv", rows), tmp_path / "scores.json") == 0
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [content[f"mAP@{threshold:g}"] for threshold in THRESHOLDS] == [1.0] * 5
    assert (content["mAP"], content["videos"], content["segments"]) == (1.0, 2, len(rows))
    printed = capsys.readouterr().out
    assert "100.0%" in printed
    assert "average precision by tIoU" in printed


def test_shifted_segments_lose_at_high_thresholds(films, tmp_path):
    predictor, rows = Predictor(ADAPTER, device="cpu"), []
    for film in sorted(films.glob("*.mp4")):
        for m in predictor.timeline(film, window_seconds=2.0).moments:
            length = m.end_seconds - m.start_seconds
            rows.append((film.name, m.name, m.start_seconds + length * 0.45, m.end_seconds))  # tIoU 0.55
    assert evaluate(write_list(films / "shifted.csv", rows), tmp_path / "scores.json") == 0
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [content[f"mAP@{threshold:g}"] for threshold in THRESHOLDS] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert content["mAP"] == pytest.approx(0.6)


def test_lists_that_cannot_be_scored_are_refused(films, tmp_path, capsys):
    out = tmp_path / "scores.json"
    whole = films / "whole.csv"
    whole.write_text("path,label\n0.mp4,clockwise\n")
    assert evaluate(whole, out) == 2
    assert "no start or end" in capsys.readouterr().err
    assert evaluate(write_list(films / "unknown.csv", [("0.mp4", "jumping", 0, 1)]), out) == 2
    assert "jumping" in capsys.readouterr().err
    assert evaluate(write_list(films / "gone.csv", [("9.mp4", "clockwise", 0, 1)]), out) == 2
    assert "9.mp4" in capsys.readouterr().err
    assert main(["evaluate", str(ADAPTER), "--window-seconds", "2", "--device", "cpu"]) == 2
    assert "need --timeline" in capsys.readouterr().err
    assert not out.exists()


def test_an_address_in_a_list_with_a_root_is_never_fetched(films, tmp_path, capsys):
    rows = [("http://127.0.0.1:9/film.mp4", "clockwise", 0, 1)]
    assert evaluate(write_list(films / "address.csv", rows), tmp_path / "scores.json") == 2
    assert "outside of the root" in capsys.readouterr().err


def test_unread_films_are_reported(films, tmp_path, capsys):
    (films / "broken.mp4").write_bytes(b"no video")
    rows = [("0.mp4", "clockwise", 0, 2), ("broken.mp4", "clockwise", 0, 2)]
    assert evaluate(write_list(films / "broken.csv", rows), tmp_path / "a.json") == 1
    assert "eval.max_unread" in capsys.readouterr().err
    assert evaluate(films / "broken.csv", tmp_path / "b.json", "--eval.max-unread", "0.5") == 1
    assert "broken.mp4" in capsys.readouterr().out
    content = json.loads((tmp_path / "b.json").read_text())
    assert (content["videos"], content["unread"]) == (1, 1)
    assert evaluate(write_list(films / "only.csv", rows[1:]), tmp_path / "c.json") == 1
    assert "None of the 1 videos" in capsys.readouterr().err
