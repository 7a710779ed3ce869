"""Makes the files of this folder; run with the package at commit 1706d3e, and never again for these: see README.md."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from side4video import Predictor, VideoIndex, train
from side4video.cli import main
from side4video.config import parse_config
from side4video.demo.moving_shapes import Scene, draw_clip
from side4video.demo.videos import write_video

BACKBONE = {"weights": "random", "image_size": 32}
BACKBONE |= {"model_args": {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}}
COMMON = {
    "side": {"width": 8},
    "train": {"epochs": 2, "batch": 2, "lr": 1e-2, "warmup_epochs": 0, "log_every": 1, "checkpoint_minutes": 0},
    "augment": {"resize": 32, "flip": 0.0},
    "eval": {"resize": 32},
}
RECOGNITION = {
    **COMMON,
    "backbone": {"name": "vit_tiny_patch16_224", **BACKBONE},
    "data": {"train": "clips/train", "test": "clips/test", "num_frames": 4, "workers": 0},
}
RETRIEVAL = {
    **COMMON,
    "task": "retrieval",
    "backbone": {"name": "vit_base_patch16_clip_quickgelu_224", **BACKBONE},
    "text": {
        "name": "ViT-B-16-quickgelu",
        "weights": "random",
        "max_words": 12,
        "model_args": {"embed_dim": 8, "width": 8, "heads": 1, "layers": 1, "context_length": 16},
    },
    "data": {"train": "captions.csv", "test": "captions.csv", "num_frames": 4, "workers": 0},
}
WORDS = "text.model.token_embedding.weight"
SENTENCES = ("a disc moves clockwise", "a ring")


def make_clips():
    for split, count in (("train", 2), ("test", 1)):
        for motion in ("clockwise", "anticlockwise"):
            for number in range(count):
                scene = Scene.random(np.random.default_rng((ord(split[1]), number)), size=32)
                path = Path("clips", split, motion, f"{number}.mp4")
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, draw_clip(scene, motion)[::4], frames_per_second=3)
    rows = [f"{path},a shape moves {path.parent.name}" for path in sorted(Path("clips").glob("train/*/*.mp4"))]
    Path("captions.csv").write_text("\n".join(["video,caption", *rows]) + "\n")


def keep_checkpoint_of(step):
    """The checkpoint of a step in the middle of the run is kept as `checkpoint.safetensors` of the folder `run`."""
    from side4video.training import run_state  # as it was called then

    save = run_state.save_checkpoint

    def save_too(folder, *, progress, **arguments):
        save(folder, progress=progress, **arguments)
        if progress.step == step:
            shutil.copy(folder / "checkpoint.safetensors", "kept.safetensors")

    run_state.save_checkpoint = save_too


def forget_other_words(adapter):
    """Set the embeddings of all words but those used here to zero, so that the file compresses to a few kilobytes."""
    from side4video.models.text_tower import tokenise  # where it was then

    captions = Path("captions.csv").read_text().splitlines()
    ids, _ = tokenise([*SENTENCES, *(line.partition(",")[2] for line in captions)], max_words=12)
    tensors = load_file(adapter / "model.safetensors")
    rows = torch.zeros_like(tensors[WORDS])
    rows[ids.unique()] = tensors[WORDS][ids.unique()]
    save_file({**tensors, WORDS: rows}, adapter / "model.safetensors", {"format": "pt"})


def norms(adapter):
    """The L2 norm of each trained tensor that has numbers with a fraction."""
    tensors = load_file(Path(adapter) / "model.safetensors")
    return {name: float(tensor.norm()) for name, tensor in sorted(tensors.items()) if tensor.is_floating_point()}


def found(video):
    return {
        "path": "/".join(Path(video.file.path).parts[-2:]),
        "score": video.score,
        "matches": [[match.word, match.seconds, match.similarity] for match in video.matches],
    }


def make_all():
    make_clips()
    keep_checkpoint_of(3)
    train(parse_config(RECOGNITION, source="recognition"), out=Path("whole"))
    predictor = Predictor("whole", device="cpu")
    numbers = {
        "last": [json.loads(line) for line in Path("whole/log.jsonl").read_text().splitlines()][-2:],
        "norms": norms("whole/last"),
        "classes": {
            str(path): {found.name: found.score for found in predictor.predict(path)}
            for path in sorted(Path("clips").glob("test/*/*.mp4"))
        },
    }
    Path("run").mkdir()
    shutil.move("kept.safetensors", "run/checkpoint.safetensors")
    shutil.copy("whole/config.yaml", "run/config.yaml")
    shutil.copytree("whole/best", "adapter")
    shutil.rmtree("whole")

    train(parse_config(RETRIEVAL, source="retrieval"), out=Path("retrieval"))
    forget_other_words(Path("retrieval/best"))
    assert main(["index", "clips/test", "--to", "index", "--model", "retrieval", "--device", "cpu"]) == 0
    index = VideoIndex.open("index", device="cpu")
    numbers["search"] = {text: [found(video) for video in index.search(text)] for text in SENTENCES}
    shutil.make_archive("retrieval", "zip", "retrieval/best")
    shutil.rmtree("retrieval")
    Path("kept.safetensors").unlink()
    Path("numbers.json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    with contextlib.chdir(sys.argv[1]):
        make_all()
