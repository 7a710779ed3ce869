"""What every request passes before anything is done for it: who asks, from where, and how large its body is."""

import asyncio
import hmac
import json
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from side4video.web.settings import ServeSettings, is_loopback

_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with none at all, forms would send no origin
    "x-content-type-options": "nosniff",
}
_MULTIPART_BYTES = 64 * 2**10  # around an upload
_DRAINING_SECONDS = 5.0


class Guards:
    """Refuses requests of strangers; gives every answer the headers that keep a browser from asking elsewhere.

    * The token is taken from `Authorization: Bearer`, from a cookie, or once from `?token=`, which sets the cookie.
    * Without one the server is on a loopback address, and the `Host` must be one: a page of another site whose name
      was made to mean 127.0.0.1 does not get in.
    * A request that another site's page makes is refused where it would change or compute something.
    * Bodies are read for so many clients at a time, up to so many bytes, in so many seconds.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self.app = app
        self.settings = settings
        self._places = asyncio.Semaphore(settings.max_uploads_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if self.settings.token is None and not is_loopback(_without_port(headers.get("host", ""))):
            await _refuse(send_with_headers, 400, "This server answers to localhost alone.")
        elif scope["method"] not in ("GET", "HEAD") and not _is_same_site(headers):
            await _refuse(send_with_headers, 403, "Another site must not ask this server.")
        elif self.settings.token is not None and not self._knows_token(scope, headers):
            await self._welcome_or_refuse(scope, send_with_headers)
        elif scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send_with_headers)
        else:
            async with self._places:
                await self._with_bounded_body(scope, receive, send_with_headers)

    def _is_token(self, given: str) -> bool:
        assert self.settings.token is not None
        return hmac.compare_digest(given.encode(), self.settings.token.encode())

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._is_token(given.strip())
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        name = _cookie_name(scope)
        return name in cookies and self._is_token(cookies[name].value)

    async def _welcome_or_refuse(self, scope: Scope, send: Send) -> None:
        """The right `?token=` becomes a cookie, and leaves the address; anything else is refused."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(pairs).get("token", "")
        if scope["method"] != "GET" or not self._is_token(given):
            await _refuse(send, 401, "This server wants its token: open the address it has printed.")
            return
        rest = urlencode([pair for pair in pairs if pair[0] != "token"])
        location = "/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else "")
        cookie = f"{_cookie_name(scope)}={self.settings.token}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", location.encode("ascii", "replace")), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _with_bounded_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body as far as it is allowed; what is refused is answered as the application answers."""
        settings, limit = self.settings, self.settings.max_upload_bytes + _MULTIPART_BYTES
        length = Headers(scope=scope).get("content-length", "0")
        deadline = asyncio.get_running_loop().time() + settings.upload_seconds
        announced, num_read, is_whole = int(length) if length.isdigit() else 0, 0, False

        async def receive_bounded() -> Message:
            nonlocal num_read, is_whole
            if is_whole:
                return await receive()
            if max(announced, num_read) > limit:
                await _drain(receive)
                raise too_large(settings)
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"The file did not arrive in {settings.upload_seconds:g} seconds.") from None
            num_read += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            return message

        await self.app(scope, receive_bounded, send)


def too_large(settings: ServeSettings) -> HTTPException:
    """What a client is told whose file is larger than a server takes."""
    most = f"{settings.max_upload_bytes / 2**20:g} MB"
    return HTTPException(413, f"The file is larger than {most}, which is the most taken.")


def _cookie_name(scope: Scope) -> str:
    """Cookies do not know ports: two servers on one machine must not take each other's."""
    return f"side4video_{(scope.get('server') or ('', 0))[1]}"


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and (not name.count(":") or name.startswith("[")) else host


def _is_same_site(headers: Headers) -> bool:
    """Whether a page of this server asks, or no page at all."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


async def _drain(receive: Receive) -> None:
    """Take what a client still sends, for a while: it reads the answer only then."""
    try:
        async with asyncio.timeout(_DRAINING_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
