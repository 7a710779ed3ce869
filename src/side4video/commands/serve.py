"""The command `serve`."""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ServeArguments:
    """Serve an index as a search page for the browser, with a JSON API; press Ctrl-C to stop.

    Anyone who can reach the page can see all videos of the index. It is bound to localhost by default; another --host
    requires a --token.

    Examples:
        >>> tyro.cli(ServeArguments, args=["index", "--port", "8080"]).host
        '127.0.0.1'
    """

    index: tyro.conf.Positional[str]
    """The index from `side4video index`: a folder or an address."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all interfaces."""
    port: int = 8000
    """Port to listen on; 0 for any free port."""
    root_path: str = ""
    """Sub-path at which a proxy shows the page: /videos for https://example.org/videos/."""
    trust_proxy: bool = False
    """Trust the X-Forwarded-Host header of a proxy in front of the server. Use it only with one that sets it."""
    token: str | None = None
    """Secret that every visitor needs: `auto` generates one and prints it as part of the address."""
    classify: Path | None = None
    """A recognition adapter that classifies uploaded clips: its folder, a run folder, or a name on the hub."""
    open: bool = False
    """Open the page in a browser."""
    allow_addresses: tuple[str, ...] = ()
    """Addresses below which videos of the index are fetched, such as s3://bucket/clips; `all`: every address. Default:
    the addresses that you indexed on this machine."""
    max_upload_mb: int = 200
    """Maximum size of an uploaded clip, in MB of 1,048,576 bytes."""
    model: str | None = None
    """Path of the model that made the index, if it has moved."""
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that the model was made with."""
    tokenizer: Annotated[Path | None, tyro.conf.arg(name="text.tokenizer")] = None
    """Local tokeniser of a model without an adapter: a tokenizer.json, a SentencePiece model, or a folder with one of
    them. Default: the hub's."""
    classify_weights: str | None = None
    """Local weights file of the backbone of --classify. Default: the weights that it was trained on."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


def serve(arguments: list[str]) -> int:
    """Run `side4video serve`; returns the exit code."""
    given = tyro.cli(ServeArguments, prog="side4video serve", args=arguments)

    from importlib.util import find_spec

    if missing := [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]:
        raise ModuleNotFoundError(f"{', '.join(missing)}: not installed. pip install 'side4video[serve]'")

    from side4video.web.server import Server, listen
    from side4video.web.settings import ServeSettings

    if given.max_upload_mb < 1:
        raise ValueError(f"--max-upload-mb {given.max_upload_mb} must be 1 or more.")
    settings = ServeSettings.with_token(
        given.token,
        host=given.host,
        root_path=given.root_path,
        trust_proxy=given.trust_proxy,
        allow_addresses=given.allow_addresses,
        max_upload_bytes=given.max_upload_mb * 2**20,
    )
    with listen(given.host, given.port) as socket:  # fails before it loads a model if the port is in use
        from side4video.inference.predictor import Predictor
        from side4video.search.video_index import VideoIndex

        classifier = None
        if given.classify is not None:
            classifier = Predictor(given.classify, backbone_weights=given.classify_weights, device=given.device)
        index = VideoIndex.open(
            given.index,
            model=given.model,
            backbone_weights=given.backbone_weights,
            tokenizer=given.tokenizer,
            device=given.device,
        )
        try:
            Server(index, settings, classifier=classifier).run(socket, open_browser=given.open)
        finally:
            index.close()
    gc.freeze()  # the process ends: a last garbage collection of the libraries' objects takes more than a second
    return 0
