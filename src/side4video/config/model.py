"""Settings of the model: backbone, side network, classifier and text tower; and the presets of the paper's models."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from side4video.config.settings import Settings


class BackboneConfig(Settings):
    """The frozen image model.

    Examples:
        >>> BackboneConfig(name="vit_small_patch14_reg4_dinov2.lvd142m", image_size=224).weights
        'hub'
    """

    name: str = "vit_base_patch16_clip_quickgelu_224.openai"
    """timm name of a VisionTransformer or Eva model; `side4video backbones` lists the tested ones."""
    weights: str = "hub"
    """"hub", "random", or a local path: a file (.safetensors, .pt, .bin) or a folder, also sharded."""
    weights_key: str = "auto"
    """Which weights of a file that has several. auto: averaged ones (EMA, teacher) if it has them; ema; raw; or their
    key in the file, such as teacher.backbone. ema and raw also hold for the text tower, if it is in the same file."""
    activation: Literal["auto", "model", "gelu", "quick_gelu", "gelu_tanh"] = "auto"
    """Activation of the MLPs, which the tensors of a file do not tell. auto: as a config.json next to the weights
    states, otherwise as in the named model; model: as in the named model."""
    position_grid: tuple[PositiveInt, PositiveInt] | None = None
    """Rows and columns of the position table of a file; by default as a config.json states, or a square."""
    image_size: PositiveInt | None = None
    """Height and width of the frames in pixels; by default those of the backbone."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the frozen model; auto: bfloat16 on CUDA and XPU, otherwise float32."""
    quantise: Literal["none", "int8", "nf4"] = "none"
    """Store the frozen weights in 8 or 4 bits; computation stays in dtype (needs the extra `quantised`)."""
    chunk_frames: PositiveInt = 64
    """Frames that go through a backbone block at once; a smaller number needs less temporary memory."""
    model_args: dict[str, int | float | bool | str] = Field(default_factory=dict)
    """Additional arguments of timm's model class, such as depth or embed_dim."""


class SideConfig(Settings):
    """The side network.

    Examples:
        >>> SideConfig(width=192, taps="every-second").variant
        'pre-norm'
    """

    variant: Literal["pre-norm", "post-norm"] = "pre-norm"
    """pre-norm: as in the paper's CLIP models; post-norm: as in its ViT-E/14."""
    width: PositiveInt = 320
    """Channels; must be even and divisible by num_heads."""
    taps: Literal["all", "every-second"] | tuple[int, ...] = "all"
    """Backbone blocks that the side network reads: all, every-second, or 0-based numbers (negative ones count from the
    end)."""
    num_heads: PositiveInt | None = None
    """Attention heads; by default one per 64 channels."""
    initial_values: Literal["paper", "scaled"] = "paper"
    """Initial values of the trained weights. paper: as the paper's code draws them for each variant and task; scaled:
    always those of the paper's CLIP recognition models. Scaled values depend on the width: narrow networks learn
    retrieval in fewer steps with them."""
    stem: bool = True
    """Also read the pixels, as in the paper."""
    attention: bool = True
    """Attention inside each frame, as in the paper; without it there are far fewer trained parameters."""
    centred: bool = False
    """Read only how tokens change over the clip; recommended for few clips, together with head.fused."""
    patch_grid: PositiveInt | None = None
    """Number of rows and columns that patches are averaged to before the side network reads them. 7 reduces 196 patches
    to 49: a quarter of the computation and of the cached tokens. By default the side network reads every patch."""
    temporal_difference: bool = False
    """Gate each token by its difference to its largest value over the clip (arXiv 2408.10688); the gates start open."""
    correlation: NonNegativeInt = 0
    """Also read the similarity of each token to its neighbours in the next frame, up to this many rows and columns
    away. It shows the direction of motion (arXiv 2007.09933). 0: off."""


class HeadConfig(Settings):
    """The classifier.

    Examples:
        >>> HeadConfig(fused=True).init
        'probe'
    """

    grid: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """Frames, rows and columns that the side tokens are averaged to; the classifier has separate weights for each cell
    of this grid. By default the tokens are averaged to one vector per clip, which loses position and time."""
    fused: bool = False
    """Add a linear probe on the frozen model's summary token, fitted before training; recommended for few clips."""
    init: Literal["probe", "text"] = "probe"
    """Initial weights of a fused head. probe: a linear probe fitted to the training set; text: the embeddings of
    sentences about the class names, as in CLIP's zero-shot classification (only CLIP backbones; the settings `text`
    choose the tower and the sentences)."""
    frozen_probe: bool = False
    """Freeze the initial weights of a fused head: the side network adds to the probe and cannot make it worse."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability of dropping a pooled feature in training."""
    pooled_norm: bool = False
    """Apply BatchNorm over clips to the pooled side features; needs at least two clips per forward pass."""


VIDEO_PROMPTS = (
    "a video of {}.",
    "a video of a person {}.",
    "a video of a person using {}.",
    "a video of a person doing {}.",
    "a video of a person during {}.",
    "a video of a person performing {}.",
    "a video of a person practicing {}.",
)
"""Seven sentences about videos from the prompts that CLIP's authors published for Kinetics (arXiv 2103.00020)."""

CLIP_TOWERS = {
    "vit_base_patch32_clip_quickgelu_224.openai": ("ViT-B-32-quickgelu", "openai"),
    "vit_base_patch16_clip_quickgelu_224.openai": ("ViT-B-16-quickgelu", "openai"),
    "vit_large_patch14_clip_quickgelu_224.openai": ("ViT-L-14-quickgelu", "openai"),
    "eva02_enormous_patch14_clip_224.laion2b": ("EVA02-E-14", "laion2b_s4b_b115k"),
}
"""timm names of the paper's image towers, with open_clip's name and tag of the text tower trained with each."""


class TextConfig(Settings):
    """The text tower, for retrieval and for classes by their names; and how captions and videos are compared.

    Examples:
        >>> TextConfig(prompts=("a photo of {}.",)).prompts[0].format("a dog")
        'a photo of a dog.'
    """

    name: str = "ViT-B-16-quickgelu"
    """open_clip's name of the model whose image tower is the backbone, such as PE-Core-B-16 or ViT-B-16-SigLIP2."""
    weights: str = "hub"
    """"hub", "random", or a local weights file with the whole model or its text tower."""
    tag: str = "openai"
    """open_clip's tag of the weights on the hub."""
    model_args: dict[str, int | float | bool] = Field(default_factory=dict)
    """Changes to the named tower: width, heads, layers, context_length, vocab_size, embed_dim."""
    tokenizer: str | None = None
    """Local tokeniser: a tokenizer.json, a SentencePiece model, or a folder with one of them. Default: CLIP's is part
    of open_clip; others are downloaded from the hub."""
    max_words: PositiveInt = 32
    """Largest number of tokens of a caption, start and end of text included; longer captions are truncated."""
    loss: Literal["softmax", "sigmoid"] = "softmax"
    """softmax: each caption against all videos and each video against all captions, as in the paper; sigmoid: each pair
    alone, as SigLIP was trained (arXiv 2303.15343)."""
    similarity: Literal["wti", "mean-pool"] = "wti"
    """wti: weighted token-wise interaction, as in the paper; mean-pool: cosine of sentence and mean frame."""
    decorrelation: float = Field(default=0.0, ge=0.0)
    """Weight of the channel decorrelation term, optional in the paper with 0.001. Needs wti."""
    prompts: tuple[str, ...] = VIDEO_PROMPTS
    """Sentences about a class, for zero-shot and head.init text; {} is replaced by the class name. Their embeddings are
    averaged."""
    captions_per_video: Literal["one", "all"] = "one"
    """one: one random caption per video and epoch; all: each caption is a separate training sample."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _allow_one_prompt(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check_prompts(self) -> Self:
        if not self.prompts or any("{}" not in prompt for prompt in self.prompts):
            raise ValueError(
                f"text.prompts = {list(self.prompts)}: give one sentence or more, each with {{}} for the class name."
            )
        return self


def check_towers(
    backbone: BackboneConfig, text: TextConfig, known: Mapping[str, tuple[str, str]] = CLIP_TOWERS
) -> None:
    """Refuse a text tower that was not trained with the backbone: their embeddings cannot be compared.

    Args:
        backbone: settings of the image model.
        text: settings of the text tower.
        known: name and tag of the text tower of each timm model; an open_clip model has its own.

    Raises:
        ValueError: the names belong to different models, or the hub's weights of backbone and text tower do.

    >>> check_towers(BackboneConfig(name="PE-Core-B-16.meta"), TextConfig(name="PE-Core-B-16", tag="meta"))
    """
    model, _, tag = backbone.name.partition(".")
    is_open_clip = model != model.lower()  # timm's names have no capitals, and open_clip's have some
    own = (model, tag or text.tag) if is_open_clip else known.get(backbone.name)
    from_hub = backbone.weights == text.weights == "hub"
    if own is None or own == (text.name, text.tag) or not (from_hub or (is_open_clip and own[0] != text.name)):
        return
    raise ValueError(
        f"text.name = {text.name!r} with text.tag = {text.tag!r} was not trained with {backbone.name}. Use text.name "
        f"{own[0]} and text.tag {own[1]}."
    )


CLIP_B16 = BackboneConfig(name="vit_base_patch16_clip_quickgelu_224.openai")
CLIP_L14 = BackboneConfig(name="vit_large_patch14_clip_quickgelu_224.openai")

MODEL_PRESETS: dict[str, tuple[BackboneConfig, SideConfig]] = {
    "b32": (BackboneConfig(name="vit_base_patch32_clip_quickgelu_224.openai"), SideConfig(width=320)),
    "b16": (CLIP_B16, SideConfig(width=320)),
    "b16-light": (CLIP_B16, SideConfig(width=192, taps="every-second")),
    "l14": (CLIP_L14, SideConfig(width=512)),
    "l14-light": (CLIP_L14, SideConfig(width=320, taps="every-second")),
    "e14": (
        BackboneConfig(name="eva02_enormous_patch14_clip_224.laion2b"),
        SideConfig(variant="post-norm", width=576, taps="every-second"),
    ),
}
"""Backbone and side network of the paper's models (arXiv 2311.15769, tables 1 to 3), by short name."""
