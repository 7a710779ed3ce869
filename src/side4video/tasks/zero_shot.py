"""Action recognition without training: class names as sentences beside a CLIP model's image embeddings."""

import torch

from side4video.config import RunConfig, check_towers
from side4video.models.class_names import embed_classes, load_named_tower
from side4video.models.text_classifier import TextClassifier, ZeroShotModel
from side4video.models.video_model import build_backbone, choose_device
from side4video.tasks.clips import choose_workers, evaluation_clips, videos_per_batch
from side4video.tasks.evaluation import Evaluation
from side4video.tasks.recognition import as_evaluated, evaluate, read_data
from side4video.video.loading import test_loader


def build_zero_shot_model(config: RunConfig, class_names: tuple[str, ...], *, device: torch.device) -> ZeroShotModel:
    """The CLIP model of `config.backbone` and `config.text`, with a classifier from the class names, on `device`.

    Raises:
        ValueError: the two towers do not fit each other.
    """
    check_towers(config.backbone, config.text)
    text = load_named_tower(config.text).to(device)
    backbone = build_backbone(config, device=device, projection_width=text.embed_dim)
    classifier = TextClassifier(num_classes=len(class_names), embed_dim=text.embed_dim).to(device)
    classifier.start_from(embed_classes(text, class_names, config.text.prompts), text.logit_scale)
    return ZeroShotModel(backbone=backbone, classifier=classifier).to(device).eval().requires_grad_(False)


def evaluate_zero_shot(config: RunConfig) -> Evaluation:
    """Score the frozen model on the labelled videos of `config.data.test`; frames are averaged, then views.

    Raises:
        DataError: the set cannot be used.
        ValueError: there is none, or backbone and text tower do not fit each other.
    """
    if config.data.arrow_of_time:
        raise ValueError("The names of data.arrow_of_time's classes say nothing of what is seen: leave it out.")
    data = read_data(config.data.model_copy(update={"train": None}))
    for warning in data.warnings:
        print(f"warning: {warning}")
    assert data.test is not None  # read_data refuses to read nothing
    device = choose_device(config.train.device)
    model = build_zero_shot_model(config, data.class_names, device=device)
    clips = evaluation_clips(as_evaluated(data.test, config.data), config=config, backbone=model.backbone)
    loader = test_loader(
        clips,
        batch_clips=videos_per_batch(config.eval),
        workers=choose_workers(config.data.workers),
        timeout_seconds=config.data.timeout_seconds,
    )
    return evaluate(model, loader, class_names=data.class_names, device=device, chunk=config.eval.batch)
