"""The commands as a user types them, on small real videos."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

from crashing_transforms import CrashingEvalTransform
from side4video.cli import COMMANDS, main
from side4video.config import RunConfig, load_config, recipe_names, recipe_text
from side4video.config.recipe_figures import stated_classes
from side4video.demo.videos import MotionVideos, make_motion_videos
from side4video.models.backbones.loading import NAMED_BACKBONES, load_backbone
from side4video.tasks import clips
from side4video.training.run_log import read_log
from side4video.video.decoding import open_video

pytestmark = pytest.mark.usefixtures("short_reports")

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
EARLIER = Path(__file__).parent / "earlier"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    make_motion_videos(folder / "clips", MotionVideos(train_clips_per_class=2, test_clips_per_class=1, size=32))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A run trained with the `train` command and overrides."""
    flags = {
        "--data.train": folder / "clips/train",
        "--data.test": folder / "clips/test",
        "--data.workers": 0,
        "--data.num-frames": 4,
        "--backbone.weights": "random",
        "--backbone.name": "vit_tiny_patch16_224",
        "--backbone.image-size": 32,
        "--backbone.model-args": "patch_size 8 embed_dim 32 depth 2 num_heads 2",
        "--side.taps": "0 1",
        "--side.width": 16,
        "--train.epochs": 1,
        "--train.batch": 8,
        "--train.device": "cpu",
        "--out": folder / "run",
    }
    arguments = [word for flag, value in flags.items() for word in (flag, *str(value).split())]
    assert main(["train", "own-clips", *arguments]) == 0
    return folder / "run"


def test_train_writes_its_files(run):
    expected = {"best", "last", "config.yaml", "log.jsonl", "metrics.csv", "evaluation.json", "report.html"}
    assert expected <= {path.name for path in run.iterdir()}
    assert load_config(run / "config.yaml").side.taps == (0, 1)
    page = (run / "report.html").read_text()
    assert "confusion" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_resolved_config_can_be_run_again(run, folder):
    assert main(["train", str(run / "config.yaml"), "--out", str(folder / "again")]) == 0
    first, second = ((place / "last" / "model.safetensors").read_bytes() for place in (run, folder / "again"))
    assert first == second


def test_evaluate_prints_a_table_and_writes_json(run, folder, capsys, tmp_path):
    out = tmp_path / "scores.json"
    views = ["--eval.crops", "3", "--eval.clips", "2"]
    assert main(["evaluate", str(run), *views, "--data.workers", "0", "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert (content["num_videos"], content["views"]) == (8, 6)
    printed = capsys.readouterr().out
    assert "8 videos, 6 views each" in printed
    assert "clockwise" in printed


def test_evaluate_reports_unreadable_videos_with_its_exit_code(run, folder, capsys, tmp_path):
    shutil.copytree(folder / "clips/test", tmp_path / "test")
    (tmp_path / "test/clockwise/0001.mp4").write_bytes(b"no video")
    command = ["evaluate", str(run), "--data.test", str(tmp_path / "test"), "--json", str(tmp_path / "e.json")]
    assert main([*command, "--eval.max-unread", "0.125"]) == 1
    printed = capsys.readouterr().out
    assert "not read: clockwise/0001.mp4" in printed
    assert "top-1" in printed
    content = json.loads((tmp_path / "e.json").read_text())
    assert (len(content["unread"]), content["num_videos"]) == (1, 7)


def test_evaluate_withholds_scores_if_too_many_videos_are_unreadable(run, folder, capsys, tmp_path):
    shutil.copytree(folder / "clips/test", tmp_path / "test")
    (tmp_path / "test/clockwise/0001.mp4").write_bytes(b"no video")
    written = (run / "best/evaluation.json").read_bytes() if (run / "best/evaluation.json").exists() else None
    command = ["evaluate", str(run), "--data.test", str(tmp_path / "test")]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert "not read: clockwise/0001.mp4" in printed.out
    assert "top-1" not in printed.out
    assert "No score: 1 of 8 videos (12.5%)" in printed.err
    assert written == ((run / "best/evaluation.json").read_bytes() if written else None), "an earlier result stays"
    for path in (tmp_path / "test").glob("*/*.mp4"):
        path.write_bytes(b"no video")
    assert main([*command, "--json", str(tmp_path / "e.json"), "--eval.max-unread", "1"]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("not read: ") == 8
    assert "None of the 8 videos" in printed.err
    content = json.loads((tmp_path / "e.json").read_text())
    assert content.keys() == {"refused", "unread"}


def test_training_withholds_scores_if_too_many_videos_are_unreadable(run, folder, capsys, tmp_path):
    shutil.copytree(folder / "clips/test", tmp_path / "test")
    (tmp_path / "test/clockwise/0001.mp4").write_bytes(b"no video")
    command = ["train", str(run / "config.yaml"), "--data.test", str(tmp_path / "test"), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert "not read: clockwise/0001.mp4" in printed.out
    assert not re.search(r"top-1\s+\d", printed.out)
    assert all(one["top1"] is None for one in json.loads((tmp_path / "run/baselines.json").read_text())["probes"])
    assert "No score: 1 of 8" in printed.err
    page = (tmp_path / "run/report.html").read_text()
    assert "No score: 1 of 8" in page
    assert "<h2>Scores</h2>" not in page
    (evaluation,) = (entry for entry in read_log(tmp_path / "run") if entry["kind"] == "evaluation")
    assert evaluation.keys() == {"kind", "step", "epoch", "epoch_seconds", "videos", "unread"}
    assert (tmp_path / "run/metrics.csv").read_text().startswith("step,epoch,epoch_seconds,videos,unread\n")
    for name in ("best", "last"):
        scores = json.loads((tmp_path / "run" / name / "config.json").read_text())["scores"]
        assert scores == {"videos": 7, "unread": 1, "views": 3}


def test_evaluate_matches_classes_by_name(run, folder, capsys, tmp_path):
    shutil.copytree(folder / "clips/test/clockwise", tmp_path / "two/clockwise")
    shutil.copytree(folder / "clips/test/anticlockwise", tmp_path / "two/anticlockwise")
    out = tmp_path / "e.json"
    assert main(["evaluate", str(run), "--data.test", str(tmp_path / "two"), "--json", str(out)]) == 0
    labels = {prediction["name"]: prediction["label"] for prediction in json.loads(out.read_text())["predictions"]}
    assert labels == {"anticlockwise/0001.mp4": "anticlockwise", "clockwise/0001.mp4": "clockwise"}
    (tmp_path / "two/clockwise").rename(tmp_path / "two/jumping")
    assert main(["evaluate", str(run), "--data.test", str(tmp_path / "two")]) == 2
    assert "jumping" in capsys.readouterr().err


def test_predict_takes_files_folders_and_globs(run, folder, capsys, tmp_path):
    test, out = folder / "clips/test", tmp_path / "predictions.json"
    inputs = [str(test / "clockwise/0001.mp4"), str(test / "clockwise"), str(test / "star_*/*.mp4")]
    assert main(["predict", str(run), *inputs, "--top-k", "2", "--json", str(out), "--device", "cpu"]) == 0
    content = json.loads(out.read_text())
    assert len(content["predictions"]) == 3  # the folder's file was named already
    printed = capsys.readouterr().out
    for prediction in content["predictions"]:
        scores = [best["score"] for best in prediction["classes"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 2
        assert f"{prediction['path']}: {prediction['classes'][0]['name']}" in printed
        assert prediction["seconds"] > 0


def test_predict_takes_a_folder_of_frames(run, folder, capsys, tmp_path):
    with open_video(folder / "clips/test/clockwise/0001.mp4") as video:
        frames = video.read(range(video.num_frames))
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(tmp_path / f"img_{number:05d}.jpg")
    assert main(["predict", str(run), str(tmp_path), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count("%") == 5
    assert main(["predict", str(run), str(tmp_path / "empty"), "--device", "cpu"]) == 2


def test_predict_continues_after_a_corrupt_video_and_reports_it(run, folder, capsys, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    good = folder / "clips/test/clockwise/0001.mp4"
    assert main(["predict", str(run), str(broken), str(good), "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert "broken.mp4" in captured.err
    assert "0001.mp4" in captured.out


def test_predict_and_evaluate_continue_after_a_video_that_crashes_its_decoder(
    run, folder, capsys, tmp_path, monkeypatch, make_video
):
    monkeypatch.setattr(clips, "EvalTransform", CrashingEvalTransform)
    test = shutil.copytree(folder / "clips/test", tmp_path / "test")
    make_video(test / "clockwise/white.mp4", [255] * 12)
    reason = "its decoder crashed the process that read it (SIGABRT). Re-encode it, or leave it out."
    assert main(["predict", str(run), str(test / "clockwise"), "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert f"white.mp4: {reason}" in captured.err
    assert "0001.mp4: " in captured.out
    flags = ["--data.test", str(test), "--data.workers", "1", "--eval.max-unread", "0.5"]
    assert main(["evaluate", str(run), *flags]) == 1
    assert f"not read: clockwise/white.mp4: {reason}" in " ".join(capsys.readouterr().out.split())


def test_predict_without_videos_or_adapter_is_refused(run, capsys, tmp_path):
    assert main(["predict", str(run), str(tmp_path / "none.mp4")]) == 2
    assert "is not a video file" in capsys.readouterr().err
    assert main(["predict", str(tmp_path), str(run)]) == 2


def test_an_adapter_on_another_backbone_is_refused(run, folder, capsys, tmp_path):
    args = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    other = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args=args, seed=5)
    weights = tmp_path / "other.safetensors"
    save_file(other.model.state_dict(), weights)
    assert main(["predict", str(run), str(folder / "clips/test"), "--backbone-weights", str(weights)]) == 2
    assert "was trained on a backbone with fingerprint" in capsys.readouterr().err


def test_recipes_are_listed_and_shown(capsys):
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in recipe_names())
    assert main(["recipes", "show", "ssv2-b16"]) == 0
    assert "rand-m7-n4-mstd0.5-inc1" in capsys.readouterr().out
    assert main(["recipes", "show", "ssv3"]) == 2


def test_backbones_are_listed(capsys):
    assert main(["backbones"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMED_BACKBONES)
    assert "4,348.7" in printed
    assert "dinov3-license" in printed
    assert main(["backbones", "eva02-clip-e14"]) == 0
    printed = capsys.readouterr().out
    assert "full name: eva02_enormous_patch14_clip_224.laion2b\ntext tower, open_clip: EVA02-E-14" in printed
    assert main(["backbones", "clip_quickgelu"]) == 0
    assert "vit_base_patch16_clip_quickgelu_224" in capsys.readouterr().out
    assert main(["backbones", "swin_tiny"]) == 2


def test_backbones_are_found_by_any_part_of_their_names(capsys):
    for part, short, others in (
        ("siglip2", "siglip2-so400m-384", "ViT-gopt-16-SigLIP2-384.webli"),
        ("pe", "pe-g14", "vit_pe_core_large_patch14_336"),
        ("MetaCLIP2", "metaclip2-bigg14", "ViT-H-14-worldwide-378.metaclip2_worldwide"),
    ):
        assert main(["backbones", part]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert any(line.startswith(f"{short} ") for line in lines), part
        assert others in lines, part


TINY = "--backbone.name vit_tiny_patch16_224 --backbone.image-size 32 --backbone.model-args patch_size 8 depth 2"


@pytest.mark.slow
def test_memory_is_planned_for_recipes_and_models(capsys, tmp_path):
    out = tmp_path / "plan.json"
    assert main(["memory", "ssv2-b16", *TINY.split(), "--card", "24GB", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("backbone weights", "side activations", "fits 24 GB", "largest batch"))
    content = json.loads(out.read_text())
    assert content["usable_bytes"] == 22_680_000_000
    assert content["precision"] == "bf16"
    modes = content["modes"]
    assert [*modes] == ["plain", "exact", "tight"]
    assert all(sum(mode["peak_bytes_by_category"].values()) == mode["peak_bytes"] for mode in modes.values())
    small = [*TINY.split(), "--side.width", "64", "--train.batch", "2", "--train.device", "cpu"]
    assert main(["memory", "l14", *small, "--card", "620MB"]) == 1, "what does not fit has another exit code"
    assert "stay free" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_memory_uses_the_data_set_and_plans_the_printed_commands(capsys, tmp_path):
    """A classifier on 64 channels has 65 parameters per class."""
    plans = []
    commands = (("k400-b16", "--processes", "8"), ("ssv1-b16", "--train.micro-batch", "16"))
    for recipe, *flags in commands:
        arguments = [*TINY.split(), "--side.width", "64", *flags, "--json", str(tmp_path / "plan.json")]
        assert main(["memory", recipe, *arguments]) == 0
        plans.append(json.loads((tmp_path / "plan.json").read_text()))
    assert plans[0]["trained_parameters"] - plans[1]["trained_parameters"] == (400 - 174) * 65
    assert [(plan["clips_per_pass"], plan["passes"]) for plan in plans] == [(32, 1), (32, 8)]


def test_memory_for_more_processes_than_videos_is_refused(capsys):
    for processes in ("0", "129"):
        assert main(["memory", "ssv2-b16", *TINY.split(), "--processes", processes]) == 2
        assert f"processes = {processes} cannot share a batch of 128 videos. Use 1 to 128." in capsys.readouterr().err


def test_the_classes_of_a_copied_recipe_are_known(tmp_path):
    (tmp_path / "copy.yaml").write_text(recipe_text("k400-b16"))
    (tmp_path / "own.yaml").write_text("preset: b16\n")
    named = ("k400-e14-f16", "ssv2-b16", "msrvtt-b16", str(tmp_path / "copy.yaml"), str(tmp_path / "own.yaml"))
    assert [stated_classes(name) for name in named] == [400, 174, None, 400, None]


@pytest.mark.slow
def test_memory_is_measured_next_to_the_estimate(capsys, tmp_path):
    out = tmp_path / "plan.json"
    small = [*TINY.split(), "--backbone.image-size", "64", "--side.width", "128", "--train.device", "cpu"]
    assert main(["memory", "b16", *small, "--train.batch", "8", "--measure", "--json", str(out)]) == 0
    measured = json.loads(out.read_text())["measured"]
    assert measured["device"] == "cpu"
    assert measured["measured_bytes"] > 10**7
    assert measured["estimate_to_measured"] == pytest.approx(1, abs=0.15)
    assert "3 real steps on cpu" in " ".join(capsys.readouterr().out.split())


def test_wrong_input_to_memory_is_refused(capsys):
    assert main(["memory", "ssv2-b16", *TINY.split(), "--card", "24 giga"]) == 2
    assert "such as 24GB" in capsys.readouterr().err
    assert main(["memory", "b17"]) == 2
    assert "no recipe 'b17'" in capsys.readouterr().err
    assert main(["memory", "b16", *TINY.split(), "--classes", "0"]) == 2
    assert main(["memory"]) == 2
    assert "b16-light" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    exit_code = 0
    try:
        exit_code = main([name, "--help"])
    except SystemExit as end:
        exit_code = end.code
    assert exit_code == 0
    assert capsys.readouterr().out.startswith(("usage: ", COMMANDS[name]))


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["recipes", "show", "--help"], "recipes [show NAME]"),
        (["backbones", "clip", "-h"], "backbones [PART]"),
        (["convert", "-h"], "convert FILE RECIPE --out FOLDER"),
        (["convert", "weights.pt", "--help"], "usage: side4video convert weights.pt RECIPE"),
        (["memory", "-h"], "--card"),
    ],
)
def test_help_after_other_arguments(capsys, arguments, shown):
    exit_code = 0
    try:
        exit_code = main(arguments)
    except SystemExit as end:
        exit_code = end.code
    assert exit_code == 0
    assert shown in capsys.readouterr().out


IMPORTED = """
import contextlib, io, json, sys
import side4video
from side4video.cli import main

for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            main(line.split())
    print(json.dumps([line, sorted({name.partition(".")[0] for name in sys.modules}), len(sys.modules)]))
"""
HEAVY = {"PIL", "av", "huggingface_hub", "jinja2", "lancedb", "matplotlib", "numpy", "open_clip", "psutil", "pyarrow"}
HEAVY |= {"jaxtyping", "rich", "sklearn", "timm", "torch", "torchvision", "tqdm"}


def test_help_imports_little():
    without_flags = ["", "--help", "--version", "trian", "recipes --help", "backbones --help", "convert --help"]
    with_flags = [f"{name} --help" for name in ("index", "search", "serve", "predict", "embed", "share", "export")]
    with_flags += ["demo --help", "demo retrieval --help"]
    with_settings = [
        f"{name} --help" for name in ("train", "evaluate", "zero-shot", "memory", "check-data", "write-shards")
    ]
    lines = [*without_flags, *with_flags, *with_settings]
    assert {line.split()[0] for line in lines if line} >= COMMANDS.keys()
    done = subprocess.run([sys.executable, "-c", IMPORTED, *lines], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = {line: set(names) for line, names, _ in rows}
    modules = {line: count for line, _, count in rows}
    assert not found[without_flags[-1]] & (HEAVY | {"tyro", "pydantic", "yaml"})
    assert not found[with_flags[-1]] & (HEAVY | {"pydantic", "yaml"})
    assert not found[with_settings[-1]] & HEAVY
    assert found[with_settings[-1]] >= {"tyro", "pydantic", "yaml"}, "the lists above name what is imported"
    limits = {without_flags[-1]: 180, with_flags[-1]: 340, with_settings[-1]: 460}
    assert all(modules[line] <= limit for line, limit in limits.items()), modules


def test_help_reads_no_source_of_settings():
    """Without a description tyro parses the source of the class and of its bases: 0.1 s for pydantic's."""
    groups = [RunConfig, *(field.annotation for field in RunConfig.model_fields.values())]
    for group in groups:
        for name, field in getattr(group, "model_fields", {}).items():
            assert field.description, f"{group.__name__}.{name} needs a docstring."


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"side4video {tomllib.loads(PYPROJECT.read_text())['project']['version']}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_help_lists_every_command(arguments, capsys):
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


def test_unknown_commands_and_flags_get_a_suggestion(capsys):
    assert main(["trian"]) == 2
    assert "Did you mean 'train'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["train", "own-clips", "--train.epoch", "3"])
    assert caught.value.code == 2
    assert "--train.epochs" in capsys.readouterr().err


def test_missing_data_is_an_error_before_a_model_is_built(capsys, tmp_path):
    assert main(["train", "own-clips", "--out", str(tmp_path / "a")]) == 2
    assert "--data.train" in capsys.readouterr().err
    assert main(["train", "own-clips", "--data.train", str(tmp_path / "none"), "--out", str(tmp_path / "b")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "b").exists(), "the same command must work once the mistake is mended"


def test_module_and_script_are_the_same_command():
    script = Path(sys.executable).with_name("side4video")
    outputs = [
        subprocess.check_output([*command, "recipes"], text=True)
        for command in ([script], [sys.executable, "-m", "side4video"])
    ]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("kind", "flags", "said"),
    [
        ("recognition", "--eval.final-crops 3", "eval.final_crops = 3 is a setting of training"),
        ("recognition", "--eval.probe linear", "eval.probe = 'linear' is a setting of training"),
        ("recognition", "--eval.dual-softmax", "eval.dual_softmax = True is a setting of task retrieval"),
        ("retrieval", "--eval.crops 3", "eval.crops = 3: task retrieval embeds one view of each video"),
        ("retrieval", "--eval.clips 2", "eval.clips = 2 and"),
        ("retrieval", "--eval.pool max", "eval.pool = 'max' is a setting of task recognition"),
    ],
)
def test_evaluate_refuses_settings_that_it_does_not_use(kind, flags, said, tmp_path, capsys):
    adapter = EARLIER / "adapter"
    if kind == "retrieval":
        shutil.unpack_archive(EARLIER / "retrieval.zip", adapter := tmp_path / "retrieval")
    assert main(["evaluate", str(adapter), "--data.test", str(tmp_path), "--device", "cpu", *flags.split()]) == 2
    assert said in capsys.readouterr().err
