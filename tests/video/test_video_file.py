import itertools
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from side4video.subtitles.tracks import read_tracks
from side4video.video.audio import decode_audio
from side4video.video.container import listed_seconds, open_container
from side4video.video.cutting import copy_clip
from side4video.video.decoding import VideoError, VideoFile
from side4video.video.playback import browser_type, picture_at

DATA = Path(__file__).parents[2] / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data with real videos is not there")
ODD = json.loads((DATA / "odd/manifest.json").read_text()) if DATA.is_dir() else []
UCF = sorted((DATA / "ucf3/videos").rglob("*.avi"))
ENCRYPTED = {"media__sample_fragmented_variable_length_sgpd.mp4", "mp4ff__prog_8s_enc_dashinit.mp4"}
SHIFTED_STREAM = {"libavif__colors-animated-8bpc.avif": 5}  # the manifest counts its still picture, not its video
SIZE = (48, 64)  # height, width


def picture(number: int) -> np.ndarray:
    """Frame `number` of the videos made here: a bright square that moves, on a ramp."""
    frame = np.zeros((*SIZE, 3), np.uint8)
    frame[..., 0] = np.arange(SIZE[1])
    frame[:, :, 2] = number * 3 % 256
    frame[10:20, number % 50 : number % 50 + 12] = 250
    return frame


def write_video(path: Path, *, num_frames: int = 60, codec: str = "libx264", fps: int = 10, **options: str) -> Path:
    container_options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def decode_plainly(path: Path, wanted: set[int] | None = None) -> list[np.ndarray | None]:
    """All frames from the first to the last, without any seeking, as PyAV's own loop gives them."""
    with open_container(path) as container:
        stream = container.streams.best("video")
        frames = []
        for number, frame in enumerate(container.decode(stream)):
            is_wanted = wanted is None or number in wanted
            frames.append(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90) if is_wanted else None)
    return frames


def assert_same_frames(read: torch.Tensor, indices: list[int], expected: list[np.ndarray | None]) -> None:
    assert read.dtype == torch.uint8
    for index, frame in zip(indices, read, strict=True):
        assert np.array_equal(frame.permute(1, 2, 0).numpy(), expected[index]), f"frame {index} differs"


@pytest.fixture
def clip(tmp_path):
    """60 frames at 10 per second, six groups of pictures, frames reordered."""
    return write_video(tmp_path / "clip.mp4", g="10", bf="2")


def test_attributes_of_a_video(clip):
    with VideoFile(clip) as video:
        assert (video.num_frames, video.num_listed) == (60, 60)
        assert (video.height, video.width) == SIZE
        assert video.average_fps == pytest.approx(10)
        assert video.duration_seconds == pytest.approx(6)
        assert video.frame_seconds == pytest.approx([number / 10 for number in range(60)])


def test_frames_equal_the_written_ones(clip):
    read = VideoFile(clip).read([0, 31, 59])
    assert read.shape == (3, 3, *SIZE)
    written = torch.from_numpy(np.stack([picture(number) for number in (0, 31, 59)])).permute(0, 3, 1, 2)
    assert (read.float() - written.float()).abs().mean() < 5


LISTS = {
    "concat.mp4": "ffconcat version 1.0\nfile 'hidden.mp4'\n",
    "concat.ts": "ffconcat version 1.0\nfile '.hidden/film.mp4'\n",
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhidden.ts\n#EXT-X-ENDLIST\n",
    "hls.mp4": "\n#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhidden.ts\n#EXT-X-ENDLIST\n",
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "dash.mp4": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
    "imf.mp4": '<?xml version="1.0"?>\n<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
    "</CompositionPlaylist>",
}
"""Files that name others, under names with which FFmpeg follows some of them."""


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_files_are_no_videos(tmp_path, name):
    (tmp_path / ".hidden").mkdir()
    write_video(tmp_path / ".hidden/film.mp4")
    write_video(tmp_path / "hidden.mp4")
    write_video(tmp_path / "hidden.ts")
    path = tmp_path / name
    path.write_text(LISTS[name])
    reason = r"it is a list of other files or addresses \(a playlist\), not a video\.$"
    for read in (VideoFile, browser_type, lambda path: picture_at(path, 0.0)):
        with pytest.raises(VideoError, match=reason):
            read(path)
    with pytest.raises(VideoError, match="a playlist"):
        copy_clip(path, tmp_path / "out.mp4", start_seconds=0.0, end_seconds=1.0)
    with pytest.raises(ValueError, match="a playlist"):
        read_tracks(path)
    assert decode_audio(path, video_start_seconds=0.0, start_seconds=0.0, end_seconds=1.0) is None
    assert listed_seconds(path) is None
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("groups.mp4", "libx264", {"g": "10", "bf": "3"}),
        ("open-groups.mp4", "libx264", {"g": "10", "bf": "3", "flags": "-cgop", "x264-params": "open-gop=1"}),
        ("one-group.mp4", "libx264", {"g": "1000", "bf": "2"}),
        ("key-frames.mp4", "libx264", {"g": "1"}),
        ("open-groups-h265.mp4", "libx265", {"x265-params": "keyint=10:min-keyint=10:open-gop=1:log-level=none"}),
        ("av1.mp4", "libsvtav1", {"g": "10", "svtav1-params": "lp=1"}),
        ("vp9.webm", "libvpx-vp9", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8", "cpu-used": "8"}),
        ("vp8.webm", "libvpx", {"g": "10"}),
        ("groups.mkv", "libx264", {"g": "10", "bf": "2"}),
        ("groups.mov", "mpeg4", {"g": "10", "bf": "2"}),
        ("plain.avi", "mpeg4", {"g": "10"}),
        ("reordered.avi", "mpeg4", {"g": "10", "bf": "2"}),
        ("stream.ts", "libx264", {"g": "10", "bf": "2"}),
        ("program.mpg", "mpeg2video", {"g": "10", "bf": "2"}),
    ],
)
def test_any_choice_of_frames_equals_a_plain_decode(tmp_path, name, codec, options):
    path = write_video(tmp_path / name, codec=codec, fps=25, **options)
    expected = decode_plainly(path)
    chance = random.Random(name)
    choices = [[0], [len(expected) - 1], [19, 20], [5, 45], list(range(len(expected)))]
    choices += [[chance.randrange(len(expected)) for _ in range(size)] for size in (1, 2, 3, 4, 8)]
    with VideoFile(path) as video:
        assert video.num_frames == len(expected)
        for indices in choices:
            assert_same_frames(video.read(indices), indices, expected)


def rewrite(source: Path, path: Path, change: Callable[[int, av.Packet], bytes | None]) -> Path:
    """Copy a video with the bytes that `change` gives for each packet's number and packet; None leaves it out."""
    with av.open(str(source)) as reading, av.open(str(path), "w") as writing:
        stream = writing.add_stream_from_template(reading.streams.video[0])
        for number, packet in enumerate(packet for packet in reading.demux(video=0) if packet.size):
            content = change(number, packet)
            if content is not None:
                copy = av.Packet(content)
                copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
                copy.is_keyframe = packet.is_keyframe
                writing.mux(copy)
    return path


def test_hidden_pictures_of_vp8_are_not_counted(tmp_path):
    def hide(number, packet):  # bit 4 of the first byte says "show"
        content = bytes(packet)
        return bytes([content[0] & 0b11101111]) + content[1:] if number in (10, 33) else content

    path = rewrite(write_video(tmp_path / "shown.webm", codec="libvpx", g="20"), tmp_path / "hidden.webm", hide)
    expected = decode_plainly(path)
    video = VideoFile(path)
    assert video.num_frames == len(expected) == 58
    assert_same_frames(video.read([9, 10, 34, 57]), [9, 10, 34, 57], expected)


def uncoded(content: bytes) -> bytes:
    """An MPEG-4 picture (ISO/IEC 14496-2, 6.2.5) made into one that only repeats the last: its bit `vop_coded` is 0."""
    start = content.index(b"\x00\x00\x01\xb6") + 4
    bits = "".join(f"{byte:08b}" for byte in content[start : start + 4])
    coded = bits.index("0", 2) + 1 + 1 + 4 + 1  # modulo_time_base, marker, 4 bits of time at 10 fps, marker
    bits = (bits[:coded] + "0" + "1" * 8)[: (coded // 8 + 1) * 8]
    return content[:start] + int(bits, 2).to_bytes(len(bits) // 8)


def test_mpeg4_packets_without_a_picture_are_not_counted(tmp_path):
    def empty(number, packet):
        return uncoded(bytes(packet)) if number in (7, 8, 30) else bytes(packet)

    path = rewrite(write_video(tmp_path / "full.avi", codec="mpeg4", g="60"), tmp_path / "gaps.avi", empty)
    expected = decode_plainly(path)
    video = VideoFile(path)
    assert (video.num_frames, video.num_listed) == (len(expected), 60)
    assert len(expected) < 60
    indices = [0, 7, 9, 31, len(expected) - 1]
    assert_same_frames(video.read(indices), indices, expected)


def test_file_that_starts_inside_a_group_of_pictures(tmp_path):
    options = {"g": "10", "bf": "3", "flags": "-cgop", "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0"}
    source = write_video(tmp_path / "whole.mkv", **options)
    with av.open(str(source)) as container:
        keys = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    # A recording that was started late: frames displayed before its first key frame need others that are not there.
    path = rewrite(source, tmp_path / "cut.mkv", lambda number, packet: bytes(packet) if number >= keys[2] else None)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    expected = decode_plainly(path)
    assert min(packet.pts for packet in packets) < packets[0].pts
    video = VideoFile(path)
    assert video.num_frames == len(expected)
    indices = [0, 1, len(expected) // 2, len(expected) - 1]
    assert_same_frames(video.read(indices), indices, expected)


def seconds_of_work(work: Callable[[], object]) -> float:
    """Processor time of the fastest of three runs, which other load on the machine affects little."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_the_last_frame_is_read_without_decoding_all(tmp_path):
    path = write_video(tmp_path / "long.mp4", num_frames=3000, g="10", preset="ultrafast")
    video = VideoFile(path)
    assert seconds_of_work(lambda: video.read([2999])) < seconds_of_work(lambda: decode_plainly(path, set())) / 2


def test_frames_can_be_requested_repeatedly_and_in_any_order(clip):
    indices = [50, 3, 3, 59, 0, 50]
    assert_same_frames(VideoFile(clip).read(indices), indices, decode_plainly(clip))


def test_read_works_again_and_after_closing(clip):
    expected = decode_plainly(clip)
    with VideoFile(clip) as video:
        assert_same_frames(video.read([55]), [55], expected)
        assert_same_frames(video.read([2]), [2], expected)
    assert_same_frames(video.read([30]), [30], expected)


@pytest.mark.parametrize("index", [-1, 60])
def test_frame_numbers_out_of_range_are_refused(clip, index):
    with pytest.raises(VideoError, match=rf"frames \[{index}\] were requested, but there are only 0 to 59"):
        VideoFile(clip).read([0, index])


def test_an_empty_request_is_refused(clip):
    with pytest.raises(ValueError, match="Request at least one frame"):
        VideoFile(clip).read([])


def test_start_and_end_choose_a_half_open_interval(clip):
    video = VideoFile(clip, start_seconds=1.95, end_seconds=3.0)
    assert video.num_frames == 10  # 2.0 to 2.9 seconds
    assert video.duration_seconds == pytest.approx(1)
    assert video.frame_seconds[0] == pytest.approx(2)
    assert_same_frames(video.read([0, 9]), [20, 29], decode_plainly(clip))
    with pytest.raises(VideoError, match="only 0 to 9"):
        video.read([10])


@pytest.mark.parametrize(("start", "end", "num_frames"), [(None, 0.05, 1), (5.9, None, 1), (0, 99, 60), (-5, 0.25, 3)])
def test_open_and_overlong_intervals(clip, start, end, num_frames):
    assert VideoFile(clip, start_seconds=start, end_seconds=end).num_frames == num_frames


@pytest.mark.parametrize(("start", "end"), [(6.0, None), (3, 3), (4, 2), (None, 0), (2.01, 2.09)])
def test_empty_interval_is_refused(clip, start, end):
    with pytest.raises(VideoError, match=r"no frame from start_seconds=.*6.000 seconds long"):
        VideoFile(clip, start_seconds=start, end_seconds=end)


def test_interval_in_a_file_without_display_times(tmp_path):
    path = write_video(tmp_path / "reordered.avi", codec="mpeg4", bf="2")
    video = VideoFile(path, start_seconds=1, end_seconds=1.2)
    assert_same_frames(video.read([0, 1]), [10, 11], decode_plainly(path))


def test_attributes_of_a_counted_file_do_not_change(tmp_path):
    path = write_video(tmp_path / "reordered.avi", codec="mpeg4", bf="2")
    for _ in range(50):  # once it was read from a container that was closed already
        video = VideoFile(path)
        assert (video.num_frames, video.num_listed, video.average_fps) == (60, 60, pytest.approx(10))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(VideoError, match=r"gone\.mp4: there is no such file"):
        VideoFile(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty: 0 bytes"),
        (b"not a video", "the file cannot be decoded"),
        (b"\x00" * 5000, "the file cannot be decoded (InvalidDataError: Invalid data found when processing input)"),
    ],
    ids=["empty", "text", "zeros"],
)
def test_non_video_files_are_refused(tmp_path, content, reason):
    (tmp_path / "broken.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=re.escape(f"broken.mp4: {reason}")) as refused:
        VideoFile(tmp_path / "broken.mp4")
    assert str(refused.value).count("broken.mp4") == 1


@pytest.mark.parametrize("name", ["clips.txt", "readme.nfo", "a.diz"])
def test_texts_are_no_videos(tmp_path, name):
    """FFmpeg draws them."""
    (tmp_path / name).write_text("clip.mp4 3\n" * 50)
    with pytest.raises(VideoError, match="cannot be decoded"):
        VideoFile(tmp_path / name)


def test_audio_only_files_are_refused(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="no video stream"):
        VideoFile(tmp_path / "sound.mp4")


def test_a_truncated_file_gives_its_frames_and_the_listed_number(clip):
    expected = decode_plainly(clip)
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 2 // 3])
    with VideoFile(clip) as video:
        assert 0 < video.num_frames < video.num_listed == 60
        whole = list(range(video.num_frames - 5))
        assert_same_frames(video.read(whole), whole, expected)
        with pytest.raises(VideoError, match=rf"frames \[59\] .*\({video.num_frames} of 60 listed\)"):
            video.read([59])


def test_erased_frames_are_reported_and_others_are_read(clip):
    expected = decode_plainly(clip)
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(clip.read_bytes())
    for packet in packets[20:40]:
        content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    clip.write_bytes(content)
    with VideoFile(clip) as video:
        assert_same_frames(video.read([3, 55]), [3, 55], expected)
        with pytest.raises(VideoError, match=r"only 2 of 3 requested frames can be decoded, not \[25\]"):
            video.read([3, 25, 55])


def test_corrupt_files_raise_only_video_errors(clip):
    content = clip.read_bytes()
    chance = random.Random(0)
    outcomes = set()
    for _ in range(60):
        broken = bytearray(content[: chance.choice([len(content), chance.randrange(len(content))])])
        for _ in range(chance.choice([0, 3, 30])):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        clip.write_bytes(broken)
        try:
            with VideoFile(clip) as video:
                outcomes.add(video.read([0, video.num_frames - 1]).ndim)
        except VideoError:
            outcomes.add("refused")
    assert outcomes == {4, "refused"}


@needs_data
@pytest.mark.parametrize("entry", ODD, ids=lambda entry: entry["name"])
def test_odd_files_give_the_requested_frames_or_a_video_error(entry):
    path = DATA / "odd" / entry["name"]
    num_frames = SHIFTED_STREAM.get(entry["name"], entry["decoded"])
    if not num_frames:
        with pytest.raises(VideoError):
            VideoFile(path)
        return
    with VideoFile(path) as video:
        assert video.num_frames == num_frames
        indices = [video.num_frames * third // 3 for third in (2, 0, 1)]
        if entry["name"] in ENCRYPTED:
            with pytest.raises(VideoError, match="all 3 requested frames are corrupt"):
                video.read(indices)
            return
        read = video.read(indices)
        assert read.shape == (3, 3, video.height, video.width)
        assert_same_frames(read, indices, decode_plainly(path, set(indices)))


@needs_data
@pytest.mark.parametrize(
    ("name", "quarter_turns", "size"),
    [
        ("decord__video_270.mov", 1, (568, 320)),
        ("media__h265_with_metadata_track.mp4", 3, (1920, 1080)),
        ("mp4parse-rust__video_rotation_90.mp4", 3, (100, 60)),
    ],
)
def test_phone_videos_are_rotated_upright(name, quarter_turns, size):
    path = DATA / "odd" / name
    with av.open(str(path)) as container:
        lying = next(container.decode(video=0)).to_ndarray(format="rgb24")
    video = VideoFile(path)
    assert (video.height, video.width) == size
    assert_same_frames(video.read([0]), [0], [np.rot90(lying, quarter_turns)])


@needs_data
def test_a_header_that_lists_too_many_frames():
    video = VideoFile(DATA / "odd/vision__hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi")
    assert (video.num_frames, video.num_listed) == (83, 84)
    with pytest.raises(VideoError, match="83 of 84 listed"):
        video.read([83])


@needs_data
@pytest.mark.parametrize("path", UCF[::14], ids=lambda path: path.stem)
def test_real_clips_with_irregular_times(path):
    expected = decode_plainly(path)
    indices = [*range(0, len(expected), 7), len(expected) - 1, 1]
    with VideoFile(path) as video:
        assert video.num_frames == len(expected)
        assert video.average_fps == pytest.approx(25, rel=0.01)
        assert_same_frames(video.read(indices), indices, expected)


@needs_data
def test_the_real_clips_are_of_both_kinds():
    def is_irregular(path: Path) -> bool:
        with av.open(str(path)) as container:
            times = [frame.pts for frame in container.decode(video=0)]
        return any(later <= earlier for earlier, later in itertools.pairwise(times))

    assert {is_irregular(path) for path in UCF[::14]} == {True, False}
