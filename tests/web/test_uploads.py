"""Invalid uploads: too large, too long, too slow, no video. All are deleted."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from side4video.demo.videos import write_video
from side4video.web.transcode_workers import NotDecodedError, decode_in_subprocess
from web.small_server import TIMEOUT_SECONDS, get, post, running_server, write_noise


@pytest.fixture(scope="module")
def small(indexed):
    """A server with small limits, without a classifier."""
    index = indexed.open()
    with running_server(index, max_upload_bytes=200_000, max_clip_seconds=30) as running:
        yield running
    index.close()


def upload(address, content, name="clip.mp4", path="/api/search-like"):
    return post(address + path, files={"clip": (name, content, "video/mp4")})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no video",
        b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 40,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
    ],
    ids=["empty", "text", "broken", "playlist", "concat"],
)
def test_files_that_are_no_videos_are_refused(small, content):
    address, service = small
    answer = upload(address, content)
    assert answer.status_code == 422
    assert "video" in answer.json()["detail"]
    assert not list(service._uploads.iterdir())


def test_file_name_is_ignored(small, indexed):
    content = sorted(indexed.videos.glob("*/*.mp4"))[0].read_bytes()
    assert upload(small[0], content, name="a.exe").status_code == 200


def test_truncated_video_is_refused(small, indexed):
    content = sorted(indexed.videos.glob("*/*.mp4"))[0].read_bytes()
    answer = upload(small[0], content[: len(content) // 2])
    assert answer.status_code == 422


def test_long_video_is_refused(small, tmp_path):
    long = write_noise(tmp_path / "long.mp4", 31)
    answer = upload(small[0], long.read_bytes()[:200_000])
    assert answer.status_code in (413, 422)
    answer = upload(small[0], write_slow(tmp_path / "slow.mp4").read_bytes())
    assert answer.status_code == 422
    assert "maximum is 30" in answer.json()["detail"]


def write_slow(path):
    write_video(path, np.zeros((40, 16, 16, 3), np.uint8), frames_per_second=1)
    return path


@pytest.mark.parametrize("num_bytes", [200_001, 300_000, 5_000_000])
def test_large_file_is_refused(small, num_bytes):
    address, service = small
    answer = upload(address, bytes(num_bytes))
    assert answer.status_code == 413
    assert "larger than the maximum" in answer.json()["detail"]

    def parts():  # without saying beforehand how many there will be
        boundary = b"--x\r\nContent-Disposition: form-data; name=clip; filename=a\r\n\r\n"
        yield boundary + bytes(num_bytes) + b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = post(address + "/api/search-like", content=parts(), headers=headers)
    assert answer.status_code == 413
    assert not list(service._uploads.iterdir())


def test_stalled_upload_times_out(indexed):
    index = indexed.open()
    with running_server(index, upload_seconds=0.5) as (address, _):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS) as connection:
            head = f"POST /api/search-like HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n"
            connection.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
            assert b" 408 " in connection.recv(1000).splitlines()[0]
        assert get(address + "/api/info").status_code == 200
    index.close()


def test_classify_without_a_classifier_is_refused(small):
    answer = upload(small[0], b"x", path="/api/classify")
    assert answer.status_code == 404
    assert "--classify" in answer.json()["detail"]


def test_decoding_process_does_not_import_torch():
    """Importing torch takes seconds and hundreds of megabytes, and decoding does not need it."""
    look = "import sys, side4video.cli, side4video.web.transcode_workers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0


@pytest.mark.parametrize(
    ("work", "task", "seconds", "is_late"), [(time.sleep, 600, 0.5, True), (os._exit, 3, TIMEOUT_SECONDS, False)]
)
def test_hanging_or_crashing_decoder_does_not_affect_others(work, task, seconds, is_late):
    with pytest.raises(NotDecodedError) as caught:
        asyncio.run(decode_in_subprocess(work, task, seconds=seconds))
    assert caught.value.timed_out == is_late


def test_photos_are_examples_too(small, tmp_path):
    address, service = small
    Image.new("RGB", (64, 48), "red").save(tmp_path / "photo.jpg")
    content = (tmp_path / "photo.jpg").read_bytes()
    answer = upload(address, content, name="photo.jpg")
    assert (answer.status_code, len(answer.json()["results"])) == (200, 10)
    assert upload(address, content[: len(content) // 3], name="photo.jpg").status_code == 422
    assert not list(service._uploads.iterdir())


def test_unwanted_parts_of_a_query_lower_the_score(small):
    address, _ = small

    def search(text):
        found = get(f"{address}/api/search", params={"q": text, "top_k": 10}).json()["results"]
        return {result["path"]: result["score"] for result in found}

    ring, star, both = search("a ring"), search("a star"), search('a ring -"a star"')
    short = {path for path in both if not path.endswith(("long.mp4", "old.avi"))}  # one window each
    assert {path: both[path] for path in short} == pytest.approx(
        {path: ring[path] - star[path] for path in short}, abs=1e-4
    )
    answer = get(f"{address}/api/search", params={"q": '-"a star"'})
    assert (answer.status_code, "only what is unwanted" in answer.json()["detail"]) == (422, True)
