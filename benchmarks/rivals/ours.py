"""This package's own row: the command `train own-clips`, with its search, and the probes of the same run.

Or its search alone, among probes alone: much faster, and the same choice unless a side network is better.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from measuring.saved_bytes import SavedBytes
from side4video.adapters.adapter import load_adapter
from side4video.cli import main
from side4video.config import ProbeConfig, RunConfig, dump_config
from side4video.selection.candidates import changed
from side4video.selection.fold_results import SearchResult
from side4video.selection.search import Search
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.recognition.baselines import probe_tokens_of, read_baselines, training_tokens
from side4video.tasks.recognition.data import as_evaluated, read_data
from side4video.tasks.recognition.probe_fitting import fit_probe, probe_logits, video_scores


def with_run(config: RunConfig, *, epochs: int, cache: Path, batch: int = 16, shots: int | None = None) -> RunConfig:
    """The settings with another length of the training, folder of tokens, and number of training clips per class."""
    train = config.train.model_copy(update={"epochs": epochs, "batch": batch})
    data = config.data.model_copy(update={"cache": cache, "shots": shots})
    return config.model_copy(update={"train": train, "data": data})


def run_ours(config: RunConfig, out: Path, *, seed: int, flags: list[str]) -> dict[str, Any]:
    """Run the command on a set.

    Args:
        config: the recipe own-clips on the set.
        out: run folder; an unfinished run in it is resumed.
        seed: seed of the run.
        flags: more flags, such as `--search quick`.

    Returns:
        "accuracy", 0 to 1, "seconds" of the whole command (tokens, search, training, evaluation, report),
        "saved_bytes" of a clip in a training step, and "probes": accuracy by name.
    """
    recipe = out.with_suffix(".yaml")
    recipe.write_text(dump_config(config))
    resume = ["--resume"] if (out / "config.yaml").exists() else []
    started = time.perf_counter()
    code = main(["train", str(recipe), "--seed", str(seed), "--out", str(out), *flags, *resume])
    if code != 0:
        raise RuntimeError(f"train {recipe} --seed {seed} ended with exit code {code}.")
    return {
        "accuracy": json.loads((out / "evaluation.json").read_text())["top1"],
        "seconds": time.perf_counter() - started,
        "saved_bytes": saved_bytes(out),
        "probes": probe_scores(out),
    }


def choose_probe_alone(config: RunConfig, out: Path, *, seed: int) -> tuple[dict[str, Any], SearchResult]:
    """Search among probes, and score every candidate on the test clips after the choice.

    Returns:
        What `run_ours` returns, with all candidates as "probes"; and the search.
    """
    started = time.perf_counter()
    config = config.model_copy(update={"search": "probes", "seed": seed})
    search = Search(config, out)
    result = search.run()
    data = read_data(config.data, seed=seed)
    assert data.test is not None
    scores = {}
    candidates = {one.name: one.changes for one in result.tried} or {result.chosen: search.changes}
    for name, changes in candidates.items():
        own = changed(search.config, {"data": changes.get("data", {})})
        train = training_tokens(own, data, search.backbone)
        clips = evaluation_clips(as_evaluated(data.test, own.data), config=own, backbone=search.backbone)
        test = probe_tokens_of(clips, config=own, backbone=search.backbone)
        probe = ProbeConfig.model_validate(changes["probe"])
        fitted = fit_probe(probe, train, num_classes=len(data.class_names), seed=seed)
        found, labels = video_scores(probe_logits(fitted, test, probe), test)
        scores[name] = float((found.argmax(axis=1) == labels).mean())
    row = {"accuracy": scores[result.chosen], "seconds": time.perf_counter() - started, "saved_bytes": 0}
    probes = {name.replace(" probe", ""): score for name, score in scores.items()}
    return row | {"probes": probes, "num_clips": len(labels)}, result


def probe_scores(out: Path) -> dict[str, float]:
    """Top-1 of each probe of a run."""
    found = read_baselines(out)
    probes = () if found is None else found.probes
    return {probe.name: probe.top1 for probe in probes if probe.top1 is not None}


def saved_bytes(out: Path) -> int:
    """Bytes that autograd keeps per additional clip of a training step; 0 for a probe, which takes no steps."""
    model, adapter = load_adapter(out, device=torch.device("cpu"))
    if not any(parameter.requires_grad for parameter in model.side.parameters()):
        return 0
    backbone, found = model.backbone, []
    for count in (2, 3):  # BatchNorm over clips needs two
        clips = torch.randn(count, adapter.config.data.num_frames, 3, backbone.image_size, backbone.image_size)
        with SavedBytes([*model.parameters(), *model.buffers(), clips]) as saved:
            F.cross_entropy(model.train()(clips), torch.zeros(count, dtype=torch.long))
        found.append(saved.total)
    return found[1] - found[0]
