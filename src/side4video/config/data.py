"""Settings of the data: which videos, which frames of them, and how training augments them."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from side4video.config.settings import Settings


class DataConfig(Settings):
    """Which videos, and which frames of them.

    Examples:
        >>> DataConfig(train="clips/train", num_frames=16).workers is None  # one loader process per core, at most 8
        True
    """

    train: Path | None = None
    """Training set: a folder with one sub-folder per class, a list or annotation file, or WebDataset shards: a .tar
    file, a folder of them, or a pattern such as shards/{000000..000099}.tar."""
    test: Path | None = None
    """Evaluation set, in any of these formats."""
    captions: Path | None = None
    """Retrieval: file of captions, if train and test only list videos, as with MSR-VTT, MSVD and VATEX."""
    root: Path | None = None
    """Folder that paths in the lists are relative to; by default the folder of the list."""
    test_root: Path | None = None
    """`root` of the evaluation set; by default the same as for training."""
    outside_root: Literal["refuse", "allow"] = "refuse"
    """Whether lists may name videos outside of root: through "..", absolute paths or links. Without root, all paths are
    allowed."""
    format: str = "auto"
    """Format of the lists: auto, folder, list, csv, json, jsonl, metadata, kinetics, ssv1, ssv2, ucf101, hmdb51,
    epic-kitchens, charades, diving48, activitynet, thumos, cvat, label-studio, fiftyone-labels,
    fiftyone-samples or webdataset; of captions: auto, msrvtt, msvd, vatex, didemo, activitynet, lsmdc, csv, json, jsonl
    or webdataset."""
    class_names: Path | None = None
    """File with one class name per line, or `id,name` rows, for lists with class numbers."""
    delimiter: str | None = None
    """Separator of path and label in list files; by default detected."""
    val_fraction: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Evaluate on this share of the training clips, which are then not trained on: of each class, whole groups (see
    group), chosen by split_seed. Instead of test."""
    folds: int | None = Field(default=None, ge=2)
    """Divide the training clips into this number of folds, as val_fraction does, and evaluate on the one that fold
    names. Instead of test."""
    fold: PositiveInt = 1
    """Which of the folds, from 1; without folds, which of the three official splits of UCF101 and HMDB51."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of val_fraction and folds. It is not the seed of the run, so that runs with several seeds share a split."""
    first_label: Literal[0, 1] = 0
    """Number of the first class, for lists with class numbers."""
    frame_template: str | None = None
    """Pattern of the file names in frame folders; by default img_{:05d}.jpg, or the one series of numbered pictures in
    the folder."""
    fps: float | None = Field(default=None, gt=0.0)
    """Frames per second of frame folders, required for lists that give times or frame numbers of them; and of frame
    numbers in lists, which are by default those of the video file."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Columns of a CSV or JSON lines by their role (path, label, start, end, segment, duration, start_frame, end_frame,
    fps, split, group), if their names are not the usual ones. Of captions: path, caption, start, end, split. Of shards,
    suffixes of members or fields of the json members; also caption."""
    group: str | None = None
    """Which training clips were cut from the same recording; folds, val_fraction and cross-validation keep them
    together. A column of the CSV,
    a CSV file with the columns path and group, or a regular expression over the names. By default the column named
    group, or names of a known form such as v_CLASS_g01_c02."""
    multi_label: bool | None = None
    """Whether videos have any number of classes; rows of the same video are then merged. By default what the form of
    the list says: lists of labels in JSON and columns of 0 and 1 are multi-label unless each video has one label."""
    label_separator: str | None = None
    """Separator of the labels in one field, which makes a list multi-label; by default the one that occurs of | ; and ,
    if multi_label is true."""
    label_field: str | None = None
    """Which labels of a file that has several kinds: verb, noun or action (EPIC-Kitchens; default action), videos or
    segments (Charades; default videos), tags, tracks or an attribute (CVAT), or the name of an attribute (VIA), of a
    tier (ELAN), of a control (Label Studio), of a field (FiftyOne), or of a member or json field (WebDataset; default
    cls, then a usual name of labels)."""
    overlap: Literal["refuse", "allow"] = "refuse"
    """Whether videos of the evaluation set may also be training videos, by path or content. Scores of these say
    nothing about new videos."""
    allow_missing: bool = False
    """Continue if listed videos do not exist, and report their number."""
    shots: PositiveInt | None = None
    """Train on this many videos of each class, chosen by the seed; smaller subsets are part of larger ones."""
    fraction: float | None = Field(default=None, gt=0.0, le=1.0)
    """Train on this share of the videos of each class (retrieval: of all videos), at least one, chosen as by
    shots."""
    sampling_weights: Literal["balanced"] | None = None
    """balanced: each class fills the same share of an epoch; clips of rare classes are used several times, each time
    with other augmentation, and some clips of frequent classes wait for a later epoch. By default each clip is used
    once per epoch."""
    num_frames: PositiveInt = 8
    """Frames per clip."""
    sampling: Literal["segments", "dense"] = "segments"
    """segments: one frame from each equal part of the video; dense: neighbouring frames `stride` apart."""
    flavour: Literal["something_something", "kinetics", "msrvtt", "vatex"] = "something_something"
    """How the bounds of segments are rounded, as in the paper's code for each family of data sets. msrvtt (also for
    MSVD) and vatex are for task retrieval: they are the same in training and differ in the frames of evaluation."""
    stride: PositiveInt | None = None
    """Distance of dense frames, in frames; by default a clip spans 128 frames, as in the paper."""
    arrow_of_time: bool = False
    """Replace the classes by two: each clip forwards, and the same clip reversed."""
    repeats: PositiveInt = 1
    """Number of differently augmented copies of each clip in a training batch; all copies have the same frames."""
    workers: int | None = Field(default=None, ge=0)
    """Number of loader processes; by default the number of cores minus 1, at most 8. 0: decode in the main process."""
    cache: Path | None = None
    """Folder for cached tokens of the frozen model: later epochs, and runs with other seeds, skip decoding and the
    backbone. Use it for few clips on slow machines. Random augmentation is then limited to `cache_copies` versions of
    each clip."""
    cache_copies: PositiveInt = 8
    """Number of differently augmented versions of each training clip in the cache; epochs use them in turn."""
    cache_limit_gb: float | None = Field(default=None, gt=0.0)
    """Maximum size of a file of the cache, in GB; a larger one is refused before it is written. None: no maximum."""
    timeout_seconds: float = Field(default=300.0, gt=0.0)
    """Timeout in seconds for reading one video: its loader process is ended and the video counts as unreadable.
    Ignored with workers 0."""
    on_error: Literal["skip", "stop"] = "skip"
    """skip: unreadable training videos are skipped, counted and named; stop: they stop the run."""

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        if self.shots is not None and self.fraction is not None:
            raise ValueError(
                f"data.shots = {self.shots} and data.fraction = {self.fraction} both select training videos: set one."
            )
        if self.multi_label is False and self.label_separator is not None:
            raise ValueError(
                f"data.label_separator = {self.label_separator!r} separates several labels, but data.multi_label is "
                "false: leave out one of them."
            )
        if self.val_fraction is not None and self.folds is not None:
            raise ValueError(
                f"data.val_fraction = {self.val_fraction} and data.folds = {self.folds} both choose the evaluation "
                "clips: set one."
            )
        if self.fold > (self.folds or 3):
            which = (
                f"data.folds = {self.folds}" if self.folds else "the three official splits (set data.folds for more)"
            )
            raise ValueError(f"data.fold = {self.fold} is not among {which}. Folds count from 1.")
        return self

    @property
    def is_divided(self) -> bool:
        """Whether the evaluation set is a part of the training list."""
        return self.test is None and (self.val_fraction is not None or self.folds is not None)


class AugmentConfig(Settings):
    """Random augmentation of training clips; all frames of a clip are changed in the same way.

    Examples:
        >>> AugmentConfig(flip=0.0, crop_scale=(0.5, 1.0)).crop_scale
        (0.5, 1.0)
    """

    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Size before cropping: short side, or height and width, in pixels; by default 256/224 of the image size."""
    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    """Smallest and largest share of the frame that a random crop covers; None: centre crop."""
    random_crop: Literal["torchvision", "paper"] = "torchvision"
    """How random crops are drawn. torchvision: width over height log-uniform in 3/4..4/3, resized as the frozen model
    was trained (bicubic for CLIP). paper: width over height uniform in 3/4..4/3, the two swapped with probability 1/2,
    resized bilinearly."""
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability of a mirrored clip; labels of classes whose names differ only in left and right, or in clockwise and
    anticlockwise, are swapped."""
    rand_augment: str | None = None
    """RandAugment in timm's notation, such as rand-m7-n4-mstd0.5-inc1."""
    colour_jitter: float = Field(default=0.0, ge=0.0)
    """Strength of random brightness, contrast and saturation."""
    grey: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of a greyscale clip."""
    erasing: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of a randomly erased rectangle."""
    mixup: float = Field(default=0.0, ge=0.0)
    """Alpha of mixup between clips; 0: off."""
    cutmix: float = Field(default=0.0, ge=0.0)
    """Alpha of cutmix between clips; 0: off."""
