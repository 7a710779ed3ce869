"""The cache of transcoded clips: each is made once, and its size is limited."""

import asyncio
import time

import pytest

from side4video.atomic_files import replacing
from side4video.web.transcode_cache import TranscodeCache
from side4video.web.transcode_workers import NotDecodedError, decode_in_subprocess


def write_and_hang(path):
    with replacing(path) as temporary:
        temporary.write_bytes(bytes(1000))
        time.sleep(60)


def test_files_are_made_once_and_the_oldest_are_removed(tmp_path):
    made = []

    def writes(name, num_bytes):
        async def make(path):
            await asyncio.sleep(0.01)
            path.write_bytes(bytes(num_bytes))
            made.append(name)

        return make

    async def use():
        files = TranscodeCache(tmp_path, max_bytes=100, max_concurrent=2)
        paths = await asyncio.gather(*(files.get("a", ".mp4", writes("a", 40)) for _ in range(5)))
        assert len(set(paths)) == 1
        b = await files.get("b", ".mp4", writes("b", 40))
        assert await files.get("a", ".mp4", writes("a", 40)) == paths[0]  # was asked for later than b
        await files.get("c", ".mp4", writes("c", 40))
        assert paths[0].exists()
        assert not b.exists()
        await files.get("large", ".mp4", writes("large", 500))
        assert [path.stat().st_size for path in tmp_path.iterdir()] == [500]
        await files.get("b", ".mp4", writes("b", 40))

    asyncio.run(use())
    assert made == ["a", "b", "c", "large", "b"]


def test_failed_transcoding_is_retried(tmp_path):
    async def fail(path):
        raise OSError("no")

    async def succeed(path):
        path.write_bytes(b"x")

    async def use():
        files = TranscodeCache(tmp_path, max_bytes=100, max_concurrent=1)
        with pytest.raises(OSError, match="no"):
            await files.get("a", ".jpg", fail)
        return await files.get("a", ".jpg", succeed)

    assert asyncio.run(use()).read_bytes() == b"x"


def test_nothing_stays_of_a_file_whose_process_is_killed(tmp_path):
    """Such files would not count for the limit: each request would add one."""
    seen = []

    async def make(path):
        try:
            await decode_in_subprocess(write_and_hang, path, seconds=4)
        finally:
            seen.extend(other.stat().st_size for other in tmp_path.iterdir())

    files = TranscodeCache(tmp_path, max_bytes=100, max_concurrent=1)
    with pytest.raises(NotDecodedError):
        asyncio.run(files.get("a", ".mp4", make))
    assert 1000 in seen
    assert list(tmp_path.iterdir()) == []
