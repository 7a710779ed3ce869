"""Videos that crash their loader process during indexing are listed, and all others are indexed."""

from pathlib import Path

import pytest

from crashing_transforms import CrashingEvalTransform, KilledEvalTransform
from side4video.data.loading.worker_watchdog import LostWorkerError
from side4video.search.indexing import update_index
from side4video.search.stores.open_store import open_store
from side4video.tasks import clips


@pytest.fixture
def update(model, videos, tmp_path, monkeypatch):
    """`update(transform)` indexes the folder of videos with two loader processes; white frames end them."""

    def run(transform):
        monkeypatch.setattr(clips, "EvalTransform", transform)
        store = open_store(tmp_path / "index", create=True)
        try:
            report = update_index(store, model, [str(videos)], address=tmp_path / "index", workers=2)
            return report, sorted(store.files())
        finally:
            store.close()

    return run


def test_videos_that_crash_the_decoder_are_listed_and_others_indexed(update, videos, make_video, write_noise):
    """A short video, and a long one that opens without an error and crashes in each of its parts."""
    whole = sorted(map(str, videos.glob("*/*.mp4")))
    white = [str(make_video(videos / name, [255] * frames)) for name, frames in (("long.mp4", 900), ("short.mp4", 20))]
    long_and_well = str(write_noise(videos / "noise.mp4", 90.0))
    report, indexed = update(CrashingEvalTransform)
    reason = "its decoder crashed the process that read it (SIGABRT). Re-encode it, or leave it out."
    assert [(video.name, video.reason) for video in report.unread] == [(path, reason) for path in white]
    assert indexed == sorted([*whole, long_and_well])
    assert report.windows == 8 + 17
    for path in [*whole, long_and_well, white[0]]:
        Path(path).unlink()
    report, indexed = update(CrashingEvalTransform)
    assert [video.name for video in report.unread] == white[1:], "one by itself does not end this process"
    assert indexed == []


def test_process_killed_by_the_system_is_reported(update, videos, make_video):
    make_video(videos / "zzz.mp4", [255] * 20)
    with pytest.raises(LostWorkerError, match=r"SIGKILL\) ended while it read .*zzz\.mp4"):
        update(KilledEvalTransform)
