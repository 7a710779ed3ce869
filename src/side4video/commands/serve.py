"""The command `serve`."""

import gc
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class ServeArguments:
    """Show an index as a page in the browser, with a JSON API beside it; Ctrl-C ends it.

    Everybody who reaches the page can see all videos of the index: it is for this machine alone unless --host says
    otherwise, and then needs a --token.
    """

    index: tyro.conf.Positional[str]
    """What `side4video index` made: a folder or an address."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: int = 8000
    """Port to listen on; 0 for any that is free."""
    token: str | None = None
    """What every visitor must know: `auto` makes one up and prints it as part of the address."""
    classify: Path | None = None
    """A recognition adapter, run folder, or name on the hub: it says what happens in uploaded clips."""
    open: bool = False
    """Open the page in a browser."""
    max_upload_mb: int = 200
    """Size of an uploaded clip at most, in MB of 1,048,576 bytes."""
    model: str | None = None
    """Where the model that made the index is now; by default where it was."""
    backbone_weights: str | None = None
    """Local weights of the backbone; by default what the model was made with."""
    classify_weights: str | None = None
    """The same for the backbone of --classify."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


def serve(arguments: list[str]) -> int:
    """Search in an index on a page in the browser: serve FOLDER [--classify ADAPTER] [--open]."""
    given = tyro.cli(ServeArguments, prog="side4video serve", args=arguments)

    from importlib.util import find_spec

    if missing := [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]:
        raise ModuleNotFoundError(f"{', '.join(missing)}: not installed. pip install 'side4video[serve]'")

    from side4video.web.serving import Server, listen
    from side4video.web.settings import ServeSettings

    if given.max_upload_mb < 1:
        raise ValueError(f"--max-upload-mb {given.max_upload_mb} must be 1 or more.")
    settings = ServeSettings.with_token(given.token, host=given.host, max_upload_bytes=given.max_upload_mb * 2**20)
    with listen(given.host, given.port) as socket:  # a port that is taken shows before a model is loaded
        from side4video.inference.predictor import Predictor
        from side4video.search.video_index import VideoIndex

        classifier = None
        if given.classify is not None:
            classifier = Predictor(given.classify, backbone_weights=given.classify_weights, device=given.device)
        index = VideoIndex.open(
            given.index, model=given.model, backbone_weights=given.backbone_weights, device=given.device
        )
        try:
            Server(index, settings, classifier=classifier).run(socket, is_opened=given.open)
        finally:
            index.close()
    gc.freeze()  # the process ends: looking for cycles among all the libraries' objects first takes a second and more
    return 0
