"""Combined and negative queries, and photos as examples, against scores of the parts."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from side4video import VideoIndex
from side4video.cli import main
from side4video.search.combined import split_query
from side4video.search.indexing import update_index
from side4video.search.photos import is_photo, read_photo
from side4video.search.stores.open_store import open_store
from side4video.video.decoding import VideoError, VideoFile

TEXTS = ["a star moves clockwise", "a ring"]


@pytest.fixture
def index(tmp_path, model, videos, adapter):
    store = open_store(tmp_path / "index", create=True)
    update_index(store, model, [str(videos)], address=tmp_path / "index", workers=0)
    store.close()
    index = VideoIndex.open(tmp_path / "index", device="cpu")
    yield index
    index.close()


def scores(results):
    return {result.file.path: result.score for result in results}


def test_scores_are_means_of_the_parts_minus_means_of_the_unwanted(index, videos):
    first, second = map(scores, index.search_many(TEXTS, top_k=8))
    example = min(videos.glob("*/*.mp4"))
    third = scores(index.search_like(example, top_k=8))
    both = scores(index.search_combined(TEXTS, top_k=8))
    assert both == pytest.approx({path: (first[path] + second[path]) / 2 for path in first}, abs=1e-6)
    less = scores(index.search_combined(TEXTS[:1], unwanted=TEXTS[1:], top_k=8))
    assert less == pytest.approx({path: first[path] - second[path] for path in first}, abs=1e-6)
    with_example = scores(index.search_combined(TEXTS[:1], like=example, top_k=8))
    assert with_example == pytest.approx({path: (first[path] + third[path]) / 2 for path in third}, abs=1e-6)
    assert str(example) not in with_example


def test_one_part_is_the_usual_search(index):
    (usual,) = index.search_many(TEXTS[:1], top_k=5)
    assert scores(index.search_combined(TEXTS[:1], top_k=5)) == pytest.approx(scores(usual), abs=1e-6)


def test_queries_of_unwanted_parts_alone_are_refused(index):
    with pytest.raises(ValueError, match="Nothing is wanted"):
        index.search_combined(unwanted=["a ring"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog", ("a dog", ())),
        ("a dog -cat", ("a dog -cat", ())),
        ('a dog-"cat"', ('a dog-"cat"', ())),
        ('a dog -"red cat" runs', ("a dog runs", ("red cat",))),
        ('-"a" -"b"', ("", ("a", "b"))),
        ('a -""', ('a -""', ())),
        ("a dog -\u201cred cat\u201d -\u201esnow\u201c", ("a dog", ("red cat", "snow"))),
    ],
)
def test_unwanted_parts_of_a_query(text, expected):
    assert split_query(text) == expected


def test_a_photo_finds_the_video_it_was_taken_from(index, videos, tmp_path):
    best = []
    for path in sorted(videos.glob("*/*.mp4")):
        with VideoFile(path) as video:
            middle = video.read_pictures([video.num_frames // 2])[0]
        Image.fromarray(np.asarray(middle)).save(tmp_path / "photo.png")
        best.append(index.search_like(tmp_path / "photo.png", top_k=8)[0].score)
    assert min(best) > 0.5


def test_photos_are_known_by_their_content(tmp_path, videos):
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.jpg")
    shutil.copy(tmp_path / "photo.jpg", tmp_path / "photo.mp4")
    assert is_photo(tmp_path / "photo.mp4")
    assert not is_photo(min(videos.glob("*/*.mp4")))


def test_photos_with_16_bits_and_transparency(tmp_path):
    levels = np.array([[0, 257, 32_767, 65_535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "grey.png")
    assert np.asarray(read_photo(tmp_path / "grey.png"))[..., 0].tolist() == [[0, 1, 127, 255]]
    Image.fromarray(levels.astype(np.int32)).save(tmp_path / "grey.tiff")
    assert np.asarray(read_photo(tmp_path / "grey.tiff"))[..., 2].tolist() == [[0, 1, 127, 255]]
    Image.new("RGBA", (1, 1), (200, 100, 50, 0)).save(tmp_path / "clear.png")
    assert np.asarray(read_photo(tmp_path / "clear.png")).tolist() == [[[0, 0, 0]]]
    Image.fromarray(np.float32([[0.5]])).save(tmp_path / "levels.tiff")
    with pytest.raises(VideoError, match=r"this photo cannot be read \(its levels of mode F are not 16-bit"):
        read_photo(tmp_path / "levels.tiff")


def test_photos_of_phones_in_heic_are_refused(index, tmp_path):
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        (tmp_path / "photo.mp4").write_bytes(b"\0\0\0\x18ftyp" + brands)
        with pytest.raises(VideoError, match=r"HEIC photos are not supported\. Convert it to JPEG"):
            index.search_like(tmp_path / "photo.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_as_an_example_is_refused(index, tmp_path):
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(VideoError, match="it is a pipe"):
        index.search_like(tmp_path / "clip.mp4")


@pytest.mark.parametrize("text", ["", " ", "\0", "\u200b", "\ufeff \u2060", "\udcff"])
def test_texts_without_a_visible_letter_are_empty_queries(index, text):
    with pytest.raises(ValueError, match="query 2 of 2 is empty: each query must contain a word"):
        index.search_many(["a ring", text])


def test_truncated_photos_are_refused(index, tmp_path):
    Image.effect_noise((200, 200), 50).save(tmp_path / "photo.jpg")
    content = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(VideoError, match="this photo cannot be read"):
        index.search_like(tmp_path / "half.jpg")


def test_the_command_combines_and_leaves_out(index, tmp_path, capsys):
    command = ["search", str(tmp_path / "index"), "--device", "cpu", "--json", str(tmp_path / "found.json")]
    assert main([*command, 'a star moves clockwise -"a ring"', "a ring"]) == 0
    first, second = json.loads((tmp_path / "found.json").read_text())["queries"]
    assert [first["text"], second["text"]] == ['a star moves clockwise -"a ring"', "a ring"]
    expected = scores(index.search_combined(TEXTS[:1], unwanted=TEXTS[1:]))
    assert {video["path"]: video["score"] for video in first["found"]} == pytest.approx(expected, abs=1e-6)
    assert main([*command, *TEXTS, "--combine"]) == 0
    (both,) = json.loads((tmp_path / "found.json").read_text())["queries"]
    assert {video["path"] for video in both["found"]} == set(scores(index.search_combined(TEXTS)))
    assert main([*command, "--", "-a ring"]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["queries"][0]["text"] == "-a ring"
    assert main([*command, '-"a ring"']) == 2
    assert "Nothing is wanted" in capsys.readouterr().err
