"""Settings of open_clip's text towers, from its table of models."""

import difflib
from dataclasses import dataclass
from typing import Any

import open_clip

from side4video.config import BackboneConfig, TextConfig, check_towers
from side4video.models.backbones.names import NAMED_BACKBONES

DEFAULT_CONTEXT = 77
"""Context length of towers that open_clip's table does not give one."""


@dataclass(frozen=True)
class TextSettings:
    """The settings of a text tower.

    Attributes:
        name: open_clip's name of the model.
        embed_dim: E, width of the embeddings.
        quick_gelu: the tower uses QuickGELU.
        logit_bias: initial value of the bias on the logits; None: the model has none, because it was trained with the
            softmax loss.
        text: the arguments of the tower, open_clip's `text_cfg`.

    >>> text_settings("ViT-B-16-SigLIP2").logit_bias
    -10
    """

    name: str
    embed_dim: int
    quick_gelu: bool
    logit_bias: float | None
    text: dict[str, Any]

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a caption, start and end included."""
        return int(self.text.get("context_length", DEFAULT_CONTEXT))

    @property
    def hugging_face(self) -> str | None:
        """Name of the `transformers` model that is the tower; None: open_clip's own transformer is."""
        return self.text.get("hf_model_name")


def text_settings(name: str, model_args: dict[str, Any] | None = None) -> TextSettings:
    """The settings of the text tower of an open_clip model, updated with `model_args`.

    Raises:
        ValueError: open_clip has no such model, or the tower has no such setting.
    """
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=3)
        hint = f"Did you mean {', '.join(close)}?" if close else "open_clip.list_models() lists them."
        raise ValueError(f"open_clip has no model {name!r}. {hint}")
    whole = {"embed_dim": config["embed_dim"], "quick_gelu": config.get("quick_gelu", False)}
    text = {**config["text_cfg"]}
    known = {key for key, value in (text | whole).items() if isinstance(value, bool | int | float)}
    if unknown := sorted((model_args or {}).keys() - known):
        raise ValueError(
            f"model_args of the text tower: unknown {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    changed = text | whole | (model_args or {})
    return TextSettings(
        name,
        embed_dim=changed.pop("embed_dim"),
        quick_gelu=changed.pop("quick_gelu"),
        logit_bias=config.get("init_logit_bias"),
        text=changed,
    )


def check_pair(backbone: BackboneConfig, text: TextConfig) -> None:
    """Refuse a text tower that was not trained with the backbone, as `check_towers` does, for all named backbones.

    >>> check_pair(BackboneConfig(name="PE-Core-B-16.meta"), TextConfig(name="PE-Core-B-16", tag="meta"))

    Raises:
        ValueError: the two belong to different models, or their weights on the hub do.
    """
    check_towers(backbone, text, {named.name: named.text for named in NAMED_BACKBONES.values() if named.text})


def text_embed_dim(name: str, model_args: dict[str, Any] | None = None) -> int:
    """E, the embedding width of a text tower, without building it.

    >>> text_embed_dim("ViT-B-16-quickgelu")
    512
    """
    return text_settings(name, model_args).embed_dim
