"""Frames of a live stream: decoded in a thread, the newest ones kept in a ring of fixed size."""

import errno
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from side4video.video.container import frame_rate, open_container, video_stream
from side4video.video.orientation import orientation_of
from side4video.video.video_error import VideoError

OPEN_SECONDS = READ_SECONDS = 10.0
"""A source that does not answer for so long, or sends nothing, is lost."""
RECONNECT_SECONDS = 30.0
"""Default: a network stream that does not come back within this time has ended."""
_PAUSE_SECONDS = 0.5  # between attempts to connect
_JUMP_SECONDS = 5.0  # timestamps that jump by more start a new count


@dataclass(frozen=True)
class LiveFrame:
    """The frame on screen at a point of the grid.

    Attributes:
        number: counts the frames that came into the ring, from 0.
        point: number of the point; successive frames of a ring have successive points.
        seconds: time of the point since the first frame of the stream.
        picture: uint8 (H, W, 3), RGB, upright.
        arrived: when it could be known, by `time.monotonic`.

    >>> frame = LiveFrame(number=0, point=2, seconds=0.625, picture=np.zeros((48, 64, 3), np.uint8), arrived=9.0)
    >>> frame.picture.shape
    (48, 64, 3)
    """

    number: int
    point: int
    seconds: float
    picture: np.ndarray
    arrived: float


@dataclass(frozen=True)
class LiveEnd:
    """Why a stream ended; `is_error`: it was lost, and did not end as it should.

    >>> LiveEnd("the stream ended.", is_error=False).reason
    'the stream ended.'
    """

    reason: str
    is_error: bool


class LiveReader:
    """Reads a live stream without falling behind: a thread decodes every frame, and keeps those on the grid.

    Point i of the grid is at `(i + 1/2) * spacing_seconds`; its frame is the one on screen then. The ring holds the
    newest `num_frames` points. Points that are not taken in time are overwritten, so that the lag does not grow.

    A network stream that breaks is opened again until `reconnect_seconds` pass without a frame. The ring is then
    empty: no window spans the gap.

    Args:
        address: `rtsp://...`, `http://...` or another address that FFmpeg reads, a device such as `/dev/video0`, or `-`
            for standard input.
        reconnect_seconds: 0: never connect again.
        report: called with sentences about the stream: lost, back, its size changed. May be called from the thread.

    Attributes:
        fps: frames per second that the stream states, or 25.

    Raises:
        VideoError: nothing answers at this address, or it sends no video.

    >>> with LiveReader("clip.mp4") as reader:
    ...     frames = reader.start(num_frames=4, spacing_seconds=0.25).newest(after=4)
    >>> len(frames), frames[0].picture.shape
    (4, (32, 32, 3))
    """

    def __init__(
        self,
        address: str,
        *,
        reconnect_seconds: float = RECONNECT_SECONDS,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.address = address
        self._reconnect_seconds, self._report = reconnect_seconds, report
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._end: LiveEnd | None = None
        self._container, self._stream = self._open()
        self._alive, self._is_lost, self._num_pushed = time.monotonic(), False, 0
        self.fps = frame_rate(self._stream)
        self._size: tuple[int, int] | None = None
        self._ring: deque[LiveFrame] = deque()
        self._thread: threading.Thread | None = None

    def start(self, *, num_frames: int, spacing_seconds: float) -> Self:
        """Start to decode; call this once."""
        self._ring = deque(maxlen=num_frames)
        self._points = _Points(spacing_seconds, num_frames, self._push)
        self._thread = threading.Thread(target=self._run, name=f"reads {self.address}", daemon=True)
        self._thread.start()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading. A thread that waits for data ends with the process."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def newest(self, *, after: int) -> list[LiveFrame] | LiveEnd:
        """Wait until the ring is full and its last point is `after` or a later one, and return its frames in order.

        Returns:
            The frames, or why the stream ended.
        """
        with self._changed:
            while True:
                if len(self._ring) == self._ring.maxlen and self._ring[-1].point >= after:
                    return list(self._ring)
                if self._end is not None:
                    return self._end
                self._changed.wait(timeout=0.5)  # wakes up for signals

    def _push(self, point: int, seconds: float, picture: np.ndarray) -> None:
        with self._changed:
            frame = LiveFrame(self._num_pushed, point, seconds, picture, time.monotonic())
            self._num_pushed += 1
            if self._ring and self._ring[-1].point + 1 != frame.point:
                self._ring.clear()
            self._ring.append(frame)
            self._changed.notify_all()

    def _run(self) -> None:
        end = LiveEnd("stopped.", is_error=False)
        try:
            while not self._stopped.is_set():
                end = self._read_until_lost()
                if self._stopped.is_set() or not self._reconnect(end):
                    break
        except Exception as error:  # the reader must not wait for a thread that is gone
            end = LiveEnd(f"{type(error).__name__}: {error}", is_error=True)
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _read_until_lost(self) -> LiveEnd:
        self._points.begin()
        try:
            with self._container:
                for packet in self._container.demux(self._stream):
                    if self._stopped.is_set():
                        break
                    self._decode(packet)
        except (av.FFmpegError, OSError) as error:
            # FFmpeg calls it an error if a web server closes a connection without having stated a length.
            if error.errno == errno.EIO and self.address.startswith("http") and not self._is_finite:
                return LiveEnd("the stream ended.", is_error=False)
            return LiveEnd(f"the stream broke off ({_reason(error)}).", is_error=True)
        return LiveEnd("the stream ended.", is_error=False)

    def _decode(self, packet: av.Packet) -> None:
        try:
            frames = self._stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError:
            return  # a damaged picture; the next key frame repairs it
        for frame in frames:
            self._alive = time.monotonic()
            if self._is_lost:
                self._is_lost = False
                self._report(f"{self.address}: the stream is back.")
            size = frame.width, frame.height
            if self._size is not None and self._size != size:
                before, after = ("{}x{}".format(*pixels) for pixels in (self._size, size))
                self._report(f"{self.address}: the size changed from {before} to {after} pixels.")
            self._size = size
            self._points.take(frame)

    def _reconnect(self, end: LiveEnd) -> bool:
        if self._is_finite or not self._reconnect_seconds:
            return False
        if not self._is_lost:
            self._report(f"{self.address}: {end.reason} Connecting again for {self._reconnect_seconds:g} seconds.")
        self._is_lost = True
        while time.monotonic() < self._alive + self._reconnect_seconds and not self._stopped.wait(_PAUSE_SECONDS):
            try:
                self._container, self._stream = self._open()
            except VideoError:
                continue
            return True
        return False

    def _open(self) -> tuple[InputContainer, VideoStream]:
        options: dict[str, Any] = {"timeout": (OPEN_SECONDS, READ_SECONDS)}
        if self.address.startswith("rtsp"):
            options["options"] = {"rtsp_transport": "tcp"}
        if self.address.startswith("/dev/"):
            options["format"] = "v4l2"
        try:
            container = open_container("pipe:0" if self.address == "-" else self.address, **options)
        except (av.FFmpegError, OSError, ValueError) as error:
            remedy = "Check the address, and that something sends there"
            raise VideoError(self.address, f"nothing answers ({_reason(error)}). {remedy}.", "missing") from error
        stream = video_stream(container)
        if stream is None or not stream.codec_context:
            container.close()
            raise VideoError(self.address, "it sends no video that PyAV can decode.", "no-frames")
        # A finite file on a web server ends; what has no length, or has a live protocol, is expected to go on.
        has_length = (container.duration or 0) > 0 and (container.size or 0) > 0
        self._is_finite = "://" not in self.address or has_length
        return container, stream


class _Points:
    """Chooses the frame of each point of the grid, from decoded frames in display order."""

    def __init__(self, spacing_seconds: float, num_frames: int, push: Callable[[int, float, np.ndarray], None]) -> None:
        self._spacing, self._num_frames, self._push = spacing_seconds, num_frames, push
        self._point = 0
        self._frame: av.VideoFrame | None = None  # on screen
        self._seconds = self._origin = 0.0  # of that frame on the grid's clock; of the stream's clock on it
        self._clock: float | None = None  # of that frame on the stream's clock
        self._arrived = time.monotonic()

    def begin(self) -> None:
        """A new connection: its clock starts anew, where the grid's clock is now."""
        self._clock = None

    def take(self, frame: av.VideoFrame) -> None:
        """The next frame: every point before it shows the frame before it."""
        now = time.monotonic()
        clock = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else now
        if self._frame is None:
            self._origin = clock
        elif self._clock is None or not 0 <= clock - self._clock < _JUMP_SECONDS:
            self._seconds += now - self._arrived
            self._origin = clock - self._seconds
            self._point = max(self._point + 1, int(self._seconds / self._spacing))  # leaves a gap: empties the ring
            self._frame = frame
        before, self._frame = self._frame, frame
        self._clock, self._seconds, self._arrived = clock, clock - self._origin, now
        while before is not None and (self._point + 0.5) * self._spacing < self._seconds:
            behind = int((self._seconds / self._spacing) - self._point)
            if behind > self._num_frames:  # of a stream with few pictures: the ring holds no more
                self._point += behind - self._num_frames
            self._push(self._point, (self._point + 0.5) * self._spacing, _picture(before))
            self._point += 1


def _picture(frame: av.VideoFrame) -> np.ndarray:
    picture = frame.reformat(format="rgb24", threads=1).to_ndarray()
    return np.ascontiguousarray(orientation_of(frame).apply(picture))


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):  # FFmpeg's word for a timeout of PyAV
        return f"no data for {READ_SECONDS:g} seconds"
    return f"{type(error).__name__}: {error}"
