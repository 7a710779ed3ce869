"""Indexing and searching with an object store and with Qdrant, from videos to moments."""

import shutil
import time
import uuid

import httpx
import pytest

from s3_server import BUCKET, running_s3
from search.windows import INFO
from side4video import VideoIndex
from side4video.cli import main
from side4video.search.stores.open_store import open_store
from web.small_server import running_server


@pytest.fixture(scope="module")
def environment():
    with running_s3() as environment:
        yield environment


@pytest.fixture
def object_store(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4()}"


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.slow), "qdrant+local"])
def address(request, tmp_path):
    if request.param == "s3":
        return request.getfixturevalue("object_store")
    return f"qdrant+local://{tmp_path}/qdrant/videos"


def found(address, text, capsys):
    assert main(["search", address, text, "--top-k", "100", "--device", "cpu"]) == 0
    return capsys.readouterr().out


def test_index_search_and_update_in_every_store(address, adapter, videos, write_noise, tmp_path, capsys):
    paths = sorted(videos.glob("*/*.mp4"))
    facts = tmp_path / "facts.csv"
    facts.write_text(f"path,camera\n{paths[3]},north\n")
    index = ["index", str(videos), "--to", address, "--device", "cpu", "--workers", "0"]
    assert main(["search", address, "a star", "--device", "cpu"]) == 2
    assert f"{address} is not an index. Make one" in capsys.readouterr().err
    assert main([*index, "--model", str(adapter), "--metadata", str(facts)]) == 0
    printed = capsys.readouterr().out
    assert "8 embedded, 0 unchanged" in printed
    assert f"8 videos in 8 windows: {address}" in printed
    assert found(address, "a star", capsys).count(".mp4") == 8
    folder = tmp_path / "folder"
    assert main(["index", str(videos), "--to", str(folder), "--model", str(adapter), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert found(address, "a star moves", capsys) == found(str(folder), "a star moves", capsys)

    write_noise(paths[0], 30.0)  # another content, of more windows
    paths[1].unlink()
    paths[2].rename(videos / "elsewhere.mp4")
    shutil.copy(paths[4], videos / "copy.mp4")
    assert main(index) == 0
    assert "1 embedded, 5 unchanged, 2 moved or copied, 2 removed, 0 not read" in capsys.readouterr().out
    assert main(["search", address, "a star", "--where", "camera=north", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert (str(paths[3].relative_to(tmp_path)) in printed, printed.count(".mp4")) == (True, 1)
    index_ = VideoIndex.open(address, device="cpu")
    assert sorted(index_.files()) == sorted(str(path) for path in videos.rglob("*.mp4"))
    assert index_._store.count_windows() == 7 + 5
    with running_server(index_) as (server, _):
        answer = httpx.get(f"{server}/api/search", params={"q": "a star", "top_k": 100}, timeout=30)
        assert len(answer.raise_for_status().json()["results"]) == 8
    index_.close()


def test_searching_a_bucket_without_an_index_creates_nothing(object_store, environment):
    with pytest.raises(FileNotFoundError, match="is not an index"):
        open_store(object_store)
    listed = f"{environment['AWS_ENDPOINT']}/{BUCKET}?list-type=2&prefix={object_store.rpartition('/')[2]}"
    assert "<KeyCount>0</KeyCount>" in httpx.get(listed).raise_for_status().text
    open_store(object_store, create=True).write_info(INFO)
    assert "<KeyCount>0</KeyCount>" not in httpx.get(listed).raise_for_status().text


REFUSED = [
    ("s3://nowhere/index", {}, "the bucket does not exist. Create it"),
    pytest.param(
        "s3://bucket/index",
        {"AWS_ENDPOINT": "http://127.0.0.1:1"},
        "the object store does not answer. Check the net",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "s3://bucket/index",
        {"AWS_ALLOW_HTTP": "false"},
        "its endpoint uses http, not https. Set AWS_ALLOW_HTTP",
        marks=pytest.mark.slow,
    ),
    (
        "s3://bucket/index",
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"},
        "no credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
    ),
    ("foo://bucket/index", {}, "LanceDB does not support this type of address. Use s3://"),
    ("s3:///index", {}, "the address has no bucket. Write s3://bucket/folder"),
]


@pytest.mark.parametrize(("address", "changes", "message"), REFUSED)
def test_unusable_addresses_fail_at_once(object_store, monkeypatch, tmp_path, address, changes, message):
    for name, value in {"HOME": str(tmp_path), **changes}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    started = time.monotonic()
    with pytest.raises(ConnectionError) as refused:
        open_store(address, create=True)
    assert str(refused.value).startswith(f"{address} cannot be used: {message}")
    assert time.monotonic() - started < 20


def test_refused_credentials_are_reported(object_store, environment):
    endpoint = environment["AWS_ENDPOINT"]
    httpx.post(f"{endpoint}/moto-api/reset-auth", content="0").raise_for_status()
    try:
        with pytest.raises(ConnectionError, match=r"the object store refuses these credentials\. Check AWS_ACCESS"):
            open_store(object_store, create=True)
    finally:
        httpx.post(f"{endpoint}/moto-api/reset-auth", content=str(10**9)).raise_for_status()
    open_store(object_store, create=True).close()


@pytest.mark.slow
def test_command_reports_unusable_addresses(object_store, capsys):
    assert main(["index", "nothing", "--to", "s3://nowhere/index", "--model", "none"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ConnectionError: s3://nowhere/index cannot be used: the bucket does not exist.")
    assert said.count("\n") == 1
