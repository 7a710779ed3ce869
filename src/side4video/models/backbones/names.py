"""Short names of the most common backbones and image-text models, with their sizes, licences and languages."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class NamedBackbone:
    """A backbone with a short name.

    Attributes:
        name: timm's or open_clip's name with the tag of its weights.
        millions: frozen parameters in millions, without head; attention pooling counts under open_clip's names only.
        width: D, channels of a token.
        num_blocks: L.
        patch_size: pixels.
        image_size: default size of the frames, pixels.
        licence: licence of its weights, as timm or the page of the weights states it; "" if neither does.
        languages: of the captions that it was trained on: "en", a number such as "109", or "" if it has no text tower.
        text: name and tag of the whole model in open_clip; None if it has no text tower.

    >>> NAMED_BACKBONES["clip-b16"].width, NAMED_BACKBONES["clip-b16"].image_size
    (768, 224)
    """

    name: str
    millions: float
    width: int
    num_blocks: int
    patch_size: int
    image_size: int
    licence: str
    languages: str = ""
    text: tuple[str, str] | None = None


_APACHE, _NO_COMMERCE = "apache-2.0", "cc-by-nc-4.0"

_TIMM_ROWS: dict[str, tuple[Any, ...]] = {
        "clip-b32": (
            "vit_base_patch32_clip_quickgelu_224.openai", 87.5, 768, 12, 32, 224, _APACHE, "en",
            ("ViT-B-32-quickgelu", "openai"),
        ),
        "clip-b16": (
            "vit_base_patch16_clip_quickgelu_224.openai", 85.8, 768, 12, 16, 224, _APACHE, "en",
            ("ViT-B-16-quickgelu", "openai"),
        ),
        "clip-l14": (
            "vit_large_patch14_clip_quickgelu_224.openai", 303.2, 1024, 24, 14, 224, _APACHE, "en",
            ("ViT-L-14-quickgelu", "openai"),
        ),
        "clip-l14-336": (
            "vit_large_patch14_clip_quickgelu_336.openai", 303.5, 1024, 24, 14, 336, _APACHE, "en",
            ("ViT-L-14-336-quickgelu", "openai"),
        ),
        "eva02-clip-b16": (
            "eva02_base_patch16_clip_224.merged2b", 85.9, 768, 12, 16, 224, "mit", "en",
            ("EVA02-B-16", "merged2b_s8b_b131k"),
        ),
        "eva02-clip-l14": (
            "eva02_large_patch14_clip_224.merged2b", 303.3, 1024, 24, 14, 224, "mit", "en",
            ("EVA02-L-14", "merged2b_s4b_b131k"),
        ),
        "eva02-clip-l14-336": (
            "eva02_large_patch14_clip_336.merged2b", 303.6, 1024, 24, 14, 336, "mit", "en",
            ("EVA02-L-14-336", "merged2b_s6b_b61k"),
        ),
        "eva02-clip-e14": (
            "eva02_enormous_patch14_clip_224.laion2b", 4348.7, 1792, 64, 14, 224, "mit", "en",
            ("EVA02-E-14", "laion2b_s4b_b115k"),
        ),
        "eva02-clip-e14-plus": (
            "eva02_enormous_patch14_clip_224.laion2b_plus", 4348.7, 1792, 64, 14, 224, "mit", "en",
            ("EVA02-E-14-plus", "laion2b_s9b_b144k"),
        ),
        "siglip-b16": (
            "vit_base_patch16_siglip_224.webli", 85.8, 768, 12, 16, 224, _APACHE, "en", ("ViT-B-16-SigLIP", "webli"),
        ),
        "siglip-so400m": (
            "vit_so400m_patch14_siglip_224.webli", 412.4, 1152, 27, 14, 224, _APACHE, "en",
            ("ViT-SO400M-14-SigLIP", "webli"),
        ),
        "siglip2-b16": (
            "vit_base_patch16_siglip_224.v2_webli", 85.8, 768, 12, 16, 224, _APACHE, "109",
            ("ViT-B-16-SigLIP2", "webli"),
        ),
        "siglip2-so400m": (
            "vit_so400m_patch14_siglip_224.v2_webli", 412.4, 1152, 27, 14, 224, _APACHE, "109",
            ("ViT-SO400M-14-SigLIP2", "webli"),
        ),
        "dinov2-s14": ("vit_small_patch14_reg4_dinov2.lvd142m", 22.1, 384, 12, 14, 518, _APACHE),
        "dinov2-b14": ("vit_base_patch14_reg4_dinov2.lvd142m", 86.6, 768, 12, 14, 518, _APACHE),
        "dinov2-l14": ("vit_large_patch14_reg4_dinov2.lvd142m", 304.4, 1024, 24, 14, 518, _APACHE),
        "dinov3-s16": ("vit_small_patch16_dinov3.lvd1689m", 21.6, 384, 12, 16, 256, "dinov3-license"),
        "dinov3-b16": ("vit_base_patch16_dinov3.lvd1689m", 85.6, 768, 12, 16, 256, "dinov3-license"),
        "dinov3-l16": ("vit_large_patch16_dinov3.lvd1689m", 303.1, 1024, 24, 16, 256, "dinov3-license"),
        "mae-b16": ("vit_base_patch16_224.mae", 85.8, 768, 12, 16, 224, _NO_COMMERCE),
        "mae-l16": ("vit_large_patch16_224.mae", 303.3, 1024, 24, 16, 224, _NO_COMMERCE),
        "deit-b16": ("deit_base_patch16_224.fb_in1k", 85.8, 768, 12, 16, 224, _APACHE),
        "deit3-b16": ("deit3_base_patch16_224.fb_in22k_ft_in1k", 85.8, 768, 12, 16, 224, _APACHE),
        "in21k-ti16": ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 5.5, 192, 12, 16, 224, _APACHE),
        "in21k-s16": ("vit_small_patch16_224.augreg_in21k_ft_in1k", 21.7, 384, 12, 16, 224, _APACHE),
}  # fmt: skip

_OPEN_CLIP_ROWS: dict[str, tuple[Any, ...]] = {
        "pe-t16": ("PE-Core-T-16-384.meta", 6.0, 192, 12, 16, 384, _APACHE, "en"),
        "pe-s16": ("PE-Core-S-16-384.meta", 23.6, 384, 12, 16, 384, _APACHE, "en"),
        "pe-b16": ("PE-Core-B-16.meta", 92.9, 768, 12, 16, 224, _APACHE, "en"),
        "pe-l14": ("PE-Core-L-14-336.meta", 316.1, 1024, 24, 14, 336, _APACHE, "en"),
        "pe-g14": ("PE-Core-bigG-14-448.meta", 1880.1, 1536, 50, 14, 448, _APACHE, "en"),
        "siglip-l16": ("ViT-L-16-SigLIP-256.webli", 316.0, 1024, 24, 16, 256, _APACHE, "en"),
        "siglip-b16-i18n": ("ViT-B-16-SigLIP-i18n-256.webli", 92.9, 768, 12, 16, 256, _APACHE, "100+"),
        "siglip-so400m-i18n": ("ViT-SO400M-16-SigLIP-i18n-256.webli", 427.9, 1152, 27, 16, 256, _APACHE, "100+"),
        "siglip2-b32": ("ViT-B-32-SigLIP2-256.webli", 94.6, 768, 12, 32, 256, _APACHE, "109"),
        "siglip2-b16-384": ("ViT-B-16-SigLIP2-384.webli", 93.2, 768, 12, 16, 384, _APACHE, "109"),
        "siglip2-l16": ("ViT-L-16-SigLIP2-256.webli", 316.0, 1024, 24, 16, 256, _APACHE, "109"),
        "siglip2-l16-384": ("ViT-L-16-SigLIP2-384.webli", 316.3, 1024, 24, 16, 384, _APACHE, "109"),
        "siglip2-so400m-384": ("ViT-SO400M-16-SigLIP2-384.webli", 428.3, 1152, 27, 16, 384, _APACHE, "109"),
        "siglip2-g16": ("ViT-gopt-16-SigLIP2-256.webli", 1163.2, 1536, 40, 16, 256, _APACHE, "109"),
        "siglip2-g16-384": ("ViT-gopt-16-SigLIP2-384.webli", 1163.7, 1536, 40, 16, 384, _APACHE, "109"),
        "metaclip2-h14": (
            "ViT-H-14-worldwide-quickgelu.metaclip2_worldwide", 630.8, 1280, 32, 14, 224, _NO_COMMERCE, "300+",
        ),
        "metaclip2-h14-378": (
            "ViT-H-14-worldwide-378.metaclip2_worldwide", 631.4, 1280, 32, 14, 378, _NO_COMMERCE, "300+",
        ),
        "metaclip2-bigg14": (
            "ViT-bigG-14-worldwide.metaclip2_worldwide", 1842.8, 1664, 48, 14, 224, _NO_COMMERCE, "300+",
        ),
        "metaclip2-bigg14-378": (
            "ViT-bigG-14-worldwide-378.metaclip2_worldwide", 1843.6, 1664, 48, 14, 378, _NO_COMMERCE, "300+",
        ),
        "metaclip-b32": ("ViT-B-32-quickgelu.metaclip_fullcc", 87.5, 768, 12, 32, 224, _NO_COMMERCE, "en"),
        "metaclip-b16": ("ViT-B-16-quickgelu.metaclip_fullcc", 85.8, 768, 12, 16, 224, _NO_COMMERCE, "en"),
        "metaclip-l14": ("ViT-L-14-quickgelu.metaclip_fullcc", 303.2, 1024, 24, 14, 224, _NO_COMMERCE, "en"),
        "metaclip-h14": ("ViT-H-14-quickgelu.metaclip_fullcc", 630.8, 1280, 32, 14, 224, _NO_COMMERCE, "en"),
        "dfn-b16": ("ViT-B-16-quickgelu.dfn2b", 85.8, 768, 12, 16, 224, "apple-amlr", "en"),
        "dfn-l14": ("ViT-L-14-quickgelu.dfn2b", 303.2, 1024, 24, 14, 224, "apple-amlr", "en"),
        "dfn-h14": ("ViT-H-14-quickgelu.dfn5b", 630.8, 1280, 32, 14, 224, "apple-amlr", "en"),
        "dfn-h14-378": ("ViT-H-14-378-quickgelu.dfn5b", 631.4, 1280, 32, 14, 378, "apple-amlr", "en"),
        "laion-b32": ("ViT-B-32.laion2b_s34b_b79k", 87.5, 768, 12, 32, 224, "mit", "en"),
        "laion-b16": ("ViT-B-16.laion2b_s34b_b88k", 85.8, 768, 12, 16, 224, "mit", "en"),
        "laion-l14": ("ViT-L-14.laion2b_s32b_b82k", 303.2, 1024, 24, 14, 224, "mit", "en"),
        "laion-h14": ("ViT-H-14.laion2b_s32b_b79k", 630.8, 1280, 32, 14, 224, "mit", "en"),
        "laion-g14": ("ViT-g-14.laion2b_s34b_b88k", 1011.2, 1408, 40, 14, 224, "mit", "en"),
        "laion-bigg14": ("ViT-bigG-14.laion2b_s39b_b160k", 1842.8, 1664, 48, 14, 224, "mit", "en"),
        "datacomp-b32": ("ViT-B-32.datacomp_xl_s13b_b90k", 87.5, 768, 12, 32, 224, "mit", "en"),
        "datacomp-b16": ("ViT-B-16.datacomp_xl_s13b_b90k", 85.8, 768, 12, 16, 224, "mit", "en"),
        "datacomp-l14": ("ViT-L-14.datacomp_xl_s13b_b90k", 303.2, 1024, 24, 14, 224, "mit", "en"),
        "clipa-l14": ("ViT-L-14-CLIPA.datacomp1b", 303.2, 1024, 24, 14, 224, "", "en"),
        "clipa-h14": ("ViT-H-14-CLIPA.datacomp1b", 630.8, 1280, 32, 14, 224, "", "en"),
        "mobileclip2-b": ("MobileCLIP2-B.dfndr2b", 86.0, 768, 12, 16, 224, "apple-amlr", "en"),
        "mobileclip2-l14": ("MobileCLIP2-L-14.dfndr2b", 303.2, 1024, 24, 14, 224, "apple-amlr", "en"),
        "xlm-clip-b32": ("xlm-roberta-base-ViT-B-32.laion5b_s13b_b90k", 87.5, 768, 12, 32, 224, "mit", "100"),
        "xlm-clip-h14": (
            "xlm-roberta-large-ViT-H-14.frozen_laion5b_s13b_b90k", 630.8, 1280, 32, 14, 224, "mit", "100",
        ),
}  # fmt: skip


def _open_clip(row: tuple[Any, ...]) -> NamedBackbone:
    model, _, tag = row[0].partition(".")
    return replace(NamedBackbone(*row), text=(model, tag))


IMAGE_TEXT_MODELS: dict[str, NamedBackbone] = {short: _open_clip(row) for short, row in _OPEN_CLIP_ROWS.items()}
"""Models of open_clip under open_clip's names, by short name: one file of weights holds image and text tower."""

NAMED_BACKBONES: dict[str, NamedBackbone] = {
    short: NamedBackbone(*row) for short, row in _TIMM_ROWS.items()
} | IMAGE_TEXT_MODELS
"""By short name."""


def full_name(name: str) -> str:
    """timm's or open_clip's name of a model that is given by its short name or by one of these.

    >>> full_name("clip-b16")
    'vit_base_patch16_clip_quickgelu_224.openai'
    """
    return NAMED_BACKBONES[name].name if name in NAMED_BACKBONES else name
