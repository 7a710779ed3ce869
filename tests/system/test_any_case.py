"""Names in any case, as on Windows and macOS: one file has one path, whichever way it is written."""

import builtins
import io
import os
from pathlib import Path

import pytest

from side4video.adapters.hub import is_downloaded
from side4video.checking.arguments import CheckDataArguments
from side4video.checking.command import _prepare_folder
from side4video.commands.timelines import _names
from side4video.config import DataConfig, RunConfig
from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.data.lists.overlap import check_overlap
from side4video.data.lists.video_finder import VideoFinder, find_recursively
from side4video.inference.inputs import expand_inputs
from side4video.search.changes import find_changes
from side4video.search.file_states import content_of_file, state_of_file
from side4video.search.stores.filter_matching import make_test
from side4video.search.stores.filters import Filter
from side4video.search.stores.records import IndexedFile
from side4video.system.paths import as_listed, ignores_case, real_path
from side4video.training.run_folder import config_changes
from side4video.video.shard_paths import find_shards


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory; Clips/Run/A.mp4 and Clips/Run/b.mp4 are in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("A", "b"):
        path = tmp_path / f"Clips/Run/{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 2000)
    return tmp_path


@pytest.fixture
def any_case(folder, monkeypatch):
    """Python's own functions open names below `folder` in any case."""
    listdir, lstat = os.listdir, os.lstat

    def exists(path):
        try:
            lstat(path)
        except (OSError, ValueError):
            return False
        return True

    def spell(path):
        if not isinstance(path, str | os.PathLike) or exists(path):
            return path
        absolute = Path(os.path.abspath(path))  # noqa: PTH100
        if not absolute.is_relative_to(folder):
            return path
        found = folder
        for part in absolute.relative_to(folder).parts:
            names = [] if exists(found / part) or not exists(found) else listdir(found)
            found /= next((name for name in names if name.casefold() == part.casefold()), part)
        return str(found)

    for module, name in ((os, "stat"), (os, "lstat"), (os, "listdir"), (os, "scandir"), (os, "mkdir"), (io, "open")):
        plain = getattr(module, name)
        patched = lambda path=".", *given, plain=plain, **named: plain(spell(path), *given, **named)  # noqa: E731
        monkeypatch.setattr(module, name, patched)
    monkeypatch.setattr(builtins, "open", io.open)
    return folder


def indexed(*paths):
    """What an index says about these files."""
    files = [IndexedFile(str(path), content_of_file(str(path)), *state_of_file(str(path)), 1.0) for path in paths]
    return {file.path: file for file in files}


def test_paths_are_spelled_as_their_folders_list_them(any_case):
    assert as_listed(["clips/RUN/a.MP4", "clips/absent.mp4", "b", ""]) == [
        "Clips/Run/A.mp4",
        "Clips/absent.mp4",
        "b",
        "",
    ]
    assert real_path("CLIPS") == str(any_case / "Clips")
    assert ignores_case("clips/run", {"A.mp4", "b.mp4"})


def test_the_system_decides_whether_cases_are_distinguished(folder):
    assert as_listed(["clips/RUN/a.MP4"]) == ["clips/RUN/a.MP4"]
    assert not ignores_case("Clips/Run", {"A.mp4", "b.mp4"})
    (folder / "clips").mkdir()
    assert as_listed(["clips", "Clips"]) == ["clips", "Clips"]


LIST = "path,label\nrun/a.mp4,x\nRun/B,y\n"


def test_a_list_in_another_case_names_the_files(any_case):
    (any_case / "list.csv").write_text(LIST)
    videos = check_video_list(read_video_list("LIST.csv", root="clips")).videos.videos
    assert [str(video.path) for video in videos] == ["Clips/Run/A.mp4", "Clips/Run/b.mp4"]
    found = find_recursively(any_case, ["RUN/a", "B"])
    assert found == {"B": [any_case / "Clips/Run/b.mp4"]}


def test_otherwise_the_list_is_wrong(folder):
    (folder / "list.csv").write_text(LIST)
    with pytest.raises(DataError, match="2 of 2 videos are missing"):
        check_video_list(read_video_list("list.csv", root="Clips"))
    assert find_recursively(folder, ["B"]) == {}
    (folder / "Clips/Run/a.mp4").touch()
    assert VideoFinder(Path("Clips")).find_existing(["Run/A"]) == Path("Clips/Run/A.mp4")


def test_one_file_with_two_labels_in_two_spellings(any_case):
    (any_case / "list.csv").write_text("path,label\nClips/Run/A.mp4,x\nclips/run/a.mp4,y\n")
    with pytest.raises(DataError, match="1 videos have two labels"):
        check_video_list(read_video_list("list.csv"))
    (any_case / "list.csv").write_text("path,label\nClips/Run/A.mp4,x\nclips/run/a.mp4,x\n")
    assert "1 videos are listed more than once" in check_video_list(read_video_list("list.csv")).warnings[0]


def test_absolute_names_in_another_case_are_inside_the_root(any_case):
    (any_case / "list.csv").write_text(f"path,label\n{any_case}/CLIPS/run/a.mp4,x\n")
    assert len(read_video_list("list.csv", root="clips").videos) == 1
    (any_case / "list.csv").write_text("path,label\n../CLIPS/run/a.mp4,x\n")
    with pytest.raises(DataError, match="outside of the root"):
        read_video_list("list.csv", root="clips/run")


def test_evaluation_videos_in_another_case_overlap(any_case):
    train, test = (read_video_list(name).videos for name in ("Clips", "clips"))
    with pytest.raises(DataError, match="2 of 2 evaluation videos are also training videos"):
        check_overlap(train, test, overlap="refuse")


def test_inputs_in_two_spellings_are_one(any_case):
    assert list(map(str, expand_inputs(["clips", "CLIPS/run/A.mp4", "clips/*/*.mp4"]))) == [
        "Clips/Run/A.mp4",
        "Clips/Run/b.mp4",
    ]
    (any_case / "Clips/0.tar").write_bytes(b"\0" * 10_240)
    assert find_shards("CLIPS/0.TAR") == [Path("Clips/0.tar")]


def test_an_index_has_one_entry_per_file(any_case):
    known = indexed(*sorted(any_case.glob("Clips/Run/*")))
    changes = find_changes(["clips"], known)
    assert changes.all_paths == set(changes.unchanged) == set(known)
    (any_case / "Clips").rename(any_case / "clips")
    (any_case / "clips/Run/b.mp4").rename(any_case / "clips/Run/B.mp4")
    changes = find_changes(["CLIPS"], known)
    assert set(changes.copied) == changes.all_paths == {str(any_case / f"clips/Run/{name}.mp4") for name in "AB"}
    assert set(changes.gone) == set(known)
    (any_case / "clips/Run/A.mp4").unlink()
    known = indexed(any_case / "clips/Run/B.mp4") | {path: file for path, file in known.items() if "A.mp4" in path}
    assert find_changes(["Clips"], known).gone == [str(any_case / "Clips/Run/A.mp4")]


def test_filters_for_folders(any_case):
    [file] = indexed(any_case / "Clips/Run/b.mp4").values()
    assert make_test(Filter(path="clips/RUN"))(file)
    assert not make_test(Filter(path="clips/other"))(file)


def test_folders_are_recognised_in_another_case(any_case, monkeypatch):
    monkeypatch.setattr("side4video.adapters.hub.constants.HF_HUB_CACHE", str(any_case / "Clips"))
    assert is_downloaded(Path("clips/run"))
    assert not is_downloaded(any_case)
    before, now = (RunConfig(data=DataConfig(train=Path(name))) for name in ("Clips", "clips"))
    assert config_changes(before, now) == []
    assert config_changes(before, now.model_copy(update={"data": DataConfig(train=Path("other"))}))
    (any_case / "Lists").mkdir()
    (any_case / "Lists/train.csv").write_text(LIST)
    arguments = CheckDataArguments(data=DataConfig(train=Path("Lists/train.csv")), out=Path("lists"))
    with pytest.raises(ValueError, match="could be overwritten"):
        _prepare_folder(arguments)


def test_files_of_several_videos_have_names_that_differ_by_more_than_case():
    names = _names([Path("A/film.mp4"), Path("a/film.mp4"), Path("a/Film.mkv"), Path("b/film.mp4")])
    assert names == ["A/film.mp4", "a/film.mp4-2", "a/Film.mkv", "b/film"]
    assert len({name.casefold() for name in names}) == 4
