"""The page of an index of videos on a web server: played through this server, and only what the user indexed."""

import shutil
from dataclasses import replace

import httpx
import pytest

from side4video.cli import main
from side4video.search.index_model import load_index_model
from side4video.search.indexing import update_index
from side4video.search.stores.open_store import open_store
from side4video.search.video_index import VideoIndex
from side4video.video import remote, remote_file
from side4video.web import remote_states
from side4video.web.served_files import identify
from video_server import serving
from web.small_server import TIMEOUT_SECONDS, running_server, write_noise, write_old_film


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A web server with a video that browsers play and one that they do not."""
    folder = tmp_path_factory.mktemp("films")
    write_noise(folder / "new.mp4", 3)
    write_old_film(folder / "old.avi", 3)
    with serving(folder) as server:
        yield server


@pytest.fixture(scope="module")
def index(tmp_path_factory, adapter, videos):
    """An index of them, which this user made."""
    folder = tmp_path_factory.mktemp("remote-page") / "index"
    store = open_store(folder, create=True)
    given = [videos.address("new.mp4"), videos.address("old.avi")]
    update_index(store, load_index_model(adapter, device="cpu"), given, address=folder, workers=0)
    store.close()
    return folder


@pytest.fixture
def open_page(videos, monkeypatch):
    """`open_page(index, **settings)` starts a server and yields a client of it."""
    remote_file._shared_content.cache_clear()
    monkeypatch.setattr(remote, "_pause", lambda seconds: None)
    contexts = []

    def start(index, **settings):
        opened = VideoIndex.open(index, device="cpu")
        running = running_server(opened, decode_seconds=60, **settings)
        address, _ = running.__enter__()
        client = httpx.Client(base_url=address, timeout=TIMEOUT_SECONDS)
        contexts.append((client, running, opened))
        videos.asked.clear()
        return client

    yield start
    for client, running, opened in contexts:
        client.close()
        running.__exit__(None, None, None)
        opened.close()


@pytest.fixture
def page(open_page, index):
    return open_page(index)


def search(client):
    found = client.get("/api/search", params={"q": "a shape"}).json()["results"]
    return {one["path"].rpartition("/")[2]: one for one in found}


def test_ranges_of_the_file_pass_through_this_server(page, videos):
    found, content = search(page)["new.mp4"], (videos.folder / "new.mp4").read_bytes()
    assert (found["problem"], found["name"]) == (None, "new.mp4")
    whole = page.get(found["video"])
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, content, "video/mp4")
    for asked, start, stop in (
        ("bytes=10-19", 10, 20),
        ("bytes=-7", len(content) - 7, len(content)),
        ("bytes=5-", 5, len(content)),
    ):
        part = page.get(found["video"], headers={"range": asked})
        assert (part.status_code, part.content) == (206, content[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(content)}"
    assert page.get(found["video"], headers={"range": f"bytes={len(content)}-"}).status_code == 416
    old = page.get(found["video"], headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert (old.status_code, len(old.content)) == (200, len(content))
    head = page.head(found["video"])
    assert (head.status_code, int(head.headers["content-length"]), head.content) == (200, len(content), b"")


def test_pictures_clips_and_moments_of_addresses(page):
    found = search(page)
    assert page.get(found["new.mp4"]["poster"]).headers["content-type"] == "image/jpeg"
    assert page.get(found["old.avi"]["video"]).headers["content-type"] == "video/mp4"  # transcoded
    assert b"ftyp" in page.get(found["new.mp4"]["download"]).content[:12]
    assert "new.mp4" in page.get(found["new.mp4"]["link"]).text


def test_nothing_of_an_index_from_elsewhere_is_fetched(open_page, index, videos, tmp_path):
    page = open_page(shutil.copytree(index, tmp_path / "copy"))
    for name, found in search(page).items():
        assert "is not below an address that you indexed" in found["problem"]
        assert (found["video"], found["poster"]) == (None, None)
        identifier = identify(videos.address(name))
        for url in (
            f"/videos/{identifier}",
            f"/posters/{identifier}",
            f"/watch/{identifier}",
            f"/api/like/{identifier}",
        ):
            assert page.get(url).status_code == 404
        assert page.get(f"/moments/{identifier}.mp4", params={"start": 0, "end": 1}).status_code == 404
    assert videos.asked == []


def test_addresses_of_others_in_an_own_index_are_not_fetched(open_page, index, videos, tmp_path):
    mine = shutil.move(shutil.copytree(index, tmp_path / "copy"), tmp_path / "mine")
    store = open_store(mine)
    given = videos.address("new.mp4")
    others = {
        f"{given}::http://127.0.0.1:1/a.mp4",
        given.replace("new", "%2e%2e/secret"),
        given.replace("127.0.0.1", "localhost"),
    }
    [windows] = store.windows_of([given])
    for other in others:
        store.replace([other], [replace(one, file=replace(one.file, path=other)) for one in windows])
    store.close()
    page = open_page(mine, allow_addresses=(given.rpartition("/")[0],))
    for other in others:
        assert page.get(f"/videos/{identify(other)}").status_code == 404
    assert not any("secret" in path or "::" in path for path in videos.asked)
    assert page.get(f"/videos/{identify(given)}").status_code == 200  # allowed


def test_a_store_that_does_not_answer_delays_a_search_once(page, videos, monkeypatch):
    monkeypatch.setattr(remote_states, "KEPT_SECONDS", 60.0)
    videos.statuses = {"new.mp4": 503, "old.avi": 503}
    try:
        problems = {found["problem"].partition(" after")[0] for found in search(page).values()}
        assert problems == {"The store of this video gives no answer"}
        videos.asked.clear()
        search(page)
        assert videos.asked == []
    finally:
        videos.statuses = {}


def test_changed_and_missing_files(page, videos, monkeypatch):
    monkeypatch.setattr(remote_states, "KEPT_SECONDS", 0.0)
    content = (videos.folder / "old.avi").read_bytes()
    try:
        (videos.folder / "old.avi").write_bytes(content + b"more")
        assert "has changed" in search(page)["old.avi"]["problem"]
        (videos.folder / "old.avi").unlink()
        assert "no longer exists" in search(page)["old.avi"]["problem"]
    finally:
        (videos.folder / "old.avi").write_bytes(content)


def test_cutting_needs_an_allowed_address(index, videos, tmp_path, capsys):
    copy = shutil.copytree(index, tmp_path / "copy")
    asked = ["search", str(copy), "a shape", "--device", "cpu", "--top-k", "1", "--cut", str(tmp_path / "cut")]
    videos.asked.clear()
    assert main(asked) == 2
    assert "--allow-addresses http://127.0.0.1" in capsys.readouterr().err
    assert videos.asked == []
    assert main([*asked, "--allow-addresses", "all"]) == 0
    assert len(list((tmp_path / "cut").iterdir())) == 1
