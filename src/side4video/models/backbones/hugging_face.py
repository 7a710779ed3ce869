"""Renames tensors from Hugging Face's layouts to those of timm (image towers) and open_clip (text towers)."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_Renames = tuple[tuple[str, str], ...]

_CLIP_IMAGE: _Renames = (  # CLIP, SigLIP and SigLIP 2; regular expressions, applied in this order
    (r"^embeddings\.class_embedding$", "cls_token"),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^pre_layrnorm\.", "norm_pre."),  # spelled so in the library
    (r"^post_layernorm\.", "norm."),
    (r"^encoder\.layers\.", "blocks."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"^visual_projection\.", "head."),
    (r"^head\.probe$", "attn_pool.latent"),
    (r"^head\.attention\.in_proj_", "attn_pool.qkv."),
    (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"^head\.layernorm\.", "attn_pool.norm."),
    (r"^head\.mlp\.", "attn_pool.mlp."),
)
_VIT: _Renames = (  # ViT, DeiT, MAE, I-JEPA, DINOv2, DINOv3; in files and in the library's `state_dict()`
    (r"^embeddings\.(cls_token)$", r"\1"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.(projection\.)?", "patch_embed.proj."),
    (r"^(encoder\.layers?|layers|model\.layer|layer)\.(?=\d)", "blocks."),
    (r"\.attention\.attention\.([qkv])\w+\.", r".attn.\1."),
    (r"\.attention\.([qkv])_proj\.", r".attn.\1."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.(weights_out|down_proj)\.", ".mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)
_CLIP_TEXT: _Renames = (
    (r"^embeddings\.token_embedding\.", "token_embedding."),
    (r"^embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^final_layer_norm\.", "ln_final."),
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.\1."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"^head\.", "text_projection."),
)
_UNUSED = re.compile(r"(mask_token|position_ids)$|^(pooler|classifier|decoder|rope_embeddings)\.")


def image_to_timm(state: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """The tensors of an image tower under timm's names.

    Args:
        state: tensors under the library's names, without a prefix; in files q, k and v stand apart.
        model: the timm model that they are for; variants of it store biases and scales differently.

    Raises:
        ValueError: the file has biases that the timm model lacks.
    """
    clip = "embeddings.patch_embedding.weight" in state
    found = _rename(state, _CLIP_IMAGE if clip else _VIT)
    own = model.state_dict().keys()
    _shape_embeddings(found, model)
    for block in sorted({name.partition(".attn.")[0] for name in found if ".attn.q." in name}):
        _join_attention(found, f"{block}.attn", own)
        _join_gated_mlp(found, f"{block}.mlp", own)
        for number in "12":
            if f"{block}.gamma_{number}" in own and f"{block}.ls{number}.gamma" in found:
                found[f"{block}.gamma_{number}"] = found.pop(f"{block}.ls{number}.gamma")
    for kind in ("weight", "bias"):
        if f"attn_pool.qkv.{kind}" in found:
            joined = found.pop(f"attn_pool.qkv.{kind}")
            found[f"attn_pool.q.{kind}"], found[f"attn_pool.kv.{kind}"] = joined.split(
                [len(joined) // 3, len(joined) * 2 // 3]
            )
    if "head.weight" in found:  # CLIP's projection has no bias
        found["head.bias"] = torch.zeros(len(found["head.weight"]))
    for kind in ("weight", "bias"):
        if "norm.weight" not in own and f"fc_norm.{kind}" in own:  # timm's models for average pooling
            found[f"fc_norm.{kind}"] = found.pop(f"norm.{kind}")
    return found


def text_to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a CLIP or SigLIP text tower under open_clip's names.

    Args:
        state: tensors under the library's names, without a prefix. SigLIP's `head` becomes `text_projection`.

    >>> state = {f"encoder.layers.0.self_attn.{part}_proj.bias": torch.ones(1) for part in "qkv"}
    >>> {name: tensor.tolist() for name, tensor in text_to_open_clip(state).items()}
    {'transformer.resblocks.0.attn.in_proj_bias': [1.0, 1.0, 1.0]}
    """
    found = _rename(state, _CLIP_TEXT)
    for name in [name for name in found if ".attn.q." in name]:
        parts = [found.pop(name.replace(".q.", f".{part}.")) for part in "qkv"]
        found[name.replace(".q.", ".in_proj_")] = torch.cat(parts)
    return found


def _rename(state: Mapping[str, Tensor], renames: _Renames) -> dict[str, Tensor]:
    found = {}
    for name, tensor in state.items():
        if not _UNUSED.search(name):
            for pattern, replacement in renames:
                name = re.sub(pattern, replacement, name)
            found[name] = tensor
    return found


def _shape_embeddings(found: dict[str, Tensor], model: Any) -> None:
    """The shapes of timm's embeddings: (1, 1, D) and (1, N, D), and a convolution for the patches."""
    for name in ("cls_token", "pos_embed"):
        if name in found:
            found[name] = found[name].reshape(1, -1, found[name].shape[-1])
    patches = found.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 2:  # SigLIP 2 (NaFlex): a linear layer on (row, column, colour)
        rows, columns = model.patch_embed.patch_size
        if patches.shape[1] == rows * columns * 3:
            found["patch_embed.proj.weight"] = patches.unflatten(1, (rows, columns, 3)).permute(0, 3, 1, 2)
    if "reg_token" in found and "pos_embed" in found and getattr(model, "no_embed_class", False):
        found["cls_token"] = found["cls_token"] + found["pos_embed"][:, :1]
        found["pos_embed"] = found["pos_embed"][:, 1:]


def _join_attention(found: dict[str, Tensor], name: str, own: Any) -> None:
    """Join q, k and v of one block as the model stores them."""
    apart = f"{name}.q_proj.weight" in own
    biases = {part: found.pop(f"{name}.{part}.bias", None) for part in "qkv"}
    weights = {part: found.pop(f"{name}.{part}.weight") for part in "qkv"}
    if apart:
        found |= {f"{name}.{part}_proj.weight": weight for part, weight in weights.items()}
        found |= {f"{name}.{part}_proj.bias": bias for part, bias in biases.items() if bias is not None}
        return
    found[f"{name}.qkv.weight"] = torch.cat([weights[part] for part in "qkv"])
    whole = {part: torch.zeros_like(weights[part][:, 0]) if bias is None else bias for part, bias in biases.items()}
    if f"{name}.qkv.bias" in own:
        found[f"{name}.qkv.bias"] = torch.cat([whole[part] for part in "qkv"])
        return
    kept = "qv" if f"{name}.q_bias" in own else ""  # timm's Eva has no bias for k
    for part in kept:
        found[f"{name}.{part}_bias"] = whole[part]
    if lost := [part for part in "qkv" if part not in kept and bool(whole[part].any())]:
        raise ValueError(
            f"The file has biases in {name} ({', '.join(lost)}) that the model lacks. Use timm's variant with biases, "
            "such as a name that ends in _qkvb."
        )


def _join_gated_mlp(found: dict[str, Tensor], name: str, own: Any) -> None:
    """Name the layers of a gated MLP (SwiGLU), or of a plain one that the library names like a gated one."""
    separate = f"{name}.fc1_g.weight" in own
    for kind in ("weight", "bias"):
        gate, up = found.pop(f"{name}.gate_proj.{kind}", None), found.pop(f"{name}.up_proj.{kind}", None)
        if up is None:
            continue
        if gate is None:
            found[f"{name}.fc1.{kind}"] = up
        elif separate:
            found |= {f"{name}.fc1_g.{kind}": gate, f"{name}.fc1_x.{kind}": up}
        else:
            found[f"{name}.fc1.{kind}"] = torch.cat([gate, up])
