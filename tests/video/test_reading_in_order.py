"""`VideoFile.read_in_order` gives the frames of `read`, each decoded once, one at a time."""

from itertools import islice

import av
import numpy as np
import pytest
import torch

from side4video.video import packets
from side4video.video.decoding import VideoError, VideoFile
from video.test_video_file import decode_plainly, write_video

FILES = {
    "reordered.mp4": {"g": "10", "bf": "2"},
    "one group.mp4": {"g": "600", "bf": "0"},
    "no times.avi": {"codec": "mpeg4", "bf": "2"},
    "other.mkv": {"g": "7"},
    "stream.ts": {"g": "10", "bf": "2"},
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("step", [1, 4, 59])
def test_frames_are_those_of_a_plain_decode(tmp_path, name, step):
    path = write_video(tmp_path / name, **FILES[name])
    expected = decode_plainly(path)
    with VideoFile(path) as video:
        indices = list(range(0, video.num_frames, step))
        frames = list(video.read_in_order(indices))
        pairs = zip(indices, frames, strict=True)
        assert all(np.array_equal(frame.permute(1, 2, 0).numpy(), expected[index]) for index, frame in pairs)
        assert torch.equal(video.read(indices), torch.stack(frames)), "and reading goes on as before"


def test_a_part_counts_from_its_own_beginning(tmp_path):
    path = write_video(tmp_path / "clip.mp4", g="10")
    with VideoFile(path, start_seconds=2.0, end_seconds=4.0) as video:
        (frame,) = video.read_in_order([3])
    assert np.array_equal(frame.permute(1, 2, 0).numpy(), decode_plainly(path)[23])


def test_no_packet_is_decoded_twice(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", g="10", bf="0")
    with VideoFile(path) as video:
        decoded = []
        plain = packets.decode

        def counted(compressed, stream):
            return plain((decoded.append(packet.pts) or packet for packet in compressed), stream)

        monkeypatch.setattr(packets, "decode", counted)
        assert len(list(video.read_in_order(range(0, 60, 2)))) == 30
    assert len(decoded) == len(set(decoded)) <= 60


def test_a_false_key_frame_flag_does_not_change_frames(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", g="30", bf="2")
    with VideoFile(path) as video:
        table = video._table
        false = sorted({*table.keys, table.times[17], table.times[44]})
        object.__setattr__(table, "keys", false)
        frames = list(video.read_in_order(range(60)))
    assert all(np.array_equal(f.permute(1, 2, 0).numpy(), e) for f, e in zip(frames, decode_plainly(path), strict=True))


def test_wrong_numbers_are_refused(tmp_path):
    with VideoFile(write_video(tmp_path / "clip.mp4")) as video:
        for wrong in ([3, 2], [1, 1]):
            with pytest.raises(ValueError, match="do not ascend"):
                next(video.read_in_order(wrong))
        with pytest.raises(VideoError, match="only 0 to 59"):
            next(video.read_in_order([60]))


def test_a_damaged_file_gives_what_is_before_the_damage(tmp_path):
    path = write_video(tmp_path / "clip.mp4", g="10", bf="0")
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0) if packet.size][40]
    content = bytearray(path.read_bytes())
    content[place + 4 :] = bytes(len(content) - place - 4)
    path.write_bytes(content)
    with VideoFile(path) as video:
        frames = video.read_in_order(range(60))
        assert len(list(islice(frames, 40))) == 40
        with pytest.raises(VideoError, match=r"only 40 of 60 .*corrupt"):
            next(frames)
