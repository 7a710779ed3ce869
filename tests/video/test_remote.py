import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from side4video.video import remote, remote_file
from side4video.video.decoding import find_videos, open_video
from side4video.video.remote import is_video_address, state_of, video_path
from side4video.video.remote_file import open_bytes
from side4video.video.video_cache import VideoCache
from side4video.video.video_error import VideoError
from small_videos import write_grey_video
from video_server import serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clip of 60 frames, and bytes of 1 MB."""
    folder = tmp_path_factory.mktemp("served")
    write_grey_video(folder / "clip.mp4", range(60, 180, 2))
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(2**20))
    return folder


@pytest.fixture
def server(folder, monkeypatch):
    remote_file._shared_content.cache_clear()
    monkeypatch.setattr(remote, "_pause", lambda seconds: None)
    with serving(folder) as server:
        yield server


def test_frames_of_an_address_equal_those_of_the_file(server, folder):
    with open_video(server.address("clip.mp4")) as video, open_video(folder / "clip.mp4") as same:
        assert video.num_frames == same.num_frames == 60
        assert torch.equal(video.read([0, 31, 59]), same.read([0, 31, 59]))
        assert video.frame_seconds.tolist() == same.frame_seconds.tolist()


def test_only_the_blocks_that_are_read_are_requested(server, folder, monkeypatch):
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", 2**16)
    content = (folder / "noise.mp4").read_bytes()
    with open_bytes(video_path(server.address("noise.mp4"))) as file:
        assert file.read(10) == content[:10]
        file.seek(-5, 2)
        assert file.read() == content[-5:]
        file.seek(500_000)
        assert file.read(100_000) == content[500_000:600_000]
        file.seek(3)
        assert file.read(4) == content[3:7]  # the first block is kept
    assert len(server.sent) == 5
    assert sum(server.sent) == 5 * 2**16


def test_blocks_beyond_the_limit_are_forgotten(server, folder, monkeypatch):
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", 2**16)
    monkeypatch.setattr(remote_file, "KEPT_BLOCKS", 4)
    with open_bytes(video_path(server.address("noise.mp4"))) as file:
        assert file.read() == (folder / "noise.mp4").read_bytes()
        assert len(file.raw._content._blocks) == 4


def test_a_server_without_ranges_sends_the_file_once(server, folder, monkeypatch):
    monkeypatch.setattr(remote_file, "BLOCK_BYTES", 2**16)
    server.ranges = False
    for _ in range(2):
        with open_bytes(video_path(server.address("noise.mp4"))) as file:
            assert file.read() == (folder / "noise.mp4").read_bytes()
    assert server.sent == [2**20]


@pytest.mark.parametrize("failures", [[429, 503], [500, 500, 500, 500], [0], [408, 0]])
def test_busy_servers_and_lost_connections_are_asked_again(server, folder, failures):
    server.failures = failures
    with open_bytes(video_path(server.address("noise.mp4"))) as file:
        assert file.read() == (folder / "noise.mp4").read_bytes()
    assert not server.failures


def test_a_server_that_stays_busy_is_named_with_the_attempts(server):
    server.failures = [503] * 20
    with pytest.raises(VideoError, match=r"clip.mp4: .*no answer after 5 attempts .*503"):
        open_video(server.address("clip.mp4"))
    assert len(server.failures) == 15


def test_a_server_that_sends_nothing_times_out(folder, monkeypatch):
    monkeypatch.setattr(remote, "_pause", lambda seconds: None)
    monkeypatch.setattr(remote, "READ_SECONDS", 0.2)
    with serving(folder) as server:
        server.failures = [-1] * 5
        with pytest.raises(VideoError, match="no answer after 5 attempts"):
            open_video(server.address("clip.mp4"))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_are_not_repeated(server, status):
    server.failures = [status]
    with pytest.raises(VideoError, match=r"clip\.mp4"):
        open_video(server.address("clip.mp4"))
    assert len(server.sent) == 1


@pytest.mark.parametrize("kind", ["playlist", "session"])
def test_no_address_in_the_content_of_a_remote_file_is_opened(server, folder, kind, monkeypatch):
    address = server.address("secret.ts")
    content = {
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
        "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
    }[kind]
    (folder / "clip.m3u8").write_text(content)
    monkeypatch.setattr(
        remote_file.RemoteFile, "name", "clip.m3u8" if kind == "playlist" else "clip.mp4", raising=False
    )
    with pytest.raises(VideoError, match="it is a list of other files or addresses"):
        open_video(server.address("clip.m3u8"))
    assert "/secret.ts" not in server.asked


def test_missing_files_are_missing(server):
    with pytest.raises(VideoError, match="there is no such file") as raised:
        open_video(server.address("none.mp4"))
    assert raised.value.fault == "missing"


@pytest.mark.parametrize(
    ("address", "message"),
    [("s5://bucket/a.mp4", "no library reads s5://"), ("gs://bucket/a.mp4", r"needs a library.*side4video\[remote\]")],
)
def test_addresses_that_no_installed_library_reads(address, message):
    with pytest.raises(VideoError, match=message):
        open_video(address)


def test_a_file_that_changes_gets_another_table(server, folder):
    cache = VideoCache()
    write_grey_video(folder / "changing.mp4", range(60, 80))
    for frames in (20, 30):
        write_grey_video(folder / "changing.mp4", range(60, 60 + frames))
        with open_video(server.address("changing.mp4"), cache=cache) as video:
            assert video.num_frames == frames


def test_paths_keep_their_address(tmp_path):
    path = video_path("memory://clips/a.mp4")
    assert (path.name, path.suffix, str(path.parent / "b.mp4")) == ("a.mp4", ".mp4", "memory://clips/b.mp4")
    assert pickle.loads(pickle.dumps(path)) == path
    assert video_path(Path("memory://clips/a.mp4")) == path  # pathlib has dropped a slash
    for name in ("10:15/a.mp4", "take:/a.mp4", "c:/clips/a.mp4"):
        assert video_path(Path(name)) == Path(name)
    assert video_path(f"file://{tmp_path}") == tmp_path


def test_folders_at_an_address(folder):
    top = video_path("memory://shelf")
    for name in ("a/1.mp4", "b/2.MP4", ".hidden/3.mp4", "notes.txt"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes((folder / "clip.mp4").read_bytes())
    assert [str(path) for path in find_videos("memory://shelf")] == ["memory://shelf/a/1.mp4", "memory://shelf/b/2.MP4"]
    with open_video("memory://shelf/a/1.mp4") as video:
        assert video.num_frames == 60
    assert state_of(top / "notes.txt")[0] == (folder / "clip.mp4").stat().st_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://server/a/clip.MP4?token=1", True),
        ("hf://datasets/me/clips/a.mp4", True),
        ("https://server/live.m3u8", False),
        ("http://server:8080", False),
        ("srt://server:9", False),
        ("/dev/video0", False),
    ],
)
def test_live_streams_are_not_files(text, expected):
    assert is_video_address(text) is expected
