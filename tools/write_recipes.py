"""Writes the recipes of the paper's settings and docs/reference/recipes.md, from what differs between them.

    python tools/write_recipes.py            # after a change here: writes the files again, with their present figures
    python tools/write_recipes.py --count    # counts parameters and plans memory again; takes minutes

A test fails if a file of the package differs from what this writes. Recipes for own data are written by hand; this
counts and plans the figures in them, too.
"""

import argparse
from pathlib import Path
from textwrap import wrap

from paper_rows import (
    ACTION_SETS,
    CAPTION_SETS,
    MODELS,
    RETRIEVAL_MODELS,
    RETRIEVAL_WIDTH,
    ActionSet,
    CaptionSet,
    Model,
    Numbers,
)
from recipe_counting import count_figures, replace_figures
from recipe_document import write_document
from side4video.config.recipe_figures import RecipeFigures, format_numbers, read_figures

FOLDER = Path(__file__).parents[1] / "src/side4video/recipes"
PAPER = "arXiv 2311.15769"
UNRELEASED = "No config for more than 8 frames is released; the settings are those of 8 frames."
UNRELEASED_LIGHT = "No config of the light models is released; the settings are the full model's."


def comment(*lines: str) -> str:
    """Lines as a YAML comment; sentences are wrapped, commands (indented lines) are not."""
    wrapped = (part for line in lines for part in ([line] if line[:1] in {"", " "} else wrap(line, width=118)))
    return "".join(f"# {line}".rstrip() + "\n" for line in wrapped)


def by_frames(values: dict[int, float]) -> str:
    """Sizes in words: "8 frames: 17 GB, 16 frames: 23 GB"."""
    return ", ".join(f"{frames} frames: {value:g} GB" for frames, value in values.items())


def flow(values: dict[int, float]) -> str:
    """Values as YAML on one line."""
    return "{" + ", ".join(f"{key}: {value:g}" for key, value in values.items()) + "}"


def flow_numbers(numbers: Numbers) -> str:
    """Published numbers as YAML on one line."""
    return "{" + ", ".join(f"{name}: {value:g}" for name, value in numbers.items()) + "}"


def figure_block(figures: RecipeFigures) -> str:
    """The figures as the last part of a recipe."""
    rows = "".join(f"\n    {frames}: {flow_numbers(numbers)}" for frames, numbers in figures.paper.items()) or " {}"
    reverse = f"  video_to_text: {flow_numbers(figures.video_to_text)}\n" if figures.video_to_text else ""
    unknown = f'  unknown: "{figures.unknown}"\n' if figures.unknown else ""
    classes = "" if figures.num_classes is None else f"  num_classes: {figures.num_classes}\n"
    return (
        "figures:                    # for `side4video recipes` and `memory`; training ignores them\n"
        f"  model: {figures.model}\n"
        f"  paper:{rows}\n"
        f"{reverse}"
        f"  views: {figures.views}\n"
        f"{unknown}"
        f"{classes}"
        f"  trained_parameters: {figures.trained_parameters}\n"
        f"  videos_per_device: {figures.videos_per_device}\n"
        f"  memory_gb: {flow(figures.memory_gb)}\n"
        f"  one_gpu_gb: {flow(figures.one_gpu_gb)}\n"
    )


def commands(name: str, files: tuple[str, ...], figures: RecipeFigures, clips: str) -> tuple[str, ...]:
    """The command for the paper's 8 GPUs and the one for a single GPU, each with its planned memory."""
    data = (f"    {files[0]} \\", f"    {files[1]}")
    videos = figures.videos_per_device
    return (
        f"8 GPUs, as in the paper. Planned memory of each: {by_frames(figures.memory_gb)}.",
        "",
        f"  torchrun --nproc-per-node 8 -m side4video train {name} \\",
        *data,
        "",
        f"One GPU: the same batch in parts of {videos} {'video' if videos == 1 else 'videos'}, so that BatchNorm sees "
        f"{clips} at a time, as on each GPU of the paper. Planned memory: {by_frames(figures.one_gpu_gb)}.",
        "",
        f"  side4video train {name} --train.micro-batch {videos} \\",
        *data,
        "",
    )


def recognition_figures(videos: ActionSet, model: Model, known: RecipeFigures | None) -> RecipeFigures:
    """What a recipe for labelled videos states; counted figures are taken from its present file."""
    top1, top5 = videos.top1.get(model.preset, {}), videos.top5.get(model.preset, {})
    light = model.preset.endswith("-light")
    clips = 1 if light and top1 else videos.clips
    unknown = (videos.unknown.get(model.preset, ""), UNRELEASED_LIGHT if light else UNRELEASED)
    return RecipeFigures(
        model=f"{model.title}, light" if light else model.title,
        paper={
            frames: {"top-1": score} | ({"top-5": top5[frames]} if frames in top5 else {})
            for frames, score in top1.items()
        },
        views=f"3 crops x {clips} {'clip' if clips == 1 else 'clips'}",
        unknown=" ".join(filter(None, unknown)),
        num_classes=videos.num_classes,
        trained_parameters=known.trained_parameters if known else 0,
        videos_per_device=videos.videos_per_gpu.get(model.preset, 16 if "repeats" in videos.data else 32),
        memory_gb=known.memory_gb if known else dict.fromkeys(videos.frames, 0.0),
        one_gpu_gb=known.one_gpu_gb if known else dict.fromkeys(videos.frames, 0.0),
    )


def recognition_recipe(videos: ActionSet, model: Model, known: RecipeFigures | None) -> str:
    """The text of a recipe for labelled videos."""
    name = f"{videos.key}-{model.preset}"
    figures = recognition_figures(videos, model, known)
    crops, clips = (int(part.split()[0]) for part in figures.views.split(" x "))
    per_gpu, repeats = figures.videos_per_device, 2 if "repeats" in videos.data else 1
    rows = tuple(
        f"{name}-f{frames}: {format_numbers(figures.paper.get(frames, {})) or 'no published score'}"
        for frames in videos.frames
    )
    epochs, warmup = videos.epochs.get(model.preset, 30), 6 if model.preset == "e14" and videos.key != "k400" else 4
    augment = videos.augment
    if model.preset == "e14" and "rand_augment" not in augment:
        augment += "  rand_augment: rand-m7-n4-mstd0.5-inc1\n"
    scores = ", ".join(f"{numbers['top-1']:g} % with {frames} frames" for frames, numbers in figures.paper.items())
    published = f"the paper's top-1 is {scores}" if scores else "the paper has no such row"
    side = model.side.removeprefix("light, ")
    clips_per_norm = f"{per_gpu * repeats} {'clip' if per_gpu * repeats == 1 else 'clips'}"
    return (
        comment(
            f"{videos.title}, {model.title}, side network: {model.side} ({PAPER}).",
            "",
            *commands(name, videos.files, figures, clips_per_norm),
            f"{name} has {videos.frames[0]} frames per clip. Published, with {figures.views}:",
            *(f"  {row}" for row in rows),
            f"Training chooses best/ by one view per video. It ends by scoring best/ with {figures.views}.",
            f"Unknown: {figures.unknown}",
            f"Trained parameters: {figures.trained_parameters / 1e6:.1f} M. {videos.notes}",
        )
        + f"about: {videos.title}, {model.title}, side network of {side}; {published}.\n"
        f"preset: {model.preset}\n"
        f"data:\n{videos.data}"
        "  num_frames: 8\n"
        f"augment:\n{augment}"
        "  random_crop: paper\n"
        "train:\n"
        f"  epochs: {epochs}\n"
        f"  batch: {8 * per_gpu:<18} # {per_gpu} {'video' if per_gpu == 1 else 'videos'} on each of 8 GPUs\n"
        f"  lr: {model.lr}\n"
        "  weight_decay: 0.15\n"
        f"  warmup_epochs: {warmup}\n"
        "  label_smoothing: 0.1\n"
        "eval:\n"
        "  crop_style: paper\n"
        f"  final_crops: {crops}\n"
        f"  final_clips: {clips}\n" + figure_block(figures)
    )


def retrieval_figures(videos: CaptionSet, model: Model, known: RecipeFigures | None) -> RecipeFigures:
    """What a recipe for captioned videos states; counted figures are taken from its present file."""
    numbers = videos.text_to_video.get(model.preset)
    return RecipeFigures(
        model=model.title,
        paper={} if numbers is None else {12: numbers},
        video_to_text=videos.video_to_text.get(model.preset, {}),
        views="1 view",
        unknown=videos.unknown.get(model.preset, ""),
        trained_parameters=known.trained_parameters if known else 0,
        videos_per_device=16,
        memory_gb=known.memory_gb if known else {12: 0.0},
        one_gpu_gb=known.one_gpu_gb if known else {12: 0.0},
    )


def retrieval_recipe(videos: CaptionSet, model: Model, known: RecipeFigures | None) -> str:
    """The text of a recipe for captioned videos."""
    name = f"{videos.key}-{model.preset}"
    figures = retrieval_figures(videos, model, known)
    text_name, tag = model.text
    published = ("The paper has no such row.",)
    about = "the paper has no such row"
    if figures.paper:
        published = (f"Published, text to video, without dual softmax: {format_numbers(figures.paper[12])}.",)
        about = f"the paper's R@1 from text to video is {figures.paper[12]['R@1']:g} %"
    if figures.video_to_text:
        published += (f"Video to text: {format_numbers(figures.video_to_text)}.",)
    if figures.unknown:
        published += (f"Unknown: {figures.unknown}",)
    return (
        comment(
            f"{videos.title}, text-video retrieval, {model.title}, 12 frames ({PAPER}).",
            "",
            *commands(name, videos.files, figures, "16 clips"),
            *published,
            f"Trained parameters: {figures.trained_parameters / 1e6:.1f} M, most of them in the text tower.",
            f"Videos are in any folder below the root. {videos.notes}",
        )
        + f"about: {videos.title} retrieval, {model.title}, 12 frames; {about}.\n"
        "task: retrieval\n"
        f"preset: {model.preset}\n"
        "side:\n"
        f"  width: {RETRIEVAL_WIDTH}                # as in all retrieval scripts of the released code\n"
        "text:\n"
        f"  name: {text_name}\n"
        f"  tag: {tag}\n"
        "  max_words: 32\n"
        "  similarity: wti\n"
        f"  captions_per_video: all   # each of the {videos.captions} captions is a sample\n"
        f"data:\n{videos.data}"
        f"  flavour: {'vatex' if videos.key == 'vatex' else 'msrvtt':<16} # which frames it takes at test\n"
        "  num_frames: 12\n"
        "augment:\n"
        "  resize: 224               # short side; then a centre crop, as in evaluation\n"
        "  crop_scale: null\n"
        "  flip: 0.0\n"
        "train:\n"
        "  epochs: 5\n"
        "  batch: 128                # 16 on each of 8 GPUs; every caption of a step is compared with every video\n"
        "  lr: 1.0e-4\n"
        "  finetuned_lr_scale: 1.0e-3  # text tower, last norm and projection\n"
        "  weight_decay: 0.2\n"
        "  decay_biases: false\n"
        "  decay_norms: true\n"
        "  betas: [0.9, 0.98]\n"
        "  eps: 1.0e-6\n"
        "  clip_grad_norm: 1.0\n"
        "  warmup_epochs: 0.5        # a tenth of the steps\n"
        "  cosine: whole-run\n"
        "eval:\n"
        "  resize: 224\n"
        "  crop_style: paper\n"
        "seed: 42\n" + figure_block(figures)
    )


def recipes() -> dict[str, str]:
    """Every generated recipe by name, with the counted figures of the package's present file."""
    written = {}
    for videos in ACTION_SETS:
        for model in MODELS.values():
            name = f"{videos.key}-{model.preset}"
            written[name] = recognition_recipe(videos, model, known_figures(name))
    for captioned in CAPTION_SETS:
        for preset in RETRIEVAL_MODELS:
            name = f"{captioned.key}-{preset}"
            written[name] = retrieval_recipe(captioned, MODELS[preset], known_figures(name))
    return written


def known_figures(name: str) -> RecipeFigures | None:
    """The figures of a recipe of the package; None before the file is first written."""
    path = FOLDER / f"{name}.yaml"
    return read_figures(name) if path.is_file() and "figures:" in path.read_text(encoding="utf-8") else None


def write() -> None:
    """Write the recipes."""
    for name, text in recipes().items():
        (FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", action="store_true")
    parser.add_argument("names", nargs="*", help="recipes to count; by default all")
    given = parser.parse_args()
    write()
    if given.count:
        for path in sorted(FOLDER.glob("*.yaml")):
            if not given.names or path.stem in given.names:
                replace_figures(path, count_figures(path.stem))
                print(path.stem, read_figures(path.stem), flush=True)
        write()
    write_document()


if __name__ == "__main__":
    main()
