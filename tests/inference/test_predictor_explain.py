"""`Predictor.explain`, `predict --explain` and the report of a run explain what the model sees."""

import json

import numpy as np
import pytest

from side4video.cli import main
from side4video.inference.predictor import Predictor
from side4video.reports.run_report import write_run_report
from side4video.training.loop import train
from side4video.video.decoding import VideoError, open_video


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_run):
    folder = tmp_path_factory.mktemp("explained") / "run"
    train(small_run(train={"epochs": 1}), out=folder)
    return folder


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor(run, device="cpu")


@pytest.fixture
def video(motion_videos):
    return next((motion_videos / "test").glob("*/*.mp4"))


def test_an_explanation_has_the_frames_that_the_model_saw_and_their_times(predictor, video):
    found = predictor.explain(video)
    (evidence,) = found.classes
    best = predictor.predict(video)[0]
    assert (evidence.name, evidence.score) == (best.name, pytest.approx(best.score, rel=1e-4))
    assert evidence.change_places.shape == (4, 4, 4)
    with open_video(video) as file:
        frames = file.read(range(file.num_frames)).permute(0, 2, 3, 1).numpy().astype(int)
        shown = [file.frame_seconds.tolist().index(seconds) for seconds in found.frame_seconds]
    for frame, picture in zip(shown, found.pictures, strict=True):
        assert np.abs(picture - frames[frame]).max() <= 1  # 32 pixels: neither resized nor cropped
    assert len(set(shown)) == 4
    json.dumps(found.to_json(), allow_nan=False)


def test_classes_are_explained_in_the_order_asked_for(predictor, video):
    names = predictor.class_names[2], predictor.class_names[0]
    found = predictor.explain(video, classes=names)
    assert tuple(one.name for one in found.classes) == names
    with pytest.raises(ValueError, match="no class 'jump'"):
        predictor.explain(video, classes=["jump"])


def test_a_broken_video_is_refused(predictor, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError):
        predictor.explain(tmp_path / "a.mp4")


def test_predict_writes_a_page_and_numbers_for_each_video(run, motion_videos, tmp_path, capsys):
    videos = sorted((motion_videos / "test").glob("*/*.mp4"))[:2]
    out = tmp_path / "looked"
    assert main(["predict", str(run), *map(str, videos), "--device", "cpu", "--explain", str(out)]) == 0
    printed = capsys.readouterr().out
    for video in videos:
        place = out / video.relative_to(motion_videos / "test")
        numbers = json.loads(place.with_name(f"{place.name}.json").read_text())
        page = place.with_name(f"{place.name}.html").read_text()
        assert f"{video}: {numbers['classes'][0]['name']}" in printed
        assert "Evidence for" in page
        assert page.count("data:image/png") == 2  # colour scale and strip
        assert "<script" not in page
    assert len(list(out.rglob("*.*"))) == 4


def test_files_of_one_video_are_directly_in_the_folder(run, video, tmp_path):
    assert main(["predict", str(run), str(video), "--device", "cpu", "--explain", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"{video.name}.html", f"{video.name}.json"}


def test_explanations_replace_only_their_own_files(run, video, tmp_path, capsys):
    line = ["predict", str(run), str(video), "--device", "cpu", "--explain", str(tmp_path)]
    other = tmp_path / f"{video.name}.json"
    other.write_text('{"title": "a page about this video"}')
    assert main(line) == 2
    assert f"--explain would replace files that no earlier run wrote, or that were changed since: {other}" in (
        capsys.readouterr().err
    )
    assert other.read_text() == '{"title": "a page about this video"}'
    other.unlink()
    assert main(line) == main(line) == 0


def test_explain_needs_a_class_and_no_sentences(run, video, tmp_path, capsys):
    assert main(["predict", str(run), str(video), "--top-k", "0", "--explain", str(tmp_path / "x")]) == 2
    assert "top_k = 0 must be a whole number of 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_the_report_explains_right_and_wrong_clips(run):
    plain = write_run_report(run).read_text()
    explained = write_run_report(run, explain=True).read_text()
    evaluation = json.loads((run / "evaluation.json").read_text())
    wrong = [one for one in evaluation["predictions"] if one["classes"][0] != one["label"]]
    assert "Evidence for" not in plain
    # of a wrong clip the predicted and the true class
    assert explained.count('alt="Evidence for') == len(evaluation["predictions"]) + len(wrong)
    for one in wrong[:3]:
        assert f'alt="Evidence for {one["label"]} in {one["name"]}"' in explained
