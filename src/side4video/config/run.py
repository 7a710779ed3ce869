"""All settings of a run, and the checks of settings that exclude each other."""

from typing import Literal, Self

from pydantic import Field, model_validator

from side4video.config.data import AugmentConfig, DataConfig
from side4video.config.model import BackboneConfig, HeadConfig, SideConfig, TextConfig, check_towers
from side4video.config.probe import ProbeConfig
from side4video.config.settings import Settings
from side4video.config.training import EvalConfig, TrainConfig


class RunConfig(Settings):
    """All settings of a run.

    >>> config = RunConfig(data=DataConfig(train="clips/train", num_frames=16))
    >>> config.data.num_frames, config.train.batch, config.side.width
    (16, 32, 320)
    """

    about: str = ""
    """What the recipe is for."""
    task: Literal["recognition", "retrieval"] = "recognition"
    """recognition: name the class of a video; retrieval: find videos by captions and captions by videos."""
    backbone: BackboneConfig = BackboneConfig()
    """The frozen image model."""
    side: SideConfig = SideConfig()
    """The side network."""
    head: HeadConfig = HeadConfig()
    """The classifier on the side network."""
    probe: ProbeConfig = ProbeConfig()
    """A classifier on frozen tokens instead of a side network."""
    text: TextConfig = TextConfig()
    """The text tower."""
    data: DataConfig = DataConfig()
    """The videos, and which of their frames are used."""
    augment: AugmentConfig = AugmentConfig()
    """Random changes of training clips."""
    train: TrainConfig = TrainConfig()
    """Training."""
    eval: EvalConfig = EvalConfig()
    """Evaluation."""
    search: Literal["off", "probes", "quick", "thorough"] = "off"
    """Compare probes and, with quick or thorough, side networks by cross-validation on the training clips, then train
    the best one on all of them. For few clips. config.yaml in the run folder then contains the chosen settings, with
    search off."""
    seed: int = Field(default=1024, ge=0)
    """Seed of everything random."""

    @property
    def test_resize(self) -> int | tuple[int, int] | None:
        """Size of evaluation frames before cropping: short side, or height and width; None: 256/224 of the image size.

        The value is `eval.resize`. Its default is the height and width of `augment.resize`, so that a model is tested
        on frames of the shape that it was trained on.
        """
        if self.eval.resize is None and isinstance(self.augment.resize, tuple):
            return self.augment.resize
        return self.eval.resize

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.task == "retrieval":
            self._check_retrieval()
        elif self.data.flavour in {"msrvtt", "vatex"}:
            raise ValueError(
                f"data.flavour = {self.data.flavour!r} is for task retrieval, with one clip per video. Use "
                "something_something or kinetics."
            )
        self._check_search()
        if self.head.init == "text":
            self._check_text_head()
        self._check_unequal_classes()
        if self.head.frozen_probe and not self.head.fused:
            raise ValueError("head.frozen_probe needs the probe of a fused head: set head.fused too, or leave it out.")
        together = self.train.micro_batch or self.train.batch
        if self.head.pooled_norm and together < 2:
            raise ValueError(
                "head.pooled_norm compares the clips of a forward pass: train.micro_batch must be 2 or more."
            )
        if (self.augment.mixup or self.augment.cutmix) and self.data.cache is not None:
            raise ValueError(
                "augment.mixup and cutmix mix pixels, and data.cache stores tokens: leave out data.cache, or mixup and "
                "cutmix."
            )
        if self.train.shard_backbone and self.data.cache is not None:
            raise ValueError(
                "One process computes data.cache, but train.shard_backbone distributes the weights over all of them: "
                "leave out one of the two."
            )
        if (self.augment.mixup or self.augment.cutmix) and together < 2:
            raise ValueError(
                "augment.mixup and cutmix mix the clips of a forward pass: train.micro_batch must be 2 or more."
            )
        return self

    def _check_search(self) -> None:
        """Refuse settings that a search would ignore, or fail at after it has compared the probes."""
        if self.search == "off":
            return
        unsuited = {
            "probe.name": (self.probe.name != "none", "chooses the probe itself"),
            "head.init": (self.head.init != "probe", "fits the probe of a fused head itself"),
            "augment.mixup": (self.augment.mixup > 0, "trains on cached tokens"),
            "augment.cutmix": (self.augment.cutmix > 0, "trains on cached tokens"),
            "train.shard_backbone": (self.train.shard_backbone, "takes one process"),
        }
        for name, (is_given, reason) in unsuited.items():
            if is_given:
                raise ValueError(
                    f"{name}: not supported by the search, which {reason}. Add --search off to train one model, or "
                    "leave it out."
                )

    def _check_unequal_classes(self) -> None:
        """Refuse settings for unequal classes where they have no effect or correct twice."""
        weights, sampling = self.train.class_weights, self.data.sampling_weights
        given = {"train.class_weights": weights, "data.sampling_weights": sampling}
        replaced = "search" if self.search != "off" else "probe.name" if self.probe.name != "none" else None
        changed = [name for name, value in {**given, "train.best_by": self.train.best_by}.items() if value is not None]
        if replaced and changed:
            remedy = "--search off" if replaced == "search" else "--probe.name none"
            raise ValueError(
                f"{', '.join(changed)}: {replaced} fits probes without them. Add {remedy} to train one side network, "
                "or leave them out."
            )
        if self.data.arrow_of_time and (named := [name for name, value in given.items() if value is not None]):
            raise ValueError(
                f"data.arrow_of_time has two classes with equally many clips: leave out {' and '.join(named)}."
            )
        if sampling is not None and weights in ("balanced", "effective"):
            raise ValueError(
                f"train.class_weights = {weights!r} and data.sampling_weights = {sampling!r} both correct the numbers "
                "of clips, so rare classes would count too much. Use one of them."
            )

    def _check_text_head(self) -> None:
        if not self.head.fused:
            raise ValueError("head.init = 'text' is for a fused head: set head.fused too, or leave it out.")
        if self.data.arrow_of_time:
            raise ValueError("head.init = 'text' needs classes with meaningful names: leave out data.arrow_of_time.")
        check_towers(self.backbone, self.text)

    def _check_retrieval(self) -> None:
        check_towers(self.backbone, self.text)
        unsuited = {
            "head": self.head != HeadConfig(),
            "search": self.search != "off",
            "probe": self.probe != ProbeConfig(),
            "data.arrow_of_time": self.data.arrow_of_time,
            "data.repeats": self.data.repeats > 1,
            "data.group": self.data.group is not None,
            "data.val_fraction": self.data.val_fraction is not None,
            "data.folds": self.data.folds is not None,
            "data.multi_label": bool(self.data.multi_label or self.data.label_separator),
            "data.sampling_weights": self.data.sampling_weights is not None,
            "train.class_weights": self.train.class_weights is not None,
            "train.best_by": self.train.best_by is not None,
            "data.shots": self.data.shots is not None,
            "augment.mixup": self.augment.mixup > 0,
            "augment.cutmix": self.augment.cutmix > 0,
        }
        if given := [name for name, is_given in unsuited.items() if is_given]:
            raise ValueError(f"{', '.join(given)}: not supported by task retrieval. Leave out.")
        views = {name: getattr(self.eval, name) for name in ("clips", "crops", "final_clips", "final_crops")}
        if given := [f"eval.{name} = {value}" for name, value in views.items() if (value or 1) > 1]:
            raise ValueError(
                f"{', '.join(given)}: task retrieval embeds one view of each video. Use 1 clip and 1 crop, the default."
            )
        if self.text.decorrelation and self.text.similarity != "wti":
            raise ValueError("text.decorrelation compares single words and frames: it needs text.similarity wti.")
        if self.train.batch < 2:
            raise ValueError("train.batch = 1 gives the contrastive loss no other pair to compare with. Use 2 or more.")
