"""Read the training or the evaluation list that the settings name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from side4video.config import DataConfig
from side4video.data.lists.annotations import DataError, VideoList, read_video_list
from side4video.data.lists.held_out import part_of_list

Split = Literal["train", "test"]


def read_configured_list(
    config: DataConfig, name: Split, *, class_names: Sequence[str] | None = None
) -> VideoList | None:
    """Read `config.train` or `config.test`; None if it is not given.

    From a source with several splits (a column, sub-folders, official files) the one called `name` is read. With
    `config.val_fraction` or `config.folds`, both are parts of `config.train`: see `part_of_list`.

    Args:
        config: names the lists.
        name: the split.
        class_names: classes to match labels with, by name. Default: `config.class_names`. Numeric labels are indices
            into them only if `config.class_names` is given, which states the numbering.

    Raises:
        DataError: the list cannot be read.

    >>> from pathlib import Path
    >>> read_configured_list(DataConfig(train=Path("clips/train")), "train").notes
    ('Read as folder.', "4 videos, 2 classes: 'anticlockwise' (2), 'clockwise' (2).")
    """
    if name == "train" and config.test is not None and (config.val_fraction or config.folds):
        raise DataError(
            "data.val_fraction and data.folds take the evaluation clips from data.train, but data.test is given too. "
            "Leave out one of them."
        )
    if config.is_divided and config.train is not None:
        listed = _read(config, config.train, config.root, split="train", class_names=class_names)
        return part_of_list(listed, config, name)
    source, root = (config.train, config.root) if name == "train" else (config.test, config.test_root or config.root)
    if source is None:
        return None
    return _read(config, source, root, split=name, class_names=class_names)


def _read(
    config: DataConfig, source: Path, root: Path | None, *, split: Split, class_names: Sequence[str] | None
) -> VideoList:
    return read_video_list(
        source,
        root=root,
        format=config.format,
        class_names=config.class_names if class_names is None else class_names,
        delimiter=config.delimiter,
        split=split,
        fold=1 if config.folds else config.fold,
        first_label=config.first_label,
        outside_root=config.outside_root,
        group=config.group,
        class_numbers=config.class_names is not None,
        columns=config.columns,
        fps=config.fps,
        multi_label=config.multi_label,
        label_separator=config.label_separator,
        label_field=config.label_field,
    )
