"""Subtitles of an index: reading, updating, searching, and the scores against brute force."""

import json
import math
import re
import shutil

import pytest

from search.windows import INFO, make_windows
from side4video import VideoIndex
from side4video.cli import main
from side4video.search.indexing import update_index
from side4video.search.path_changes import forget, relocate
from side4video.search.stores.filters import Filter
from side4video.search.stores.open_store import open_store
from side4video.search.stores.records import VideoSubtitles
from side4video.search.subtitle_index import SubtitleIndex
from side4video.search.windows import cut_windows
from side4video.subtitles.cues import Cue
from subtitle_videos import write_matroska

SRT = "1\n00:00:00,000 --> 00:00:01,000\n{}\n\n2\n00:00:01,000 --> 00:00:01,900\nAnd then <i>silence</i>.\n"


@pytest.fixture
def folder(videos, tmp_path):
    """`folder.update()` indexes; `folder.paths` are the videos, of which the first three have subtitles."""
    paths = sorted(videos.rglob("*.mp4"))
    for number, text in enumerate(("A zebra runs to the river.", "The lion sleeps.", "A zebra and a lion.")):
        paths[number].with_suffix(".en.srt").write_text(SRT.format(text))
    return videos, paths


@pytest.fixture
def update(model, folder, tmp_path):
    def run(**options):
        store = open_store(tmp_path / "index", create=True)
        report = update_index(store, model, [str(folder[0])], address=tmp_path / "index", workers=0, **options)
        subtitles = store.subtitles()
        store.close()
        return report, subtitles

    return run


@pytest.fixture
def index(update, tmp_path):
    update()
    index = VideoIndex.open(tmp_path / "index", device="cpu")
    yield index
    index.close()


def texts(subtitles, path):
    return [cue.text for cue in subtitles[str(path)].cues]


def test_files_are_read_once_and_again_after_changes(update, folder):
    _, paths = folder
    report, subtitles = update()
    assert (report.with_subtitles, report.unread_subtitles, report.embedded) == (3, [], 8)
    assert texts(subtitles, paths[0]) == ["A zebra runs to the river.", "And then silence."]
    assert {cue.language for cue in subtitles[str(paths[0])].cues} == {"en"}
    again, same = update()
    assert (again.with_subtitles, again.embedded, same) == (3, 0, subtitles)
    paths[0].with_suffix(".en.srt").write_text(SRT.format("A gnu."))
    paths[1].with_suffix(".en.srt").unlink()
    paths[3].with_suffix(".vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.000\nA new one")
    report, subtitles = update()
    assert (report.with_subtitles, report.embedded, report.unchanged) == (3, 0, 8)
    assert texts(subtitles, paths[0])[0] == "A gnu."
    assert texts(subtitles, paths[1]) == []
    assert texts(subtitles, paths[3]) == ["A new one"]


def test_subtitles_follow_moves_and_removals(update, folder, tmp_path):
    videos, paths = folder
    update()
    moved = videos / "moved.mp4"
    paths[0].rename(moved)
    paths[0].with_suffix(".en.srt").rename(videos / "moved.en.srt")
    paths[1].unlink()
    report, subtitles = update()
    assert (report.moved, report.removed, report.with_subtitles) == (1, 2, 2)
    assert texts(subtitles, moved)[0] == "A zebra runs to the river."
    assert {str(paths[0]), str(paths[1])}.isdisjoint(subtitles)
    store = open_store(tmp_path / "index")
    renamed = videos.rename(tmp_path / "renamed")
    relocate(store, str(videos), str(renamed))
    assert texts(store.subtitles(), renamed / "moved.mp4")[0] == "A zebra runs to the river."
    forget(store, str(renamed))
    assert store.subtitles() == {}
    store.close()


def test_unreadable_subtitles_are_listed_and_tried_again(update, folder):
    _, paths = folder
    broken = paths[4].with_suffix(".srt")
    broken.write_text("no subtitles")
    paths[5].with_suffix(".srt").write_bytes(SRT.format("Größe").encode("cp1252"))
    for _ in range(2):
        report, subtitles = update()
        assert [(one.name, "no cues" in one.reason) for one in report.unread_subtitles] == [(str(broken), True)]
        assert report.with_subtitles == 4
    assert texts(subtitles, paths[5])[0] == "Größe"
    broken.write_text(SRT.format("Now."))
    assert update()[0].unread_subtitles == []


def test_scores_are_pictures_plus_weighted_subtitles(index, folder):
    _, paths = folder
    pictures = {one.file.path: one.score for one in index.search("zebra lion", top_k=8, subtitle_weight=0)}
    both = {one.file.path: one for one in index.search("zebra lion", top_k=8, subtitle_weight=0.5)}
    zebra = lion = math.log1p(3 / 2)  # of three windows with subtitles two contain each word
    shares = dict(zip(map(str, paths), [zebra / (zebra + lion), lion / (zebra + lion), 1.0], strict=False))
    for path, score in pictures.items():
        assert both[path].subtitle_score == pytest.approx(shares.get(path, 0), abs=1e-6)
        assert both[path].score == pytest.approx(score + 0.5 * shares.get(path, 0), abs=1e-6)
    (found, *_) = both[str(paths[2])].subtitles
    assert (found.text, found.marked("<", ">")) == ("A zebra and a lion.", "A <zebra> and a <lion>.")
    (default, *_) = index.search("zebra lion", top_k=1)
    assert default.file.path == str(paths[2])


def test_windows_outside_the_shortlist_of_pictures_are_found(index, folder):
    pictures = index.search("zebra", top_k=1, shortlist=2, subtitle_weight=0)
    found = index.search("zebra", top_k=1, shortlist=2, subtitle_weight=10)
    assert found[0].file.path in {str(folder[1][0]), str(folder[1][2])}
    assert pictures[0].subtitles == ()


def test_filters_hold_for_subtitles_too(index, folder):
    only = Filter(path=str(folder[1][5]))
    assert [one.file.path for one in index.search("zebra", filter=only)] == [str(folder[1][5])]


def test_unwanted_words_and_combined_texts(index, folder):
    _, paths = folder
    parts = {path: one.subtitle_score for path, one in by_path(index.search("zebra", top_k=8)).items()}
    others = {path: one.subtitle_score for path, one in by_path(index.search("lion", top_k=8)).items()}
    both = by_path(index.search_combined(["zebra", "lion"], top_k=8))
    less = by_path(index.search_combined("zebra", unwanted="lion", top_k=8))
    with_example = by_path(index.search_combined("zebra", like=paths[7], top_k=8))
    for path in map(str, paths):
        assert both[path].subtitle_score == pytest.approx((parts[path] + others[path]) / 2)
        assert less[path].subtitle_score == pytest.approx(parts[path] - others[path])
        if path in with_example:
            assert with_example[path].subtitle_score == pytest.approx(parts[path] / 2)


def by_path(results):
    return {one.file.path: one for one in results}


def test_the_cue_at_the_best_moment_is_shown_if_no_word_is_found(index, folder):
    found = by_path(index.search("nothing of it", top_k=8))[str(folder[1][0])]
    (cue,) = found.subtitles
    assert cue.found == ()
    best = max(found.matches, key=lambda match: match.similarity).seconds
    assert cue.start_seconds <= best < cue.end_seconds


def test_a_change_by_another_process_is_seen(index, update, folder):
    index.search("zebra")
    folder[1][6].with_suffix(".srt").write_text(SRT.format("An aardvark."))
    update()
    assert index.search("aardvark", top_k=1)[0].file.path == str(folder[1][6])


def test_filters_use_the_present_metadata(index, folder, tmp_path):
    _, paths = folder
    store = open_store(tmp_path / "index")
    for camera, other in (("north", "south"), ("south", "north")):
        store.set_metadata({str(path): {"camera": camera if path == paths[0] else other} for path in paths})
        found = by_path(index.search("zebra", top_k=8, filter=index.filter([f"camera={camera}"])))
        assert found.keys() == {str(paths[0])}
        assert found[str(paths[0])].subtitle_score == 1
        others = by_path(index.search("zebra", top_k=8, filter=index.filter([f"camera={other}"])))
        assert others.keys() == {*map(str, paths[1:])}
        first = index.search("zebra", top_k=1, shortlist=1, subtitle_weight=10, filter=index.filter(["camera=south"]))
        assert first[0].subtitle_score == 1  # outside the shortlist of pictures
    store.close()


def test_a_video_that_was_replaced_has_no_scores_of_the_old_subtitles():
    (old,), longer, (other,) = make_windows("/a.mp4"), make_windows("/a.mp4", 5, seed=1), make_windows("/b.mp4")
    cues = {"/a.mp4": VideoSubtitles("", (Cue(0, 1, "A lion."),)), "/b.mp4": VideoSubtitles("", (Cue(0, 1, "Zebra."),))}
    query = SubtitleIndex(cues, {window.file.path: window.file for window in (old, other)}, INFO).query(["zebra lion"])
    assert query.scores_of([old, other]) == pytest.approx([0.5, 0.5])
    assert query.scores_of([*longer, other]).tolist() == [*[0.0] * 5, 0.5]
    assert query.matches(old.file, 0.0, 2.0, near_seconds=0.0)
    assert query.matches(longer[0].file, 0.0, 2.0, near_seconds=0.0) == ()


@pytest.mark.parametrize("weight", [-0.1, 1000.5, 1e39, float("nan"), float("inf")])
def test_wrong_weights_are_refused(index, weight):
    with pytest.raises(ValueError, match="subtitle_weight"):
        index.search("zebra", subtitle_weight=weight)


def test_an_index_that_is_older_than_subtitles(index, folder, tmp_path):
    shutil.rmtree(tmp_path / "index" / "subtitles.lance")
    old = VideoIndex.open(tmp_path / "index", device="cpu")
    pictures = index.search("zebra", top_k=8, subtitle_weight=0)
    assert old.search("zebra", top_k=8) == pictures
    old.close()


def test_files_with_unknown_suffixes_have_subtitles_too(model, folder, tmp_path):
    named = []
    for letter, video in zip("cab", folder[1], strict=False):
        named.append(tmp_path / f"films/{letter}.dat")
        named[0].parent.mkdir(exist_ok=True)
        shutil.copy(video, named[-1])
        named[-1].with_suffix(".en.srt").write_text(SRT.format(f"A film {letter}."))
    store = open_store(tmp_path / "index", create=True)
    report = update_index(store, model, [str(path) for path in named], address=tmp_path / "index", workers=0)
    assert report.with_subtitles == 3
    for path in named:
        assert texts(store.subtitles(), path)[0] == f"A film {path.stem}."
    store.close()


def test_text_tracks_of_videos_are_read(update, folder):
    videos, _ = folder
    write_matroska(videos / "film.mkv", (SRT.format("An okapi &amp; friends."), "eng"))
    report, subtitles = update()
    assert report.with_subtitles == 4
    assert texts(subtitles, videos / "film.mkv")[0] == "An okapi & friends."


def test_word_places_equal_brute_force():
    words, cues, files = ["dog", "cat", "sun", "a"], {}, {}
    for number, length in enumerate((12.0, 95.0, 31.0)):
        path = f"/{number}.mp4"
        (window,) = make_windows(path)
        files[path] = window.file.__class__(path, "", 1, 0, length)
        cues[path] = tuple(
            Cue(start, start + 3 * (start % 3), " ".join(words[: 1 + (int(start) + number) % 4]))
            for start in (0.0, 4.5, 9.0, 27.5, 60.0, 94.5)
        )
    index = SubtitleIndex({path: VideoSubtitles("", some) for path, some in cues.items()}, files, INFO)
    lengths = {"window_seconds": INFO.window_seconds, "overlap_seconds": INFO.overlap_seconds}
    texts_of = {
        (path, number): " ".join(
            cue.text
            for cue in cues[path]
            if cue.start_seconds < end and max(cue.end_seconds, cue.start_seconds + 1e-3) > start
        )
        for path, file in files.items()
        for number, (start, end) in enumerate(cut_windows(file.duration_seconds, **lengths))
    }
    weights = {
        word: math.log1p(len(texts_of) / max(sum(word in text.split() for text in texts_of.values()), 1))
        for word in ("cat", "sun", "moon")
    }
    expected = {
        place: sum(weight for word, weight in weights.items() if word in text.split()) / sum(weights.values())
        for place, text in texts_of.items()
    }
    query = index.query(["Cat SUN moon"])
    found = query.best_places(limit=1000, allowed=lambda file: True)
    assert set(found) == {place for place, score in expected.items() if score}
    assert [expected[place] for place in found] == pytest.approx(sorted(expected[place] for place in found)[::-1])
    assert (
        query.best_places(limit=2, allowed=lambda file: file.path == "/1.mp4")
        == [p for p in found if p[0] == "/1.mp4"][:2]
    )


def test_the_command_prints_and_writes_cues(index, folder, tmp_path, capsys):
    command = ["search", str(tmp_path / "index"), "zebra", "--device", "cpu", "--json", str(tmp_path / "found.json")]
    assert main([*command, "--top-k", "2"]) == 0
    assert re.search(r"^ +0:00\.0  A \[zebra\] runs to the river\.$", capsys.readouterr().out, re.MULTILINE)
    (query,) = json.loads((tmp_path / "found.json").read_text())["queries"]
    cue = query["found"][0]["subtitles"][0]
    assert [cue["text"][start:end] for start, end in cue["found"]] == ["zebra"]
    assert query["found"][0]["subtitle_score"] == 1
    assert main([*command, "--subtitle-weight", "0"]) == 0
    (query,) = json.loads((tmp_path / "found.json").read_text())["queries"]
    assert all(one["subtitles"] == [] for one in query["found"])
    assert main([*command, "--subtitle-weight", "-1"]) == 2


def test_the_command_index_counts_and_lists(folder, adapter, tmp_path, capsys):
    videos, paths = folder
    paths[3].with_suffix(".srt").write_text("?")
    paths[4].with_suffix(".srt").write_bytes(SRT.format("Größe").encode("cp1252"))
    command = ["index", str(videos), "--to", str(tmp_path / "index"), "--model", str(adapter), "--device", "cpu"]
    assert main([*command, "--workers", "0", "--json", str(tmp_path / "report.json")]) == 1
    printed = capsys.readouterr()
    assert "8 videos in 8 windows, 4 with subtitles" in printed.out
    assert f"not read: {paths[3].with_suffix('.srt')}: it has no cues" in printed.err
    assert "read as Windows-1252" in printed.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["with_subtitles"] == 4
    assert report["unread_subtitles"][0]["path"] == str(paths[3].with_suffix(".srt"))
