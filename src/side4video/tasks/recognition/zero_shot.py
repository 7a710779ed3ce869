"""Zero-shot action recognition: compares embeddings of class name prompts with a CLIP model's image embeddings."""

import torch

from side4video.config import RunConfig
from side4video.distributed.processes import WAIT_MINUTES, joined_processes, print_once
from side4video.models.text.class_names import embed_classes
from side4video.models.text.text_classifier import TextClassifier, ZeroShotModel
from side4video.models.text.text_settings import check_pair
from side4video.models.text.text_tower import load_configured_tower
from side4video.models.video_model import build_backbone, choose_device
from side4video.tasks.clip_batches import shared_test_batches
from side4video.tasks.clips import check_resize, evaluation_clips
from side4video.tasks.recognition.data import as_evaluated, read_data, refuse_several_labels
from side4video.tasks.recognition.evaluate import evaluate
from side4video.tasks.recognition.multi_label_scores import MultiLabelEvaluation
from side4video.tasks.recognition.scores import Evaluation


def build_zero_shot_model(config: RunConfig, class_names: tuple[str, ...], *, device: torch.device) -> ZeroShotModel:
    """Build the CLIP model of `config.backbone` and `config.text`, with a classifier from class names, on `device`.

    Raises:
        ValueError: the two towers do not fit each other.
    """
    check_pair(config.backbone, config.text)
    text = load_configured_tower(config).to(device)
    backbone = build_backbone(config, device=device, projection_width=text.embed_dim)
    classifier = TextClassifier(num_classes=len(class_names), embed_dim=text.embed_dim).to(device)
    classes = embed_classes(text, class_names, config.text.prompts)
    classifier.load_classes(classes, text.logit_scale, text.logit_bias)
    return ZeroShotModel(backbone=backbone, classifier=classifier).to(device).eval().requires_grad_(False)


def evaluate_zero_shot(
    config: RunConfig, *, timeout_minutes: float = WAIT_MINUTES
) -> Evaluation | MultiLabelEvaluation:
    """Score the frozen model on the labelled videos of `config.data.test`; frames are averaged, then views.

    Processes started by torchrun or SLURM share the videos and all return the same result. Each waits at most
    `timeout_minutes` for the others.

    Raises:
        DataError: the set cannot be used.
        ValueError: no set is named, or backbone and text tower do not fit each other.
    """
    if config.data.arrow_of_time:
        raise ValueError("Zero-shot classification needs meaningful class names: leave out data.arrow_of_time.")
    device = choose_device(config.train.device)
    with joined_processes(device, timeout_minutes=timeout_minutes):
        check_resize(config)
        data = read_data(config.data, test_only=True)
        for warning in data.warnings:
            print_once(f"warning: {warning}")
        refuse_several_labels(data, "Zero-shot classification", "train a model")
        assert data.test is not None  # read_data raises an error if no list is named
        model = build_zero_shot_model(config, data.class_names, device=device)
        clips = evaluation_clips(as_evaluated(data.test, config.data), config=config, backbone=model.backbone)
        batches = shared_test_batches(clips, config)
        return evaluate(
            model,
            batches,
            class_names=data.class_names,
            device=device,
            settings=config.eval,
        )
