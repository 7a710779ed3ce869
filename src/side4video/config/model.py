"""Settings of the model: image model, side network, classifier, text tower; and the paper's models by name."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from side4video.config.settings import Settings


class BackboneConfig(Settings):
    """The frozen image model."""

    name: str = "vit_base_patch16_clip_quickgelu_224.openai"
    """timm name of a VisionTransformer or Eva model; `side4video backbones` lists tested ones."""
    weights: str = "hub"
    """"hub", "random", or a local .safetensors or .pt file."""
    image_size: PositiveInt | None = None
    """Side of the square frames in pixels; by default the model's own."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number type of the frozen part; auto: bfloat16 on a GPU, float32 on a CPU."""
    quantise: Literal["none", "int8", "nf4"] = "none"
    """Keep its weights in 8 or 4 bits; computation stays in dtype (needs the extra `quantised`)."""
    chunk_frames: PositiveInt = 64
    """Frames that go through a block of it at once; fewer need less memory in addition to the tokens."""
    model_args: dict[str, int | float | bool | str] = Field(default_factory=dict)
    """Further arguments of timm's model class, such as depth or embed_dim."""


class SideConfig(Settings):
    """The side network."""

    variant: Literal["pre-norm", "post-norm"] = "pre-norm"
    """pre-norm: the paper's CLIP models; post-norm: its ViT-E/14."""
    width: PositiveInt = 320
    """Channels; even and divisible by the heads."""
    taps: Literal["all", "every-second"] | tuple[int, ...] = "all"
    """Backbone blocks it reads: all, every-second, or 0-based numbers (negative ones count from the end)."""
    num_heads: PositiveInt | None = None
    """Attention heads; by default one per 64 channels."""
    initial_values: Literal["paper", "scaled"] = "paper"
    """What training starts from. paper: as its code draws them for each variant and task; scaled: those of its CLIP
    recognition models in any case. They follow the width: narrow networks learn retrieval in fewer steps with them."""
    stem: bool = True
    """Read the pixels themselves too, as in the paper."""
    attention: bool = True
    """Attention inside each frame, as in the paper; without it far fewer numbers are trained."""
    centred: bool = False
    """Read only how tokens change over the clip; good for few clips, with head.fused."""
    patch_grid: PositiveInt | None = None
    """Average the patches to so many rows and columns before the side network reads them: 7 makes 49 of 196, a quarter
    of the work and of the cached tokens. By default every patch is read."""
    temporal_difference: bool = False
    """Gate each token by its difference to its largest value over the clip (arXiv 2408.10688); the gates start open."""
    correlation: NonNegativeInt = 0
    """Also read how alike each token is to its neighbours in the next frame, up to so many rows and columns away: that
    shows which way things move (arXiv 2007.09933). 0: off."""


class HeadConfig(Settings):
    """The classifier."""

    grid: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """Frames, rows and columns that the side tokens are averaged to: the classifier has weights for each of these
    places and times. By default they are averaged to one vector per clip, which hides where and when."""

    fused: bool = False
    """Add a linear probe on the frozen model's own summary token, fitted first; good for few clips."""
    init: Literal["probe", "text"] = "probe"
    """What a fused head starts from. probe: a linear probe fitted to the training set; text: sentences about the class
    names, as CLIP classifies without training (CLIP backbones; `text` names the tower and the sentences)."""
    frozen_probe: bool = False
    """Do not train what a fused head starts from: the side network adds to it and cannot make it worse."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability of dropping a pooled feature in training."""
    pooled_norm: bool = False
    """BatchNorm over clips on the pooled side features; needs at least two clips per forward pass."""


VIDEO_PROMPTS = (
    "a video of {}.",
    "a video of a person {}.",
    "a video of a person using {}.",
    "a video of a person doing {}.",
    "a video of a person during {}.",
    "a video of a person performing {}.",
    "a video of a person practicing {}.",
)
"""The seven sentences of CLIP's authors for Kinetics that speak of videos (arXiv 2103.00020, its published prompts)."""

CLIP_TOWERS = {
    "vit_base_patch32_clip_quickgelu_224.openai": ("ViT-B-32-quickgelu", "openai"),
    "vit_base_patch16_clip_quickgelu_224.openai": ("ViT-B-16-quickgelu", "openai"),
    "vit_large_patch14_clip_quickgelu_224.openai": ("ViT-L-14-quickgelu", "openai"),
    "eva02_enormous_patch14_clip_224.laion2b": ("EVA02-E-14", "laion2b_s4b_b115k"),
}
"""Image towers of the paper's models in timm, and name and tag in open_clip of the text tower of the same training."""


class TextConfig(Settings):
    """The text tower: of retrieval, with how captions and videos are compared, and of classes by their names."""

    name: str = "ViT-B-16-quickgelu"
    """open_clip's name of the CLIP model whose image tower is the backbone."""
    weights: str = "hub"
    """"hub", "random", or a local .safetensors or .pt file with the whole CLIP model or its text tower."""
    tag: str = "openai"
    """open_clip's tag of the hub's weights."""
    model_args: dict[str, int | float | bool] = Field(default_factory=dict)
    """What differs from the named tower: width, heads, layers, context_length, vocab_size, embed_dim."""
    max_words: PositiveInt = 32
    """Largest number of words of a caption, start and end of the text included; longer ones are cut."""
    similarity: Literal["wti", "mean-pool"] = "wti"
    """wti: weighted token-wise interaction, as in the paper; mean-pool: cosine of sentence and mean frame."""
    decorrelation: float = Field(default=0.0, ge=0.0)
    """Weight of the channel decorrelation term; the paper's optional one is 0.001. Needs wti."""
    prompts: tuple[str, ...] = VIDEO_PROMPTS
    """Sentences about a class, for zero-shot and head.init text; {} is its name. Their embeddings are averaged."""
    captions_per_video: Literal["one", "all"] = "one"
    """one: in each epoch a random caption of each video; all: each caption is a training sample of its own."""

    @model_validator(mode="after")
    def _prompts_name_the_class(self) -> Self:
        if not self.prompts or any("{}" not in prompt for prompt in self.prompts):
            raise ValueError(
                f"text.prompts = {list(self.prompts)}: give one sentence or more, with {{}} where the class name goes."
            )
        return self


def check_towers(backbone: BackboneConfig, text: TextConfig) -> None:
    """Refuse a text tower of another CLIP model than the backbone, whose embeddings would mean nothing to it.

    Raises:
        ValueError: the hub's weights of the two belong to different models.
    """
    own = CLIP_TOWERS.get(backbone.name)
    if own is None or backbone.weights != "hub" or text.weights != "hub" or own == (text.name, text.tag):
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
"""The paper's models (arXiv 2311.15769, tables 1 to 3): backbone and side network by short name."""
