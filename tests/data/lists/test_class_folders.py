"""One folder per class: which files are videos, which folders are frames, and what is counted as left out."""

from pathlib import Path

import pytest

from side4video.data.lists.annotations import DataError, read_video_list
from side4video.video.decoding import VIDEO_SUFFIXES

FAULTS = Path(__file__).parents[3] / "../shared/data/faults"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(folder: Path, **options) -> list[str]:
    return [video.name for video in read_video_list(folder, **options).videos]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_every_suffix_of_a_video_is_listed(tmp_path, suffix):
    assert names(touch(tmp_path, f"x/a{suffix}", f"x/B{suffix.upper()}")) == [f"x/B{suffix.upper()}", f"x/a{suffix}"]


def test_other_files_are_counted_by_suffix(tmp_path):
    touch(tmp_path, "x/a.mp4", "x/notes.txt", "x/b.zip", "y/c.zip", "y/clip", "y/.DS_Store")
    found = read_video_list(tmp_path)
    assert found.class_names == ("x", "y")
    assert "Left out, because they are not videos: 2 .zip, 1 .txt, 1 without suffix." in found.notes
    assert found.notes[-1] == "1 videos, 2 classes: 'x' (1), 'y' (0)."


def test_folders_without_videos_next_to_splits_are_no_classes(tmp_path):
    touch(tmp_path, "train/x/a.mp4", "val/x/b.mp4", "annotations/train.csv", "labels/a.txt")
    found = read_video_list(tmp_path, split="train")
    assert (found.class_names, [video.name for video in found.videos]) == (("x",), ["train/x/a.mp4"])
    assert "Left out, because they contain no videos: 'annotations', 'labels'." in found.notes
    touch(tmp_path, "extra/x/c.mp4")
    with pytest.raises(
        DataError, match="'extra', 'train', 'val' have the same sub-folders, such as 'x', and seem to be"
    ):
        read_video_list(tmp_path, split="train")


def test_one_class_called_like_a_split_is_a_class(tmp_path):
    touch(tmp_path, "train/a.mp4", "plane/notes.txt")
    assert read_video_list(tmp_path, split="train").class_names == ("plane", "train")


@pytest.mark.parametrize(
    ("train", "test"), [("train_set", "test_set"), ("videos_train", "videos_val"), ("TrainVideos", "Test videos")]
)
def test_names_of_splits_with_more_words(tmp_path, train, test):
    touch(tmp_path, f"{train}/x/a.mp4", f"{train}/y/b.mp4", f"{test}/x/c.mp4")
    assert names(tmp_path, split="train") == [f"{train}/x/a.mp4", f"{train}/y/b.mp4"]
    assert names(tmp_path, split="test") == [f"{test}/x/c.mp4"]


@pytest.mark.parametrize(
    ("train", "test"), [("Training", "Pru\u0308fung"), ("entrenamiento", "prueba"), ("训练集", "测试集")]
)
def test_splits_in_other_languages_are_refused(tmp_path, train, test):
    touch(tmp_path, f"{train}/x/a.mp4", f"{train}/y/b.mp4", f"{test}/x/c.mp4")
    with pytest.raises(DataError, match="seem to be splits, not classes"):
        read_video_list(tmp_path, split="train")


def test_sub_folders_of_classes_are_reported_if_they_may_be_the_classes(tmp_path):
    touch(tmp_path, "day1/x/a.mp4", "day1/y/b.mp4", "day2/x/c.mp4", "day2/y/d.mp4")
    notes = " ".join(read_video_list(tmp_path).notes)
    assert "'day1', 'day2' have the same sub-folders, such as 'x', 'y'. If these are the classes, give one" in notes
    touch(tmp_path / "other", "run/s1/a.mp4", "walk/s1/b.mp4", "walk/c.mp4")
    assert "sub-folders" not in " ".join(read_video_list(tmp_path / "other").notes)


def test_one_folder_around_the_classes_is_reported(tmp_path):
    touch(tmp_path, "videos/x/a.mp4", "videos/y/b.mp4", "annotations/a.txt")
    notes = " ".join(read_video_list(tmp_path).notes)
    assert "All videos are in the folder 'videos', in its sub-folders 'x', 'y'." in notes
    assert f"If these are the classes or splits, give {tmp_path / 'videos'}." in notes


def test_splits_inside_the_classes(tmp_path):
    touch(tmp_path, "x/train/a.mp4", "x/test/b.mp4", "y/train/c.mp4", "y/test/deep/d.mp4")
    assert names(tmp_path, split="train") == ["x/train/a.mp4", "y/train/c.mp4"]
    found = read_video_list(tmp_path, split="test")
    assert [video.name for video in found.videos] == ["x/test/b.mp4", "y/test/deep/d.mp4"]
    assert "The folders 'test', 'train' of the classes are splits; 'test' is read." in found.notes
    touch(tmp_path, "x/e.mp4")
    assert len(names(tmp_path, split="train")) == 5


def test_videos_outside_of_classes_are_counted(tmp_path):
    touch(tmp_path, "x/a.mp4", "y/b.mp4", "c.mp4", "D.MOV", "notes.txt")
    assert "Left out, because they are in no class folder: 2 videos." in read_video_list(tmp_path).notes


def test_folders_without_videos_say_what_they_have(tmp_path):
    with pytest.raises(DataError, match=r"lists no videos\. Left out, because they are not videos: 1 \.zip"):
        read_video_list(touch(tmp_path, "x/a.zip"))


def test_thumbnails_are_no_videos(tmp_path):
    touch(tmp_path, "x/a.mp4", "x/@eaDir/a.mp4/SYNOVIDEO_VIDEO_SCREENSHOT.jpg", "x/.thumbs/img_00001.jpg")
    touch(tmp_path, "x/session1/b.mp4", "x/session1/poster.jpg", "x/session1/thumb_1.jpg", "x/art/cover.png")
    touch(tmp_path, "@eaDir/x/img_00001.jpg", "#recycle/old.mp4", "__MACOSX/x/a.mp4", "$RECYCLE.BIN/c.mp4")
    found = read_video_list(tmp_path)
    assert found.class_names == ("x",)
    assert [video.name for video in found.videos] == ["x/a.mp4", "x/session1/b.mp4"]
    assert "Left out, because they are not videos: 2 .jpg, 1 .png." in found.notes


@pytest.mark.parametrize("frame", ["img_00001.jpg", "46GP8-000045.jpg", "0007.webp", "frame12.png", "v_01_left.jpg"])
def test_folders_of_numbered_pictures_are_videos(tmp_path, frame):
    expected = [] if frame == "v_01_left.jpg" else ["x/take"]
    touch(tmp_path, f"x/take/{frame}", "y/a.mp4")
    assert names(tmp_path) == [*expected, "y/a.mp4"]


def test_split_folders_are_chosen_and_reported(tmp_path):
    touch(tmp_path, "train/x/a.mp4", "valid/x/b.mp4", "valid/y/c.mp4")
    found = read_video_list(tmp_path, split="test")
    assert [video.name for video in found.videos] == ["valid/x/b.mp4", "valid/y/c.mp4"]
    assert "The sub-folders are splits; 'valid' is read." in found.notes


def test_a_folder_without_classes(tmp_path):
    with pytest.raises(DataError, match="neither one sub-folder per class"):
        read_video_list(touch(tmp_path, "@eaDir/a.jpg", "a.mp4"))


@pytest.mark.skipif(not FAULTS.is_dir(), reason="no ../shared/data/faults")
def test_a_folder_with_rare_suffixes():
    assert names(FAULTS / "suffixes") == ["x/a.mp4", "y/b.ts", "y/h.qt", "y/m.ogg"]


@pytest.mark.parametrize("second", ["dev", "Eval", "holdout"])
def test_other_names_of_the_validation_set(tmp_path, second):
    touch(tmp_path, "Train/run/a.mp4", "Train/walk/b.mp4", f"{second}/run/c.mp4", f"{second}/walk/d.mp4")
    assert names(tmp_path, split="test") == [f"{second}/run/c.mp4", f"{second}/walk/d.mp4"]
    assert read_video_list(tmp_path, split="train").class_names == ("run", "walk")


def test_class_names_that_are_nearly_equal_are_reported(tmp_path):
    touch(tmp_path, "Run fast/a.mp4", "run_fast/b.mp4", "walk/c.mp4")
    listed = read_video_list(tmp_path)
    assert any("'Run fast' and 'run_fast'. Correct them" in note for note in listed.notes)
    assert not any("nearly" in note for note in read_video_list(tmp_path, class_names=listed.class_names).notes)
