"""What differs between the paper's settings (arXiv 2311.15769): its models, and the data sets with their numbers."""

from dataclasses import dataclass, field

Numbers = dict[str, float]


@dataclass(frozen=True)
class Model:
    """A model of the paper: its preset, title, side network in recognition, and text tower in open_clip."""

    preset: str
    title: str
    side: str
    lr: str
    text: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class ActionSet:
    """A data set of labelled videos: how training reads, augments and uses it."""

    key: str
    title: str
    num_classes: int
    frames: tuple[int, ...]
    clips: int
    """Clips per video in the paper's test, each with 3 crops."""
    files: tuple[str, ...]
    notes: str
    data: str
    augment: str
    epochs: dict[str, int]
    videos_per_gpu: dict[str, int]
    top1: dict[str, dict[int, float]]
    """Published top-1 by model and frames."""
    top5: dict[str, dict[int, float]]
    unknown: dict[str, str] = field(default_factory=dict)
    """What is open about a model's rows, beyond the settings that no released config has."""


@dataclass(frozen=True)
class CaptionSet:
    """A data set of captioned videos."""

    key: str
    title: str
    files: tuple[str, ...]
    notes: str
    captions: str
    data: str
    text_to_video: dict[str, Numbers]
    """Published numbers by model."""
    video_to_text: dict[str, Numbers] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    """What is open about a model's row."""


MODELS = {
    model.preset: model
    for model in (
        Model("b32", "CLIP ViT-B/32", "12 blocks of width 320", "1.0e-3", ("ViT-B-32-quickgelu", "openai")),
        Model("b16", "CLIP ViT-B/16", "12 blocks of width 320", "1.0e-3", ("ViT-B-16-quickgelu", "openai")),
        Model("b16-light", "CLIP ViT-B/16", "light, 6 blocks of width 192", "1.0e-3"),
        Model("l14", "CLIP ViT-L/14", "24 blocks of width 512", "1.0e-4", ("ViT-L-14-quickgelu", "openai")),
        Model("l14-light", "CLIP ViT-L/14", "light, 12 blocks of width 320", "1.0e-4"),
        Model("e14", "EVA-02-CLIP ViT-E/14", "32 blocks of width 576", "1.0e-4", ("EVA02-E-14", "laion2b_s4b_b115k")),
    )
}
RETRIEVAL_MODELS = ("b32", "b16", "l14", "e14")
RETRIEVAL_WIDTH = 320
"""Of the side network in every script of the released retrieval code, whatever the model."""


def ranked(*numbers: float) -> Numbers:
    """R@1, R@5, R@10, median and mean rank by name; fewer where fewer were published."""
    names = ("R@1", "R@5", "R@10", "median rank", "mean rank")
    return dict(zip(names, numbers, strict=False))


SOMETHING_AUGMENT = """\
  resize: [256, 320]        # height, width; at test, too
  flip: 0.5                 # swaps the labels of left and right
  rand_augment: rand-m7-n4-mstd0.5-inc1
"""
SOMETHING_DATA = """\
  sampling: segments
  flavour: something_something
  repeats: 2                # two augmentations of each clip
"""

ACTION_SETS = (
    ActionSet(
        key="k400",
        title="Kinetics-400",
        num_classes=400,
        frames=(8, 16, 32),
        clips=4,
        files=(
            "--data.train kinetics_train.csv --data.test kinetics_val.csv",
            "--data.root k400/train --data.test-root k400/val",
        ),
        notes="The lists are the official CSV files; videos are in one folder per class or all in one folder.",
        data="  format: kinetics\n"
        "  sampling: segments\n"
        "  flavour: kinetics\n"
        "  allow_missing: true       # many videos are gone; the coverage is reported\n",
        augment="  resize: 256               # short side\n  flip: 0.5\n  grey: 0.2\n",
        epochs={"e14": 20},
        videos_per_gpu={"e14": 1},
        top1={
            "b16": {8: 83.6, 16: 83.9, 32: 84.2},
            "l14": {8: 86.6, 16: 87.0},
            "e14": {8: 88.3, 16: 88.6},
        },
        top5={"e14": {16: 98.2}},
        unknown={"e14": "The released config has one clip per GPU, which may not be the batch of the published score."},
    ),
    ActionSet(
        key="ssv1",
        title="Something-Something V1",
        num_classes=174,
        frames=(8, 16),
        clips=2,
        files=(
            "--data.train something-something-v1-train.csv",
            "--data.test something-something-v1-validation.csv --data.root 20bn-something-something-v1",
        ),
        notes="something-something-v1-labels.csv (or labels.csv) is next to the lists; videos are folders <id> of "
        "frames 00001.jpg, ...",
        data='  format: ssv1\n  frame_template: "{:05d}.jpg"\n' + SOMETHING_DATA,
        augment=SOMETHING_AUGMENT,
        epochs={"b32": 40, "b16": 40, "b16-light": 40},
        videos_per_gpu={"e14": 8},
        top1={"b16": {8: 59.4, 16: 60.7}, "l14": {8: 61.0, 16: 62.4}, "e14": {8: 65.3, 16: 67.3}},
        top5={"e14": {16: 88.8}},
    ),
    ActionSet(
        key="ssv2",
        title="Something-Something V2",
        num_classes=174,
        frames=(8, 16),
        clips=2,
        files=(
            "--data.train something-something-v2-train.json",
            "--data.test something-something-v2-validation.json --data.root 20bn-something-something-v2",
        ),
        notes="something-something-v2-labels.json (or labels.json) is next to the lists; videos are <id>.webm.",
        data="  format: ssv2\n" + SOMETHING_DATA,
        augment=SOMETHING_AUGMENT,
        epochs={"e14": 25},
        videos_per_gpu={"e14": 8},
        top1={
            "b16": {8: 70.6, 16: 71.5},
            "b16-light": {8: 68.6},
            "l14": {8: 71.9, 16: 73.2},
            "l14-light": {8: 70.6},
            "e14": {8: 74.3, 16: 75.2},
        },
        top5={"e14": {16: 94.0}},
        unknown={
            "b16": "The paper's memory table gives 70.2 with 8 frames, one clip of 3 crops.",
            "l14": "The paper's memory table gives 71.8 with 8 frames, one clip of 3 crops.",
            "e14": "The paper's abstract gives 74.6 top-1.",
        },
    ),
)

CAPTION_SETS = (
    CaptionSet(
        key="msrvtt",
        title="MSR-VTT 1k-A",
        files=(
            "--data.train MSRVTT_train.9k.csv --data.test MSRVTT_JSFUSION_test.csv",
            "--data.captions MSRVTT_data.json --data.root MSRVTT/videos",
        ),
        notes="Papers use the 1k-A test set for validation, too: choose no setting of your own by it.",
        captions="180,000",
        data="",
        text_to_video={
            "b32": ranked(44.2, 71.1, 81.0, 2, 15.1),
            "b16": ranked(47.2, 73.8, 83.7, 2, 13.1),
            "l14": ranked(51.4, 75.8, 84.5, 1, 12.5),
            "e14": ranked(52.3, 75.5, 84.2, 1, 12.8),
        },
        video_to_text={
            "b32": ranked(44.6, 72.3, 82.3, 2, 9.4),
            "b16": ranked(46.6, 75.8, 84.3, 2, 7.9),
            "l14": ranked(50.0, 77.1, 85.9, 1.5, 7.0),
            "e14": ranked(50.4, 77.4, 86.0, 1.5, 7.1),
        },
        unknown={"e14": "The side width of the published numbers; the released E/14 script for MSVD has 320."},
    ),
    CaptionSet(
        key="msvd",
        title="MSVD",
        files=(
            "--data.train train_list.txt --data.test test_list.txt",
            "--data.captions raw-captions.pkl --data.root YouTubeClips",
        ),
        notes="Each of the 27,763 captions of the 670 test videos is a query.",
        captions="48,774",
        data="  format: msvd\n",
        text_to_video={"e14": ranked(56.1, 81.7, 88.8, 1, 8.4)},
    ),
    CaptionSet(
        key="vatex",
        title="VATEX",
        files=(
            "--data.train train_list.txt --data.test test_list.txt",
            "--data.captions vatex_data.json --data.root VATEX/videos",
        ),
        notes="The lists are those of the paper's code; the official VATEX files are supported, too.",
        captions="259,910",
        data="  format: vatex\n  allow_missing: true       # many videos are gone; the coverage is reported\n",
        text_to_video={"e14": ranked(68.8, 93.5, 97.0, 1, 2.7)},
        unknown={
            "e14": "The side width of the published numbers; the released E/14 script for MSVD has 320. The "
            "published list calls 2.7 the median rank and 1.0 R@50, here read as mean and median rank."
        },
    ),
)
