"""The retrieval demonstration: videos, training, search before and after training, a results page and an index."""

import json
from pathlib import Path

from side4video.atomic_files import write_json
from side4video.config import RunConfig, parse_config
from side4video.demo.arguments import RetrievalDemoArguments
from side4video.demo.captioned_videos import CaptionedVideos, make_captioned_videos
from side4video.demo.demo_index import index_test_videos
from side4video.demo.moving_captions import NUM_STOPS
from side4video.demo.previous_run import check_previous_run, remove_previous_run
from side4video.demo.results_page import compare_models, write_results_page
from side4video.demo.still_clip import BACKBONE_ARGS, BACKBONE_NAME, TEXT_ARGS, TEXT_NAME, write_clip_file
from side4video.tasks.retrieval.scores import RetrievalEvaluation
from side4video.tasks.task import ZERO_SHOT
from side4video.training.loop import train

BEFORE, AFTER = "frozen image-text model", "with the side network"
"""The two models that the demonstration compares."""


def run_retrieval_demo(arguments: RetrievalDemoArguments) -> int:
    """Run the demonstration and print where everything is; returns the exit code."""
    videos, run, weights = (arguments.out / name for name in ("videos", "run", "still_clip.safetensors"))
    check_previous_run(run)
    settings = CaptionedVideos(
        train_clips_per_caption=arguments.train_clips_per_caption,
        forms=arguments.forms,
        colours=arguments.colours,
        seed=arguments.seed,
    )
    config = retrieval_demo_config(videos, weights, epochs=arguments.epochs, seed=arguments.seed)
    make_captioned_videos(videos, settings)
    write_clip_file(weights)
    remove_previous_run(run)
    train(config, out=run)
    evaluations = {BEFORE: _read_evaluation(run / ZERO_SHOT), AFTER: _read_evaluation(run / "evaluation.json")}
    scores = compare_models(evaluations)
    write_json(run / "scores.json", scores)
    write_results_page(run / "retrieval.html", scores=scores, evaluations=evaluations, config=config)
    _print_summary(scores, run)
    index_test_videos(arguments.out / "index", run=run, videos=videos, settings=settings)
    return 0


def retrieval_demo_config(videos: Path, weights: Path, *, epochs: int, seed: int = 0) -> RunConfig:
    """The settings of the demonstration: a small CLIP pre-trained on stills, a side network 64 wide on each block.

    Batches are large because most captions of a batch differ in form and colour, which the frozen model distinguishes
    already; only captions that differ just in motion teach something. There is no stem: without it, training learns the
    motion in fewer steps, and each step takes less time.
    """
    return parse_config(
        {
            "about": "Captions of moving shapes; only the order of the frames reveals the motion.",
            "task": "retrieval",
            "backbone": {"name": BACKBONE_NAME, "weights": str(weights), "model_args": BACKBONE_ARGS},
            "side": {"width": 64, "initial_values": "scaled", "stem": False},
            "text": {
                "name": TEXT_NAME,
                "weights": str(weights),
                "model_args": TEXT_ARGS,
                "max_words": TEXT_ARGS["context_length"],
                "similarity": "mean-pool",
            },
            "data": {"train": videos / "train.csv", "test": videos / "test.csv", "num_frames": NUM_STOPS},
            "augment": {"resize": BACKBONE_ARGS["img_size"], "crop_scale": None, "flip": 0.0},
            "train": {"epochs": epochs, "batch": 54, "lr": 3e-3, "warmup_epochs": 0.5, "memory": "plain"},
            "eval": {"resize": BACKBONE_ARGS["img_size"], "batch": 36, "every": epochs, "probe": True},
            "seed": seed,
        },
        source="the demonstration",
    )


def _read_evaluation(path: Path) -> RetrievalEvaluation:
    return RetrievalEvaluation.from_json(json.loads(path.read_text(encoding="utf-8")))


def _print_summary(scores: dict[str, dict[str, float]], run: Path) -> None:
    print(f"\n{'held-out videos':48}{BEFORE:>26}{AFTER:>26}")
    for measure, shares in scores.items():
        print(f"  {measure:46}{shares[BEFORE]:>26.1%}{shares[AFTER]:>26.1%}")
    print(f"adapter      {run / 'best'}\nscores       {run / 'scores.json'}\npage         {run / 'retrieval.html'}")
