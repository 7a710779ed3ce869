"""Live streams over loopback, sent by PyAV: the newest window, dropped frames, reconnecting, clean ends."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from side4video.cli import main
from side4video.demo.moving_shapes import Scene, draw_clip
from side4video.inference.predictor import Predictor
from side4video.timeline.encoding import WindowScorer
from side4video.timeline.find import WorkDone, build_scorer, score_windows
from side4video.timeline.grid import choose_grid
from side4video.video import live_reader
from side4video.video.decoding import VideoError, VideoFile
from side4video.video.live_reader import LiveEnd, LiveReader

ADAPTER = Path(__file__).parents[1] / "earlier/adapter"
FPS = 12


@pytest.fixture(scope="module")
def predictor():
    return Predictor(ADAPTER, device="cpu")


@pytest.fixture(scope="module")
def frames():
    """Ten seconds of motions."""
    names = ("clockwise", "anticlockwise", "clockwise", "star_clockwise", "anticlockwise")
    return np.concatenate(
        [draw_clip(Scene.random(np.random.default_rng(n), size=32), name) for n, name in enumerate(names)]
    )


def send(target, frames, *, speed):
    """Encode frames as MPEG-TS into a file object, `speed` times as fast as they play."""
    started = time.monotonic()
    with av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "12", "tune": "zerolatency"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            time.sleep(max(0.0, started + number / FPS / speed - time.monotonic()))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


class Tee:
    """A file object that writes to a connection and keeps a copy."""

    def __init__(self, connection, copy):
        self.connection, self.copy = connection, copy

    def write(self, content):
        self.copy.write(content)
        return self.connection.write(content)


@pytest.fixture
def serve():
    """`serve(*answers)` starts a server whose n-th connection gets the n-th answer, then none; returns its address."""
    servers = []

    def start(*answers):
        waiting = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if not waiting:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                with contextlib.suppress(OSError, av.FFmpegError):  # the client left
                    waiting.pop(0)(self.wfile)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/live.ts"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_stream_gives_the_scores_of_the_same_windows_of_a_file(predictor, frames, serve, tmp_path, capsys):
    windows, lines = ["--window-seconds", "2", "--stride-seconds", "0.5"], tmp_path / "lines.jsonl"
    with (tmp_path / "copy.ts").open("wb") as copy:
        address = serve(lambda out: send(Tee(out, copy), frames, speed=4))
        command = ["predict", str(ADAPTER), address, *windows, "--json", str(lines), "--reconnect-seconds", "0"]
        assert main([*command, "--device", "cpu"]) == 0
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    with VideoFile(tmp_path / "copy.ts") as video:
        grid = choose_grid(4, window_seconds=2.0, stride_seconds=0.5)
        scorer = build_scorer(predictor.model, predictor.adapter, predictor.device)
        expected = dict(score_windows(video, grid, scorer, WorkDone()))
    assert len(found) >= 8
    for one in found:
        start = round(one["seconds"] / 0.5) - 4
        scores = {best["name"]: best["score"] for best in one["classes"]}
        for name, score in zip(predictor.class_names, expected[start], strict=True):
            assert scores[name] == pytest.approx(score, abs=1e-4)
        assert one["lag_seconds"] < 2
    assert [one["seconds"] for one in found] == sorted({one["seconds"] for one in found})
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"the stream ended. {len(found)} windows, {found[-1]['dropped_frames']} frames dropped" in printed.err


def test_a_slow_model_drops_frames_and_its_lag_does_not_grow(predictor, frames, serve, monkeypatch):
    encode = WindowScorer.encode

    def slowly(self, pictures):
        time.sleep(0.25)
        return encode(self, pictures)

    monkeypatch.setattr(WindowScorer, "encode", slowly)
    address = serve(lambda out: send(out, np.concatenate([frames] * 3), speed=12))  # 30 seconds in 2.5
    *found, end = predictor.watch(address, window_seconds=1.0, reconnect_seconds=0)
    assert isinstance(end, LiveEnd)
    assert not end.is_error
    assert len(found) >= 5
    assert found[-1].dropped_frames > 30, "of 120 on the grid, four at most are seen in a quarter of a second"
    assert max(one.lag_seconds for one in found) < 1.5
    assert found[-1].seconds > 20, "the newest window, not the next"


def test_the_ring_has_a_fixed_size(frames, serve):
    address = serve(lambda out: send(out, frames, speed=50))
    with LiveReader(address, reconnect_seconds=0).start(num_frames=4, spacing_seconds=0.1) as reader:
        sizes = []
        while not isinstance(found := reader.newest(after=len(sizes) * 5), LiveEnd):
            points = [frame.point for frame in found]
            assert points == list(range(points[0], points[0] + 4)), "no gap inside a window"
            sizes.append(len(reader._ring))
        assert set(sizes) == {4}


def test_a_stream_that_breaks_is_opened_again(predictor, frames, serve):
    address, reports = serve(*[lambda out: send(out, frames[:72], speed=8)] * 2), []
    *found, end = predictor.watch(address, window_seconds=1.0, reconnect_seconds=2, report=reports.append)
    assert [report.removeprefix(f"{address}: ") for report in reports] == [
        "the stream ended. Connecting again for 2 seconds.",
        "the stream is back.",
        "the stream ended. Connecting again for 2 seconds.",
    ]
    assert end.reason == "the stream ended."
    seconds = [one.seconds for one in found]
    assert seconds == sorted(set(seconds)), "the clock goes on"
    assert seconds[-1] > 10
    assert max(np.diff(seconds)) > 1, "no window spans the gap"


def test_a_stream_that_changes_its_size_goes_on(predictor, frames, serve, tmp_path):
    larger = frames.repeat(2, axis=1).repeat(2, axis=2)
    for name, pictures in {"a.ts": frames, "b.ts": larger}.items():
        send(str(tmp_path / name), pictures, speed=1000)
    content = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    reports = []

    def answer(out):
        for start in range(0, len(content), 4096):
            out.write(content[start : start + 4096])
            time.sleep(0.02)

    address = serve(answer)
    *found, _ = predictor.watch(address, window_seconds=1.0, reconnect_seconds=0, report=reports.append)
    assert reports == [f"{address}: the size changed from 32x32 to 64x64 pixels."]
    assert found[-1].seconds > 12


def test_an_address_that_does_not_answer_is_named(monkeypatch, capsys):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/live"
        assert main(["predict", str(ADAPTER), address, "--device", "cpu"]) == 2
        printed = capsys.readouterr().err
        assert f"{address}: nothing answers" in printed
        assert "Check the address" in printed
        monkeypatch.setattr(live_reader, "OPEN_SECONDS", 0.5)
        monkeypatch.setattr(live_reader, "READ_SECONDS", 0.5)
        listener.listen()
        with pytest.raises(VideoError, match=r"nothing answers \(no data"):
            LiveReader(address)
    with pytest.raises(VideoError, match="/dev/video77: nothing answers"):
        LiveReader("/dev/video77")


def test_a_stream_that_falls_silent_is_lost(frames, serve, monkeypatch):
    monkeypatch.setattr(live_reader, "READ_SECONDS", 0.7)
    silent = threading.Event()

    def answer(out):
        send(out, frames, speed=20)
        silent.wait(5)

    with LiveReader(serve(answer), reconnect_seconds=0).start(num_frames=4, spacing_seconds=0.5) as reader:
        found = reader.newest(after=10_000)
    silent.set()
    assert found.is_error
    assert "no data for 0.7 seconds" in found.reason


def test_stream_without_video_is_refused(serve):
    with pytest.raises(VideoError, match=r"nothing answers|no video"):
        LiveReader(serve(lambda out: out.write(b"<html>not a stream</html>" * 100)))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_a_stream_cleanly(frames, serve, capsys, number):
    address = serve(lambda out: send(out, np.concatenate([frames] * 20), speed=8))
    threading.Timer(2.0, lambda: os.kill(os.getpid(), number)).start()
    started = time.monotonic()
    command = ["predict", str(ADAPTER), address, "--window-seconds", "1", "--json", "-", "--device", "cpu"]
    assert main(command) == 0
    assert time.monotonic() - started < 8
    printed = capsys.readouterr()
    assert number.name in printed.err
    assert f"{len(printed.out.splitlines())} windows" in printed.err
    assert all(json.loads(line)["classes"] for line in printed.out.splitlines())


def test_standard_input_is_a_stream(frames, capsys):
    reading, writing = os.pipe()
    saved = os.dup(0)

    def answer():
        with os.fdopen(writing, "wb") as out:
            send(out, frames, speed=8)

    sender = threading.Thread(target=answer)
    sender.start()
    try:
        os.dup2(reading, 0)
        command = ["predict", str(ADAPTER), "-", "--window-seconds", "1", "--min-score", "0", "--top-k", "1"]
        assert main([*command, "--device", "cpu"]) == 0
    finally:
        os.dup2(saved, 0)
        for handle in (saved, reading):
            os.close(handle)
        sender.join()
    printed = capsys.readouterr()
    assert "the stream ended." in printed.err
    assert len(printed.out.splitlines()) >= 5
    assert "clockwise" in printed.out.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://127.0.0.1:9/a", "film.mp4"], "give it alone"),
        (["rtsp://127.0.0.1:9/a", "--timeline"], "give it alone"),
        (["-", "--out", "x"], "need --timeline"),
        (["-", "--min-score", "3"], "min_score"),
    ],
)
def test_invalid_arguments_are_refused_before_the_stream_is_opened(arguments, message, capsys):
    assert main(["predict", str(ADAPTER), *arguments, "--device", "cpu"]) == 2
    assert message in capsys.readouterr().err
