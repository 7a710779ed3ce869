"""Short names of the most common backbones, with their sizes."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NamedBackbone:
    """A backbone with a short name.

    Attributes:
        name: timm's name with the tag of its weights.
        millions: frozen parameters in millions, without head and attention pooling.
        width: D, channels of a token.
        num_blocks: L.
        patch_size: pixels.
        image_size: default size of the frames, pixels.
        text: name and tag of its text tower in open_clip; None if it has no text tower with CLIP's tokeniser.

    >>> NAMED_BACKBONES["clip-b16"].width, NAMED_BACKBONES["clip-b16"].image_size
    (768, 224)
    """

    name: str
    millions: float
    width: int
    num_blocks: int
    patch_size: int
    image_size: int
    text: tuple[str, str] | None = None


_ROWS: dict[str, tuple[Any, ...]] = {
        "clip-b32": (
            "vit_base_patch32_clip_quickgelu_224.openai", 87.5, 768, 12, 32, 224, ("ViT-B-32-quickgelu", "openai"),
        ),
        "clip-b16": (
            "vit_base_patch16_clip_quickgelu_224.openai", 85.8, 768, 12, 16, 224, ("ViT-B-16-quickgelu", "openai"),
        ),
        "clip-l14": (
            "vit_large_patch14_clip_quickgelu_224.openai", 303.2, 1024, 24, 14, 224, ("ViT-L-14-quickgelu", "openai"),
        ),
        "clip-l14-336": (
            "vit_large_patch14_clip_quickgelu_336.openai", 303.5, 1024, 24, 14, 336,
            ("ViT-L-14-336-quickgelu", "openai"),
        ),
        "eva02-clip-b16": (
            "eva02_base_patch16_clip_224.merged2b", 85.9, 768, 12, 16, 224, ("EVA02-B-16", "merged2b_s8b_b131k"),
        ),
        "eva02-clip-l14": (
            "eva02_large_patch14_clip_224.merged2b", 303.3, 1024, 24, 14, 224, ("EVA02-L-14", "merged2b_s4b_b131k"),
        ),
        "eva02-clip-l14-336": (
            "eva02_large_patch14_clip_336.merged2b", 303.6, 1024, 24, 14, 336, ("EVA02-L-14-336", "merged2b_s6b_b61k"),
        ),
        "eva02-clip-e14": (
            "eva02_enormous_patch14_clip_224.laion2b", 4348.7, 1792, 64, 14, 224, ("EVA02-E-14", "laion2b_s4b_b115k"),
        ),
        "eva02-clip-e14-plus": (
            "eva02_enormous_patch14_clip_224.laion2b_plus", 4348.7, 1792, 64, 14, 224,
            ("EVA02-E-14-plus", "laion2b_s9b_b144k"),
        ),
        "siglip-b16": ("vit_base_patch16_siglip_224.webli", 85.8, 768, 12, 16, 224),
        "siglip-so400m": ("vit_so400m_patch14_siglip_224.webli", 412.4, 1152, 27, 14, 224),
        "siglip2-b16": ("vit_base_patch16_siglip_224.v2_webli", 85.8, 768, 12, 16, 224),
        "siglip2-so400m": ("vit_so400m_patch14_siglip_224.v2_webli", 412.4, 1152, 27, 14, 224),
        "dinov2-s14": ("vit_small_patch14_reg4_dinov2.lvd142m", 22.1, 384, 12, 14, 518),
        "dinov2-b14": ("vit_base_patch14_reg4_dinov2.lvd142m", 86.6, 768, 12, 14, 518),
        "dinov2-l14": ("vit_large_patch14_reg4_dinov2.lvd142m", 304.4, 1024, 24, 14, 518),
        "dinov3-s16": ("vit_small_patch16_dinov3.lvd1689m", 21.6, 384, 12, 16, 256),
        "dinov3-b16": ("vit_base_patch16_dinov3.lvd1689m", 85.6, 768, 12, 16, 256),
        "dinov3-l16": ("vit_large_patch16_dinov3.lvd1689m", 303.1, 1024, 24, 16, 256),
        "mae-b16": ("vit_base_patch16_224.mae", 85.8, 768, 12, 16, 224),
        "mae-l16": ("vit_large_patch16_224.mae", 303.3, 1024, 24, 16, 224),
        "deit-b16": ("deit_base_patch16_224.fb_in1k", 85.8, 768, 12, 16, 224),
        "deit3-b16": ("deit3_base_patch16_224.fb_in22k_ft_in1k", 85.8, 768, 12, 16, 224),
        "in21k-ti16": ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 5.5, 192, 12, 16, 224),
        "in21k-s16": ("vit_small_patch16_224.augreg_in21k_ft_in1k", 21.7, 384, 12, 16, 224),
}  # fmt: skip

NAMED_BACKBONES: dict[str, NamedBackbone] = {short: NamedBackbone(*row) for short, row in _ROWS.items()}
"""By short name."""


def full_name(name: str) -> str:
    """timm's name of a model that is given by its short name or by timm's.

    >>> full_name("clip-b16")
    'vit_base_patch16_clip_quickgelu_224.openai'
    """
    return NAMED_BACKBONES[name].name if name in NAMED_BACKBONES else name
