"""Pre-trains the demonstration's small image-text model: `python -m side4video.demo.pretrain_captions`.

Both towers are trained jointly, as in CLIP, to match captions and pictures: "a red square on the left", "an orange star
up there". The model sees only single pictures, and no caption mentions motion. Training takes about eight minutes on
one core.

The words for motion need distinct embeddings, because the text tower hardly changes when the side network is trained.
So left, right, up and down are words for places here, and each of them is needed to tell two places apart. With "low
down" for a place, the tower read "low" and ignored "down": "moves down" and "moves left" then had a cosine of 0.87,
against 0.67 between "left" and "right", and training learned the motion more slowly.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import tyro
from open_clip.model import CLIP
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from side4video.demo.captioned_stills import StillCaption, draw_captioned_still
from side4video.demo.moving_captions import MotionCaption
from side4video.demo.still_clip import BACKBONE_ARGS, WEIGHTS_PATH, Vocabulary, create_clip, pack_weights
from side4video.tasks.retrieval.contrastive import contrastive_loss

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
"""Mean and standard deviation of each channel, from 0 to 1, that normalise CLIP's pictures."""


def caption_vocabulary() -> Vocabulary:
    """The words of all captions of pictures and of videos; words for motion keep their initial, random embeddings."""
    return Vocabulary(str(caption) for caption in [*StillCaption.all_captions(), *MotionCaption.all_captions()])


def draw_batch(generator: np.random.Generator, *, batch_size: int) -> tuple[Tensor, list[StillCaption]]:
    """Draw normalised pictures, float (B, 3, 64, 64), for distinct captions.

    Raises:
        ValueError: there are not that many captions.
    """
    captions = StillCaption.all_captions()
    if not 1 <= batch_size <= len(captions):
        raise ValueError(f"{batch_size = } must be from 1 to {len(captions)}: the captions of a batch differ.")
    chosen = [captions[index] for index in generator.choice(len(captions), size=batch_size, replace=False)]
    size = BACKBONE_ARGS["img_size"]
    pictures = np.stack([draw_captioned_still(generator, caption, size=size) for caption in chosen])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - mean) / std, chosen


def measure(clip: CLIP, words: Vocabulary, *, seed: int) -> dict[str, float]:
    """Return how often, 0 to 1, a picture's best caption of all is right: as a whole, and in form, colour and place.

    One fresh picture for each caption.
    """
    captions = StillCaption.all_captions()
    pictures, order = draw_batch(np.random.default_rng(seed), batch_size=len(captions))
    clip.eval()
    with torch.inference_mode():
        logits, _ = clip.get_logits(pictures, words.encode([str(caption) for caption in captions]))
    found = [captions[index] for index in logits.argmax(1).tolist()]
    right = {
        "caption": [best == caption for best, caption in zip(found, order, strict=True)],
        "form": [best.form == caption.form for best, caption in zip(found, order, strict=True)],
        "colour": [best.colour == caption.colour for best, caption in zip(found, order, strict=True)],
        "place": [best.place == caption.place for best, caption in zip(found, order, strict=True)],
    }
    return {name: round(sum(hits) / len(hits), 4) for name, hits in right.items()}


def _parameter_groups(clip: CLIP) -> list[dict[str, Any]]:
    """All weights; weight decay applies only to linear layers, so the embeddings of unused words do not change."""
    decays = {
        name: weight.ndim > 1 and name.endswith("weight") and not name.startswith("token_embedding")
        for name, weight in clip.named_parameters()
    }
    return [
        {"params": [weight for name, weight in clip.named_parameters() if decays[name]], "weight_decay": 0.05},
        {"params": [weight for name, weight in clip.named_parameters() if not decays[name]], "weight_decay": 0.0},
    ]


def pretrain(
    words: Vocabulary, *, steps: int, batch_size: int = 96, learning_rate: float = 1e-3, seed: int = 0
) -> CLIP:
    """Train on `steps` batches of fresh pictures; AdamW, one-cycle rate. The same seed gives the same model."""
    torch.manual_seed(seed)
    generator = np.random.default_rng([seed, 0])
    clip = create_clip(vocab_size=len(words)).train()
    optimizer = torch.optim.AdamW(_parameter_groups(clip), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    progress = tqdm(range(steps), desc="pre-training on captioned stills", unit="step")
    for _ in progress:
        pictures, captions = draw_batch(generator, batch_size=batch_size)
        texts = clip.encode_text(words.encode([str(caption) for caption in captions]), normalize=True)
        loss = contrastive_loss(texts @ clip.encode_image(pictures, normalize=True).T, clip.logit_scale)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    return clip


def main(*, out: Path = WEIGHTS_PATH, steps: int = 2500, batch_size: int = 96, seed: int = 0) -> None:
    """Pre-train the demonstration's image-text model on captioned stills and write its weights.

    Args:
        out: the safetensors file to write, float16, with only the embeddings of the vocabulary.
        steps: optimizer steps.
        batch_size: pictures per step.
        seed: decides the first weights and the pictures.
    """
    words = caption_vocabulary()
    clip = pretrain(words, steps=steps, batch_size=batch_size, seed=seed)
    accuracy = measure(clip, words, seed=seed + 1)
    made = {"steps": steps, "batch_size": batch_size, "seed": seed, "open_clip": open_clip.__version__}
    metadata = {
        "about": "CLIP pre-trained on still pictures of shapes by side4video.demo.pretrain_captions",
        "made": json.dumps(made | {"torch": torch.__version__}),
        "held_out_accuracy": json.dumps(accuracy),
    }
    out.write_bytes(save(pack_weights(clip, words), metadata))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB; accuracy on held-out pictures: {accuracy}")


if __name__ == "__main__":
    tyro.cli(main)
