"""Updating an index: which videos are embedded, kept, moved and removed."""

import fcntl
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from file_permissions import without_permission
from search.windows import windows_of
from side4video.checking.content import hash_content
from side4video.search import indexing
from side4video.search.indexing import _embed as embed
from side4video.search.indexing import update_index
from side4video.search.metadata import read_metadata
from side4video.search.stores.open_store import open_store


@pytest.fixture
def update(model, videos, tmp_path):
    """`update(*inputs, **options)` indexes the folder of videos, or the inputs; returns the report."""

    def run(*inputs, **options):
        store = open_store(tmp_path / "index", create=True)
        inputs = [str(path) for path in inputs or [videos]]
        report = update_index(store, model, inputs, address=tmp_path / "index", workers=0, **options)
        store.close()
        return report

    return run


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "index", create=True)


def counts(report):
    return report.embedded, report.unchanged, report.moved, report.removed, len(report.unread)


def paths_of(videos):
    return sorted(str(path) for path in videos.rglob("*.mp4"))


def test_unchanged_videos_are_not_embedded_again(update, videos, store):
    assert counts(update()) == (8, 0, 0, 0, 0)
    assert list(store.files()) == paths_of(videos)
    report = update()
    assert counts(report) == (0, 8, 0, 0, 0)
    assert (report.videos, report.windows) == (8, 8)


def test_new_changed_and_removed_videos(update, videos, store, write_noise):
    update()
    old, changed, gone = (windows_of(store, path)[0] for path in paths_of(videos)[:3])
    write_noise(videos / "new.mp4", 2.0)
    shutil.copy(videos / "new.mp4", changed.file.path)  # of the same content as the new one
    Path(gone.file.path).unlink()
    report = update()
    assert counts(report) == (1, 6, 1, 1, 0)
    assert list(store.files()) == paths_of(videos)
    now = windows_of(store, changed.file.path)[0]
    assert now.file.content != changed.file.content
    assert (now.mean != changed.mean).any()
    assert (windows_of(store, old.file.path)[0].mean == old.mean).all()
    assert windows_of(store, gone.file.path) == []


def test_changed_modification_time_alone_does_not_embed_again(update, videos, store):
    update()
    path = paths_of(videos)[0]
    before = windows_of(store, path)[0]
    os.utime(path, ns=(1, 10**18))
    assert counts(update()) == (0, 7, 1, 0, 0)
    after = windows_of(store, path)[0]
    assert after.file.modified == 10**18
    assert (after.mean == before.mean).all()
    assert counts(update()) == (0, 8, 0, 0, 0)


def test_a_moved_file_keeps_its_embeddings_and_metadata(update, videos, store, tmp_path):
    facts = tmp_path / "facts.csv"
    path = paths_of(videos)[0]
    facts.write_text(f"path,camera\n{path},north\n")
    update(metadata=read_metadata(facts))
    before = windows_of(store, path)[0]
    (videos / "elsewhere").mkdir()
    moved = shutil.move(path, str(videos / "elsewhere/other.mp4"))
    assert counts(update()) == (0, 7, 1, 1, 0)
    after = windows_of(store, moved)[0]
    assert (after.mean == before.mean).all()
    assert after.file.metadata == {"camera": "north"}
    assert list(store.files()) == paths_of(videos)


@pytest.mark.parametrize("commit_seconds", [0.0, 10.0])  # each file by itself, and all together
def test_files_that_exchange_their_names(update, videos, store, commit_seconds):
    update()
    paths = paths_of(videos)
    before = {window.file.content: window for path in paths for window in windows_of(store, path)}
    for source, target in zip(paths, [*paths[1:], paths[0]], strict=True):
        Path(source).rename(f"{target}.new")
    for path in paths:
        Path(f"{path}.new").rename(path)
    report = update(commit_seconds=commit_seconds)
    assert (report.videos, report.embedded + report.moved, report.removed) == (8, 8, 0)
    for path in paths:
        (window,) = windows_of(store, path)
        assert window.file.content == hash_content(Path(path))
        assert window.file.modified == Path(path).stat().st_mtime_ns
        np.testing.assert_allclose(window.mean, before[window.file.content].mean, atol=1e-5)
    assert counts(update()) == (0, 8, 0, 0, 0)


def test_copy_deleted_during_indexing_is_listed(update, videos, store, monkeypatch):
    first = paths_of(videos)[0]
    copy = Path(shutil.copy(first, videos / "copy.mp4"))
    with monkeypatch.context() as changes:
        changes.setattr(indexing, "_embed", lambda *given: (copy.unlink(), embed(*given))[1])
        report = update()
    assert counts(report) == (8, 0, 0, 0, 1)
    assert (report.unread[0].name, "No such file" in report.unread[0].reason) == (str(copy), True)
    assert list(store.files()) == paths_of(videos)


def test_equal_files_are_embedded_once(update, videos, store):
    first = paths_of(videos)[0]
    for name in ("copy.mp4", "again.mp4"):
        shutil.copy(first, videos / name)
    assert counts(update()) == (8, 0, 2, 0, 0)
    assert list(store.files()) == paths_of(videos)
    windows = [windows_of(store, str(videos / name))[0] for name in ("copy.mp4", "again.mp4")]
    original = windows_of(store, first)[0]
    assert all((window.mean == original.mean).all() for window in windows)
    assert counts(update()) == (0, 10, 0, 0, 0)


def test_loader_processes_give_the_same_index(update, model, videos, store, tmp_path, write_noise):
    write_noise(videos / "long.mp4", 60.0)
    (videos / "broken.mp4").write_bytes(b"no video")
    update()
    other = open_store(tmp_path / "other", create=True)
    report = update_index(other, model, [str(videos)], address=tmp_path / "other", workers=2)
    assert counts(report) == (9, 0, 0, 0, 1)
    assert other.files() == store.files()
    for path in store.files():
        for one, two in zip(windows_of(store, path), windows_of(other, path), strict=True):
            np.testing.assert_allclose(one.mean, two.mean, atol=1e-5)


def test_only_videos_below_the_inputs_are_removed(update, videos, store):
    update()
    one, other = (next(folder.glob("*.mp4")) for folder in sorted(videos.iterdir())[:2])
    one.unlink()
    other.unlink()
    kept = sorted(videos.iterdir())[2]
    assert counts(update(kept))[3] == 0
    assert len(store.files()) == 8
    assert counts(update(videos))[3] == 2
    assert len(store.files()) == 6


@pytest.mark.parametrize("pattern", ["**/*.mp4", "**", "*", "a*", "?/**/*.mp4", "../[[]2024] b/a/*.mp4", "."])
def test_removed_videos_of_patterns(update, videos, store, monkeypatch, pattern):
    place = videos.parent / "[2024] b"
    for number, path in enumerate(paths_of(videos)[:3]):
        (place / "a/deep").mkdir(parents=True, exist_ok=True)
        shutil.move(path, place / f"a/{number}.mp4")
    monkeypatch.chdir(place)
    assert counts(update(pattern)) == (3, 0, 0, 0, 0)
    (place / "a/0.mp4").unlink()
    (place / "a/1.mp4").rename(place.parent / "1.mp4")  # is gone too
    assert counts(update(pattern)) == (0, 1, 0, 2, 0)


def test_a_file_that_left_the_inputs_is_the_same_file(update, videos, store, tmp_path):
    update()
    path = paths_of(videos)[0]
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(path, tmp_path / "elsewhere/other.mp4")
    assert counts(update(tmp_path / "elsewhere")) == (0, 0, 1, 1, 0)
    assert str(path) not in store.files()
    assert str(moved) in store.files()


def test_a_copy_outside_the_inputs_stays(update, videos, store, tmp_path):
    update()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(paths_of(videos)[0], tmp_path / "elsewhere/other.mp4")
    assert counts(update(tmp_path / "elsewhere")) == (0, 0, 1, 0, 0)
    assert len(store.files()) == 9


def test_hidden_and_excluded_files_are_not_indexed(update, videos, store):
    path = paths_of(videos)[0]
    for name in (".Trash-1000/files", "@eaDir", "$RECYCLE.BIN", "@Recycle", ".git", "drafts", "sub/shown"):
        (videos / name).mkdir(parents=True)
        shutil.copy(path, videos / name / f"{len(name)}.mp4")
    update(exclude=["drafts", "*/clockwise/0*"])
    folders = {Path(path).parent.name for path in store.files()}
    assert "shown" in folders
    assert not folders & {"files", "@eaDir", "$RECYCLE.BIN", "@Recycle", ".git", "drafts"}


def test_missing_folder_is_an_error_and_removes_nothing(update, videos, store):
    update()
    for emptied in sorted(videos.iterdir())[:1]:
        for path in emptied.iterdir():
            path.unlink()
        with pytest.raises(FileNotFoundError, match="is not a video file or a folder with videos"):
            update(emptied)
    shutil.rmtree(videos)
    with pytest.raises(FileNotFoundError, match="is not a video file or a folder with videos"):
        update()
    assert len(store.files()) == 8


def test_an_empty_folder_of_several_videos_is_a_drive_that_is_not_connected(update, videos, store, tmp_path):
    drive = videos / "drive"
    for path in paths_of(videos)[:2]:
        shutil.move(Path(path).parent, drive / Path(path).parent.name)
    update()
    away = shutil.move(drive, tmp_path / "away")
    drive.mkdir()  # what a mount point shows then
    report = update()
    assert counts(report) == (0, 6, 0, 0, 1)
    assert report.unread[0].name == str(drive)
    assert "2 of its videos stay in the index" in report.unread[0].reason
    drive.rmdir()
    shutil.move(away, drive)
    assert counts(update()) == (0, 8, 0, 0, 0)


def test_videos_that_left_an_empty_folder_have_moved(update, videos, store):
    update()
    inbox, archive = sorted(videos.iterdir())[:2]
    next(inbox.glob("*.mp4")).rename(archive / "moved.mp4")
    assert counts(update()) == (0, 7, 1, 1, 0)
    assert list(store.files()) == paths_of(videos)


@pytest.mark.parametrize("mode", [0, 0o444])  # neither names nor states, and names without states
def test_a_folder_that_cannot_be_read_keeps_its_videos(update, videos, store, mode):
    update()
    closed = sorted(videos.iterdir())[0]
    with without_permission(closed, mode):
        report = update()
        assert counts(report) == (0, 7, 0, 0, 1)
        assert report.unread[0].name.startswith(str(closed))
        assert "Permission denied" in report.unread[0].reason
        with pytest.raises(PermissionError, match="cannot be read: Permission denied"):
            update(closed)
    assert counts(update()) == (0, 8, 0, 0, 0)


def test_videos_that_are_gone_from_a_folder_without_permission_to_list_it(update, videos, store, tmp_path):
    folder, listed = videos / "all", tmp_path / "list.txt"
    folder.mkdir()
    paths = [shutil.move(path, folder / f"{number}.mp4") for number, path in enumerate(paths_of(videos))]
    listed.write_text("".join(f"{path}\n" for path in paths))
    update(listed)
    for path in paths[:2]:
        path.unlink()
    with without_permission(folder, 0o333):
        assert counts(update(listed))[:4] == (0, 6, 0, 2)


def test_a_list_without_any_of_its_files_removes_nothing(update, videos, store, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in paths_of(videos)))
    update(listed)
    videos.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match="none of the 8 files of"):
        update(listed)
    assert len(store.files()) == 8


def test_bad_files_are_listed_and_all_others_indexed(update, videos, store, make_video):
    bad = {"text.mp4": b"no video", "empty.mp4": b"", "also.mp4": b"no video"}
    for name, content in bad.items():
        (videos / name).write_bytes(content)
    report = update()
    assert counts(report) == (8, 0, 0, 0, 3)
    assert [video.name for video in report.unread] == sorted(str(videos / name) for name in bad)
    assert all(video.reason for video in report.unread)
    assert len(store.files()) == 8
    assert len(report.to_json()["unread"]) == 3


def test_video_that_became_unreadable_is_removed(update, videos, store):
    update()
    path = paths_of(videos)[0]
    Path(path).write_bytes(b"no video")
    assert counts(update()) == (0, 7, 0, 0, 1)
    assert path not in store.files()


def test_long_video_with_a_corrupt_end_is_unread_as_a_whole(update, videos, store, write_noise):
    path = write_noise(videos / "long.mp4", 90.0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    report = update()
    assert [video.name for video in report.unread] == [str(path)]
    assert str(path) not in store.files()


def test_a_renamed_folder_and_the_same_metadata(update, videos, store, tmp_path):
    facts = tmp_path / "meta" / "facts.csv"
    facts.parent.mkdir()
    rows = [f"{path.relative_to(videos)},{number}" for number, path in enumerate(sorted(videos.rglob("*.mp4")))]
    facts.write_text("path,number\n" + "\n".join(rows) + "\n")
    update(metadata=read_metadata(facts))
    before = {path: dict(file.metadata) for path, file in store.files().items()}
    films = videos.rename(tmp_path / "films")
    report = update(films, metadata=read_metadata(facts))
    assert (report.embedded, report.moved, report.unknown) == (0, 8, [])
    after = {path: dict(file.metadata) for path, file in store.files().items()}
    assert after == {path.replace(str(videos), str(films)): metadata for path, metadata in before.items()}
    next(films.rglob("*.mp4")).unlink()
    assert len(update(films, metadata=read_metadata(facts)).unknown) == 1


def test_metadata_changes_without_embedding(update, videos, store, tmp_path):
    facts, paths = tmp_path / "facts.csv", paths_of(videos)
    facts.write_text(f"path,camera,year\n{paths[0]},north,2020\n{paths[1]},south,2021\nunknown.mp4,x,1\n")
    report = update(metadata=read_metadata(facts))
    assert report.unknown == ["unknown.mp4"]
    assert store.files()[paths[0]].metadata == {"camera": "north", "year": 2020.0}
    before = windows_of(store, paths[1])[0]
    facts.write_text(f"path,camera\n{paths[1]},west\n{paths[2]},north\n")
    assert counts(update(metadata=read_metadata(facts))) == (0, 8, 0, 0, 0)
    files = store.files()
    assert [dict(files[path].metadata) for path in paths[:3]] == [{}, {"camera": "west"}, {"camera": "north"}]
    assert (windows_of(store, paths[1])[0].mean == before.mean).all()
    update()  # without a CSV all stays
    assert store.files()[paths[1]].metadata == {"camera": "west"}


def test_file_that_grows_while_it_is_read_is_postponed(update, videos, store, monkeypatch):
    from side4video.search import window_clips

    growing = paths_of(videos)[0]
    original = window_clips.content_of_file

    def hash_and_grow(path):
        content = original(path)
        if str(path) == growing:
            with path.open("ab") as file:
                file.write(b"more")
        return content

    with monkeypatch.context() as changes:
        changes.setattr(window_clips, "content_of_file", hash_and_grow)
        report = update()
    assert [(video.name, "changed while" in video.reason) for video in report.unread] == [(growing, True)]
    assert update().embedded == 1


def test_other_window_settings_are_refused(update, store):
    update(window_seconds=4, overlap_seconds=1)
    info = store.read_info()
    assert (info.window_seconds, info.overlap_seconds) == (4, 1)
    assert update().unchanged == 8
    with pytest.raises(ValueError, match="was made with window_seconds = 4, not 5"):
        update(window_seconds=5)
    with pytest.raises(ValueError, match="was made with overlap_seconds = 1, not 2"):
        update(overlap_seconds=2)


def test_invalid_window_settings_create_no_index(update, store):
    with pytest.raises(ValueError, match="must be at least 0"):
        update(window_seconds=5, overlap_seconds=6)
    assert store.read_info() is None


@pytest.mark.parametrize("new", [True, False])
def test_second_index_command_is_refused(update, videos, store, tmp_path, new):
    if not new:
        update()
    (tmp_path / "index").mkdir(exist_ok=True)
    info = store.read_info()
    with (tmp_path / "index/.indexing").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="is being indexed by another process"):
            update()
        assert store.read_info() == info
    assert update().videos == 8


def test_folder_of_pictures_is_refused_with_a_reason(update, videos, tmp_path):
    from PIL import Image

    (tmp_path / "frames").mkdir()
    for number in range(1, 4):
        Image.new("RGB", (32, 32)).save(tmp_path / f"frames/img_{number:05d}.jpg")
    report = update(tmp_path / "frames", videos)
    assert counts(report) == (8, 0, 0, 0, 1)
    assert "has no frame times" in report.unread[0].reason


def test_the_name_that_the_user_gave_is_kept(update, videos, store, tmp_path):
    (tmp_path / "links").mkdir()
    first, second = paths_of(videos)[:2]
    for name, path in (("dog.mp4", first), ("same dog.mp4", first), ("cat.mp4", second)):
        (tmp_path / "links" / name).symlink_to(path)
    assert counts(update(tmp_path / "links")) == (2, 0, 1, 0, 0)
    names = [str(tmp_path / "links" / name) for name in ("cat.mp4", "dog.mp4", "same dog.mp4")]
    assert list(store.files()) == names
    assert counts(update(tmp_path / "links")) == (0, 3, 0, 0, 0)
    assert counts(update(first)) == (0, 0, 1, 0, 0)  # the target is one more video of the same content
    assert list(store.files()) == [*names, first]
    Path(names[1]).unlink()
    assert counts(update(tmp_path / "links")) == (0, 2, 0, 1, 0)


def test_another_spelling_of_a_folder_replaces_the_names(update, videos, store, tmp_path):
    update()
    (tmp_path / "linked").symlink_to(videos)
    assert counts(update(tmp_path / "linked")) == (0, 0, 8, 8, 0)
    assert list(store.files()) == [
        str(tmp_path / "linked" / Path(path).relative_to(videos)) for path in paths_of(videos)
    ]
    assert counts(update(tmp_path / "linked")) == (0, 8, 0, 0, 0)
    assert counts(update()) == (0, 0, 8, 8, 0)
