"""Prompts for class names, and their text embeddings."""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from side4video.config import TextConfig
from side4video.models.text.text_tower import TextTower, load_text_tower, tokenise
from side4video.parameters import as_list


def readable_class_name(name: str) -> str:
    """A class name in plain words, for use in a prompt; class names are often folder names.

    >>> readable_class_name("brush_hair"), readable_class_name("BabyCrawling"), readable_class_name("playing the piano")
    ('brush hair', 'Baby Crawling', 'playing the piano')
    """
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace("_", " ")).split())


@torch.no_grad()
def embed_classes(
    text: TextTower, class_names: str | Sequence[str], prompts: str | Sequence[str]
) -> Float[Tensor, "C E"]:
    """One unit vector per class: the normalised mean of the unit vectors of its prompts.

    Args:
        text: the text tower.
        class_names: C names, see `readable_class_name`.
        prompts: sentences with `{}` in the place of the name.
    """
    device = text.logit_scale.device
    embedded = []
    for name in as_list(class_names):
        sentences = [prompt.replace("{}", readable_class_name(name)) for prompt in as_list(prompts)]
        ids, _ = tokenise(sentences, max_words=text.context_length)
        _, ends = text(ids.to(device))
        embedded.append(F.normalize(F.normalize(ends.float(), dim=-1).mean(dim=0), dim=0))
    return torch.stack(embedded)


def load_configured_tower(config: TextConfig) -> TextTower:
    """Load the text tower of the settings, in eval mode; see `load_text_tower`."""
    args = dict(config.model_args)
    return load_text_tower(config.name, weights=config.weights, tag=config.tag, model_args=args).eval()
