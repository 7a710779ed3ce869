"""RTSP streams over loopback: packets that FFmpeg makes, sent by a small server of the tests over TCP."""

import json
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from rtsp_server import RtspServer
from side4video.cli import main
from side4video.video import live_reader
from side4video.video.live_reader import LiveEnd, LiveReader

ADAPTER = Path(__file__).parents[1] / "earlier/adapter"
FPS, STEP = 12, 2


@pytest.fixture
def camera():
    with RtspServer() as server:
        yield server


def send(camera, *, num_frames, speed, drop_at=()):
    """Send grey frames from a thread while a player receives; frame n has the brightness n * STEP. The player's
    connection breaks after the frames `drop_at`, and for good after the last."""

    def send_frames():
        with av.open(camera.rtp_address, "w", format="rtp") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"g": "6", "tune": "zerolatency"})
            stream.height = stream.width = 32
            stream.pix_fmt = "yuv420p"
            for number in range(num_frames):
                assert camera.playing.wait(100)
                picture = np.full((32, 32, 3), number * STEP, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                time.sleep(1 / FPS / speed)
                if number in drop_at:
                    camera.drop_player()
        camera.stop()

    sender = threading.Thread(target=send_frames, daemon=True)
    sender.start()
    return sender


def brightness(frame):
    return frame.picture.mean() / STEP


def test_frames_of_a_camera_come_in_order_and_after_a_break(camera):
    sender, reports, windows = send(camera, num_frames=120, speed=4, drop_at=(50,)), [], []
    reader = LiveReader(camera.address, reconnect_seconds=4, report=reports.append)
    with reader.start(num_frames=4, spacing_seconds=3 / FPS):
        while not isinstance(found := reader.newest(after=windows[-1][-1].point + 1 if windows else 0), LiveEnd):
            windows.append(found)
    sender.join()
    for window in windows:
        steps = np.diff([brightness(frame) for frame in window])
        assert steps == pytest.approx([3, 3, 3], abs=1.1), "three frames from one point of the grid to the next"
    shown = [brightness(window[-1]) for window in windows]
    assert shown == sorted(shown)
    assert shown[0] < 50 < 100 < shown[-1]
    assert [report.removeprefix(f"{camera.address}: ") for report in reports] == [
        "the stream ended. Connecting again for 4 seconds.",
        "the stream is back.",
        "the stream ended. Connecting again for 4 seconds.",
    ]
    assert not found.is_error


def test_what_a_camera_shows_is_written(camera, tmp_path, capsys):
    sender, lines = send(camera, num_frames=48, speed=4), tmp_path / "lines.jsonl"
    command = ["predict", str(ADAPTER), camera.address, "--window-seconds", "1", "--stride-seconds", "0.5"]
    assert main([*command, "--json", str(lines), "--reconnect-seconds", "0", "--device", "cpu"]) == 0
    sender.join()
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(found) >= 3
    assert f"the stream ended. {len(found)} windows" in capsys.readouterr().err


def test_a_camera_that_sends_nothing_is_an_error(camera, monkeypatch):
    for name in ("OPEN_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(live_reader, name, 0.5)
    with LiveReader(camera.address, reconnect_seconds=0).start(num_frames=4, spacing_seconds=0.1) as reader:
        found = reader.newest(after=0)
    assert found == LiveEnd("the stream broke off (no data for 0.5 seconds).", is_error=True)
