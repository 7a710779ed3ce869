"""Builds the transformer of a text tower: open_clip's own, or a model of `transformers`; and downloads its weights."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIPTextCfg, _build_text_tower
from torch import nn

from side4video.models.text.text_settings import TextSettings


def vocabulary_size(settings: TextSettings, tokenizer: Path | None) -> int | None:
    """Number of tokens of a tower of `transformers`; None: the settings have it."""
    return int(_transformers_config(settings, tokenizer).vocab_size) if settings.hugging_face else None


def _transformers_source(settings: TextSettings, tokenizer: Path | None) -> str:
    """The local folder with the model's config.json, or else its name on the hub."""
    if tokenizer is not None:
        folder = tokenizer if tokenizer.is_dir() else tokenizer.parent
        if (folder / "config.json").is_file():
            return str(folder)
    assert settings.hugging_face is not None
    return settings.hugging_face


def _transformers_config(settings: TextSettings, tokenizer: Path | None) -> Any:
    if find_spec("transformers") is None:
        raise ModuleNotFoundError(
            f"The text tower of {settings.name} is a model of transformers: pip install side4video[transformers].",
            name="transformers",
        )
    from transformers import AutoConfig

    source = _transformers_source(settings, tokenizer)
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise OSError(
            f"The settings of {source}, the text tower of {settings.name}, cannot be read "
            f"({type(error).__name__}: {str(error).partition('. ')[0][:200]}). Without a connection, download "
            f"config.json and tokenizer.json of https://huggingface.co/{settings.hugging_face} into one folder "
            "elsewhere and give it: --text.tokenizer FOLDER."
        ) from error


def build_transformer(settings: TextSettings, tokenizer: Path | None, seed: int) -> nn.Module:
    """The tower with random weights."""
    text = dict(settings.text)
    if settings.hugging_face:
        _transformers_config(settings, tokenizer)  # its error has a remedy
        text |= {"hf_model_name": _transformers_source(settings, tokenizer), "hf_model_pretrained": False}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = _build_text_tower(settings.embed_dim, CLIPTextCfg(**text), settings.quick_gelu)
    return _for_training(model) if settings.hugging_face else model


def _for_training(model: Any) -> nn.Module:
    """Turn off the cache of generated text, and dropout: the gradient cache embeds captions twice, with equal results.

    The cache would print a warning when activation checkpointing is on.
    """
    model.config.use_cache = False
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model


def download_weights(name: str, tag: str) -> str:
    """The weights file of an open_clip model on the hub, downloaded once and cached.

    Raises:
        ValueError: open_clip knows no weights with this tag for this model.
        OSError: the file cannot be downloaded.
    """
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise ValueError(f"{tag = }: open_clip has {', '.join(tags) or 'no weights'} for {name}. Use one of them.")
    if open_clip.get_pretrained_cfg(name, tag).get("quick_gelu") and not name.endswith("-quickgelu"):
        raise ValueError(f"The weights {tag!r} of {name} were trained with QuickGELU: use the name {name}-quickgelu.")
    try:
        return open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, tag))
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"The weights of {name} ({tag}) cannot be loaded from the hub ({type(error).__name__}: {error}). Without a "
            "connection, download the file elsewhere and give its path: --text.weights FILE, or for a CLIP model "
            "without an adapter --backbone-weights FILE."
        ) from error
