"""Writes the recipes of the paper's settings and docs/reference/recipes.md, from what differs between them.

    python tools/write_recipes.py            # after a change here: files are written again with the figures they have
    python tools/write_recipes.py --count    # parameters are counted and memory is planned anew; takes minutes

A test fails when the files in the package are not what this writes. Recipes for own data are written by hand; the
figures in them are counted and planned here too.
"""

import argparse
from pathlib import Path

from paper_rows import ACTION_SETS, CAPTION_SETS, MODELS, RETRIEVAL_MODELS, ActionSet, CaptionSet, Model
from recipe_counting import count_figures, replace_figures
from recipe_document import write_document
from side4video.config.recipe_figures import RecipeFigures, read_figures

FOLDER = Path(__file__).parents[1] / "src/side4video/recipes"
PAPER = "arXiv 2311.15769"


def comment(*lines: str) -> str:
    """Lines as a YAML comment."""
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def by_frames(values: dict[int, float], unit: str, *, form: str = "g") -> str:
    """Values in words: "8 frames: 70.6 %, 16 frames: 71.5 %"."""
    return ", ".join(f"{frames} frames: {value:{form}} {unit}" for frames, value in values.items())


def flow(values: dict[int, float], *, form: str = "g") -> str:
    """Values as YAML on one line."""
    return "{" + ", ".join(f"{frames}: {value:{form}}" for frames, value in values.items()) + "}"


def figure_block(figures: RecipeFigures) -> str:
    """The figures as the last part of a recipe."""
    classes = "" if figures.num_classes is None else f"  num_classes: {figures.num_classes}\n"
    return (
        "figures:                    # for `side4video recipes`; training does not look at them\n"
        f"  model: {figures.model}\n"
        f"  metric: {figures.metric}\n"
        f"  paper: {flow(figures.paper, form='.1f')}\n"
        f"  views: {figures.views}\n"
        f"{classes}"
        f"  trained_parameters: {figures.trained_parameters}\n"
        f"  videos_per_device: {figures.videos_per_device}\n"
        f"  memory_gb: {flow(figures.memory_gb)}\n"
    )


def counted_lines(figures: RecipeFigures, *, videos: str) -> tuple[str, str]:
    """What was counted and planned, in sentences."""
    return (
        f"Trained parameters: {figures.trained_parameters / 1e6:.1f} M.",
        f"Memory planned for a GPU with {figures.videos_per_device} {videos}: {by_frames(figures.memory_gb, 'GB')}.",
    )


def recognition_recipe(videos: ActionSet, model: Model, known: RecipeFigures | None) -> str:
    """The text of a recipe for labelled videos."""
    name = f"{videos.key}-{model.preset}"
    scores = videos.scores.get(model.preset, {})
    light = model.preset.endswith("-light")
    clips = 1 if light and scores else videos.clips
    per_gpu = videos.videos_per_gpu.get(model.preset, 16 if "repeats" in videos.data else 32)
    figures = RecipeFigures(
        model=f"{model.title}, light" if light else model.title,
        metric="top-1",
        paper=scores,
        views=f"3 crops x {clips} {'clip' if clips == 1 else 'clips'}",
        num_classes=videos.num_classes,
        trained_parameters=known.trained_parameters if known else 0,
        videos_per_device=per_gpu,
        memory_gb=known.memory_gb if known else dict.fromkeys(videos.frames, 0.0),
    )
    more = " or ".join(str(frames) for frames in videos.frames[1:])
    source = f"{figures.views}{', in its memory table' if light else ''}"
    published = f"The paper's top-1, {source}: {by_frames(scores, '%', form='.1f')}."
    settings = "the full model's" if light else "those of ViT-B/16"
    if not scores:
        published = f"The paper gives no score for it; the settings are {settings}."
    repeats = " of 2 views each" if "repeats" in videos.data else ""
    epochs, warmup = videos.epochs.get(model.preset, 30), 6 if model.preset == "e14" and videos.key != "k400" else 4
    augment = videos.augment
    if model.preset == "e14" and "rand_augment" not in augment:
        augment += "  rand_augment: rand-m7-n4-mstd0.5-inc1\n"
    about = f"{videos.title}, {model.title}, side network of {model.side.removeprefix('light, ')}" + (
        f"; the paper reports {scores[8]} % top-1 with 8 frames." if scores else "; the paper gives no score."
    )
    return (
        comment(
            f"{videos.title}, {model.title}, side network: {model.side} ({PAPER}).",
            "",
            f"  side4video train {name} {videos.files[0]} \\",
            f"    {videos.files[1]} --out runs/{name}",
            f"  side4video evaluate runs/{name} --eval.crops 3 --eval.clips {clips}",
            "",
            published,
            f"{videos.frames[0]} frames as it stands; for {more} add --data.num-frames to the first command, nothing "
            "else changes.",
            *counted_lines(figures, videos=f"{'video' if per_gpu == 1 else 'videos'}{repeats}"),
            videos.notes,
        )
        + f"about: {about}\n"
        f"preset: {model.preset}\n"
        f"data:\n{videos.data}"
        "  num_frames: 8\n"
        f"augment:\n{augment}"
        "train:\n"
        f"  epochs: {epochs}\n"
        f"  batch: {8 * per_gpu:<18} # {per_gpu} {'video' if per_gpu == 1 else 'videos'} on each of 8 GPUs\n"
        f"  lr: {model.lr}\n"
        "  weight_decay: 0.15\n"
        f"  warmup_epochs: {warmup}\n"
        "  label_smoothing: 0.1\n" + figure_block(figures)
    )


def retrieval_recipe(videos: CaptionSet, model: Model, known: RecipeFigures | None) -> str:
    """The text of a recipe for captioned videos."""
    name = f"{videos.key}-{model.preset}"
    score = videos.scores.get(model.preset)
    text_name, tag = model.text
    figures = RecipeFigures(
        model=model.title,
        metric="R@1, text to video",
        paper={} if score is None else {12: score},
        views="1 view",
        trained_parameters=known.trained_parameters if known else 0,
        videos_per_device=16,
        memory_gb=known.memory_gb if known else {12: 0.0},
    )
    published = "The paper gives no score for it."
    if score is not None:
        published = f"The paper's R@1, text to video, without dual softmax: {score} %."
    widths = ""
    if model.preset in {"l14", "e14"}:
        widths = "The width of the side network is that of recognition; the paper's scripts name one for ViT-B alone."
    about = f"{videos.title} retrieval, {model.title}, 12 frames; " + (
        "the paper gives no score." if score is None else f"the paper reports {score} % R@1, text to video."
    )
    return (
        comment(
            f"{videos.title}, text-video retrieval, {model.title}, 12 frames ({PAPER}).",
            "",
            f"  side4video train {name} {videos.files[0]} \\",
            f"    {videos.files[1]} --out runs/{name}",
            f"  side4video evaluate runs/{name}",
            "",
            published,
            *((widths,) if widths else ()),
            *counted_lines(figures, videos="videos"),
            "Most of what is trained is the text tower.",
            f"Videos lie anywhere below the root. {videos.notes}",
        )
        + f"about: {about}\n"
        "task: retrieval\n"
        f"preset: {model.preset}\n"
        "text:\n"
        f"  name: {text_name}\n"
        f"  tag: {tag}\n"
        "  max_words: 32\n"
        "  similarity: wti\n"
        f"  captions_per_video: all   # each of the {videos.captions} captions is a sample\n"
        f"data:\n{videos.data}"
        "  num_frames: 12\n"
        "augment:\n"
        "  resize: 224               # short side; then the middle is cut out, as in evaluation\n"
        "  crop_scale: null\n"
        "  flip: 0.0\n"
        "train:\n"
        "  epochs: 5\n"
        "  batch: 128                # all captions of a step are compared with all its videos; 16 on each of 8 GPUs\n"
        "  lr: 1.0e-4\n"
        "  finetuned_lr_scale: 1.0e-3  # text tower, last norm and projection\n"
        "  weight_decay: 0.2\n"
        "  decay_biases: false\n"
        "  betas: [0.9, 0.98]\n"
        "  eps: 1.0e-6\n"
        "  clip_grad_norm: 1.0\n"
        "  warmup_epochs: 0.5        # a tenth of the steps\n"
        "eval:\n"
        "  resize: 224\n" + figure_block(figures)
    )


def recipes() -> dict[str, str]:
    """Every generated recipe by name, with the figures that stand in the package's file."""
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
    """The figures of a recipe as it lies in the package; None before it was first written."""
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
