"""What differs between the paper's settings (arXiv 2311.15769): its models, and the data sets with their scores."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A model of the paper: its preset, what it is called, its side network, its text tower in open_clip."""

    preset: str
    title: str
    side: str
    lr: str
    text: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class ActionSet:
    """A data set of labelled videos: how it is read, augmented and trained on."""

    key: str
    title: str
    num_classes: int
    frames: tuple[int, ...]
    clips: int
    """Clips per video in the paper's test, of 3 crops each."""
    files: tuple[str, ...]
    notes: str
    data: str
    augment: str
    epochs: dict[str, int]
    videos_per_gpu: dict[str, int]
    scores: dict[str, dict[int, float]]


@dataclass(frozen=True)
class CaptionSet:
    """A data set of captioned videos."""

    key: str
    title: str
    files: tuple[str, ...]
    notes: str
    captions: str
    data: str
    scores: dict[str, float]


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

SOMETHING_AUGMENT = """\
  resize: [256, 320]        # height, width
  flip: 0.5                 # swaps the labels of left and right
  rand_augment: rand-m7-n4-mstd0.5-inc1
"""
SOMETHING_DATA = """\
  sampling: segments
  flavour: something_something
  repeats: 2                # each decoded clip is augmented twice
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
        notes="Lists are the official CSV files; videos lie in one folder per class or all in one.",
        data="  format: kinetics\n"
        "  sampling: segments\n"
        "  flavour: kinetics\n"
        "  allow_missing: true       # nobody has all of it any more; the coverage is reported\n",
        augment="  resize: 256               # short side\n  flip: 0.5\n  grey: 0.2\n",
        epochs={"e14": 20},
        videos_per_gpu={"e14": 1},
        scores={
            "b16": {8: 83.6, 16: 83.9, 32: 84.2},
            "l14": {8: 86.6, 16: 87.0},
            "e14": {8: 88.3, 16: 88.6},
        },
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
        notes="Annotation files lie beside something-something-v1-labels.csv (or labels.csv); videos are folders "
        "<id> of frames 00001.jpg, ...",
        data='  format: ssv1\n  frame_template: "{:05d}.jpg"\n' + SOMETHING_DATA,
        augment=SOMETHING_AUGMENT,
        epochs={"b32": 40, "b16": 40, "b16-light": 40},
        videos_per_gpu={"e14": 8},
        scores={"b16": {8: 59.4, 16: 60.7}, "l14": {8: 61.0, 16: 62.4}, "e14": {8: 65.3, 16: 67.3}},
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
        notes="Annotation files lie beside something-something-v2-labels.json (or labels.json); videos are <id>.webm.",
        data="  format: ssv2\n" + SOMETHING_DATA,
        augment=SOMETHING_AUGMENT,
        epochs={"e14": 25},
        videos_per_gpu={"e14": 8},
        scores={
            "b16": {8: 70.6, 16: 71.5},
            "b16-light": {8: 68.6},
            "l14": {8: 71.9, 16: 73.2},
            "l14-light": {8: 70.6},
            "e14": {8: 74.3, 16: 75.2},
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
        notes="The 1k-A test set is also this field's validation set: choose nothing by it.",
        captions="180,000",
        data="",
        scores={"b32": 44.2, "b16": 47.2, "l14": 51.4, "e14": 52.3},
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
        scores={"e14": 56.1},
    ),
    CaptionSet(
        key="vatex",
        title="VATEX",
        files=(
            "--data.train train_list.txt --data.test test_list.txt",
            "--data.captions vatex_data.json --data.root VATEX/videos",
        ),
        notes="The lists are those of the paper's code; docs/reference/text-video-data.md says which files do as well.",
        captions="259,910",
        data="  format: vatex\n  allow_missing: true       # many are gone from YouTube; the coverage is reported\n",
        scores={"e14": 68.8},
    ),
)
