"""Members of tar archives are read like files, and damaged archives are refused."""

import io
import os
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from side4video.checking.content import detect_other_type, file_size, hash_content
from side4video.video.decoding import VideoCache, VideoError, open_video
from side4video.video.file_access import exists, is_on_disk, open_bytes, state_of
from side4video.video.remote import video_path
from side4video.video.shard_index import ShardError, shard_index, shard_places
from side4video.video.shard_paths import RangeFile, find_shards, is_shard_pattern, names_in_shard
from side4video.video.video_cache import file_key
from small_shards import write_tar, write_with_webdataset
from small_videos import write_grey_video


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [write_grey_video(folder / f"{n}.mp4", range(20 * n, 20 * n + 12)) for n in range(3)]


@pytest.fixture(scope="module")
def shard(clips, tmp_path_factory):
    samples = [{"__key__": f"{n:04d}", "mp4": clip.read_bytes(), "txt": f"clip {n}"} for n, clip in enumerate(clips)]
    return write_with_webdataset(tmp_path_factory.mktemp("shards") / "a,b: c" / "000000.tar", samples)


def test_frames_of_a_member_equal_those_of_the_file(clips, shard):
    for number, clip in enumerate(clips):
        with open_video(clip) as file, open_video(shard / f"{number:04d}.mp4") as member:
            assert member.num_frames == file.num_frames == 12
            np.testing.assert_array_equal(member.read_pictures([0, 5, 11]), file.read_pictures([0, 5, 11]))


def test_state_bytes_and_hash_of_a_member(clips, shard):
    member = shard / "0001.mp4"
    assert state_of(member) == (clips[1].stat().st_size, shard.stat().st_mtime_ns)
    assert file_size(member) == clips[1].stat().st_size
    with open_bytes(member) as file:
        assert file.read() == clips[1].read_bytes()
    assert hash_content(member) == hash_content(clips[1])
    assert detect_other_type(member) is None
    assert exists(member)
    assert not is_on_disk(member)
    assert names_in_shard(shard) == {"0000.mp4", "0001.mp4", "0002.mp4"}


def test_a_missing_member_is_missing(shard):
    assert not exists(shard / "9999.mp4")
    with pytest.raises(VideoError, match="there is no such file") as error:
        open_video(shard / "9999.mp4")
    assert error.value.fault == "missing"


def test_a_long_member_is_listed_by_its_sample_table(tmp_path):
    clip = write_grey_video(tmp_path / "long.mp4", [n % 200 for n in range(1200)], height=16, width=16)
    shard = write_tar(tmp_path / "0.tar", [("before.bin", b"x" * 1000), ("long.mp4", clip.read_bytes())])
    with open_video(clip) as file, open_video(shard / "long.mp4", cache=VideoCache(tmp_path / "tables")) as member:
        assert member.num_frames == file.num_frames
        np.testing.assert_array_equal(member.read_pictures([1100]), file.read_pictures([1100]))


def test_a_changed_shard_is_indexed_again(clips, tmp_path):
    shard = write_tar(tmp_path / "0.tar", [("a.mp4", clips[0].read_bytes())])
    key = file_key(shard / "a.mp4")
    with open_video(shard / "a.mp4") as video:
        assert video.read_pictures([0]).mean() < 10
    write_tar(shard, [("first.txt", "moves the others"), ("a.mp4", clips[2].read_bytes())])
    os.utime(shard, ns=(1, 1))
    assert file_key(shard / "a.mp4") != key
    with open_video(shard / "a.mp4") as video:
        assert video.read_pictures([0]).mean() > 30


def test_the_index_is_kept_on_disk_and_a_corrupt_one_is_written_again(shard, tmp_path, monkeypatch):
    monkeypatch.setenv("SIDE4VIDEO_CACHE", str(tmp_path))
    index = shard_index(shard)
    [file] = tmp_path.glob("shards/*.index")
    whole = file.read_bytes()
    monkeypatch.setattr("side4video.video.shard_index._list_members", None)  # nothing is listed again
    assert shard_index(shard) == index
    monkeypatch.undo()
    monkeypatch.setenv("SIDE4VIDEO_CACHE", str(tmp_path))
    for corrupt in (b"", b"{}\n", whole[:-9], b'{"places": {"a": [1]}, "ignored": 0}\n'):
        file.write_bytes(corrupt)
        assert shard_index(shard) == index
        assert file.read_bytes() == whole


def test_indexes_that_are_not_used_are_removed(shard, tmp_path, monkeypatch):
    monkeypatch.setenv("SIDE4VIDEO_CACHE", str(tmp_path))
    names = ("long-ago", "lately")
    for name, days in zip(names, (91, 89), strict=True):
        file = tmp_path / f"shards/{name}.index"
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (time.time() - 86_400 * days,) * 2)
    shard_index(shard)
    [own] = {path.stem for path in tmp_path.glob("shards/*")} - {"lately"}
    os.utime(tmp_path / f"shards/{own}.index", (0, 0))
    shard_index(shard)
    assert time.time() - (tmp_path / f"shards/{own}.index").stat().st_mtime < 100, "it was used"


def test_no_place_for_an_index_is_no_error(shard, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIDE4VIDEO_CACHE", str(tmp_path / "file/below"))
    assert list(shard_index(shard).texts) == ["0000.txt", "0001.txt", "0002.txt"]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_every_tar_format(format, tmp_path):
    names = ["./folder/0.mp4", f"{'long' * 20}/{'name' * 20}.mp4"]
    if format != tarfile.USTAR_FORMAT:
        names += [f"{'long' * 50}.mp4", "clip é.mp4"]
    shard = write_tar(tmp_path / "0.tar", [(name, name.encode()) for name in names], format=format)
    assert list(shard_places(shard)) == [name.removeprefix("./") for name in names]
    for name in names:
        with open_bytes(shard / name) as file:
            assert file.read() == name.encode()


def test_an_archive_of_the_tar_program_equals_its_files(clips, tmp_path):
    shard = tmp_path / "0.tar"
    subprocess.run(["tar", "cf", shard, "-C", clips[0].parent, "."], check=True)
    assert sorted(shard_places(shard)) == ["0.mp4", "1.mp4", "2.mp4"]
    with open_bytes(shard / "2.mp4") as file:
        assert file.read() == clips[2].read_bytes()


def test_links_devices_and_hidden_members_are_ignored(tmp_path):
    shard = write_tar(
        tmp_path / "0.tar", [("._0.mp4", b"x"), ("__meta__", b"x"), (".git/a.mp4", b"x"), ("0.mp4", b"y")]
    )
    with tarfile.open(shard, "a") as archive:
        for name, kind in (("1.mp4", tarfile.SYMTYPE), ("2.mp4", tarfile.LNKTYPE), ("3.mp4", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    index = shard_index(shard)
    assert list(index.places) == ["0.mp4"]
    assert index.num_ignored == 6


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/a.mp4", "a/../../b.mp4"])
def test_names_outside_of_the_archive_are_refused(name, tmp_path):
    shard = write_tar(tmp_path / "0.tar", [(name, b"x")])
    with pytest.raises(ShardError, match=r"a name outside of the archive. Write the archive with relative names"):
        shard_index(shard)


def test_names_that_occur_twice_are_refused(tmp_path):
    shard = write_tar(tmp_path / "0.tar", [("a.mp4", b"x"), ("./a.mp4", b"y")])
    with pytest.raises(ShardError, match=r"'a.mp4' twice"):
        shard_index(shard)


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix"]])
def test_sparse_members_are_refused(options, tmp_path):
    with (tmp_path / "a.mp4").open("wb") as file:
        file.seek(2**20)
        file.write(b"end")
    subprocess.run(["tar", "cf", "0.tar", "--sparse", *options, "a.mp4"], check=True, cwd=tmp_path)
    with pytest.raises(ShardError, match=r"sparse file. Write the archive without --sparse"):
        shard_index(tmp_path / "0.tar")


@pytest.mark.parametrize("length", [100, 512, 700, 1536, 1600, 2048, 2049])
def test_truncated_archives_are_refused(length, tmp_path):
    whole = write_tar(tmp_path / "whole.tar", [("a.mp4", b"x" * 600), ("b.mp4", b"y" * 100)])
    assert len(shard_places(whole)) == 2
    (tmp_path / "0.tar").write_bytes(whole.read_bytes()[:length])
    with pytest.raises(ShardError, match=r"truncated|not a whole tar archive"):
        shard_index(tmp_path / "0.tar")


def test_members_behind_a_corrupt_header_are_not_lost_silently(tmp_path):
    shard = write_tar(tmp_path / "0.tar", [("a.mp4", b"x" * 600), ("b.mp4", b"y" * 100)])
    content = bytearray(shard.read_bytes())
    content[1536 + 150] ^= 1  # in the checksum of the second header
    shard.write_bytes(content)
    with pytest.raises(ShardError, match="corrupt at byte 1,536"):
        shard_index(shard)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: 0 bytes"),
        (b"\x1f\x8b\x08" + b"x" * 600, "is compressed.*gunzip"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 600, "is compressed.*zstd -d"),
        (b"<html>" + b"x" * 600, "not a whole tar archive"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    (tmp_path / "0.tar").write_bytes(content)
    with pytest.raises(ShardError, match=message):
        shard_index(tmp_path / "0.tar")


def test_a_range_of_a_file():
    part = io.BufferedReader(RangeFile(io.BytesIO(b"0123456789"), offset=2, size=5))
    assert part.read() == b"23456"
    assert (part.seek(-2, io.SEEK_END), part.read(9), part.read(1)) == (3, b"56", b"")
    assert (part.seek(1), part.read(2), part.seek(9), part.read(1)) == (1, b"34", 9, b"")


# --- which shards -----------------------------------------------------------------------------------------------------


@pytest.fixture
def numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train/000000.tar", "train/000001.tar", "train/000002.tar", "more/a.tar"):
        write_tar(tmp_path / name, [(f"{name[:2]}.mp4", b"x")])
    (tmp_path / "train/000000.parquet").write_bytes(b"")
    (tmp_path / "train/.hidden.tar").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("train", ["000000", "000001", "000002"]),
        (".", ["a", "000000", "000001", "000002"]),
        ("train/{000000..000002}.tar", ["000000", "000001", "000002"]),
        ("train/{000002,000000}.tar", ["000002", "000000"]),
        ("train/*1.tar", ["000001"]),
        ("train/00000{0..1}.tar::more/a.tar", ["000000", "000001", "a"]),
        ("more/a.tar", ["a"]),
    ],
)
def test_shards_of_a_source(source, names, numbered):
    assert [shard.stem for shard in find_shards(source)] == names


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("train/{000000..000004}.tar", "2 of 5 shards .* do not exist .*: train/000003.tar, train/000004.tar. Correct"),
        ("train/{000000..000001}.tar::train/{000001..000002}.tar", "names shards twice: train/000001.tar"),
        ("train/{000000..000001.tar", "has unequal braces"),
        ("train/x*.tar", "matches no file"),
        ("train/{0..1}.tar.gz", "are compressed.*gunzip"),
        ("pipe:cat train/000000.tar", "is a command, which is not run"),
        ("none.tar", "1 of 1 shards of none.tar do not exist"),
    ],
)
def test_sources_that_name_no_shards(source, message, numbered):
    with pytest.raises(ShardError, match=message):
        find_shards(source)


def test_braces_in_a_name_on_disk_are_no_range(numbered):
    write_tar(numbered / "{0..1}.tar", [("a.mp4", b"x")])
    assert [shard.name for shard in find_shards("{0..1}.tar")] == ["{0..1}.tar"]


def test_patterns_that_are_no_shards():
    assert not any(map(is_shard_pattern, ["clips/{a,b}/*.mp4", "a::b", "s3://bucket/000000.tar", "clips"]))


def test_a_folder_called_tar_is_a_folder(clips, tmp_path):
    (tmp_path / "set.tar").mkdir()
    clip = tmp_path / "set.tar/0.mp4"
    clip.write_bytes(clips[0].read_bytes())
    assert is_on_disk(clip)
    with open_video(clip) as video:
        assert video.num_frames == 12


# --- at addresses -----------------------------------------------------------------------------------------------------


def test_members_at_an_address_are_read_by_ranges(clips, shard, monkeypatch):
    remote = video_path("memory://shards/000000.tar")
    remote.write_bytes(shard.read_bytes())
    pattern = "memory://shards/{000000..000000}.tar"
    for source in (pattern, Path(pattern), "memory:/shards/*.tar"):  # a path drops a slash
        assert find_shards(source) == [remote]
    assert find_shards(video_path("memory://shards")) == [remote]
    with open_video(clips[2]) as file, open_video(remote / "0002.mp4") as member:
        np.testing.assert_array_equal(member.read_pictures([3]), file.read_pictures([3]))
    with pytest.raises(ShardError, match="1 of 2 shards"):
        find_shards("memory://shards/{000000..000001}.tar")
