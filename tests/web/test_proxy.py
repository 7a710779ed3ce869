"""The page below a sub-path, behind nginx."""

import re
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from side4video.web.server import listen
from side4video.web.settings import ServeSettings
from web.small_server import TIMEOUT_SECONDS, get, post, running_server

ROOT = "/my/videos"
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 10m; client_body_buffer_size 10m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}{tls};
    location {root}/ {{ proxy_pass {backend}{ending}; proxy_set_header X-Forwarded-Host $http_host; {more} }}
  }}
}}
"""


def free_port():
    with listen("127.0.0.1", 0) as socket:
        return socket.getsockname()[1]


def write_certificate(folder):
    """A certificate for 127.0.0.1 that signs itself: `cert.pem` and `key.pem`."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)


@contextmanager
def nginx(folder, backend, *, strips, tls=False):
    """nginx in front of a server; it rewrites Host, as it does by default. Yields its address.

    With `tls` it serves https, and Host becomes a name that the server does not know.
    """
    port = free_port()
    parts = {"tls": "", "more": ""}
    if tls:
        write_certificate(folder)
        certificate = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem"
        parts = {"tls": f" ssl; {certificate}", "more": "proxy_set_header Host films.internal;"}
    config = CONFIG.format(folder=folder, port=port, root=ROOT, backend=backend, ending="/" if strips else "", **parts)
    (folder / "nginx.conf").write_text(config)
    command = ["nginx", "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
    process = subprocess.Popen(command)
    try:
        address, deadline = f"http{'s' if tls else ''}://127.0.0.1:{port}", time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                get(address, verify=not tls)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address + ROOT
    finally:
        process.terminate()
        process.wait()


def readable(places):
    """Addresses that answer GET, with one moment: each is transcoded."""
    moments = sorted(place for place in places if "/moments/" in place)
    return places - {f"{ROOT}/like", f"{ROOT}/combine", *moments[1:]}


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("strips", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_address_of_the_page_works_behind_nginx(indexed, tmp_path, strips):
    index = indexed.open()
    with (
        running_server(index, root_path=ROOT, trust_proxy=True) as (backend, _),
        nginx(tmp_path, backend, strips=strips) as address,
    ):
        origin = "http://" + urlsplit(address).netloc
        redirected = get(f"{address}/docs/", follow_redirects=True)
        assert (redirected.status_code, str(redirected.url)) == (200, f"{address}/docs")
        for page in ("/", "/?q=a+ring&n=2", "/docs"):
            text = get(address + page).text
            places = set(re.findall(r'(?:href|src|action|poster)="(/[^"#]*)', text))
            assert places
            assert all(place.startswith(f"{ROOT}/") for place in places), places
            for place in readable(places):
                assert get(origin + place.replace("&amp;", "&")).status_code == 200, place
        (found,) = get(f"{address}/api/search?q=a+ring&top_k=1").json()["results"]
        assert get(origin + found["poster"]).headers["content-type"] == "image/jpeg"
        files = {"clip": ("clip.mp4", Path(found["path"]).read_bytes())}
        assert post(f"{address}/like", files=files, headers={"origin": origin}).status_code == 200
        assert post(f"{address}/like", files=files, headers={"origin": "http://evil.example"}).status_code == 403
    index.close()


@pytest.mark.skipif(shutil.which("nginx") is None or shutil.which("openssl") is None, reason="needs nginx and openssl")
def test_page_behind_tls_with_another_host_and_a_token(indexed, tmp_path):
    index = indexed.open()
    with (
        running_server(index, root_path=ROOT, trust_proxy=True, token="secret123") as (backend, _),
        nginx(tmp_path, backend, strips=True, tls=True) as address,
    ):
        trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        origin = "https://" + urlsplit(address).netloc
        with httpx.Client(verify=trusted, timeout=TIMEOUT_SECONDS, follow_redirects=True) as client:
            html = {"accept": "text/html"}
            assert client.get(f"{address}/", headers=html).status_code == 401
            opened = client.get(f"{address}/?token=secret123&q=a+ring&n=2", headers=html)
            assert (opened.status_code, str(opened.url)) == (200, f"{address}/?q=a+ring&n=2")
            places = set(re.findall(r'(?:href|src|action|poster|formaction|data-link)="(/[^"#]*)', opened.text))
            assert {place.split("/")[3] for place in places} >= {
                "static",
                "videos",
                "posters",
                "watch",
                "moments",
                "like",
            }
            for place in readable(places):
                assert client.get(origin + place.replace("&amp;", "&")).status_code == 200, place
            fields = {"q": ["a ring", "a star"]}
            files = {"clip": ("clip.mp4", min(indexed.videos.glob("*/*.mp4")).read_bytes())}
            combine = f"{address}/combine"
            assert client.post(combine, data=fields, files=files, headers={"origin": origin}).status_code == 200
            assert client.post(combine, data=fields, headers={"origin": "https://evil.example"}).status_code == 403
            assert client.post(combine, data=fields, headers={"origin": origin}).url.path == f"{ROOT}/"
    index.close()


@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/", "/"])
def test_the_page_is_at_the_root_path_with_and_without_a_slash(indexed, path):
    index = indexed.open()
    with running_server(index, root_path=ROOT) as (backend, _):
        assert get(backend + path, follow_redirects=False).status_code == 200
    index.close()


def test_without_a_trusted_proxy_its_header_is_ignored(indexed):
    index = indexed.open()
    with running_server(index) as (backend, _):
        headers = {"origin": "http://evil.example", "x-forwarded-host": "evil.example"}
        assert post(f"{backend}/like", files={"clip": b"x"}, headers=headers).status_code == 403
    index.close()


@pytest.mark.parametrize("path", ["videos", "/videos/", "/", "/a b", "//x", "/a?b"])
def test_wrong_root_paths_are_refused(path):
    with pytest.raises(ValueError, match="must start with a slash and not end with one"):
        ServeSettings(root_path=path)
