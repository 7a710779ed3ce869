"""Every setting of a run, checked when it is read. Nothing heavy is imported here: help and errors come at once.

A recipe is a YAML file with these fields; flags override it: `--train.lr 5e-4`, `--data.num-frames 16`.
"""

import difflib
import reprlib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator


class ConfigError(ValueError):
    """A recipe or config that cannot be used; the message lists every problem."""


MOST_PROBLEMS = 50
"""Settings that an error lists before it stops."""

_SHORT = reprlib.Repr()  # YAML can hold, in a few lines, a list of more entries than could ever be printed
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 200, 200


class Settings(BaseModel):
    """A group of settings: unknown names are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


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
    """Frames that go through a block of it at once; fewer need less memory beside the tokens themselves."""
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
    stem: bool = True
    """Read the pixels themselves too, as in the paper."""
    attention: bool = True
    """Attention inside each frame, as in the paper; without it far fewer numbers are trained."""
    centred: bool = False
    """See how tokens change over the clip and not what they are; good for few clips, with head.fused."""


class HeadConfig(Settings):
    """The classifier."""

    fused: bool = False
    """Add a linear probe on the frozen model's own summary token, fitted first; good for few clips."""
    init: Literal["probe", "text"] = "probe"
    """What a fused head starts from. probe: a linear probe fitted to the training set; text: sentences about the class
    names, as CLIP classifies without training (CLIP backbones; `text` names the tower and the sentences)."""
    frozen_probe: bool = False
    """Keep what a fused head starts from as it is: the side network adds to it and cannot spoil it."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability of dropping a pooled feature in training."""
    pooled_norm: bool = False
    """BatchNorm over clips on the pooled side features; needs two clips or more per forward pass."""


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
    """Name in open_clip of the CLIP model that the backbone is the image tower of."""
    weights: str = "hub"
    """"hub", "random", or a local .safetensors or .pt file with the whole CLIP model or its text tower."""
    tag: str = "openai"
    """open_clip's tag of the hub's weights."""
    model_args: dict[str, int | float | bool] = Field(default_factory=dict)
    """What differs from the named tower: width, heads, layers, context_length, vocab_size, embed_dim."""
    max_words: PositiveInt = 32
    """Words of a caption at most, start and end of the text included; longer ones are cut."""
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


class DataConfig(Settings):
    """Which videos, and which of their frames."""

    train: Path | None = None
    """Training set: a folder with one sub-folder per class, or a list or annotation file."""
    test: Path | None = None
    """Evaluation set, in any of the same forms."""
    captions: Path | None = None
    """Retrieval: the file of captions where train and test only list videos, as with MSR-VTT, MSVD and VATEX."""
    root: Path | None = None
    """Folder the paths of the lists start from; by default the list's own folder."""
    test_root: Path | None = None
    """The same for the evaluation set where it differs."""
    outside_root: Literal["refuse", "allow"] = "refuse"
    """Whether lists may name videos outside of root, by "..", as absolute paths or through links. Without root their
    paths are taken as they are."""
    format: str = "auto"
    """Form of the lists: auto, folder, list, csv, kinetics, ssv1, ssv2, ucf101 or hmdb51; of captions: auto, msrvtt,
    msvd, vatex, didemo, activitynet, lsmdc, csv, json or jsonl."""
    class_names: Path | None = None
    """File with one class name per line, or `id,name` rows, where the lists hold numbers."""
    delimiter: str | None = None
    """What separates path and label in list files; by default found out."""
    fold: Literal[1, 2, 3] = 1
    """Which of the three official splits of UCF101 and HMDB51."""
    first_label: Literal[0, 1] = 0
    """Number of the first class where the lists hold numbers."""
    frame_template: str = "img_{:05d}.jpg"
    """File names in frame folders."""
    allow_missing: bool = False
    """Go on without the listed videos that are not there (their number is reported)."""
    shots: PositiveInt | None = None
    """Train on so many videos of each class, chosen by the run's seed; fewer ones are among more."""
    fraction: float | None = Field(default=None, gt=0.0, le=1.0)
    """Train on this share of each class's videos (retrieval: of all), at least one, chosen in the same way."""
    num_frames: PositiveInt = 8
    """Frames per clip."""
    sampling: Literal["segments", "dense"] = "segments"
    """segments: one frame from each equal part of the video; dense: neighbouring frames `stride` apart."""
    flavour: Literal["something_something", "kinetics"] = "something_something"
    """Rounding of the paper's two data sets."""
    stride: PositiveInt | None = None
    """Distance of dense frames; by default 128 frames are spanned, as in the paper."""
    arrow_of_time: bool = False
    """Replace the classes by two: every clip forward, and the same clip reversed."""
    repeats: PositiveInt = 1
    """Differently augmented copies of each decoded clip in a training batch."""
    workers: int | None = Field(default=None, ge=0)
    """Loader processes; by default one per core but one, at most 8. 0: decode in the main process."""
    cache: Path | None = None
    """Folder for the frozen model's tokens: later epochs, and runs with other seeds, skip videos and backbone. Good for
    few clips on slow machines. Random augmentation is then limited to `cache_copies` versions of each clip."""
    cache_copies: PositiveInt = 8
    """Differently augmented versions of each training clip in the cache; epochs take them in turn."""
    timeout_seconds: float = Field(default=300.0, gt=0.0)
    """Seconds after which a loader process that still reads the same video is ended: that video counts as one that
    cannot be read. Without effect with workers 0."""
    on_error: Literal["skip", "stop"] = "skip"
    """A training video that cannot be read is skipped, counted and named, or stops the run."""

    @model_validator(mode="after")
    def _one_part_is_chosen(self) -> Self:
        if self.shots is not None and self.fraction is not None:
            raise ValueError(
                f"data.shots = {self.shots} and data.fraction = {self.fraction} both choose training videos: give one."
            )
        return self


class AugmentConfig(Settings):
    """Random changes to training clips; one draw for all frames of a clip."""

    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Before cropping: short side, or height and width, in pixels; by default 256/224 of the image size."""
    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    """Smallest and largest share of the picture a random crop covers; None: always the middle."""
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability of a mirrored clip; classes whose names differ in left and right are swapped."""
    rand_augment: str | None = None
    """RandAugment in timm's notation, such as rand-m7-n4-mstd0.5-inc1."""
    colour_jitter: float = Field(default=0.0, ge=0.0)
    """Strength of random brightness, contrast and saturation."""
    grey: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of a clip without colours."""
    erasing: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of a randomly erased rectangle."""
    mixup: float = Field(default=0.0, ge=0.0)
    """Alpha of mixup between clips; 0: off."""
    cutmix: float = Field(default=0.0, ge=0.0)
    """Alpha of cutmix between clips; 0: off."""


class TrainConfig(Settings):
    """Optimisation."""

    epochs: PositiveInt = 30
    """Passes over the training set."""
    batch: PositiveInt = 32
    """Videos per optimizer step, over all processes; repeats and arrow_of_time make several clips of each."""
    micro_batch: PositiveInt | None = None
    """Videos per forward pass; smaller ones save memory and are accumulated. By default the whole batch."""
    lr: float = Field(default=1e-3, gt=0.0)
    """Highest learning rate."""
    weight_decay: float = Field(default=0.15, ge=0.0)
    """AdamW's, on every trained parameter."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """adamw-8bit: both moments in 8 bits, in 32 for tensors below 4096 numbers (needs the extra `quantised`)."""
    warmup_epochs: float = Field(default=4.0, ge=0.0)
    """Epochs of linear warm-up; then a cosine to zero."""
    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the target spread over all classes."""
    finetuned_lr_scale: float = Field(default=1e-3, ge=0.0, le=1.0)
    """Rate of what starts from CLIP's weights, as a share of lr: retrieval's text tower, last norm and projection; the
    classes of head.init text."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    eps: float = Field(default=1e-8, gt=0.0)
    """AdamW's constant beside the root of the second moment."""
    decay_biases: bool = True
    """Weight decay on biases and norms (everything with one dimension) too, as the paper does in recognition."""
    clip_grad_norm: float | None = Field(default=None, gt=0.0)
    """Largest norm of the whole gradient; by default unlimited."""
    memory: Literal["plain", "exact", "tight"] = "exact"
    """What is kept for the backward pass. plain: what autograd needs; exact: a fifth of it, side blocks are computed
    again, same gradients; tight: a seventh, as exact with what the taps read in 8 bits."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the trained part; auto: bf16 autocast on a GPU, fp32 on a CPU."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; with several processes each takes its own GPU."""
    sync_bn: bool = False
    """Take BatchNorm's statistics over the clips of all processes; by default each has its own, as in the paper."""
    shard_backbone: bool = False
    """Spread the frozen weights over all processes, for models that do not fit one card."""
    timeout_minutes: float = Field(default=10.0, gt=0.0)
    """Minutes that a process waits for the others before it gives up."""
    log_every: PositiveInt = 10
    """Steps between lines in log.jsonl."""
    checkpoint_minutes: float = Field(default=10.0, ge=0.0)
    """Minutes between checkpoints within an epoch; each epoch ends with one. 0: after every step."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """A step whose loss or gradient is not finite stops the run before it, or is left out, counted and named."""
    patience: PositiveInt | None = None
    """Stop after this many evaluations without a better top-1."""
    tensorboard: bool = False
    """Also write TensorBoard event files (needs the extra `tensorboard`)."""


class EvalConfig(Settings):
    """Evaluation."""

    every: PositiveInt = 1
    """Epochs between evaluations during training; the last epoch is always evaluated."""
    clips: PositiveInt = 1
    """Clips per video; the softmax is averaged over all views = clips x crops."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip: centre; three along the long side; centre and corners; these and their mirror images."""
    batch: PositiveInt = 8
    """Clips (views) per forward pass."""
    resize: PositiveInt | None = None
    """Short side before cropping, in pixels; by default 256/224 of the image size."""
    max_unread: float = Field(default=0.1, ge=0.0, le=1.0)
    """Largest share of unreadable videos with which scores are still reported. A few broken files are in every large
    set; a tenth left out can move a score by more than methods differ, and more is a broken disk or a wrong folder."""
    ties: Literal["middle", "pessimistic"] = "middle"
    """Retrieval: equally good candidates count half, or all, as better than the right one."""
    dual_softmax: bool = False
    """Retrieval: also report ranks after dual-softmax re-ranking, which needs all queries at once."""
    probe: bool = False
    """Also report the frozen model by itself: a linear probe on its features, or its zero-shot retrieval."""


class RunConfig(Settings):
    """All settings of a run."""

    about: str = ""
    """What the recipe is for."""
    task: Literal["recognition", "retrieval"] = "recognition"
    """recognition: name the class of a video; retrieval: find videos by captions and captions by videos."""
    backbone: BackboneConfig = BackboneConfig()
    side: SideConfig = SideConfig()
    head: HeadConfig = HeadConfig()
    text: TextConfig = TextConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    seed: int = Field(default=1024, ge=0)
    """Seed of everything random."""

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.task == "retrieval":
            self._check_retrieval()
        if self.head.init == "text":
            self._check_text_head()
        if self.head.frozen_probe and not self.head.fused:
            raise ValueError("head.frozen_probe keeps the probe of a fused head: set head.fused too, or leave it out.")
        together = self.train.micro_batch or self.train.batch
        if self.head.pooled_norm and together < 2:
            raise ValueError(
                "head.pooled_norm compares the clips of a forward pass: train.micro_batch must be 2 or more."
            )
        if (self.augment.mixup or self.augment.cutmix) and self.data.cache is not None:
            raise ValueError(
                "augment.mixup and cutmix mix pixels, which the frozen model's cached tokens have left behind: leave "
                "out data.cache, or them."
            )
        if (self.augment.mixup or self.augment.cutmix) and together < 2:
            raise ValueError(
                "augment.mixup and cutmix mix the clips of a forward pass: train.micro_batch must be 2 or more."
            )
        return self

    def _check_text_head(self) -> None:
        if not self.head.fused:
            raise ValueError(
                "head.init = 'text' is what a fused head starts from: set head.fused too, or leave it out."
            )
        if self.data.arrow_of_time:
            raise ValueError("head.init = 'text' needs classes whose names say what is seen: leave out arrow_of_time.")
        check_towers(self.backbone, self.text)

    def _check_retrieval(self) -> None:
        check_towers(self.backbone, self.text)
        unsuited = {
            "head": self.head != HeadConfig(),
            "data.arrow_of_time": self.data.arrow_of_time,
            "data.repeats": self.data.repeats > 1,
            "data.shots": self.data.shots is not None,
            "augment.mixup": self.augment.mixup > 0,
            "augment.cutmix": self.augment.cutmix > 0,
            "eval.clips": self.eval.clips > 1,
            "eval.crops": self.eval.crops > 1,
        }
        if given := [name for name, is_given in unsuited.items() if is_given]:
            raise ValueError(
                f"{', '.join(given)}: not for task retrieval, which embeds one view of each video. Leave out."
            )
        if self.text.decorrelation and self.text.similarity != "wti":
            raise ValueError("text.decorrelation pairs single words and frames: it needs text.similarity wti.")
        if self.train.batch < 2:
            raise ValueError("train.batch = 1 leaves a contrastive loss nothing to compare with. Use 2 or more.")


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


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _recipe_folder().iterdir() if entry.name.endswith(".yaml")
    )


def recipe_text(name: str) -> str:
    """The YAML text of a recipe of the package.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in recipe_names():
        close = difflib.get_close_matches(name, recipe_names(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"There is no recipe {name!r} and no such file.{hint} Recipes: {', '.join(recipe_names())}.")
    return (_recipe_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def load_config(recipe: str | Path) -> RunConfig:
    """Read a recipe of the package by name, or a YAML file by path.

    A top-level `preset: b16` stands for that preset's backbone, side network and text tower; fields beside it override
    it. A part `figures` is what a recipe states about itself (`recipe_figures.py`); it sets nothing and is left out.

    Raises:
        ConfigError: no such recipe, not YAML, or settings that are unknown or out of range (all are listed).
    """
    path = Path(recipe)
    named = path.suffix not in {".yaml", ".yml"}
    if not named and not path.is_file():
        raise ConfigError(f"{path} does not exist. Give a YAML file or a recipe's name: {', '.join(recipe_names())}.")
    try:
        content = yaml.safe_load(recipe_text(str(recipe)) if named else path.read_text(encoding="utf-8")) or {}
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{recipe} is nested too deeply to be read.") from None
    except (yaml.YAMLError, ValueError) as error:  # bytes that are not UTF-8, dates and numbers that are none
        raise ConfigError(f"{recipe} is not YAML: {str(error)[:1000]}") from None
    return parse_config(content, source=str(recipe))


def parse_config(content: Any, *, source: str) -> RunConfig:
    """Check settings given as nested dictionaries; `source` is named in errors.

    Raises:
        ConfigError: settings that are unknown or out of range; all are listed, with close matches.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{source} must hold settings by name, not {type(content).__name__}.")
    content = dict(content)
    content.pop("figures", None)
    preset = content.pop("preset", None)
    if preset is not None:
        if not isinstance(preset, str) or preset not in MODEL_PRESETS:
            raise ConfigError(
                f"{source}: preset = {_SHORT.repr(preset)} is not known. Presets: {', '.join(MODEL_PRESETS)}."
            )
        for part, settings in zip(("backbone", "side"), MODEL_PRESETS[preset], strict=True):
            content[part] = _override(settings.model_dump(exclude_defaults=True), content.get(part))
        name, tag = CLIP_TOWERS[MODEL_PRESETS[preset][0].name]
        content["text"] = _override({"name": name, "tag": tag}, content.get("text"))
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(problem)}" for problem in error.errors()[:MOST_PROBLEMS])
        more = "\n  ..." if error.error_count() > MOST_PROBLEMS else ""
        raise ConfigError(f"{source} has {error.error_count()} unusable settings:\n{problems}{more}") from None


def dump_config(config: RunConfig) -> str:
    """The resolved config as YAML that `load_config` reads back."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_ExactDumper, sort_keys=False, allow_unicode=True)


def _recipe_folder() -> Any:
    return resources.files("side4video") / "recipes"


def _override(settings: dict[str, Any], given: Any) -> Any:
    """Settings with the given ones in their place; what is no settings stays as it is, for its error."""
    return settings | (given or {}) if given is None or isinstance(given, dict) else given


class _ExactDumper(yaml.SafeDumper):
    """Writes every text so that it is read as it was."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes these line ends as they are, and reads them as blanks; between double quotes it escapes them.
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ExactDumper.add_representer(str, _represent_text)


def _explain(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])[:200]
    if problem["type"] != "extra_forbidden":
        return f"{place} = {_SHORT.repr(problem['input'])}: {problem['msg'][:1000]}"
    group: Any = RunConfig
    for part in problem["loc"][:-1]:
        group = group.model_fields[str(part)].annotation
    close = difflib.get_close_matches(str(problem["loc"][-1]), group.model_fields, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(group.model_fields)}"
    return f"{place}: no such setting; {hint}"
