"""Checks of every request before it is handled: the token, the host, the origin, and the size of the body."""

import asyncio
import hmac
import html
import json
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from side4video.web.settings import ServeSettings, is_loopback

_DEFAULT_HEADERS = {
    "cache-control": "private, no-cache",  # else browsers keep the script of an earlier version
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer, forms would send no origin
    "x-content-type-options": "nosniff",
}
_FILES = ("/videos/", "/static/")
_MULTIPART_BYTES = 64 * 2**10  # headers and boundaries around an upload
_DRAINING_SECONDS = 5.0


_TOKEN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Token · side4video</title></head>
<body><main><h1>side4video</h1><p>This server requires a token. It printed the token when it started.</p>{problem}
<form method="get">{kept}<p><label for="token">Token</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password">
<button>Open</button></p></form></main></body></html>
"""


class SecurityMiddleware:
    """ASGI middleware that rejects unauthorised requests and adds security headers to every response.

    * The token comes from `Authorization: Bearer`, from a cookie, or once from `?token=`, which sets the cookie.
    * Without a token the server listens on a loopback address, and the `Host` header must name one. This stops DNS
      rebinding: pages of another site whose name resolves to 127.0.0.1.
    * Cross-site requests are rejected unless their method is GET or HEAD.
    * Request bodies are limited in number at a time, in bytes, and in seconds.
    * The headers stop browsers from loading content from other servers. Redirects name paths only.

    >>> from fastapi import FastAPI
    >>> app = FastAPI()
    >>> app.add_middleware(SecurityMiddleware, settings=ServeSettings())
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self.app = app
        self.settings = settings
        self._slots = asyncio.Semaphore(settings.max_uploads_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        scope = _below_root(scope, self.settings.root_path)
        if is_head and not get_route_path(scope).startswith(_FILES):  # files answer HEAD without being read
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
                if "location" in headers:  # the host and scheme that a browser sees may be those of a proxy
                    place = urlsplit(headers["location"])
                    headers["location"] = place._replace(scheme="", netloc="").geturl()
            await send(message)

        headers = Headers(scope=scope)
        if self.settings.token is None and not is_loopback(_without_port(headers.get("host", ""))):
            await _reject(send_with_headers, 400, "This server accepts only requests to localhost.")
        elif scope["method"] not in ("GET", "HEAD") and not _is_same_site(
            headers, trust_proxy=self.settings.trust_proxy
        ):
            await _reject(send_with_headers, 403, "Requests from other sites are not allowed.")
        elif self.settings.token is not None and not self._has_token(scope, headers):
            await self._set_cookie_or_reject(scope, send_with_headers)
        elif scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send_with_headers)
        else:
            async with self._slots:
                await self._with_limited_body(scope, receive, send_with_headers)

    def _is_token(self, given: str) -> bool:
        assert self.settings.token is not None
        return hmac.compare_digest(given.encode(), self.settings.token.encode())

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        cookies = cookie_parser(headers.get("cookie", ""))  # other pages of the host may set any cookies, and a proxy
        return self._is_token(cookies.get(_cookie_name(scope), "")) or (  # may send its own authorization
            kind.lower() == "bearer" and self._is_token(given.strip())
        )

    async def _set_cookie_or_reject(self, scope: Scope, send: Send) -> None:
        """A valid `?token=` is stored in a cookie and removed from the URL; any other request is rejected."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(pairs).get("token", "")
        if scope["method"] != "GET" or not self._is_token(given):
            if scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
                await _ask_for_token(send, pairs)
            else:
                await _reject(
                    send, 401, "This server requires a token. Open the address that it printed when it started."
                )
            return
        rest = urlencode([pair for pair in pairs if pair[0] != "token"])
        location = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        place = self.settings.root_path or "/"
        cookie = f"{_cookie_name(scope)}={self.settings.token}; Path={place}; HttpOnly; SameSite=Lax"
        headers = [(b"location", location.encode()), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _with_limited_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limits; rejections have the same form as the application's errors."""
        settings, limit = self.settings, self.settings.max_upload_bytes + _MULTIPART_BYTES
        length = Headers(scope=scope).get("content-length", "0")
        deadline = asyncio.get_running_loop().time() + settings.upload_seconds
        announced, num_read, is_whole = int(length) if length.isdigit() else 0, 0, False

        async def receive_limited() -> Message:
            nonlocal num_read, is_whole
            if is_whole:
                return await receive()
            if max(announced, num_read) > limit:
                await _drain(receive)
                raise upload_too_large_error(settings)
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"The upload took longer than {settings.upload_seconds:g} seconds.") from None
            num_read += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            return message

        await self.app(scope, receive_limited, send)


def upload_too_large_error(settings: ServeSettings) -> HTTPException:
    """The error for an upload above the size limit."""
    return HTTPException(413, f"The file is larger than the maximum of {settings.max_upload_bytes / 2**20:g} MB.")


def _cookie_name(scope: Scope) -> str:
    """The cookie's name contains the port: cookies ignore ports, and two servers on one machine must not share one."""
    return f"side4video_{(scope.get('server') or ('', 0))[1]}"


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and (not name.count(":") or name.startswith("[")) else host


def _below_root(scope: Scope, root_path: str) -> Scope:
    """The scope of a request below a sub-path, whether or not the proxy has removed it from the path."""
    if not root_path:
        return scope
    path = f"{scope['path']}/" if scope["path"] == root_path else scope["path"]
    return {**scope, "root_path": root_path, "path": path if path.startswith(f"{root_path}/") else root_path + path}


def _is_same_site(headers: Headers, *, trust_proxy: bool) -> bool:
    """Whether the request comes from a page of this server, or from no page at all."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    hosts = {headers.get("host", "")} | ({headers.get("x-forwarded-host", "")} if trust_proxy else set())
    return origin is None or urlsplit(origin).netloc in hosts - {""}


async def _drain(receive: Receive) -> None:
    """Read and discard the rest of a body for a limited time: many clients read the response only after sending."""
    try:
        async with asyncio.timeout(_DRAINING_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass


async def _ask_for_token(send: Send, query: Sequence[tuple[str, str]]) -> None:
    """A page with a form for the token; the form returns to the requested page."""
    is_wrong = any(name == "token" for name, _ in query)
    kept = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in query
        if name != "token"
    )
    body = _TOKEN_PAGE.format(kept=kept, problem="<p role=alert>This token is wrong.</p>" if is_wrong else "").encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 401, "headers": [*headers, (b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": body})


async def _reject(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
