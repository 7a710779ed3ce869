"""Settings of a server: access and limits."""

import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Access and limits of a server.

    Attributes:
        host: the address to listen on; localhost by default.
        root_path: the sub-path at which a proxy shows the server, such as "/videos"; empty: the root.
        trust_proxy: whether `X-Forwarded-Host` names the host that browsers see.
        token: secret that every request must send; None: no secret, which is allowed only on a loopback address.
        max_upload_bytes: maximum size of an uploaded clip.
        upload_seconds: timeout of an upload.
        decode_seconds: timeout for decoding a clip or transcoding it for the browser.
        max_clip_seconds: maximum duration of an uploaded clip.
        max_clip_pixels: maximum number of pixels of its frames, width times height.
        max_uploads_at_once: number of simultaneous uploads; others wait before their bytes are read.
        max_query_letters: maximum length of a text query.
        max_results: maximum number of results per request.
        cache_bytes: size limit of the transcoded clips and pictures in a temporary folder.
        refresh_seconds: interval between reads of the list of the index's files.
        allow_addresses: addresses below which videos of the index are fetched, besides those that this user indexed on
            this machine; `all` for every address.

    >>> ServeSettings().is_loopback
    True
    >>> ServeSettings(host="0.0.0.0")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: --host 0.0.0.0: other machines can reach this address...
    """

    host: str = "127.0.0.1"
    root_path: str = ""
    trust_proxy: bool = False
    token: str | None = None
    max_upload_bytes: int = 200 * 2**20
    upload_seconds: float = 300
    decode_seconds: float = 30
    max_clip_seconds: float = 600
    max_clip_pixels: int = 4096 * 4096
    max_uploads_at_once: int = 4
    max_query_letters: int = 500
    max_results: int = 100
    cache_bytes: int = 512 * 2**20
    refresh_seconds: float = 30
    allow_addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.root_path and not re.fullmatch(r"(?:/[\w.~-]+)+", self.root_path, re.ASCII):
            raise ValueError(f"--root-path {self.root_path} must start with a slash and not end with one: /videos.")
        if self.token is None and not self.is_loopback:
            raise ValueError(
                f"--host {self.host}: other machines can reach this address, and with it all videos of the index. "
                "Add --token auto or your own token."
            )
        if self.token is not None and (len(self.token) < 8 or not self.token.isascii() or not self.token.isalnum()):
            raise ValueError("--token must be `auto`, or at least 8 ASCII letters and digits.")

    @classmethod
    def with_token(cls, token: str | None, **others: object) -> Self:
        """Settings with this token; "auto" makes a random token.

        >>> len(ServeSettings.with_token("auto").token)
        32
        """
        return cls(token=secrets.token_hex(16) if token == "auto" else token, **others)  # type: ignore[arg-type]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without a port, is a loopback address.

    >>> is_loopback("localhost"), is_loopback("[::1]"), is_loopback("192.168.1.5")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
