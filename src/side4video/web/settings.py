"""What a server allows: who may ask, and how much of everything."""

import ipaddress
import secrets
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Who may ask the server, and how much.

    Attributes:
        host: the address it listens on.
        token: what every request must know; None: nothing, which is allowed on a loopback address alone.
        max_upload_bytes: of an uploaded clip.
        upload_seconds: in which an upload must have arrived.
        decode_seconds: in which a clip must have been decoded, or made ready for the browser.
        max_clip_seconds: length of an uploaded video.
        max_clip_pixels: of its frames.
        max_uploads_at_once: others wait, before their bytes are read.
        max_query_letters: of a question.
        max_results: of an answer.
        cache_bytes: of clips and pictures made for the browser, in a temporary folder.
        refresh_seconds: so often the list of the index's files is read anew.
    """

    host: str = "127.0.0.1"
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

    def __post_init__(self) -> None:
        if self.token is None and not self.is_loopback:
            raise ValueError(
                f"--host {self.host}: others can reach this address, and all videos of the index with it. "
                "Add --token auto, or a token of your own."
            )
        if self.token is not None and (len(self.token) < 8 or not self.token.isascii() or not self.token.isalnum()):
            raise ValueError("--token must be `auto`, or 8 and more ASCII letters and digits.")

    @classmethod
    def with_token(cls, token: str | None, **others: object) -> Self:
        """Settings whose token is made up where it is "auto"."""
        return cls(token=secrets.token_hex(16) if token == "auto" else token, **others)  # type: ignore[arg-type]

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or an address, without a port, means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
