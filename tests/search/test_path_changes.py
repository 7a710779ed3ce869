"""Removing videos from an index and changing their paths."""

import shutil

import pytest

from search.windows import windows_of
from side4video.cli import main
from side4video.search.indexing import update_index
from side4video.search.path_changes import forget, relocate
from side4video.search.stores.open_store import open_store


@pytest.fixture
def store(tmp_path, model, videos):
    store = open_store(tmp_path / "index", create=True)
    update_index(store, model, [str(videos)], address=tmp_path / "index", workers=0)
    yield store
    store.close()


def test_videos_are_forgotten_by_pattern_or_folder(store, videos):
    folder, other = sorted(path for path in videos.iterdir() if path.is_dir())[:2]
    gone = {path for path in store.files() if path.startswith(f"{folder}/")}
    assert set(forget(store, str(folder))) == gone
    assert len(store.files()) == 8 - len(gone)
    assert forget(store, f"*/{other.name}/*")
    with pytest.raises(ValueError, match="no video of the index matches"):
        forget(store, "*/nowhere/*")


def test_a_renamed_folder_keeps_embeddings_and_is_unchanged_afterwards(store, videos, model, tmp_path):
    path = min(store.files())
    before = windows_of(store, path)[0]
    renamed = videos.rename(tmp_path / "renamed")
    moves = relocate(store, str(videos), str(renamed))
    assert set(store.files()) == set(moves.values())
    assert (windows_of(store, moves[path])[0].frames == before.frames).all()
    report = update_index(store, model, [str(renamed)], address=tmp_path / "index", workers=0)
    assert (report.embedded, report.unchanged, report.moved, report.removed) == (0, 8, 0, 0)


def test_paths_that_the_index_has_already_stay_once(store, videos, model, tmp_path):
    shutil.copytree(videos, tmp_path / "copy")
    update_index(store, model, [str(tmp_path / "copy")], address=tmp_path / "index", workers=0)
    assert len(relocate(store, str(videos), str(tmp_path / "copy"))) == 8
    assert len(store.files()) == 8


def test_wrong_folders_are_refused(store, videos, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        relocate(store, str(videos), str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no video of the index is in this folder"):
        relocate(store, str(videos)[:-1], str(tmp_path))
    assert len(store.files()) == 8


def test_the_command_needs_no_model_and_no_videos(store, videos, tmp_path, capsys):
    index = str(tmp_path / "index")
    assert main(["index", "--to", index, "--forget", "*/clockwise/*"]) == 0
    assert "videos removed" in capsys.readouterr().out
    assert main(["index", str(videos), "--to", index, "--forget", "*"]) == 2
    assert "leave out the videos" in capsys.readouterr().err
