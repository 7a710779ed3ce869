"""Access to the server: tokens, hosts, other sites; and the headers of every response."""

import httpx
import pytest

from side4video.web.settings import ServeSettings, is_loopback
from web.small_server import get, post, running_server

TOKEN = "a1b2c3d4e5f6"


@pytest.fixture(scope="module")
def guarded(indexed):
    index = indexed.open()
    with running_server(index, token=TOKEN) as (address, _):
        yield address
    index.close()


def test_token_in_the_address_is_moved_to_a_cookie(guarded):
    with httpx.Client(base_url=guarded, follow_redirects=False) as browser:
        assert browser.get("/").status_code == 401
        answer = browser.get("/", params={"q": "a ring", "token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?q=a+ring")
        assert {"HttpOnly", "SameSite=Lax"} <= set(answer.headers["set-cookie"].split("; "))
        assert TOKEN not in browser.get("/").text
        assert browser.get("/?q=a+ring").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/openapi.json", "/api/info", "/api/search?q=x", "/static/page.js", "/videos/x", "/posters/x"],
)
def test_requests_without_the_token_are_refused(guarded, path):
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic " + TOKEN},
        {"cookie": "side4video=x"},
    ):
        assert get(guarded + path, headers=headers).status_code == 401
    assert get(guarded + path, params={"token": TOKEN + "x"}).status_code == 401
    assert get(guarded + path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)


def test_uploads_without_the_token_are_refused(guarded):
    files = {"clip": b"no video"}
    assert post(f"{guarded}/api/search-like", files=files).status_code == 401
    assert post(f"{guarded}/api/search-like?token={TOKEN}", files=files).status_code == 401
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert post(f"{guarded}/api/search-like", files=files, headers=bearer).status_code == 422


def test_redirect_never_leaves_the_server(guarded):
    url = httpx.URL(guarded).copy_with(raw_path=f"//evil.example/?token={TOKEN}".encode())
    location = get(url, follow_redirects=False).headers["location"]
    assert location.startswith("/")
    assert not location.startswith("//")


def test_the_path_of_the_redirect_is_encoded(guarded):
    for path in ("/a%3Fb%23%C3%A9", "/%0D%0AX-Other%3A%201"):
        answer = get(f"{guarded}{path}?token={TOKEN}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, path)


@pytest.mark.parametrize("other", ['json={"a": 1}', "a[b]=1", "no_value", 'open="quote', "path=/", "caf\u00e9=1"])
def test_cookies_of_other_pages_do_not_hide_the_token(guarded, other):
    name = f"side4video_{httpx.URL(guarded).port}"
    cookie = f"{other}; {name}={TOKEN}".encode("latin-1")
    assert get(f"{guarded}/api/info", headers=[(b"cookie", cookie)]).status_code == 200
    assert get(f"{guarded}/api/info", headers=[(b"cookie", cookie + b"x")]).status_code == 401


def test_authorization_of_a_proxy_does_not_hide_the_token(guarded):
    headers = {"cookie": f"side4video_{httpx.URL(guarded).port}={TOKEN}"}
    for authorization in ("Bearer eyJhbGciOi", "Basic dXNlcjpwYXNz"):
        assert get(f"{guarded}/api/info", headers=headers | {"authorization": authorization}).status_code == 200


def test_browsers_without_the_token_get_a_form(guarded):
    page = get(f"{guarded}/?q=%22a%22", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert '<input type="hidden" name="q" value="&quot;a&quot;">' in page.text
    assert "This token is wrong" not in page.text
    with httpx.Client(base_url=guarded, headers={"accept": "text/html"}, timeout=60) as browser:
        assert "This token is wrong" in browser.get("/", params={"token": "wrong"}).text
        answer = browser.get("/", params={"q": "a ring", "token": TOKEN}, follow_redirects=True)
        assert (answer.status_code, answer.url.query) == (200, b"q=a+ring")


@pytest.mark.parametrize("path", ["/", "/docs", "/api/info", "/openapi.json", "/static/page.css", "/?q=a+ring"])
def test_head_is_get_without_a_body(client, path):
    head, body = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == body.headers["content-type"]


def test_head_of_videos_posters_and_clips(client):
    (found,) = client.get("/api/search?q=a+ring&top_k=1").json()["results"]
    for path in (found["poster"], found["video"], f"/clips/{found['id']}.mp4?start=0&end=1"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert client.head("/videos/unknown").status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("LOCALHOST:9", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example:80", 400),
        ("localhost.evil.example", 400),
        ("evil.example:127.0.0.1", 400),
        ("", 400),
    ],
)
def test_foreign_host_names_are_refused(client, host, status):
    assert client.get("/api/info", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 422),
        ({}, 422),
    ],
)
def test_cross_site_uploads_are_refused(client, headers, status):
    assert client.post("/api/search-like", files={"clip": b"no video"}, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/", "/docs", "/nothing", "/api/search", "/static/page.css"])
def test_every_response_has_the_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "no-" in headers["cache-control"]  # nothing is kept without a question: after an update it would be old


def test_redirects_name_no_host(client):
    answer = client.get("/docs/", headers={"host": "127.0.0.1:1"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_network_addresses_need_a_token(host):
    with pytest.raises(ValueError, match="--token auto"):
        ServeSettings(host=host)
    assert len(ServeSettings.with_token("auto", host=host).token) == 32


@pytest.mark.parametrize("token", ["", "short", "with blank in it", "ümlautümlaut", "a;b=cdefgh"])
def test_invalid_tokens_are_refused(token):
    with pytest.raises(ValueError, match="letters and digits"):
        ServeSettings(token=token)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("x", False)],
)
def test_loopback_addresses(host, expected):
    assert is_loopback(host) == expected
