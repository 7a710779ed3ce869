"""Warn about evaluation videos that an adapter was trained on."""

from collections.abc import Callable, Sequence

from side4video.config import DataConfig
from side4video.data.lists.captions import CaptionList
from side4video.data.lists.labelled_videos import LabelledVideo, VideoList
from side4video.data.lists.overlap import check_overlap
from side4video.distributed.processes import is_main_process


def print_trained_videos(
    test: Sequence[LabelledVideo],
    trained_on: DataConfig,
    read_train: Callable[[DataConfig], VideoList | CaptionList | None],
) -> None:
    """Print a warning if evaluation videos are training videos of an adapter, by path or content.

    The training set is read again from the settings that the adapter stores. A line says if it is not on this machine.
    Shared adapters store no paths, so their training videos are unknown. Only the main process reads and prints.

    Args:
        test: evaluation videos.
        trained_on: data settings of the adapter.
        read_train: reads the training set of such settings.

    >>> from side4video.data.lists.annotations import read_video_list
    >>> clips = read_video_list("clips/train")
    >>> print_trained_videos(clips.videos[:1], DataConfig(train="clips"), lambda data: clips)  # doctest: +ELLIPSIS
    warning: 1 of 1 evaluation videos are also training videos: 'anticlockwise/0.mp4'...
    """
    if trained_on.train is None or not is_main_process():
        return
    try:
        train = read_train(trained_on.model_copy(update={"test": None, "allow_missing": True}))
    except (ValueError, OSError) as error:
        print(f"The evaluation videos are not searched among the training videos: {error}")
        return
    for warning in check_overlap(train.videos if train else (), test, overlap="allow"):
        print(f"warning: {warning}")
