"""Videos, parts and pictures from the server: their bytes, and that only files of the index are served."""

import io
import os
import shutil
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from side4video.search.index_model import load_index_model
from side4video.search.indexing import update_index
from side4video.search.stores.open_store import open_store
from side4video.search.video_index import VideoIndex
from side4video.web.served_files import identify
from web.small_server import get, make_index, running_server


def id_of(path):
    return identify(str(path))


def pictures(content):
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == "h264"
        return [
            (float(frame.pts * stream.time_base), frame.to_ndarray(format="rgb24"))
            for frame in container.decode(stream)
        ]


def test_video_is_served_whole_and_in_ranges(client, indexed):
    path = indexed.videos / "long.mp4"
    content, address = path.read_bytes(), f"/videos/{id_of(path)}"
    whole = client.get(address)
    assert (whole.content, whole.headers["content-type"]) == (content, "video/mp4")
    assert client.head(address).headers["content-length"] == str(len(content))
    part = client.get(address, headers={"range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, content[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(content)}"
    assert client.get(address, headers={"range": "bytes=-100"}).content == content[-100:]
    assert client.get(address, headers={"range": f"bytes={len(content)}-"}).status_code == 416


@pytest.mark.parametrize("header", ["frames=1-2", "bytes=5-2", "bytes=abc", "bytes=", "bytes=0-1,5-6", "bytes=-"])
def test_invalid_and_several_ranges_count_as_none(client, indexed, header):
    path = indexed.videos / "long.mp4"
    answer = client.get(f"/videos/{id_of(path)}", headers={"range": header})
    assert (answer.status_code, answer.content) == (200, path.read_bytes())


def test_a_client_that_has_a_file_gets_no_bytes(client, indexed):
    for address in (f"/videos/{id_of(indexed.videos / 'long.mp4')}", f"/clips/{id_of(indexed.videos / 'old.avi')}.mp4"):
        times = {"start": 1, "end": 2}
        tag = client.get(address, params=times).headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}'):
            headers = {"if-none-match": known, "range": "bytes=0-9"}
            answer = client.get(address, params=times, headers=headers)
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert client.get(address, params=times, headers={"if-none-match": '"other"'}).status_code == 200


def test_unplayable_formats_are_transcoded_in_parts(client, indexed, service):
    path = indexed.videos / "old.avi"
    found = client.get("/api/search", params={"q": "a ring", "path": str(path)}).json()["results"][0]
    assert found["video"].startswith(f"/clips/{id_of(path)}.mp4?")
    assert found["video_starts_at"] == found["start_seconds"]
    assert client.get(f"/videos/{id_of(path)}").status_code == 404
    answer = client.get(f"/clips/{id_of(path)}.mp4", params={"start": 5, "end": 9})
    assert answer.headers["content-type"] == "video/mp4"
    frames = pictures(answer.content)
    assert [time for time, _ in frames] == pytest.approx(np.arange(20) / 5, abs=0.001)
    for time, picture in frames:
        assert picture.mean() == pytest.approx(8 * int(5 + time + 0.001), abs=3)
    made = len(list(service.clips.folder.iterdir()))
    again = client.get(f"/clips/{id_of(path)}.mp4", params={"start": 5, "end": 9})
    assert again.content == answer.content
    assert len(list(service.clips.folder.iterdir())) == made
    assert client.get(found["video"]).status_code == 200


@pytest.mark.parametrize(("start", "end"), [(5, 5), (5, 4), (0, 61), (-1, 3), ("nan", 3), (0, "inf"), ("x", 3)])
def test_invalid_times_of_parts_are_refused(client, indexed, start, end):
    answer = client.get(f"/clips/{id_of(indexed.videos / 'old.avi')}.mp4", params={"start": start, "end": end})
    assert answer.status_code == 422


def test_part_without_a_frame(client, indexed):
    answer = client.get(f"/clips/{id_of(indexed.videos / 'old.avi')}.mp4", params={"start": 100, "end": 110})
    assert answer.status_code == 422
    assert "no frame" in answer.json()["detail"]


@pytest.mark.parametrize(("seconds", "level"), [(0, 0), (7.3, 56), (19, 152), (500, 184), (1e300, 184)])
def test_poster_shows_the_frame_at_the_requested_time(client, indexed, seconds, level):
    answer = client.get(f"/posters/{id_of(indexed.videos / 'old.avi')}", params={"seconds": seconds})
    assert answer.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (64, 48)
    assert np.asarray(picture).mean() == pytest.approx(level, abs=3)


ATTEMPTS = [
    "/videos/../../../../etc/passwd",
    "/videos/..%2f..%2f..%2fetc%2fpasswd",
    "/videos/%2fetc%2fpasswd",
    "/videos//etc/passwd",
    "/videos/%2e%2e/%2e%2e/etc/passwd",
    "/videos/..%5c..%5cetc%5cpasswd",
    "/videos/{path}",
    "/videos/{quoted}",
    "/videos/{id}/../../{path}",
    "/videos/{id}%00.mp4",
    "/videos/{ID}",
    "/posters/..%2f..%2fetc%2fpasswd",
    "/posters/{quoted}",
    "/clips/..%2f..%2fetc%2fpasswd.mp4?start=0&end=1",
    "/clips/{quoted}?start=0&end=1",
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/app.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/like/..%2f..%2fetc%2fpasswd",
    "/api/like/{quoted}",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_paths_in_requests_are_never_opened(address, indexed, attempt):
    video = indexed.videos / "long.mp4"
    quoted = str(video).replace("/", "%2f")
    target = attempt.format(path=video, quoted=quoted, id=id_of(video), ID=id_of(video).upper())
    url = httpx.URL(address).copy_with(raw_path=target.encode())  # as it stands: a client may not tidy it up
    assert get(url).status_code == 404


ODD_NAME = os.fsdecode(b"\xff\xed\xa0\x80 <b>'&quot;\n.mp4")  # bytes that are no UTF-8, and what HTML may take for more


@pytest.fixture(scope="module")
def changing(tmp_path_factory, adapter, captioned_videos):
    """A server whose videos may be changed."""
    indexed = make_index(tmp_path_factory.mktemp("changing"), adapter, captioned_videos, odd_name=ODD_NAME)
    (indexed.videos.parent / "secret.mp4").write_bytes((indexed.videos / "long.mp4").read_bytes() + b"secret")
    index = indexed.open()
    with running_server(index) as (address, _):
        yield address, indexed.videos
    index.close()


def test_file_name_that_is_not_utf8(changing):
    address, videos = changing
    found = get(f"{address}/api/search", params={"q": "a ring"}).json()["results"]
    odd = next(one for one in found if one["id"] == id_of(videos / ODD_NAME))
    assert "<b>" in odd["name"]
    assert get(address + odd["video"]).content == (videos / ODD_NAME).read_bytes()
    assert get(address + odd["poster"]).status_code == 200
    for page in ("/?q=a+ring", f"/like/{odd['id']}"):
        answer = get(address + page)
        assert answer.status_code == 200
        assert "<b>" not in answer.text


def deleted(path: Path, secret: Path) -> None:
    path.unlink()


def link(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def hard_content(path: Path, secret: Path) -> None:
    shutil.copy(secret, path)


def same_size(path: Path, secret: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def folder(path: Path, secret: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path, secret: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def linked_folder(path: Path, secret: Path) -> None:
    moved = path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to(moved)
    times = path.stat()
    path.write_bytes(path.read_bytes()[::-1])  # of the same size and time
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("number", "change"), list(enumerate([deleted, link, hard_content, same_size, folder, pipe, linked_folder]))
)
def test_changed_file_is_not_served(changing, number, change):
    address, videos = changing
    path = sorted(videos.glob("*/0001.mp4"))[0]
    identifier = id_of(path)
    assert get(f"{address}/videos/{identifier}").status_code == 200
    change(path, videos.parent / "secret.mp4")
    for kind in ("/videos/{}", "/posters/{}?seconds=1", "/clips/{}.mp4?start=0&end=1", "/api/like/{}", "/like/{}"):
        answer = get(address + kind.format(identifier))
        assert answer.status_code == 404, kind
        assert b"secret" not in answer.content
    found = get(f"{address}/api/search", params={"q": "a ring", "path": str(path)}).json()["results"]
    assert [(one["video"], one["poster"]) for one in found] == [(None, None)]
    assert found[0]["problem"]
    if path.is_symlink() or path.is_fifo() or path.is_file():
        path.unlink()
    shutil.move(path.parent, videos.parent / f"done-{number}")


def test_a_link_that_was_indexed_is_shown_under_its_name(tmp_path, adapter, captioned_videos):
    video = sorted(captioned_videos.glob("test/*/*.mp4"))[0]
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "dog.mp4").symlink_to(video)
    store = open_store(tmp_path / "index", create=True)
    model = load_index_model(adapter, device="cpu")
    update_index(store, model, [str(tmp_path / "names")], address=tmp_path / "index", workers=0)
    store.close()
    index = VideoIndex.open(tmp_path / "index", device="cpu")
    with running_server(index) as (address, _):
        (found,) = get(f"{address}/api/search", params={"q": "a ring"}).json()["results"]
        assert found["name"] == "dog.mp4"
        assert get(address + found["video"]).content == video.read_bytes()
        assert get(address + found["poster"]).status_code == 200
    index.close()
