"""Searching an index from end to end, against brute force by the embedder."""

import shutil
from copy import copy

import numpy as np
import pytest
import torch

from search.windows import windows_of
from side4video import Embedder, VideoIndex
from side4video.data.lists.annotations import LabelledVideo
from side4video.models.similarity import VideoFeatures, similarity
from side4video.search import video_index
from side4video.search.indexing import update_index
from side4video.search.metadata import MetadataFile
from side4video.search.stores.filters import Condition, Filter
from side4video.search.stores.open_store import open_store
from side4video.search.video_index import IndexReplacedError
from side4video.search.windows import cut_windows
from side4video.tasks.clips import evaluation_clips
from side4video.video.decoding import VideoError

ROUNDING = 1e-4
"""Of scores, from embeddings that are stored in 16 bits: videos closer than that may change places."""
TEXTS = ["a star moves clockwise", "a ring", "something else in the corner"]


def make_index(folder, model, inputs, **options):
    store = open_store(folder, create=True)
    report = update_index(store, model, [str(path) for path in inputs], address=folder, workers=0, **options)
    store.close()
    return report


def open_index(folder):
    return VideoIndex.open(folder, device="cpu")


def test_results_equal_brute_force(adapter, model, videos, tmp_path):
    make_index(tmp_path / "index", model, [videos])
    embedder = Embedder(adapter, device="cpu")
    paths = sorted(videos.glob("*/*.mp4"))
    expected = embedder.rank(TEXTS, embedder.embed_videos(paths, workers=0), top_k=len(paths))
    found = open_index(tmp_path / "index").search_many(TEXTS, top_k=5)
    for text, ranked, best in zip(TEXTS, expected, found, strict=True):
        scores, fifth = dict(ranked), ranked[4][1]
        assert [video.score for video in best] == pytest.approx(
            [scores[video.file.path] for video in best], abs=ROUNDING
        )
        assert len({video.file.path for video in best}) == 5, text
        assert all(scores[video.file.path] >= fifth - 2 * ROUNDING for video in best), text
        assert [video.score for video in best] == sorted((video.score for video in best), reverse=True)


def test_an_index_that_another_model_made_again_is_not_searched(model, videos, tmp_path, monkeypatch):
    make_index(tmp_path / "index", model, [videos])
    clip = sorted(videos.glob("*/*.mp4"))[0]
    index = open_index(tmp_path / "index")
    monkeypatch.setattr(video_index, "CHECK_SECONDS", 0.0)
    searches = [
        lambda: index.search("a star"),
        lambda: index.search_like(clip),
        lambda: index.search_combined(["a star", "a ring"]),
    ]
    moved = copy(model)
    moved.name = "elsewhere/run"
    for same in (model, moved):
        shutil.rmtree(tmp_path / "index")
        make_index(tmp_path / "index", same, [videos])
        assert all(search() for search in searches)
    other = copy(model)
    other.fingerprint = "-".join([*model.fingerprint.split("-")[:2], "other"])
    shutil.rmtree(tmp_path / "index")
    make_index(tmp_path / "index", other, [videos])
    for search in searches:
        with pytest.raises(IndexReplacedError, match=r"index was made again with another model.*Open it again"):
            search()
    index.close()


def test_best_windows_of_long_videos_equal_brute_force(adapter, model, tmp_path, write_noise):
    durations = {"a.mp4": 51.0, "b.mp4": 9.0, "c.mp4": 21.0}
    for seed, (name, seconds) in enumerate(durations.items()):
        write_noise(tmp_path / "videos" / name, seconds, seed)
    report = make_index(tmp_path / "index", model, [tmp_path / "videos"])
    embedder = Embedder(adapter, device="cpu")
    parts = [
        LabelledVideo(tmp_path / "videos" / name, None, name, start_seconds=start, end_seconds=end)
        for name, seconds in durations.items()
        for start, end in cut_windows(seconds)
    ]
    assert report.windows == len(parts) > 12
    clips = evaluation_clips(
        parts, config=embedder.adapter.config, backbone=embedder.model.backbone, num_clips=1, num_crops=1
    )
    with torch.inference_mode():
        features = VideoFeatures.concatenate([embedder.model.embed_videos(clips[n].frames) for n in range(len(parts))])
    texts = embedder.embed_texts(TEXTS).features
    scores = similarity(texts, features, embedder.adapter.config.text.similarity).numpy()
    index = open_index(tmp_path / "index")
    for row, found in zip(scores, index.search_many(TEXTS), strict=True):
        assert len(found) == 3
        for video in found:
            own = [place for place, part in enumerate(parts) if str(part.path) == video.file.path]
            (window,) = (place for place in own if parts[place].start_seconds == video.start_seconds)
            assert parts[window].end_seconds == video.end_seconds
            assert video.score == pytest.approx(row[window], abs=1e-3)
            assert row[window] == pytest.approx(row[own].max(), abs=2e-3)
            for match in video.matches:
                assert video.start_seconds <= match.seconds < video.end_seconds


def test_long_video_does_not_crowd_out_others(model, tmp_path, write_noise):
    write_noise(tmp_path / "videos/long.mp4", 120.0, 1)
    for seed in range(3):
        write_noise(tmp_path / f"videos/short{seed}.mp4", 4.0, seed + 2)
    make_index(tmp_path / "index", model, [tmp_path / "videos"])
    index = open_index(tmp_path / "index")
    for text in TEXTS:
        narrow, wide = index.search(text, top_k=4, shortlist=1), index.search(text, top_k=4, shortlist=1000)
        assert len({video.file.path for video in narrow}) == 4
        assert {video.file.path for video in narrow} == {video.file.path for video in wide}


def test_search_like_with_indexed_and_new_examples(model, videos, tmp_path):
    make_index(tmp_path / "index", model, [videos])
    index = open_index(tmp_path / "index")
    known = sorted(videos.glob("*/*.mp4"))[2]
    stranger = shutil.copy(known, tmp_path / "stranger.mp4")
    inside, outside = index.search_like(known, top_k=3), index.search_like(stranger, top_k=4)
    assert outside[0].file.path == str(known)
    assert outside[0].score == pytest.approx(1, abs=1e-5)
    assert [video.file.path for video in inside] == [video.file.path for video in outside[1:]]
    windows = {path: windows_of(index._store, path)[0].mean for path in index.files()}
    expected = sorted(windows, key=lambda path: -float(windows[path] @ windows[str(known)]))
    assert [video.file.path for video in outside] == expected[:4]
    for video in outside:
        assert len(video.matches) == 3
        assert [match.similarity for match in video.matches] == sorted(
            (match.similarity for match in video.matches), reverse=True
        )


def test_unreadable_example_is_an_error(model, videos, tmp_path):
    make_index(tmp_path / "index", model, [videos])
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        open_index(tmp_path / "index").search_like(tmp_path / "broken.mp4")


def test_filters(model, videos, tmp_path):
    paths = sorted(map(str, videos.glob("*/*.mp4")))
    rows = tuple((path, {"camera": "north" if place < 3 else "south"}) for place, path in enumerate(paths[:6]))
    make_index(tmp_path / "index", model, [videos], metadata=MetadataFile(tmp_path / "facts.csv", rows))
    index = open_index(tmp_path / "index")
    assert index.columns() == {"camera": str}
    north = index.search("a star", filter=Filter((Condition("camera", "=", "north"),)))
    assert sorted(video.file.path for video in north) == paths[:3]
    one = index.search("a star", filter=Filter(path=f"{videos}/{'*'}/{'*'}", conditions=()), top_k=20)
    assert len(one) == len(paths)
    assert index.search("a star", filter=Filter(path="/elsewhere/*")) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: index.search(" "), "leave none empty"),
        (lambda index: index.search_many([]), "leave none empty"),
        (lambda index: index.search("a star", top_k=0), "must be a whole number of 1 or more"),
        (lambda index: index.search("a star", shortlist=0), "must be a whole number of 1 or more"),
    ],
)
def test_invalid_queries_are_refused(model, videos, tmp_path, call, message):
    make_index(tmp_path / "index", model, [videos])
    with pytest.raises(ValueError, match=message):
        call(open_index(tmp_path / "index"))


def test_opening_a_missing_index_is_refused_and_creates_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not an index"):
        VideoIndex.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_stored_embeddings_equal_the_embedder(adapter, model, videos, tmp_path):
    make_index(tmp_path / "index", model, [videos])
    embedder = Embedder(adapter, device="cpu")
    paths = sorted(videos.glob("*/*.mp4"))
    features = embedder.embed_videos(paths, workers=0).features
    store = open_store(tmp_path / "index")
    for place, path in enumerate(paths):
        (window,) = windows_of(store, str(path))
        frames = features.frames[place].numpy()
        lengths = np.linalg.norm(frames, axis=1, keepdims=True)
        mean = frames.mean(axis=0)
        np.testing.assert_allclose(window.frames.astype(np.float32), frames / lengths, atol=1e-3)
        np.testing.assert_allclose(window.frame_weights, features.weights[place].numpy(), atol=1e-5)
        np.testing.assert_allclose(window.mean, mean / np.linalg.norm(mean), atol=1e-3)
        assert window.frame_seconds.tolist() == sorted(window.frame_seconds.tolist())
        assert (window.start_seconds, window.end_seconds) == (0.0, window.file.duration_seconds)
