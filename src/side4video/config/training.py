"""Settings of training and evaluation."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from side4video.config.probe import PROBES, ProbeName
from side4video.config.settings import Settings

MomentDecay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A decay rate of AdamW: 0 or more, and below 1."""

METRICS = ("top1", "top5", "mean-class", "macro-f1", "mAP")
"""Scores that can select the best adapter; `recall:CLASS` is one more."""


def _check_metric(name: str) -> str:
    """A name in `METRICS`, in any case, or recall:CLASS."""
    known = {metric.lower(): metric for metric in METRICS}
    if name.lower() in known:
        return known[name.lower()]
    if name.startswith("recall:") and name.removeprefix("recall:").strip():
        return f"recall:{name.removeprefix('recall:').strip()}"
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {known[close[0]]!r}?" if close else ""
    raise ValueError(f"there is no score of this name.{hint} Use {', '.join(METRICS)} or recall:CLASS.")


TRACKERS = ("wandb", "mlflow", "tensorboard")


def _tracker_names(given: str) -> str:
    """Names of trackers, separated by commas, each once."""
    names = [name.strip().lower() for name in given.split(",") if name.strip()]
    if unknown := [name for name in names if name not in TRACKERS]:
        raise ValueError(f"there is no tracker {', '.join(unknown)[:100]}. Use {', '.join(TRACKERS)}, or leave it out.")
    return ",".join(dict.fromkeys(names))


class TrainConfig(Settings):
    """Optimisation.

    Examples:
        >>> TrainConfig(epochs=10, lr=5e-4).batch
        32
    """

    epochs: PositiveInt = 30
    """Passes over the training set."""
    batch: PositiveInt = 32
    """Videos per optimizer step, over all processes; repeats and arrow_of_time make several clips of each."""
    micro_batch: PositiveInt | None = None
    """Videos per forward pass; gradients of several are accumulated, which saves memory. By default the whole batch."""
    lr: float = Field(default=1e-3, gt=0.0)
    """Highest learning rate."""
    weight_decay: float = Field(default=0.15, ge=0.0)
    """Weight decay of AdamW on all trained parameters; see decay_biases and decay_norms."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """adamw-8bit: both moments in 8 bits, in 32 bits for tensors below 4096 numbers (needs the extra `quantised`)."""
    warmup_epochs: float = Field(default=4.0, ge=0.0)
    """Epochs of linear warm-up; then a cosine to zero."""
    cosine: Literal["after-warmup", "whole-run"] = "after-warmup"
    """Where the cosine starts. after-warmup: at the highest rate, when the warm-up ends; whole-run: with the first
    step, so that the rate drops to 0.976 of the highest when a warm-up of a tenth ends, as in the paper's retrieval."""
    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the target that is spread over all classes. With several labels each class gets label_smoothing / number
    of classes, and its labels 1 - label_smoothing more."""
    class_weights: Literal["balanced", "effective"] | Path | None = None
    """Weights of the classes in the loss, for classes with unequal numbers of clips. balanced: inversely proportional
    to the number of clips; effective: to the effective number of clips (arXiv 1901.05555), which differs less; or a CSV
    file with rows `class,weight`. Both computed kinds have mean 1 over the training clips. By default all are 1."""
    class_weights_beta: float = Field(default=0.999, ge=0.0, lt=1.0)
    """effective: weights are proportional to (1 - beta) / (1 - beta^n) for n clips. 0: all equal; close to 1: nearly
    balanced."""
    finetuned_lr_scale: float = Field(default=1e-3, ge=0.0, le=1.0)
    """Learning rate of parameters that start from CLIP's weights, as a share of lr: the text tower, last norm and
    projection in retrieval; the classes of head.init text."""
    betas: tuple[MomentDecay, MomentDecay] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    eps: float = Field(default=1e-8, gt=0.0)
    """AdamW's constant that is added to the root of the second moment."""
    decay_biases: bool = True
    """Whether biases and norms (everything with one dimension or none) decay too, as in the paper's recognition."""
    decay_norms: bool | None = None
    """Whether the weights of norms and the logit scale decay; by default as decay_biases. With decay_biases false, true
    decays everything but biases, as in the paper's retrieval."""
    clip_grad_norm: float | None = Field(default=None, gt=0.0)
    """Largest norm of the gradient of all parameters; by default unlimited."""
    memory: Literal["plain", "exact", "tight"] = "exact"
    """What is stored for the backward pass. plain: everything that autograd needs; exact: a fifth of it, with side
    blocks recomputed and the same gradients; tight: a seventh, as exact but with the inputs of the taps in 8 bits."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the trained part; auto: bf16 autocast on CUDA and XPU, otherwise fp32."""
    device: str = "auto"
    """auto (the first of CUDA or ROCm, XPU, MPS, CPU), cpu, cuda, cuda:1, xpu, mps; each process takes its own GPU."""
    sync_bn: bool = False
    """Compute BatchNorm's statistics over the clips of all processes; by default each process has its own, as in the
    paper."""
    shard_backbone: bool = False
    """Distribute the frozen weights over all processes, for models that leave too little memory for a training step.
    Each card still holds the whole model once, while it is loaded."""
    timeout_minutes: float = Field(default=10.0, gt=0.0)
    """Timeout in minutes for waiting for other processes to join, within a training step, and while one sends no
    heartbeats."""
    log_every: PositiveInt = 10
    """Steps between lines in log.jsonl."""
    checkpoint_minutes: float = Field(default=10.0, ge=0.0)
    """Minutes between checkpoints within an epoch; each epoch also ends with one. 0: after every step."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What happens if the loss or gradient of a step is not finite. stop: the run stops before the update; skip: the
    step is skipped, counted and named."""
    best_by: Annotated[str, AfterValidator(_check_metric)] | None = None
    """Score that selects the adapter best/, and that patience waits for: top1, top5, mean-class (mean recall of the
    classes), macro-f1, mAP, or recall:CLASS. By default top1; mAP with several labels per clip; retrieval always takes
    recall at 1 from text to video."""
    patience: PositiveInt | None = None
    """Stop after this many evaluations without a better score, see best_by."""
    log: Annotated[str, AfterValidator(_tracker_names)] = ""
    """Also follow the run with wandb, mlflow or tensorboard, separated by commas (each needs the extra of its name).
    log.jsonl, metrics.csv and the report are always written."""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_form(cls, given: Any) -> Any:
        """Settings of earlier runs have `tensorboard: true` or false."""
        if isinstance(given, dict) and isinstance(given.get("tensorboard"), bool):
            given = dict(given)
            if given.pop("tensorboard"):
                given.setdefault("log", "tensorboard")
        return given

    @property
    def trackers(self) -> tuple[str, ...]:
        """The names in `log`."""
        return tuple(name for name in TRACKERS if name in self.log.split(","))


def _probe_names(given: Any) -> Any:
    """Names of probes, separated by commas; true means linear, and false means none."""
    known = {"true": "linear", "false": "", "none": ""}
    if given is None or isinstance(given, bool):
        given = str(bool(given))
    if not isinstance(given, str):
        return given  # pydantic reports the wrong type
    names = [name.strip() for name in known.get(given.lower(), given).split(",") if name.strip()]
    if unknown := [name for name in names if name not in PROBES]:
        raise ValueError(f"there is no probe {', '.join(unknown)[:100]}. Use {', '.join(PROBES)}, or false.")
    return ",".join(names)


class EvalConfig(Settings):
    """Evaluation.

    Examples:
        >>> EvalConfig(clips=2, crops=3, probe="motion,linear").probes
        ('linear', 'motion')
    """

    every: PositiveInt = 1
    """Epochs between evaluations during training; the last epoch is always evaluated."""
    clips: PositiveInt = 1
    """Clips per video; the scores are averaged over all views = clips x crops, see pool."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip. 1: centre; 3: three in a row; 5: centre and corners; 10: these five and their mirror images."""
    crop_style: Literal["even", "paper"] = "even"
    """Position of one crop or three crops. even: three crops along the long side, from end to end; paper: three crops
    along the width, in upright videos too. With paper, one crop or three are at the pixels of the paper's code."""
    final_clips: PositiveInt | None = None
    """Clips per video of the last evaluation of best/, after training; by default `clips`. Evaluations during training
    and `side4video evaluate` use `clips` and `crops`."""
    final_crops: Literal[1, 3, 5, 10] | None = None
    """Crops per clip of that last evaluation; by default `crops`."""
    batch: PositiveInt = 8
    """Clips (views) per forward pass."""
    pool: Literal["mean", "max"] = "mean"
    """How the scores of the views of a video are joined: mean, or the largest of each class (max), as is usual on
    Charades."""
    unlabelled: Literal["negative", "ignore"] = "negative"
    """Several labels: videos without labels. negative: they show no class, and lower the precision where they score
    high; ignore: they are left out of the scores, as in the official evaluation of Charades."""
    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Before cropping: short side, or height and width, in pixels. By default the height and width of augment.resize
    if it has both, otherwise a short side of 256/224 of the image size."""
    precision: Literal["auto", "fp32"] = "auto"
    """Arithmetic of evaluation. auto: bf16 on a GPU, fp32 on a CPU; fp32: 32 bits everywhere, as the paper's code
    evaluates. Evaluations during training keep the frozen part in `backbone.dtype`; `evaluate` and the last scoring of
    a run load it in 32 bits."""
    max_unread: float = Field(default=0.1, ge=0.0, le=1.0)
    """Largest share of unreadable videos with which scores are still reported. Large sets usually have a few corrupt
    files. If a tenth of the videos is missing, a score can change by more than methods differ; a larger share indicates
    a broken disk or a wrong folder."""
    ties: Literal["middle", "pessimistic"] = "middle"
    """Retrieval: of the candidates with the same score as the correct one, half (middle) or all (pessimistic) count as
    better."""
    dual_softmax: bool = False
    """Retrieval: also report ranks after dual-softmax re-ranking, which needs all queries at once."""
    probe: Annotated[str, BeforeValidator(_probe_names)] = ""
    """Also report scores of the frozen model alone. Recognition: names of probes on its tokens (linear, motion,
    space-time, correlation, attentive) or on optical flow (flow, speed), or combined, separated by commas; true means
    linear, empty or false none. Retrieval: true reports its zero-shot ranks, but not in a run from an adapter."""

    @property
    def probes(self) -> tuple[ProbeName, ...]:
        """The names in `probe`."""
        return tuple(name for name in PROBES if name in self.probe.split(","))
