"""Timelines of real films: equal to computing each window alone, each frame once, flat memory; the command's files."""

import csv
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from side4video.adapters.adapter import read_adapter
from side4video.cli import main
from side4video.demo.moving_shapes import Scene, draw_clip
from side4video.demo.videos import write_video
from side4video.inference.predictor import Predictor
from side4video.timeline.encoding import CHUNK_FRAMES
from side4video.timeline.find import WorkDone, build_scorer, score_windows
from side4video.timeline.grid import choose_grid
from side4video.training.loop import train
from side4video.video.decoding import VideoError, VideoFile

EARLIER = Path(__file__).parents[1] / "earlier"
MOTIONS = ("clockwise", "anticlockwise", "clockwise", "star_clockwise", "anticlockwise")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Five motions of two seconds each, 12 frames per second."""
    clips = [draw_clip(Scene.random(np.random.default_rng(n), size=32), name) for n, name in enumerate(MOTIONS)]
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    write_video(path, np.concatenate(clips), frames_per_second=12)
    return path


@pytest.fixture(scope="module")
def predictor():
    return Predictor(EARLIER / "adapter", device="cpu")


def scores_of(predictor, film, **settings):
    with VideoFile(film) as video:
        settings = {"stride_seconds": None, **settings}
        grid = choose_grid(4, duration_seconds=video.duration_seconds, **settings)
        done = WorkDone()
        scorer = build_scorer(predictor.model, predictor.adapter, predictor.device)
        return grid, dict(score_windows(video, grid, scorer, done)), done


@pytest.mark.parametrize(
    ("window", "stride"), [(2.0, 0.5), (2.0, 2.0), (1.7, 0.6), (0.2, 0.05), (9.0, 3.0), (60.0, None)]
)
def test_window_scores_equal_windows_computed_alone(predictor, film, window, stride):
    _, found, done = scores_of(predictor, film, window_seconds=window, stride_seconds=stride)
    length = min(window, 10.0)
    starts = np.array(list(found)) * length / 4
    assert starts[0] == 0
    assert starts[-1] + length == pytest.approx(10.0, abs=length / 8)
    transform = build_scorer(predictor.model, predictor.adapter, predictor.device).transform
    with VideoFile(film) as video:
        for start, (_, scores) in zip(starts, found.items(), strict=True):
            times = start + length * (np.arange(4) + 0.5) / 4
            shown = [max(n for n, second in enumerate(video.frame_seconds) if second <= t + 1e-9) for t in times]
            with torch.inference_mode():
                alone = predictor.model(transform(video.read(shown))).softmax(dim=1)[0].numpy()
            np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-6)
    assert done.windows == len(found)


@pytest.mark.parametrize(("window", "stride"), [(2.0, 0.5), (0.2, 0.05)])
def test_each_frame_passes_the_frozen_model_once(predictor, film, window, stride):
    passed = []
    hook = predictor.model.backbone.model.patch_embed.register_forward_hook(
        lambda _, inputs, __: passed.extend(image.numpy().tobytes() for image in inputs[0])
    )
    try:
        grid, found, done = scores_of(predictor, film, window_seconds=window, stride_seconds=stride)
    finally:
        hook.remove()
    points = grid.num_points(10.0)
    assert len(passed) == done.frames <= min(points, 120)
    assert done.frames == (20 if window == 2.0 else 120), "frames on the grid, or all"
    assert len(found) * 4 > 1.9 * done.frames, "windows overlap"


def test_frames_held_do_not_grow_with_the_film(predictor, film, monkeypatch):
    held = []
    score = type(build_scorer(predictor.model, predictor.adapter, predictor.device)).score

    def watched(self, windows):
        held.append(len({id(frame) for window in windows for frame in window}))
        return score(self, windows)

    monkeypatch.setattr("side4video.timeline.encoding.WindowScorer.score", watched)
    scores_of(predictor, film, window_seconds=0.4, stride_seconds=0.1)
    assert len(held) >= 5
    assert max(held) <= CHUNK_FRAMES + 4


def test_moments_and_settings(predictor, film):
    timeline = predictor.timeline(film, window_seconds=2.0, stride_seconds=0.5, min_score=0.0, min_seconds=0.0)
    assert (timeline.window_seconds, timeline.stride_seconds, timeline.num_windows) == (2.0, 0.5, 17)
    assert timeline.moments[0].start_seconds == 0.0
    assert timeline.moments[-1].end_seconds == timeline.duration_seconds == 10.0
    for before, after in pairwise(timeline.moments):
        assert before.end_seconds == after.start_seconds
        assert before.name != after.name
    assert {moment.name for moment in timeline.moments} <= set(predictor.class_names)
    json.dumps(timeline.to_json(), allow_nan=False)
    none = predictor.timeline(film, window_seconds=2.0, min_score=1.0)
    assert (none.moments, none.min_seconds) == ((), 0.5)


def test_the_window_is_as_long_as_the_training_clips(tmp_path, small_run, film):
    train(small_run(train={"epochs": 1}), out=tmp_path / "run")
    assert read_adapter(tmp_path / "run").clip_seconds == 2.0
    assert Predictor(tmp_path / "run", device="cpu").timeline(film).window_seconds == 2.0


def test_old_adapters_and_dense_ones_have_defaults(predictor, film):
    assert read_adapter(EARLIER / "adapter").clip_seconds is None
    assert not predictor.knows_window
    assert predictor.timeline(film).window_seconds == 4.0
    config = predictor.adapter.config
    dense = config.model_copy(update={"data": config.data.model_copy(update={"sampling": "dense", "stride": 6})})
    object.__setattr__(predictor.adapter, "config", dense)
    try:
        assert predictor.knows_window
        assert predictor.timeline(film).window_seconds == 2.0  # 4 frames, every 6th, at 12 per second
    finally:
        object.__setattr__(predictor.adapter, "config", config)


def test_a_wrong_length_in_an_adapter_is_refused(tmp_path):
    shutil.copytree(EARLIER / "adapter", tmp_path / "adapter")
    place = tmp_path / "adapter/config.json"
    content = json.loads(place.read_text())
    for wrong in (0, -1, "two", float("inf")):
        place.write_text(json.dumps({**content, "clip_seconds": wrong}))
        with pytest.raises(ValueError, match="clip_seconds"):
            read_adapter(tmp_path / "adapter")


def test_inputs_without_a_timeline_are_refused(predictor, film, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError):
        predictor.timeline(tmp_path / "broken.mp4")
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "frames/img_00001.jpg")
    with pytest.raises(VideoError, match="has no times"):
        predictor.timeline(tmp_path / "frames")
    with pytest.raises(ValueError, match="leaves gaps"):
        predictor.timeline(film, window_seconds=1.0, stride_seconds=2.0)
    for name, value in {"min_score": 1.5, "min_seconds": -1.0}.items():
        with pytest.raises(ValueError, match=name):
            predictor.timeline(film, **{name: value})


def predict(*arguments):
    return main(["predict", str(EARLIER / "adapter"), *map(str, arguments), "--device", "cpu"])


def test_the_command_writes_every_form(predictor, film, tmp_path, capsys):
    settings = ["--timeline", "--window-seconds", "2", "--min-score", "0", "--min-seconds", "0"]
    out, found, rows = tmp_path / "out", tmp_path / "found.json", tmp_path / "moments.csv"
    files = ["--out", out, "--json", found, "--csv", rows, "--cut", tmp_path / "clips"]
    assert predict(film, *settings, *files) == 0
    printed = capsys.readouterr().out
    expected = predictor.timeline(film, window_seconds=2.0, min_score=0.0, min_seconds=0.0)
    moments = expected.moments
    assert "17 windows of 2 s every 0.5 s" in printed
    assert len(re.findall(r"clockwise  +\d", printed)) == len(moments)
    (content,) = json.loads(found.read_text())["timelines"]
    single = json.loads((out / "film.json").read_text())
    assert single.pop("files").keys() == {f"film{suffix}" for suffix in (".csv", ".vtt", ".srt", ".html")}
    assert content == expected.to_json() == single
    with rows.open() as file:
        table = list(csv.DictReader(file))
    assert [(row["label"], float(row["start"])) for row in table] == [(m.name, m.start_seconds) for m in moments]
    assert {row["video"] for row in table} == {str(film)}
    assert (out / "film.csv").read_text() == rows.read_text()
    assert (out / "film.vtt").read_text().count("-->") == (out / "film.srt").read_text().count("-->") == len(moments)
    clips = sorted((tmp_path / "clips").iterdir())
    assert len(clips) == len(moments)
    for clip, moment in zip(clips, moments, strict=True):
        with VideoFile(clip) as video:
            assert video.duration_seconds == pytest.approx(moment.end_seconds - moment.start_seconds, abs=0.05)


def test_files_of_others_are_not_replaced(film, tmp_path, capsys):
    shutil.copy(film, tmp_path / "film.mp4")
    line = [tmp_path / "film.mp4", "--timeline", "--window-seconds", "2", "--min-score", "0", "--out", tmp_path]
    for suffix in (".srt", ".vtt", ".csv", ".html", ".json"):
        other = tmp_path / f"film{suffix}"
        other.write_text('{"files": "mine"}')
        assert predict(*line) == 2
        printed = capsys.readouterr()
        assert str(other) in printed.err
        assert "another folder with --out, or move or delete" in printed.err
        assert not printed.out  # refused before any work
        assert other.read_text() == '{"files": "mine"}'
        other.unlink()
    (tmp_path / "film.json").write_text("[" * 100_000)
    assert predict(*line) == 2
    (tmp_path / "film.json").unlink()
    assert predict(*line) == 0
    assert predict(*line, "--min-seconds", "0") == 0  # replaces its own
    (tmp_path / "film.vtt").unlink()
    assert predict(*line) == 0
    corrected = (tmp_path / "film.csv").read_text() + "film.mp4,0,1,clockwise,1\n"
    (tmp_path / "film.csv").write_text(corrected)
    assert predict(*line) == 2
    assert (tmp_path / "film.csv").read_text() == corrected


def test_a_broken_film_is_reported_and_the_others_are_not_lost(film, tmp_path, capsys):
    shutil.copy(film, tmp_path / "film.mp4")
    shutil.copy(film, tmp_path / "film.mov")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert predict(tmp_path, "--timeline", "--window-seconds", "60", "--out", tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert "broken.mp4: the file cannot be decoded" in printed.err
    assert "one window, for the video is shorter than 60 s" in printed.out
    assert {path.name for path in (tmp_path / "out").glob("*.html")} == {"film.mp4.html", "film.mov.html"}


def test_an_adapter_without_a_length_is_reported(film, capsys):
    assert predict(film, "--timeline") == 0
    assert "windows have 4 seconds" in capsys.readouterr().out
    assert predict(film, "--timeline", "--window-seconds", "2") == 0
    assert "windows have 4 seconds" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x"], "need --timeline"),
        (["--window-seconds", "2"], "need --timeline"),
        (["--cut", "x"], "need --timeline"),
        (["--timeline", "--min-score", "2"], "min_score"),
        (["--timeline", "--padding-seconds", "-1"], "padding"),
        (["--timeline", "--explain", "x"], "leave out --text and --explain"),
        (["--timeline", "--edit-list", "x.txt"], "written as .*otio"),
    ],
)
def test_invalid_arguments_are_refused_before_work(film, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict(film, *arguments) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
