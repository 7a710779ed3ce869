"""The JSON API of a real server: its answers and its errors."""

import asyncio
import re
import shutil
from dataclasses import replace

import httpx
import pytest

from side4video import Predictor
from side4video.search.stores.filters import Condition, Filter
from side4video.search.stores.open_store import open_store
from side4video.search.video_index import VideoIndex
from side4video.video.video_file import VideoFile
from side4video.web.served_files import identify
from web.small_server import TIMEOUT_SECONDS, get, running_server


def search(client, **parameters):
    answer = client.get("/api/search", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_search_equals_the_index(client, indexed):
    index = indexed.open()
    expected = index.search("a star moves clockwise", top_k=5)
    index.close()
    found = search(client, q="a star  moves clockwise ", top_k=5)
    assert [one["path"] for one in found] == [one.file.path for one in expected]
    for one, same in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(same.score, abs=1e-5)
        assert (one["start_seconds"], one["end_seconds"]) == (same.start_seconds, same.end_seconds)
        assert [match["word"] for match in one["matches"]] == [match.word for match in same.matches]
        assert one["metadata"] == dict(same.file.metadata)


def test_filters(client, indexed):
    assert len(search(client, q="a ring")) == 10
    north = search(client, q="a ring", where=["camera=north", "year>=2019"])
    assert sorted(one["metadata"]["year"] for one in north) == [2019, 2021, 2023]
    assert {one["metadata"]["camera"] for one in north} == {"north"}
    assert [one["name"] for one in search(client, q="a ring", path="*/old.avi")] == ["old.avi"]
    assert search(client, q="a ring", path=str(indexed.videos / "nowhere")) == []
    index = indexed.open()
    expected = index.search("a ring", filter=Filter((Condition("camera", "=", "south"),)))
    index.close()
    assert [one["path"] for one in search(client, q="a ring", where="camera=south")] == [
        one.file.path for one in expected
    ]


def test_filters_of_the_page_without_a_question(client, indexed):
    def shown(**parameters):
        page = client.get("/", params=parameters, headers={"accept": "text/html"})
        return page.status_code, re.findall(r"camera</span> (\w+)</span>", page.text), page.text

    status, cameras, text = shown()
    assert (status, set(cameras), ">Videos in this index</h1>" in text) == (200, {"north", "south"}, True)
    assert "year</span> 2019</span>" in text
    status, cameras, text = shown(where="camera=north")
    assert (status, set(cameras), len(cameras)) == (200, {"north"}, 4)
    assert ">Videos that match the filters</h1>" in text
    assert len(shown(**{"min:year": "2024", "where": "camera=south"})[1]) == 1
    assert "old.avi" in shown(path="*/old.avi")[2]
    assert "No video matches these filters" in shown(path="/nowhere")[2]
    for name, value in (
        ("where", "nonsense"),
        ("where", "colour=red"),
        ("min:year", "soon"),
        ("path", "x" * 501),
        ("path", "\0"),
    ):
        status, _, text = shown(**{name: value})
        assert (status, 'role="alert"' in text) == (422, True)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "q"),
        ({"q": "  "}, "empty"),
        ({"q": "x" * 501}, "501 characters"),
        ({"q": "x", "top_k": 0}, "top_k"),
        ({"q": "x", "top_k": 101}, "1 to 100"),
        ({"q": "x", "top_k": "many"}, "top_k"),
        ({"q": "x", "where": "camera"}, "not a condition"),
        ({"q": "x", "where": "colour=red"}, "no column 'colour'"),
        ({"q": "x", "where": "year>=soon"}, "is a column of numbers"),
        ({"q": "x", "where": "year=2020" + " " * 2000}, "the maximum is 2,000"),
        ({"q": "x", "where": " " * 60_000 + '"'}, "the maximum is 2,000"),
        ({"q": "x", "where": ["year>2000"] * 51}, "where"),
        ({"q": "x", "path": "x" * 501}, "path"),
        ({"q": "x", "path": "a\0b"}, "zero character"),
        ({"q": "x", "subtitle_weight": "1e39"}, "subtitle_weight"),
    ],
)
def test_invalid_parameters_are_refused(client, parameters, says):
    answer = client.get("/api/search", params=parameters)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_more_like_an_indexed_video(client, indexed):
    first = search(client, q="a star")[0]
    answer = client.get(f"/api/like/{first['id']}", params={"top_k": 4})
    index = indexed.open()
    expected = index.search_like(first["path"], top_k=4)
    index.close()
    assert [one["path"] for one in answer.json()["results"]] == [one.file.path for one in expected]
    assert first["path"] not in {one["path"] for one in answer.json()["results"]}
    assert client.get("/api/like/0123456789abcdef01234567").status_code == 404


def test_search_and_classify_by_upload(client, indexed, classifier_run, service):
    clip = sorted(indexed.videos.glob("*/*.mp4"))[3]
    with clip.open("rb") as file:
        answer = client.post("/api/search-like", files={"clip": ("../../x.txt", file)}, params={"top_k": 3})
    results = answer.json()["results"]
    assert results[0]["path"] == str(clip)  # the same content under another name
    assert results[0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(results) == 3
    classes = client.post("/api/classify", files={"clip": clip.read_bytes()}).json()["classes"]
    expected = Predictor(classifier_run, device="cpu").predict(clip)
    assert [one["name"] for one in classes] == [one.name for one in expected]
    assert [one["score"] for one in classes] == pytest.approx([one.score for one in expected], abs=1e-5)
    assert not list(service._uploads.iterdir())


def test_combined_queries(client, indexed):
    clip = sorted(indexed.videos.glob("*/*.mp4"))[3]
    index = indexed.open()
    both = index.search_combined(["a star", "a ring"], unwanted=["a disc"], top_k=4)
    with_clip = index.search_combined(["a star"], like=clip, top_k=10)
    index.close()
    answer = client.get("/api/search", params={"q": ["a star", "a ring"], "not": "a disc", "top_k": 4}).json()
    assert [one["path"] for one in answer["results"]] == [one.file.path for one in both]
    assert [one["score"] for one in answer["results"]] == pytest.approx([one.score for one in both], abs=1e-5)
    assert "the mean of the scores of 2 texts, minus the mean of the scores of 1 unwanted text" in answer["computed"]
    answer = client.get("/api/search", params={"q": "a star", "like": identify(str(clip)), "top_k": 10}).json()
    assert [one["path"] for one in answer["results"]] == [one.file.path for one in with_clip]
    with clip.open("rb") as file:
        uploaded = client.post("/api/search-like", files={"clip": file}, params={"q": "a star", "top_k": 10}).json()
    scores = {one["path"]: one["score"] for one in uploaded["results"]}
    expected = {one.file.path: one.score for one in with_clip}
    assert scores.keys() == {*expected, str(clip)}  # the clip itself, under another name
    assert {path: scores[path] for path in expected} == pytest.approx(expected, abs=1e-3)
    assert client.get("/api/search", params={"not": "a disc"}).status_code == 422


def test_subtitles_are_found_and_served(client, indexed):
    path = str(indexed.videos / "long.mp4")
    (found,) = search(client, q="zebra lion", path=path)
    assert (found["start_seconds"], found["subtitle_score"]) == (25, 1)
    (cue,) = found["subtitles"]
    assert (cue["text"], cue["language"]) == ("And now a zebra & a lion.", "en")
    assert [cue["text"][start:end] for start, end in cue["found"]] == ["zebra", "lion"]
    (pictures,) = search(client, q="zebra lion", path=path, subtitle_weight=0)
    assert (pictures["subtitles"], pictures["subtitle_score"]) == ([], 0)
    cues = client.get(f"/api/subtitles/{found['id']}").json()
    assert [cue["start_seconds"] for cue in cues] == [2, 31.5]
    track = client.get(f"/subtitles/{found['id']}.vtt", params={"language": "en", "start": 30})
    assert track.headers["content-type"] == "text/vtt; charset=utf-8"
    assert track.text == "WEBVTT\n\n00:00:01.500 --> 00:00:03.000\nAnd now a zebra &amp; a lion.\n"
    assert client.get("/api/search", params={"q": "zebra", "subtitle_weight": -1}).status_code == 422


def test_a_moment_is_a_file_to_keep(client, indexed, tmp_path):
    (found,) = search(client, q="zebra lion", path=str(indexed.videos / "long.mp4"))
    answer = client.get(found["download"])
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''long-0025.00s.mp4"
    (tmp_path / "moment.mp4").write_bytes(answer.content)
    with VideoFile(tmp_path / "moment.mp4") as moment, VideoFile(indexed.videos / "long.mp4") as whole:
        assert moment.duration_seconds == pytest.approx(10, abs=0.3)
        assert (moment.width, moment.height) == (whole.width, whole.height)
        own, other = moment.read([0]).float(), whole.read([100]).float()
        assert (own - other).abs().mean() < 12
    assert client.get(f"/moments/{found['id']}.mp4", params={"start": 5, "end": 5}).status_code == 422
    assert client.get(f"/moments/{found['id']}.mp4", params={"start": 0, "end": 601}).status_code == 422


def test_parts_that_are_too_long_have_no_download(indexed):
    index = indexed.open()
    with running_server(index, max_clip_seconds=5) as (address, _):
        found = get(f"{address}/api/search", params={"q": "a star"}).json()["results"]
        for one in found:
            assert (one["download"] is None) == (one["name"] in ("long.mp4", "old.avi"))
        assert {get(address + one["download"]).status_code for one in found if one["download"]} == {200}
        page = get(address, headers={"accept": "text/html"}).text
        assert 'aria-label="Copy the link to this moment of long.mp4"' in page
        assert 'aria-label="Download this moment of long.mp4"' not in page
        assert 'aria-label="Download this moment of clockwise/0001.mp4"' in page
    index.close()


def test_timeline_of_an_indexed_video(client, indexed, classifier_run):
    path = sorted(indexed.videos.glob("*/*.mp4"))[0]
    answer = client.get(f"/api/timeline/{identify(str(path))}").json()
    expected = Predictor(classifier_run, device="cpu").timeline(path)
    assert answer["duration_seconds"] == expected.duration_seconds
    assert [one["name"] for one in answer["moments"]] == [one.name for one in expected.moments]
    assert client.get("/api/timeline/0123456789abcdef01234567").status_code == 404


def test_weak_results_follow_the_others(client):
    results = search(client, q="a star")
    weak = [one["weak"] for one in results]
    assert weak == sorted(weak)
    assert not weak[0]


def test_concurrent_queries_share_a_batch(client, address, service):
    service.queue.batch_sizes.clear()

    async def ask_all():
        async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_SECONDS) as asking:
            ask = [
                asking.get("/api/search", params={"q": f"a star {number % 20}", "top_k": 1 + number % 5})
                for number in range(40)
            ]
            return await asyncio.gather(*ask)

    answers = asyncio.run(ask_all())
    assert [len(answer.json()["results"]) for answer in answers] == [1 + number % 5 for number in range(40)]
    sizes = service.queue.batch_sizes
    assert sum(size * count for size, count in sizes.items()) == 40
    assert max(sizes) > 4, sizes
    alone = search(client, q="a star 7", top_k=3)
    assert [one["path"] for one in answers[7].json()["results"]] == [one["path"] for one in alone]


def test_an_index_that_another_model_made_again_needs_a_restart(indexed, tmp_path, monkeypatch):
    shutil.copytree(indexed.index, tmp_path / "index")
    monkeypatch.setattr("side4video.search.video_index.CHECK_SECONDS", 0.0)
    index = VideoIndex.open(tmp_path / "index", device="cpu")
    with running_server(index) as (address, _):
        assert get(f"{address}/api/search", params={"q": "a star"}).status_code == 200
        store = open_store(tmp_path / "index")
        store.write_info(replace(index.info, fingerprint="another-model-altogether"))
        store.close()
        for path in ("/api/search?q=a+star", f"/api/like/{identify(str(indexed.videos / 'long.mp4'))}"):
            answer = get(address + path)
            assert answer.status_code == 503
            assert answer.json()["detail"].endswith("another model or other settings. Restart the server.")
        page = get(f"{address}/?q=a+star", headers={"accept": "text/html"})
        assert page.status_code == 503
        assert "Restart the server." in page.text
    index.close()


def test_info_and_schema(client):
    info = client.get("/api/info").json()
    assert info["videos"] == 10
    assert info["classifies"] is True
    assert [(one["name"], one["kind"]) for one in info["columns"]] == [("camera", "text"), ("year", "number")]
    assert info["columns"][0]["choices"] == ["north", "south"]
    assert (info["columns"][1]["lowest"], info["columns"][1]["highest"]) == (2017, 2024)
    schema = client.get("/openapi.json").json()
    assert {"/api/search", "/api/search-like", "/api/like/{identifier}", "/api/classify", "/api/info"} <= set(
        schema["paths"]
    )
    documentation = client.get("/docs").text
    assert "/api/search-like" in documentation
    assert "https://" not in documentation
