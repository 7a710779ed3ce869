"""The last scoring of a run: best/ with the final views, next to the score that chose it."""

import json

import pytest

from side4video.cli import main
from side4video.config import EvalConfig, dump_config
from side4video.tasks.recognition.evaluate import evaluate_adapter
from side4video.training.final_evaluation import FINAL, final_views, read_final
from side4video.training.loop import train


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_ends_with_the_final_views_of_the_best_adapter(small_run, tmp_path, capsys):
    config = small_run(eval={"final_clips": 2, "final_crops": 3})
    (tmp_path / "recipe.yaml").write_text(dump_config(config))
    out = tmp_path / "run"
    assert main(["train", str(tmp_path / "recipe.yaml"), "--out", str(out)]) == 0
    again = evaluate_adapter(out, data=config.data, settings=config.eval.model_copy(update={"clips": 2, "crops": 3}))
    found, chosen = read(out / FINAL), read(out / "evaluation.json")
    assert found["views"] == again.views == 6
    assert chosen["views"] == found["chosen_by"]["views"] == 1
    assert found["chosen_by"]["top1"] == chosen["top1"]
    assert [row["scores"] for row in found["predictions"]] == [[*row.scores] for row in again.predictions]
    assert found["predictions"] != chosen["predictions"]
    printed = capsys.readouterr().out
    report = (out / "report.html").read_text(encoding="utf-8")
    for name, score in (
        ("best/, chosen with 1 view: top-1", chosen["top1"]),
        ("best/, 3 crops x 2 clips: top-1", again.top1),
    ):
        assert f"{name:45} {score:6.1%}" in printed
        assert name in report
    assert "6 views each" in printed


def test_without_other_views_there_is_no_last_scoring(small_run, tmp_path):
    result = train(small_run(train={"epochs": 1}, eval={"crops": 3, "final_crops": 3}), out=tmp_path / "run")
    assert result.evaluation is not None
    assert result.final is None
    assert not (tmp_path / "run" / FINAL).exists()
    assert read_final(tmp_path / "run") == {}


def test_without_an_evaluation_set_there_is_no_last_scoring(small_run, tmp_path):
    config = small_run(train={"epochs": 1}, data={"test": None}, eval={"final_clips": 2})
    assert train(config, out=tmp_path / "run").final is None


def test_withheld_scores_are_withheld_at_the_end_too(small_run, motion_videos, tmp_path):
    """One of nine videos is broken: more than the settings allow."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    rows = [f"{path},{path.parent.name}" for path in sorted((motion_videos / "test").glob("*/*.mp4"))]
    (tmp_path / "test.csv").write_text("\n".join([*rows, f"{broken},{rows[0].split(',')[1]}"]) + "\n")
    config = small_run(
        train={"epochs": 1}, data={"test": tmp_path / "test.csv"}, eval={"final_clips": 2, "max_unread": 0.0}
    )
    assert train(config, out=tmp_path / "run").final is None
    assert not (tmp_path / "run" / FINAL).exists()


@pytest.mark.parametrize(
    ("settings", "views"),
    [
        ({}, None),
        ({"final_clips": 1, "final_crops": 1}, None),
        ({"clips": 2, "final_crops": 3}, (2, 3)),
        ({"crops": 3, "final_clips": 4}, (4, 3)),
        ({"clips": 3, "crops": 3, "final_clips": 1, "final_crops": 1}, (1, 1)),
    ],
)
def test_unset_views_keep_their_defaults(settings, views):
    final = final_views(EvalConfig(**settings))
    assert views == (None if final is None else (final.clips, final.crops))
