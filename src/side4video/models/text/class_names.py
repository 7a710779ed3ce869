"""Prompts for class names, and their text embeddings."""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from side4video.distributed.processes import print_once
from side4video.models.text.caption_warnings import describe_unknown
from side4video.models.text.text_tower import TextTower
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

    Prints a warning if the text tower does not know the language of some names.

    Args:
        text: the text tower.
        class_names: C names, see `readable_class_name`.
        prompts: sentences with `{}` in the place of the name.
    """
    for warning in describe_unknown(as_list(class_names), tokeniser=text.tokeniser, what="class names"):
        print_once(f"warning: {warning}")
    device = text.logit_scale.device
    embedded = []
    for name in as_list(class_names):
        sentences = [prompt.replace("{}", readable_class_name(name)) for prompt in as_list(prompts)]
        ids, _ = text.tokeniser(sentences, max_words=text.context_length)
        _, ends = text(ids.to(device))
        embedded.append(F.normalize(F.normalize(ends.float(), dim=-1).mean(dim=0), dim=0))
    return torch.stack(embedded)
