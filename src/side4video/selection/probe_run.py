"""A run that fits a probe instead of a side network: it writes the same files, but has no training steps."""

import time
from pathlib import Path

from side4video.adapters.adapter import Adapter, save_adapter
from side4video.atomic_files import write_json
from side4video.config import RunConfig
from side4video.distributed.processes import launched_processes
from side4video.models.probe_model import ProbeModel, build_probe_model
from side4video.models.video_model import choose_device
from side4video.system.devices import device_name
from side4video.system.tables import Console
from side4video.tasks.clip_batches import shared_test_batches
from side4video.tasks.clip_length import median_clip_seconds
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.recognition.baselines import BASELINES, measure_baselines, training_tokens, unread_clips
from side4video.tasks.recognition.data import RecognitionData, announce, as_evaluated, read_data, refuse_several_labels
from side4video.tasks.recognition.evaluate import evaluate
from side4video.tasks.recognition.probe_fitting import fit_probe
from side4video.tasks.recognition.scores import Evaluation
from side4video.tasks.unread import reported_headline, withheld_scores_reason
from side4video.training.final_evaluation import evaluate_best
from side4video.training.loop import TrainResult
from side4video.training.run_folder import check_run_folder, check_same_weights, claim_run_folder, has_begun
from side4video.training.run_inputs import check_same_inputs, write_inputs
from side4video.training.run_log import RunLog, peak_memory_mb


def train_probe(config: RunConfig, *, out: Path, resume: bool = False) -> TrainResult:
    """Fit the probe of `config.probe` to all training clips; write adapters, log and scores to `out`.

    Raises:
        ConfigError: `out` holds another run, or its run was started with other settings.
        DataError, ValueError: the data or the model cannot be used, or several processes were launched.
    """
    if launched_processes() > 1:
        raise ValueError(
            f"probe.name {config.probe.name}: a probe is fitted by one process. Start it without torchrun."
        )
    check_run_folder(out, config, resume=resume)
    started = time.monotonic()
    device = choose_device(config.train.device)
    data = read_data(config.data, seed=config.seed)
    announce(data, config)
    if data.train is None:
        raise ValueError("No training set: give --data.train.")
    refuse_several_labels(data, f"probe.name {config.probe.name}", "train a side network (--probe.name none)")
    model = build_probe_model(config, num_classes=len(data.class_names), device=device)
    if resume and has_begun(out):
        check_same_weights(out, model.backbone)
        check_same_inputs(out, model.backbone, data.identity())
    claim_run_folder(out, config)
    write_inputs(out, model.backbone, data.identity())
    tokens = training_tokens(config, data, model.backbone)
    for warning in unread_clips(tokens.places, config, data):
        print(warning)
    probe = fit_probe(config.probe, tokens, num_classes=len(data.class_names), seed=config.seed)
    model.head.classifier.load_state_dict(probe.state_dict())  # type: ignore[union-attr]
    model.eval()
    log = RunLog(out, total_steps=0)
    evaluation = _evaluate(model, data, config, log) if data.test is not None else None
    scores = {}
    if evaluation is not None:
        headline = reported_headline(evaluation.headline(), max_unread=config.eval.max_unread)
        log.write("evaluation", 0, epoch=0, epoch_seconds=time.monotonic() - started, **headline)
        scores = {**headline, **evaluation.conditions()}
    log.close()
    adapter = Adapter(
        config=config,
        class_names=data.class_names,
        fingerprint=model.backbone.fingerprint,
        scores=scores,
        run={
            "train_samples": len(tokens.places),
            "steps": 0,
            "epochs": 0.0,
            "seconds": time.monotonic() - started,
            "peak_memory_mb": peak_memory_mb(device),
            "device": device_name(device),
        },
        clip_seconds=median_clip_seconds(data.train.videos),
    )
    for name in ("last",) if evaluation is None else ("best", "last"):
        save_adapter(out / name, model, adapter)
    return TrainResult(out, evaluation, evaluate_best(config, out, evaluation))


def _evaluate(model: ProbeModel, data: RecognitionData, config: RunConfig, log: RunLog) -> Evaluation:
    """Score the test videos, with the baselines that the settings name, and write both to the run folder."""
    assert data.test is not None
    clips = evaluation_clips(as_evaluated(data.test, config.data), config=config, backbone=model.backbone)
    if config.eval.probes:
        found = measure_baselines(config, data, model.backbone, test_clips=clips)
        write_json(log.folder / BASELINES, found.to_json())
        Console().print(found.table())
    evaluation = evaluate(
        model,
        shared_test_batches(clips, config),
        class_names=data.class_names,
        device=choose_device(config.train.device),
        settings=config.eval,
    )
    assert isinstance(evaluation, Evaluation)  # several labels are refused
    write_json(log.folder / "evaluation.json", evaluation.to_json())
    refused = withheld_scores_reason(
        num_read=evaluation.num_videos, num_unread=len(evaluation.unread), max_unread=config.eval.max_unread
    )
    if refused:
        log.print(refused)
    return evaluation
