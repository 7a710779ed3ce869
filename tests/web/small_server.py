"""A small real index, and a real server of it on a free port of this machine."""

import asyncio
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import httpx
import numpy as np
import uvicorn

from side4video.demo.videos import write_video
from side4video.search.index_model import load_index_model
from side4video.search.indexing import update_index
from side4video.search.metadata import read_metadata
from side4video.search.stores.open_store import open_store
from side4video.search.video_index import VideoIndex
from side4video.web.app import make_app
from side4video.web.server import listen
from side4video.web.service import SearchService
from side4video.web.settings import ServeSettings


def write_old_film(path: Path, seconds: int) -> Path:
    """MPEG-4 part 2 in AVI, which no browser plays: grey level 8 * n in second n, at 5 frames per second, and noise."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        noise = np.random.default_rng(0).integers(-9000, 9000, (1, 1600), np.int16)  # a fifth of a second
        for index in range(seconds * 5):
            picture = np.full((48, 64, 3), index // 5 * 8, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            heard = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 8000, 1600 * index
            container.mux(track.encode(heard))
        container.mux(stream.encode())
        container.mux(track.encode())
    return path


def write_noise(path: Path, seconds: int) -> Path:
    """Moving noise as H.264 in mp4, 4 frames per second."""
    frames = np.random.default_rng(0).integers(0, 256, (seconds * 4, 12, 16, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    write_video(path, frames, frames_per_second=4)
    return path


TIMEOUT_SECONDS = 60
"""After which a test gives up: only what hangs takes so long, on a busy machine too."""

get, post = partial(httpx.get, timeout=TIMEOUT_SECONDS), partial(httpx.post, timeout=TIMEOUT_SECONDS)


SUBTITLES = """1
00:00:02,000 --> 00:00:04,000
A zebra crosses the river.

2
00:00:31,500 --> 00:00:33,000
<i>And now</i> a zebra & a lion.
"""


@dataclass(frozen=True)
class IndexedFolder:
    """An index and its videos: eight of 2 seconds, `long.mp4` of 40 with subtitles, and `old.avi`, which browsers do
    not play."""

    index: Path
    videos: Path

    def open(self) -> VideoIndex:
        return VideoIndex.open(self.index, device="cpu")


def make_index(folder: Path, adapter: Path, captioned_videos: Path, *, odd_name: str | None = None) -> IndexedFolder:
    videos = shutil.copytree(captioned_videos / "test", folder / "videos")
    write_noise(videos / "long.mp4", 40)
    write_old_film(videos / "old.avi", 24)
    (videos / "long.en.srt").write_text(SUBTITLES)
    if odd_name is not None:
        shutil.copy(videos / "clockwise/0001.mp4", videos / odd_name)
    rows = ["path,camera,year"]
    for number, path in enumerate(sorted(videos.glob("*/*.mp4"))):
        rows.append(f"{path.relative_to(folder)},{('north', 'south')[number % 2]},{2017 + number}")
    (folder / "about.csv").write_text("\n".join(rows) + "\n")
    store = open_store(folder / "index", create=True)
    update_index(
        store,
        load_index_model(adapter, device="cpu"),
        [str(videos)],
        address=folder / "index",
        metadata=read_metadata(folder / "about.csv"),
        workers=0,
    )
    store.close()
    return IndexedFolder(folder / "index", videos)


@contextmanager
def running_server(index, *, classifier=None, **settings):
    """The address of a server, and the service behind it, until the block ends."""
    service = SearchService(index, ServeSettings(**settings), classifier)
    config = uvicorn.Config(make_app(service), log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as socket:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[socket])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{socket.getsockname()[1]}", service
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()
