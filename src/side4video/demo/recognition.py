"""The recognition demonstration: videos, training, comparison with a linear probe, report, and a film's timeline."""

from pathlib import Path

from side4video.atomic_files import write_json
from side4video.config import RunConfig, parse_config
from side4video.demo.arguments import DemoArguments
from side4video.demo.film import make_film, show_timeline
from side4video.demo.pretrain import BACKBONE_ARGS, BACKBONE_NAME, WEIGHTS_PATH
from side4video.demo.previous_run import check_previous_run, remove_previous_run
from side4video.demo.videos import MotionVideos, make_motion_videos
from side4video.inference.predictor import Predictor
from side4video.reports.run_report import write_run_report
from side4video.tasks.recognition.scores import Evaluation
from side4video.tasks.recognition.task import read_probe
from side4video.timeline.evaluate import TimelineEvaluation
from side4video.training.loop import TrainResult, train


def run_demo(arguments: DemoArguments) -> int:
    """Run the demonstration and print where everything is; returns the exit code."""
    videos, run = arguments.out / "videos", arguments.out / "run"
    check_previous_run(run)
    settings = MotionVideos(
        train_clips_per_class=arguments.train_clips_per_class,
        test_clips_per_class=arguments.test_clips_per_class,
        seed=arguments.seed,
    )
    config = demo_config(videos, epochs=arguments.epochs, seed=arguments.seed)
    make_motion_videos(videos, settings)
    remove_previous_run(run)
    result = train(config, out=run)
    _predict_some(run, videos / "test")
    report = write_run_report(run, explain=True)
    segments = make_film(videos / "test", arguments.out / "film/film.mp4", seed=arguments.seed)
    timelines, page = show_timeline(run, segments, arguments.out / "film")
    _print_summary(result, run, report)
    _print_timeline(timelines, page)
    return 0


def demo_config(videos: Path, *, epochs: int, seed: int = 0) -> RunConfig:
    """The settings of the demonstration: a 4-block ViT pre-trained on stills, a side network 64 wide on each block."""
    return parse_config(
        {
            "about": "Eight motions of shapes that differ only in the order of the frames.",
            "backbone": {"name": BACKBONE_NAME, "weights": str(WEIGHTS_PATH), "model_args": BACKBONE_ARGS},
            "side": {"width": 64},
            "data": {"train": videos / "train", "test": videos / "test", "num_frames": 8},
            "augment": {"resize": 64, "crop_scale": (1.0, 1.0), "flip": 0.0},
            "train": {"epochs": epochs, "batch": 16, "warmup_epochs": 2},
            "eval": {"resize": 64, "batch": 32, "every": 5, "probe": True},
            "seed": seed,
        },
        source="the demonstration",
    )


def _predict_some(run: Path, test: Path) -> None:
    predictor = Predictor(run)
    paths = sorted(test.glob("*/0001.mp4"))
    found = [predictor.predict_video(path, top_k=3) for path in paths]
    predictions = [
        {
            "path": str(prediction.path),
            "classes": [{"name": best.name, "score": best.score} for best in prediction.classes],
            "seconds": prediction.seconds,
        }
        for prediction in found
    ]
    write_json(run / "predictions.json", predictions)
    for prediction in found:
        best = prediction.classes[0]
        print(f"{prediction.path}: {best.name} {best.score:.0%} ({prediction.seconds:.2f} s)")


def _print_summary(result: TrainResult, run: Path, report: Path) -> None:
    assert isinstance(result.evaluation, Evaluation)
    chance, probe = 1 / len(result.evaluation.class_names), read_probe(run)
    print(f"\nheld-out clips, top-1 (chance {chance:.1%})")
    print(f"  frozen image model, linear probe on mean-pooled frames   {probe:6.1%}")
    print(f"  the same model with a trained side network               {result.evaluation.top1:6.1%}")
    print(f"adapter      {run / 'best'}\npredictions  {run / 'predictions.json'}\nreport       {report}")


def _print_timeline(found: TimelineEvaluation, page: Path) -> None:
    at = ", ".join(f"{threshold:g}: {value:.1%}" for threshold, value in found.mean_average_precision.items())
    film = found.timelines[0]
    print(f"\na film of {found.num_segments} held-out clips, {film.duration_seconds:.0f} s: which motion, and when")
    print(f"  mean average precision {found.score:.1%} (by temporal overlap: {at})")
    print(f"film         {film.path}\ntimeline     {page}")
