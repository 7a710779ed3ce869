"""An index of videos in an object store and on a web server: what is new, changed, moved and gone."""

from contextlib import contextmanager
from multiprocessing import forkserver

import numpy as np
import pytest
from s3fs import S3FileSystem

from s3_server import BUCKET, running_s3
from search.windows import windows_of
from side4video.cli import main
from side4video.search.indexing import update_index
from side4video.search.path_changes import forget, relocate
from side4video.search.stores.open_store import open_store
from side4video.video import remote, remote_file
from side4video.video.remote import StoreError, video_path
from video_server import serving

CUES = "1\n00:00:00,000 --> 00:00:01,000\nA zebra.\n"


@pytest.fixture(scope="module")
def bucket():
    with running_s3() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT"])
        S3FileSystem.clear_instance_cache()  # of other tests, with other servers
        forkserver._forkserver._stop()  # the next one starts with these variables
        yield environment
        forkserver._forkserver._stop()


@pytest.fixture
def clips(bucket, captioned_videos, request):
    """The address of four of the videos in S3, in folders of their own for each test."""
    folder = f"s3://{BUCKET}/{request.node.name.partition('[')[0]}/clips"
    for path in sorted(captioned_videos.glob("test/*/*.mp4"))[:4]:
        video_path(f"{folder}/{path.parent.name}/a.mp4").write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def served(videos, monkeypatch):
    remote_file._shared_content.cache_clear()
    monkeypatch.setattr(remote, "_pause", lambda seconds: None)
    with serving(videos) as server:
        yield server


@pytest.fixture
def update(model, tmp_path):
    """`update(*inputs, **options)` indexes the inputs; returns the report."""

    def run(*inputs, **options):
        store = open_store(tmp_path / "index", create=True)
        try:
            return update_index(store, model, list(map(str, inputs)), address=tmp_path / "index", workers=0, **options)
        finally:
            store.close()

    return run


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "index", create=True)


def counts(report):
    return report.embedded, report.unchanged, report.moved, report.removed, len(report.unread)


def addresses(server, videos, number=4):
    return [server.address(path.relative_to(videos).as_posix()) for path in sorted(videos.rglob("*.mp4"))[:number]]


def names(store, folder):
    return [path.removeprefix(folder) for path in sorted(store.files())]


def test_windows_of_a_folder_in_a_store_equal_those_of_the_files(update, clips, captioned_videos, store):
    local = sorted(captioned_videos.glob("test/*/*.mp4"))[:4]
    assert counts(update(clips)) == (4, 0, 0, 0, 0)
    assert counts(update(*map(str, local))) == (4, 0, 0, 0, 0)
    for path in local:
        here, there = (windows_of(store, name)[0] for name in (str(path), f"{clips}/{path.parent.name}/a.mp4"))
        assert (here.frames == there.frames).all()
        assert here.file.size == there.file.size


def test_new_changed_moved_and_removed_objects(update, clips, store, write_noise, tmp_path):
    update(clips)
    assert counts(update(clips)) == (0, 4, 0, 0, 0)
    first, changed, moved, gone = sorted(store.files())
    means = {path: windows_of(store, path)[0].mean for path in store.files()}
    video_path(changed).write_bytes(write_noise(tmp_path / "noise.mp4", 2.0).read_bytes())
    video_path(f"{clips}/moved.mp4").write_bytes(video_path(moved).read_bytes())
    video_path(f"{clips}/.trash/old.mp4").write_bytes(video_path(first).read_bytes())
    video_path(moved).unlink()
    video_path(gone).unlink()
    assert counts(update(clips)) == (1, 1, 1, 2, 0)
    assert sorted(store.files()) == sorted([first, changed, f"{clips}/moved.mp4"])
    assert (windows_of(store, f"{clips}/moved.mp4")[0].mean == means[moved]).all()
    assert (windows_of(store, changed)[0].mean != means[changed]).any()


def test_an_unchanged_index_reads_no_content(update, clips, monkeypatch):
    update(clips)
    monkeypatch.setattr(remote_file.RemoteContent, "block", lambda *_: pytest.fail("content was read"))
    assert counts(update(clips)) == (0, 4, 0, 0, 0)


def test_patterns_exclusions_and_single_objects(update, clips, store):
    assert counts(update(f"{clips}/a*/*.mp4", exclude=["anticlockwise"])) == (0, 0, 0, 0, 0)
    assert update(f"{clips}/*/a.mp4", exclude=["anticlockwise"]).videos == 3
    one = f"{clips}/anticlockwise/a.mp4"
    assert counts(update(one)) == (1, 0, 0, 0, 0)
    assert counts(update(clips, exclude=["anticlockwise"])) == (0, 3, 0, 0, 0)  # excluded, but not gone
    assert one in store.files()


def test_lists_name_addresses(update, clips, served, videos, tmp_path, store):
    rows = [f"{clips}/anticlockwise/a.mp4", *addresses(served, videos, 1), served.address("none.mp4"), "none.mp4"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *(f"{row},a" for row in rows)]) + "\n")
    report = update(tmp_path / "list.csv")
    assert sorted(store.files()) == sorted(rows[:2])
    assert {video.name for video in report.unread} == {served.address("none.mp4"), str(tmp_path / "none.mp4")}
    with pytest.raises(ValueError, match="outside of the root"):
        update(tmp_path / "list.csv", root=clips)


def test_entity_tags_of_a_web_server_show_changes(update, served, videos, store, write_noise):
    given = addresses(served, videos)
    assert counts(update(*given)) == (4, 0, 0, 0, 0)
    served.sent.clear()
    assert counts(update(*given)) == (0, 4, 0, 0, 0)
    assert served.sent == []
    changed, gone = sorted(videos.rglob("*.mp4"))[:2]
    write_noise(changed, 2.0)
    gone.unlink()
    assert counts(update(*given)) == (1, 2, 0, 1, 0)
    assert sorted(store.files()) == sorted([given[0], *given[2:]])


def test_a_server_without_tags_and_times_is_compared_by_size(update, served, videos):
    served.tags = False
    given = addresses(served, videos, 2)
    update(*given)
    assert counts(update(*given)) == (0, 2, 0, 0, 0)


@pytest.mark.parametrize(("status", "reason"), [(401, "access refused"), (500, "no answer"), (429, "no answer")])
def test_one_bad_video_is_reported_and_the_others_are_indexed(update, served, videos, store, status, reason):
    given = addresses(served, videos)
    update(*given[:2])
    served.statuses = {given[1].removeprefix(served.address("")): status}
    report = update(*given)
    assert counts(report) == (2, 1, 0, 0, 1)
    assert report.unread[0].name == given[1]
    assert report.unread[0].reason.startswith(reason)
    assert given[1] in store.files()  # nothing is known about it, so it stays


@pytest.mark.parametrize("failures", [[0, 503], [0] * 4])
def test_interrupted_answers_are_asked_again(update, served, videos, failures):
    served.failures = failures
    assert counts(update(*addresses(served, videos, 2))) == (2, 0, 0, 0, 0)


def test_a_server_without_ranges(update, served, videos):
    served.ranges = False
    assert counts(update(*addresses(served, videos, 2))) == (2, 0, 0, 0, 0)


def test_a_file_that_is_no_video_is_reported(update, served, videos):
    (videos / "page.mp4").write_text("<html>no video</html>")
    report = update(*addresses(served, videos, 2), served.address("page.mp4"))
    assert counts(report) == (2, 0, 0, 0, 1)


def test_a_store_that_stops_answering_ends_the_run_and_finished_work_is_kept(
    update, served, videos, store, monkeypatch
):
    given = addresses(served, videos, 8)
    real, read = remote_file.RemoteContent._read, []

    def read_some(self, start, length):
        read.append(str(self._path))
        if len(set(read)) > 2:
            raise ConnectionError("the cable is out")
        return real(self, start, length)

    monkeypatch.setattr(remote_file.RemoteContent, "_read", read_some)
    with pytest.raises(StoreError, match=r"no answer for 3 videos in a row.*Finished work is saved"):
        update(*given, commit_seconds=0)
    assert len(store.files()) == 2
    monkeypatch.undo()
    monkeypatch.setattr(remote, "_pause", lambda seconds: None)
    assert counts(update(*given)) == (6, 2, 0, 0, 0)


def test_a_store_that_is_not_reachable_removes_nothing(update, served, videos, clips, store, monkeypatch):
    given = addresses(served, videos)
    update(*given, clips)
    number = len(store.files())
    served.statuses = {name.removeprefix(served.address("")): 503 for name in given}
    with pytest.raises(StoreError, match="no answer for 3 videos in a row"):
        update(*given)
    with _unreachable(monkeypatch), pytest.raises(StoreError, match="no answer after 5 attempts"):
        update(clips)
    with pytest.raises(FileNotFoundError, match="matches no file"):
        update(clips.replace("clips", "none"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        update(served.address("none.mp4"))
    assert len(store.files()) == number


@contextmanager
def _unreachable(monkeypatch):
    """No server answers at the address of S3."""
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        S3FileSystem.clear_instance_cache()
        try:
            yield
        finally:
            S3FileSystem.clear_instance_cache()


def test_subtitles_next_to_objects(update, clips, store, monkeypatch):
    video_path(f"{clips}/anticlockwise/a.en.srt").write_text(CUES)
    assert update(clips).with_subtitles == 1
    [(path, found)] = [(path, one) for path, one in store.subtitles().items() if one.cues]
    assert (path, found.cues[0].text) == (f"{clips}/anticlockwise/a.mp4", "A zebra.")
    assert update(clips).unread_subtitles == []


def test_forgetting_and_relocating_addresses(update, clips, store, captioned_videos, tmp_path):
    update(clips)
    assert len(forget(store, f"{clips}/anticlockwise")) == 1
    new = clips.replace("/clips", "/films")
    for path in sorted(store.files()):
        video_path(path.replace(clips, new)).write_bytes(video_path(path).read_bytes())
    assert len(relocate(store, clips, new)) == 3
    assert all(path.startswith(new) for path in store.files())
    assert counts(update(new)) == (0, 3, 0, 0, 0)


def test_a_folder_that_was_uploaded_keeps_its_embeddings(update, clips, store, videos):
    changed = min(videos.rglob("*.mp4"))
    update(videos)
    folder = clips.replace("/clips", "/uploaded")
    for path in sorted(videos.rglob("*.mp4")):
        content = path.read_bytes() + (b"more" if path == changed else b"")
        video_path(f"{folder}/{path.relative_to(videos)}").write_bytes(content)
    relocate(store, str(videos), folder)
    assert counts(update(folder)) == (1, 7, 0, 0, 0)  # the changed one is embedded again


def test_relocating_to_an_address_that_does_not_exist(update, clips, store):
    update(clips)
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        relocate(store, clips, clips.replace("/clips", "/none"))


def test_passwords_in_addresses_are_refused(update):
    with pytest.raises(ValueError, match=r"me:\.\.\.@server.*an index shows its addresses"):
        update("https://me:secret@server/a.mp4")


def test_commands_take_addresses(adapter, clips, tmp_path, capsys):
    index, out = str(tmp_path / "index"), tmp_path / "videos.npz"
    assert main(["index", clips, "--to", index, "--model", str(adapter), "--device", "cpu", "--workers", "0"]) == 0
    assert "4 embedded" in capsys.readouterr().out
    assert main(["search", index, "a shape", "--device", "cpu"]) == 0
    assert f"{clips}/anticlockwise/a.mp4" in capsys.readouterr().out
    assert main(["search", index, "--like", f"{clips}/anticlockwise/a.mp4", "--device", "cpu"]) == 0
    assert f"{clips}/anticlockwise/a.mp4 " not in capsys.readouterr().out.partition("\n")[2]
    one = f"{clips}/anticlockwise/a.mp4"
    assert main(["embed", str(adapter), one, "--out", str(out), "--device", "cpu"]) == 0
    with np.load(out) as arrays:
        assert list(arrays["paths"]) == [one]
