"""The package's recipes: their figures are correct, each builds its model, and each kind takes a real step."""

import re
import resource
import shlex
import time

import pytest
import torch
import tyro
import yaml

from recipe_counting import one_gpu_config, planned_config, round_gb
from recipe_document import DOCUMENT, with_tables
from side4video.cli import main
from side4video.config import MODEL_PRESETS, RunConfig, load_config, parse_config, recipe_names, recipe_text
from side4video.config.recipe_figures import format_numbers, read_figures
from side4video.memory.planning import StepPlanner
from side4video.memory.training_step import step_size
from side4video.models.retrieval_model import build_retrieval_model
from side4video.models.similarity import similarity
from side4video.models.text.tokeniser import clip_tokeniser
from side4video.models.video_model import build_video_model
from side4video.tasks.recognition.loss import RecognitionLoss
from side4video.tasks.retrieval.contrastive import contrastive_loss, sigmoid_loss
from side4video.training.optimizer import build_optimizer
from write_recipes import recipes

META = torch.device("meta")
OWN = {
    "own-clips",
    "own-clips-8gb",
    "own-clips-24gb",
    "own-clips-pe",
    "own-clips-siglip2",
    "own-captions",
    "own-captions-pe",
    "own-captions-siglip2",
}
TOP5 = {("k400-e14", 16): 98.2, ("ssv1-e14", 16): 88.8, ("ssv2-e14", 16): 94.0}
RANKED = ("R@1", "R@5", "R@10", "median rank", "mean rank")
TEXT_TO_VIDEO = {
    "msrvtt-b32": (44.2, 71.1, 81.0, 2, 15.1),
    "msrvtt-b16": (47.2, 73.8, 83.7, 2, 13.1),
    "msrvtt-l14": (51.4, 75.8, 84.5, 1, 12.5),
    "msrvtt-e14": (52.3, 75.5, 84.2, 1, 12.8),
    "msvd-e14": (56.1, 81.7, 88.8, 1, 8.4),
    "vatex-e14": (68.8, 93.5, 97.0, 1, 2.7),
}
VIDEO_TO_TEXT = {
    "msrvtt-b32": (44.6, 72.3, 82.3, 2, 9.4),
    "msrvtt-b16": (46.6, 75.8, 84.3, 2, 7.9),
    "msrvtt-l14": (50.0, 77.1, 85.9, 1.5, 7.0),
    "msrvtt-e14": (50.4, 77.4, 86.0, 1.5, 7.1),
}
TOP1 = {  # arXiv 2311.15769, by frames
    "k400-b16": {8: 83.6, 16: 83.9, 32: 84.2},
    "k400-l14": {8: 86.6, 16: 87.0},
    "k400-e14": {8: 88.3, 16: 88.6},
    "ssv1-b16": {8: 59.4, 16: 60.7},
    "ssv1-l14": {8: 61.0, 16: 62.4},
    "ssv1-e14": {8: 65.3, 16: 67.3},
    "ssv2-b16": {8: 70.6, 16: 71.5},
    "ssv2-b16-light": {8: 68.6},
    "ssv2-l14": {8: 71.9, 16: 73.2},
    "ssv2-l14-light": {8: 70.6},
    "ssv2-e14": {8: 74.3, 16: 75.2},
}
TEXT_TOWERS = {  # what the image towers were trained with
    "vit_base_patch32_clip_quickgelu_224.openai": ("ViT-B-32-quickgelu", "openai"),
    "vit_base_patch16_clip_quickgelu_224.openai": ("ViT-B-16-quickgelu", "openai"),
    "vit_large_patch14_clip_quickgelu_224.openai": ("ViT-L-14-quickgelu", "openai"),
    "eva02_enormous_patch14_clip_224.laion2b": ("EVA02-E-14", "laion2b_s4b_b115k"),
    "PE-Core-B-16.meta": ("PE-Core-B-16", "meta"),
    "ViT-B-16-SigLIP2.webli": ("ViT-B-16-SigLIP2", "webli"),
}


def on_random_weights(config: RunConfig, **changes) -> RunConfig:
    """The recipe without downloads; keyword arguments change groups."""
    content = config.model_dump()
    content["backbone"] |= {"weights": "random"}
    content["text"] |= {"weights": "random"}
    for group, values in changes.items():
        content[group] |= values
    return parse_config(content, source="test")


def build(config: RunConfig, *, num_classes: int | None, device: torch.device):
    if config.task == "retrieval":
        return build_retrieval_model(config, device=device)
    return build_video_model(config, num_classes=num_classes or 1, device=device)


def test_there_is_a_recipe_for_every_row():
    models = ("b32", "b16", "b16-light", "l14", "l14-light", "e14")
    wanted = {f"{videos}-{model}" for videos in ("k400", "ssv1", "ssv2") for model in models}
    wanted |= {f"{videos}-{model}" for videos in ("msrvtt", "msvd", "vatex") for model in ("b32", "b16", "l14", "e14")}
    assert set(recipe_names()) == wanted | OWN
    for name in recipe_names():
        frames = (8, 16, 32) if name.startswith("k400") else (8, 16) if name.startswith("ssv") else None
        assert frames is None or tuple(read_figures(name).memory_gb) == frames


def test_figures_equal_the_papers_scores():
    expected = {
        name: {
            frames: {"top-1": score} | ({"top-5": TOP5[name, frames]} if (name, frames) in TOP5 else {})
            for frames, score in rows.items()
        }
        for name, rows in TOP1.items()
    } | {name: {12: dict(zip(RANKED, row, strict=True))} for name, row in TEXT_TO_VIDEO.items()}
    figures = {name: read_figures(name) for name in recipe_names()}
    assert {name: own.paper for name, own in figures.items() if own.paper} == expected
    reverse = {name: dict(zip(RANKED, row, strict=True)) for name, row in VIDEO_TO_TEXT.items()}
    assert {name: own.video_to_text for name, own in figures.items() if own.video_to_text} == reverse


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - OWN))
def test_recipes_of_the_paper_equal_the_tools_output(name):
    assert recipe_text(name) == recipes()[name], "python tools/write_recipes.py"


@pytest.mark.parametrize("name", recipe_names())
def test_comments_and_settings_agree(name):
    text, config, figures = recipe_text(name), load_config(name), read_figures(name)
    head = " ".join(line.removeprefix("#").strip() for line in text[: text.index("about:")].splitlines())
    assert f"side4video train {name}" in head
    assert config.data.num_frames == next(iter(figures.memory_gb))
    for numbers in (*figures.paper.values(), figures.video_to_text):
        assert format_numbers(numbers) in head
    if config.task == "retrieval":
        assert (config.text.name, config.text.tag) == TEXT_TOWERS[config.backbone.name]
    if name in OWN:
        return
    backbone, side = MODEL_PRESETS["-".join(name.split("-")[1:])]
    if config.task == "retrieval":  # the released scripts name this width for every model
        side = side.model_copy(update={"width": 320})
    assert (config.backbone, config.side) == (backbone, side)
    assert f"{figures.trained_parameters / 1e6:.1f} M" in head
    assert config.train.batch == 8 * figures.videos_per_device
    assert bool(figures.paper) == ("has no such row" not in text)
    assert figures.unknown in head
    views = f"{config.eval.final_crops} crops x {config.eval.final_clips} clip"
    assert figures.views.startswith("1 view" if config.task == "retrieval" else views)


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - OWN))
def test_the_printed_commands_are_those_whose_memory_is_stated(name):
    """The commands are parsed as the command line parses them; `one_gpu_config` and `planned_config` are planned."""
    text, figures = recipe_text(name), read_figures(name)
    commands = re.findall(r"(?m)^#   (.*side4video train [^\\]*)\\$", text)
    on_eight, on_one = (shlex.split(command) for command in commands)
    assert on_eight == ["torchrun", "--nproc-per-node", "8", "-m", "side4video", "train", name]
    assert on_one[:3] == ["side4video", "train", name]
    flags = on_one[3:]
    given = tyro.cli(RunConfig, args=flags, default=load_config(name))
    for frames in figures.memory_gb:
        planned = one_gpu_config(load_config(name), figures, frames=frames)
        assert planned == given.model_copy(update={"data": planned.data})
        share = step_size(planned_config(load_config(name), figures, frames=frames))
        assert share.clips == step_size(given).clips == figures.videos_per_device * given.data.repeats
        assert (share.passes, step_size(given).passes) == (1, 8)
    head = " ".join(line.removeprefix("#").strip() for line in text[: text.index("about:")].splitlines())
    for sizes in (figures.memory_gb, figures.one_gpu_gb):
        assert ", ".join(f"{frames} frames: {size:g} GB" for frames, size in sizes.items()) in head


def test_the_document_has_the_figures_of_the_recipes():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_tables(text), "python tools/write_recipes.py"
    assert all(f"| `{name}` |" in text for name in recipe_names())


def test_a_copied_recipe_is_equivalent(tmp_path, capsys):
    assert main(["recipes", "show", "vatex-e14"]) == 0
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_config(path) == load_config("vatex-e14")
    assert "figures" in yaml.safe_load(path.read_text())


def test_the_list_shows_the_figures(capsys):
    start = time.perf_counter()
    assert main(["recipes"]) == 0
    assert time.perf_counter() - start < 5
    listed = capsys.readouterr().out
    (row,) = [line for line in listed.splitlines() if "ssv2-b16 " in line]
    assert all(word in row for word in ("70.6", "3 crops x 2 clips", "21.1", " 8 "))
    (row,) = [line for line in listed.splitlines() if "k400-b32 " in line]
    assert " - " in row
    assert "…" not in listed, "cut off at 80 columns"
    words = " ".join(listed.split())
    for number in ("98.2", "94.0", "88.8", "R@5 75.5", "mean rank 12.8", "mean rank 8.4", "mean rank 2.7"):
        assert number in words, number
    for row in ("k400-e14-f16", "ssv2-e14-f16", "ssv1-e14-f16"):
        assert row in words


KINDS = ("ssv2-b32", "ssv2-b16-light", "ssv1-l14", "k400-e14", "msrvtt-b32", "msvd-l14", "vatex-e14", *sorted(OWN))
"""A recipe of each kind."""


@pytest.mark.parametrize("names", [KINDS, pytest.param(recipe_names(), marks=pytest.mark.slow)], ids=["kinds", "all"])
def test_every_model_is_built_without_memory_and_has_the_stated_parameters(names):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in names:
        figures = read_figures(name)
        with META:
            model = build(on_random_weights(load_config(name)), num_classes=figures.num_classes, device=META)
        assert {tensor.device for tensor in (*model.parameters(), *model.buffers())} == {META}
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        assert trained == figures.trained_parameters, name
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB
    assert grown < 500_000, "ViT-E/14 alone has 17 GB of weights"


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_the_stated_memory_equals_the_plan(name):
    figures, config = read_figures(name), load_config(name)
    for frames, stated in figures.memory_gb.items():
        planner = StepPlanner(planned_config(config, figures, frames=frames), num_classes=figures.num_classes or 1)
        assert round_gb(planner.estimate().total) == pytest.approx(stated, rel=0.05)
        if figures.one_gpu_gb:
            size = step_size(one_gpu_config(config, figures, frames=frames))
            assert round_gb(planner.estimate(size).total) == pytest.approx(figures.one_gpu_gb[frames], rel=0.05)


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_takes_a_real_step_at_reduced_size(name):
    recipe = load_config(name)
    eva = "eva02" in recipe.backbone.name
    patch = int(recipe.backbone.name.partition("patch")[2].partition("_")[0] or 16)
    args = {"embed_dim": 64, "depth": 4, "num_heads": 2} | ({"mlp_ratio": 2.0} if eva else {})
    config = on_random_weights(
        recipe,
        backbone={"image_size": 2 * patch, "model_args": args},
        side={"width": 64},
        data={"num_frames": 3, "cache": None},
        text={
            "model_args": {
                "embed_dim": 64 if "SigLIP" in recipe.text.name else 32,
                "width": 32,
                "heads": 2,
                "layers": 2,
            }
        },
    )
    device = torch.device("cpu")
    model = build(config, num_classes=5, device=device).train()
    assert len(model.side.blocks) == (1 if name == "own-clips" else 4 if recipe.side.taps == "all" else 2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(4, 3, 3, 2 * patch, 2 * patch, generator=generator)
    if config.task == "retrieval":
        ids, mask = clip_tokeniser()(["a dog", "a cat sleeps", "rain", "two boats"], max_words=config.text.max_words)
        texts, videos = model.embed_texts(ids, mask), model.embed_videos(clips)
        similarities = similarity(texts, videos, config.text.similarity)
        if config.text.loss == "sigmoid":
            loss = sigmoid_loss(similarities, model.logit_scale, model.logit_bias)
        else:
            loss = contrastive_loss(similarities, model.logit_scale)
    else:
        loss, _ = RecognitionLoss(config, num_classes=5)(model, clips, torch.tensor([0, 1, 2, 3]))
    loss.backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    moved = {key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    build_optimizer(model, config.train, finetuned=model.finetuned_parameters()).step()
    after = model.state_dict()
    assert torch.isfinite(loss)
    assert moved
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("backbone."))
    assert all(not torch.equal(before[key], after[key]) for key in moved if "text." not in key)
