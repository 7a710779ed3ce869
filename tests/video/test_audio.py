"""The audio of clips for the browser: flashes and tones that are simultaneous in the file are so in the clip.

Expected times are the times at which the test wrote them to the file.
"""

from fractions import Fraction

import av
import numpy as np
import pytest

from side4video.video.audio import RATE, decode_audio
from side4video.video.playback import browser_type, write_clip

IN_STEP_SECONDS = 0.05
HERTZ = 1000
EVENT_SECONDS = 0.5  # length of a flash and its tone
FPS = 25


def tone(rate, seconds, events, *, hertz=HERTZ, channels=1):
    """A tone in each event, silence between, (channels, samples) from -1 to 1."""
    times = np.arange(round(rate * seconds)) / rate
    is_loud = np.any([(times >= event) & (times < event + EVENT_SECONDS) for event in events], axis=0)
    return np.tile(0.5 * is_loud * np.sin(2 * np.pi * hertz * times), (channels, 1)).astype(np.float32)


LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def add_sound(container, codec, rate, samples, *, begin=0.0, **options):
    """Encode samples as a track that begins at a second of the file; the packets, to be written with the pictures."""
    layout = LAYOUTS[len(samples)]
    stream = container.add_stream(codec, rate=rate, options=options, layout=layout)
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
    packets = []
    for first in range(0, samples.shape[1], 1152):
        piece = np.ascontiguousarray(samples[:, first : first + 1152])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(begin * rate) + first
        for converted in resampler.resample(frame):
            packets += stream.encode(converted)
    return packets + stream.encode(None)


def write(path, *, video="mpeg4", sound="pcm_s16le", rate=44100, seconds=6, events=(1, 3), **options):
    """Flashes and tones at the same moments; `sound` None: no tones."""
    samples = options.pop("samples", None)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(video, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packets = []
        if sound is not None:
            samples = tone(rate, seconds, events) if samples is None else samples
            packets += add_sound(container, sound, rate, samples, **options)
        for index in range(seconds * FPS):
            is_bright = any(event <= index / FPS < event + EVENT_SECONDS for event in events)
            picture = np.full((48, 64, 3), 235 if is_bright else 16, np.uint8)
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode(None)
        container.start_encoding()
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            container.mux(packet)
    return path


def clip(path, start, end):
    """A part as the browser gets it: times of flashes and tones, its audio, and the duration of its frames."""
    out = path.with_name("clip.mp4")
    write_clip(path, out, start_seconds=start, end_seconds=end)
    assert browser_type(out) == "video/mp4"
    with av.open(str(out)) as container:
        pictures = [(float(f.pts * f.time_base), f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    flashes = [
        time for (time, level), (_, before) in zip(pictures, [(0, 0), *pictures], strict=False) if level > 128 > before
    ]
    with av.open(str(out)) as container:
        if not container.streams.audio:
            return flashes, None, None, pictures[-1][0]
        assert container.streams.audio[0].codec_context.codec.canonical_name == "aac"
        frames = [(float(f.pts * f.time_base), f.sample_rate, f.to_ndarray()) for f in container.decode(audio=0)]
    rate = frames[0][1]
    sound = np.zeros((len(frames[0][2]), round((frames[-1][0] + 1) * rate)), np.float32)
    for time, _, samples in frames:
        sound[:, round(time * rate) : round(time * rate) + samples.shape[1]] = samples
    return flashes, onsets(sound, rate), sound, pictures[-1][0]


def onsets(sound, rate):
    """Seconds at which a tone starts after 0.2 seconds of silence, or at the beginning."""
    loud = np.flatnonzero(np.abs(sound[0]) > 0.1)
    quiet_before = np.diff(loud, prepend=-rate) > 0.2 * rate
    return list(loud[quiet_before] / rate)


FORMATS = [
    ("a.avi", {"video": "mpeg4", "sound": "pcm_s16le"}),
    ("a.avi", {"video": "mpeg4", "sound": "libmp3lame"}),
    ("a.mpg", {"video": "mpeg2video", "sound": "mp2"}),
    ("a.ts", {"video": "mpeg2video", "sound": "ac3", "rate": 48000}),
    ("a.mkv", {"video": "libx264", "sound": "libopus", "rate": 48000}),
    ("a.mkv", {"video": "libx264", "sound": "flac", "rate": 22050}),
    ("a.mp4", {"video": "mpeg4", "sound": "aac", "rate": 32000}),
    ("a.wmv", {"video": "wmv2", "sound": "wmav2", "b": "64k"}),
    ("a.mov", {"video": "libx264", "sound": "pcm_u8", "rate": 8000}),
]


IN_EVERY_RUN = {"pcm_s16le", "mp2", "libopus", "aac", "wmav2"}


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(*one, marks=() if one[1]["sound"] in IN_EVERY_RUN else pytest.mark.slow) for one in FORMATS],
    ids=[f"{name}-{options['sound']}" for name, options in FORMATS],
)
def test_audio_and_frames_are_in_sync(tmp_path, name, options):
    path = write(tmp_path / name, **options)
    for start, end, expected in ((0, 6, [1, 3]), (2.52, 3.9, [0.48])):
        flashes, tones, sound, length = clip(path, start, end)
        assert flashes == pytest.approx(expected, abs=1 / FPS + 0.001)
        assert tones == pytest.approx(flashes, abs=IN_STEP_SECONDS)
        assert length <= end - start
        strongest = np.abs(np.fft.rfft(sound[0])).argmax() * RATE / sound.shape[1]
        assert strongest == pytest.approx(HERTZ, rel=0.01)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(pytest.param(*one, marks=pytest.mark.slow) for one in (("a.avi", "libmp3lame"), ("a.mkv", "ac3"))),
        ("a.mpg", "mp2"),
    ],
)
def test_a_part_late_in_the_file(tmp_path, name, codec):
    path = write(
        tmp_path / name,
        video="mpeg2video" if name == "a.mpg" else "mpeg4",
        sound=codec,
        seconds=50,
        events=(2, 9, 33, 41),
    )
    flashes, tones, _, _ = clip(path, 31, 44)
    assert flashes == pytest.approx([2, 10], abs=1 / FPS + 0.001)
    assert tones == pytest.approx(flashes, abs=IN_STEP_SECONDS)


@pytest.mark.parametrize(
    ("begin", "start"), [(2.0, 0), pytest.param(2.0, 1.5, marks=pytest.mark.slow), (30.0, 28), (0.5, 3.25)]
)
def test_audio_that_starts_later(tmp_path, begin, start):
    event = begin + 4
    samples = tone(44100, 8, [4])
    path = write(tmp_path / "a.mkv", seconds=40, events=[event], samples=samples, begin=begin)
    flashes, tones, sound, _ = clip(path, start, start + 10)
    assert flashes == pytest.approx([event - start], abs=1 / FPS + 0.001)
    assert tones == pytest.approx(flashes, abs=IN_STEP_SECONDS)
    assert np.abs(sound[0, : round(0.9 * (event - start) * RATE)]).max() < 0.01


def test_audio_that_ends_earlier(tmp_path):
    path = write(tmp_path / "a.avi", seconds=10, events=[1, 7], samples=tone(44100, 3, [1]))
    flashes, tones, _, length = clip(path, 0, 10)
    assert flashes == pytest.approx([1, 7], abs=1 / FPS + 0.001)
    assert tones == pytest.approx([1], abs=IN_STEP_SECONDS)
    assert length > 9.9
    assert clip(path, 5, 10)[1] is None  # nothing of it is in this part


def test_gaps_in_the_audio_become_silence(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packets = add_sound(container, "pcm_s16le", 44100, tone(44100, 10, [1, 8]))
        packets = [packet for packet in packets if not 2.5 < packet.pts * packet.time_base < 6.5]
        for index in range(10 * FPS):
            level = 235 if 1 <= index / FPS < 1.5 or 8 <= index / FPS < 8.5 else 16
            picture = np.full((48, 64, 3), level, np.uint8)
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        container.start_encoding()
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            container.mux(packet)
    flashes, tones, _, _ = clip(path, 0, 10)
    assert tones == pytest.approx([1, 8], abs=IN_STEP_SECONDS)
    assert flashes == pytest.approx(tones, abs=IN_STEP_SECONDS)


def test_there_is_no_click_between_packets(tmp_path):
    """Times in Matroska are rounded to milliseconds: placing packets at their times would cause clicks."""
    samples = 0.5 * np.sin(2 * np.pi * 100 * np.arange(44100 * 5) / 44100)[None].astype(np.float32)
    path = write(tmp_path / "a.mkv", seconds=5, sound="pcm_s16le", samples=samples)
    sound = decode_audio(path, video_start_seconds=0, start_seconds=1, end_seconds=4)
    times = np.arange(sound.shape[1]) / RATE
    expected = 0.5 * np.sin(2 * np.pi * 100 * times)
    assert sound.shape == (1, 3 * RATE)
    assert np.abs(sound[0] - expected).max() < 0.02  # half a millisecond off would be 0.15


def test_stereo_stays_stereo(tmp_path):
    left, right = tone(44100, 6, [1]), tone(44100, 6, [3])
    path = write(tmp_path / "a.mkv", samples=np.concatenate([left, right]), events=[1, 3])
    _, tones, sound, _ = clip(path, 0, 6)
    assert tones == pytest.approx([1], abs=IN_STEP_SECONDS)
    assert onsets(sound[1:], RATE) == pytest.approx([3], abs=IN_STEP_SECONDS)


def test_six_channels_become_stereo_without_clipping(tmp_path):
    path = write(tmp_path / "a.mkv", sound="flac", samples=1.9 * tone(44100, 6, [1, 3], channels=6))
    sound = decode_audio(path, video_start_seconds=0, start_seconds=0, end_seconds=6)
    assert sound.shape[0] == 2
    assert np.abs(sound).max() == pytest.approx(1)
    assert onsets(sound, RATE) == pytest.approx([1, 3], abs=IN_STEP_SECONDS)


def test_the_best_of_several_tracks_is_used(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packets = add_sound(container, "pcm_s16le", 8000, tone(8000, 4, [1], hertz=300))
        packets += add_sound(container, "pcm_s16le", 48000, tone(48000, 4, [1], hertz=2000, channels=2))
        for _ in range(4 * FPS):
            packets += stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24"))
        container.start_encoding()
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            container.mux(packet)
    _, _, sound, _ = clip(path, 0, 4)
    assert len(sound) == 2
    assert np.abs(np.fft.rfft(sound[0])).argmax() * RATE / sound.shape[1] == pytest.approx(2000, rel=0.01)


def test_a_video_without_audio(tmp_path):
    path = write(tmp_path / "a.avi", sound=None)
    flashes, tones, _, _ = clip(path, 0, 6)
    assert tones is None
    assert flashes == pytest.approx([1, 3], abs=1 / FPS + 0.001)


@pytest.mark.parametrize(
    "codec", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("libmp3lame", "ac3", "pcm_f32le")), "aac"]
)
def test_a_corrupt_audio_track_still_gives_the_frames(tmp_path, codec):
    good = write(tmp_path / "good.mkv", sound=codec)
    broken = tmp_path / "broken.mkv"
    random = np.random.default_rng(0)
    with av.open(str(good)) as source, av.open(str(broken), "w") as target:
        tracks = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                damaged = av.Packet(random.integers(0, 256, packet.size, np.uint8).tobytes())
                damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
                damaged.stream = tracks[packet.stream.index]
                target.mux(damaged)
            else:
                packet.stream = tracks[packet.stream.index]
                target.mux(packet)
    flashes, _, _, length = clip(broken, 0, 6)
    assert flashes == pytest.approx([1, 3], abs=1 / FPS + 0.001)
    assert length > 5.9
    assert clip(good, 0, 6)[1] == pytest.approx([1, 3], abs=IN_STEP_SECONDS)


def test_audio_is_interleaved_with_the_frames(tmp_path):
    """Frames and their audio are close in the file, so that the clip plays while it loads."""
    path = write(tmp_path / "a.avi", seconds=30, events=[1])
    write_clip(path, tmp_path / "clip.mp4", start_seconds=0, end_seconds=30)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        packets = [packet for packet in container.demux() if packet.dts is not None]
        latest = {"video": 0.0, "audio": 0.0}
        for packet in sorted(packets, key=lambda packet: packet.pos):
            latest[packet.stream.type] = float(packet.dts * packet.time_base)
            assert abs(latest["video"] - latest["audio"]) < 3
