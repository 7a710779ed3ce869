"""The command `serve`: it prints its address, ends on Ctrl-C, and refuses invalid arguments before it loads a model."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from side4video.cli import main
from web.small_server import TIMEOUT_SECONDS, get


@pytest.mark.parametrize(
    ("number", "asks"),
    [
        (signal.SIGINT, True),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),  # in the middle of its start
    ],
)
def test_serve_runs_until_a_signal(indexed, tmp_path, number, asks, request):
    command = [sys.executable, "-m", "side4video", "serve", str(indexed.index), "--port", "0", "--device", "cpu"]
    command += ["--token", "auto"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        request.addfinalizer(server.kill)
        printed = server.stdout.readline()
        address, token = printed.split()[0].split("?token=")
        if asks:
            answer = get(f"{address}api/search?q=a", headers={"authorization": f"Bearer {token}"})
            assert len(answer.json()["results"]) == 10
            assert get(address).status_code == 401
            assert [path.name for path in tmp_path.glob("side4video-*")]
        server.send_signal(number)
        code = server.wait(TIMEOUT_SECONDS)
        said = server.stderr.read()
    assert code == 0 or (code == 128 + number and not asks), said  # no request was served yet
    assert "Traceback" not in said
    assert not list(tmp_path.glob("side4video-*"))
    with pytest.raises(httpx.ConnectError):
        get(address)


def test_port_in_use_is_refused(indexed, capsys, monkeypatch):
    def load(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("side4video.search.video_index.VideoIndex.open", load)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(indexed.index), "--port", str(port)]) == 2
    assert f"--port {port} is in use on 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "--token auto"),
        (["--host", "no.such.name.invalid", "--token", "auto"], "not an address of this machine"),
        (["--host", "192.0.2.1", "--token", "auto"], "cannot be used ("),
        (["--port", "70000"], "must be from 0 to 65535"),
        (["--token", "short"], "at least 8"),
        (["--max-upload-mb", "0"], "must be 1 or more"),
    ],
)
def test_invalid_arguments_are_refused(indexed, capsys, arguments, says):
    assert main(["serve", str(indexed.index), "--port", "0", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_folder_without_an_index_is_refused(tmp_path, capsys):
    assert main(["serve", str(tmp_path / "nothing"), "--port", "0"]) == 2
    assert "not an index" in capsys.readouterr().err
