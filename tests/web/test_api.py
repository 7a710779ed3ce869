"""The JSON API of a real server: its answers and its errors."""

import asyncio

import httpx
import pytest

from side4video import Predictor
from side4video.search.stores.filters import Condition, Filter
from web.small_server import TIMEOUT_SECONDS


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
        ({"q": "x", "path": "x" * 501}, "path"),
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
