"""Detects what kind of weights a file holds from the names of its tensors, for helpful errors."""

from collections.abc import Collection

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("an adapter of this package", ("side.blocks.0.", "head.")),
    ("an official Side4Video checkpoint", ("side_linears.0.",)),
    ("a CLIP model with a convolutional image tower", ("visual.layer1.0.", "token_embedding.")),
    ("a CLIP model in OpenAI's layout", ("visual.transformer.resblocks.0.", "token_embedding.")),
    ("an open_clip model with an image tower of timm", ("visual.trunk.blocks.0.",)),
    ("an EVA-CLIP model", ("visual.blocks.0.",)),
    ("a CLIP image tower in OpenAI's layout", ("transformer.resblocks.0.", "class_embedding")),
    ("a CLIP text tower", ("transformer.resblocks.0.", "token_embedding.")),
    ("a Hugging Face CLIP or SigLIP model", ("vision_model.encoder.layers.0.",)),
    ("a Hugging Face CLIP or SigLIP image tower", ("embeddings.patch_embedding.", "encoder.layers.0.")),
    ("a Hugging Face CLIP or SigLIP text tower", ("embeddings.token_embedding.", "encoder.layers.0.")),
    ("a Hugging Face ViT", ("encoder.layer.0.attention.",)),
    ("a Hugging Face ViT", ("embeddings.patch_embeddings.projection.", "layers.0.attention.")),
    ("a Hugging Face DINOv3 model", ("embeddings.patch_embeddings.", "layer.0.attention.")),
    ("weights that FSDP flattened", ("flat_param",)),
    ("a ViT of torchvision", ("encoder.layers.encoder_layer_0.",)),
    ("a Swin Transformer", ("layers.0.blocks.0.",)),
    ("a Vision Transformer under timm's names", ("patch_embed.proj.", "blocks.0.attn.")),
    ("a ResNet", ("layer1.0.conv1.", "bn1.")),
)
"""A kind and parts of its tensors' names; the first kind whose parts all occur is the answer."""

OPENAI_ONLY = {"input_resolution", "context_length", "vocab_size"}
"""Names that only OpenAI's own CLIP files have; their networks use QuickGELU throughout."""


def describe_weights(names: Collection[str]) -> str:
    """A noun phrase for weights with these tensor names.

    >>> describe_weights(["visual.trunk.blocks.0.norm1.weight", "text.token_embedding.weight"])
    'an open_clip model with an image tower of timm'
    """
    for kind, parts in _KINDS:
        if all(any(part in name for name in names) for part in parts):
            return kind
    return f"an unknown kind of weights, with names such as {', '.join(sorted(names)[:3])}"


def is_openai_clip(names: Collection[str]) -> bool:
    """Whether these are the names in OpenAI's own CLIP files, whose networks use QuickGELU."""
    return set(names) >= OPENAI_ONLY
