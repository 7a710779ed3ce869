"""Open the store of an address."""

import importlib.util
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from side4video.search.stores.index_locks import LOCK_FILES
from side4video.search.stores.store import Store

_REQUIRED = {"lancedb": "search", "qdrant_client": "qdrant"}
"""Modules that stores need -> the extra of this package that installs them."""
_LANCE_TABLE = "windows.lance"


def open_store(address: str | Path, *, create: bool = False) -> Store:
    """Open the store of an index.

    Args:
        address: a folder; an object store that LanceDB supports, such as `s3://bucket/folder`; a collection of a Qdrant
            server, `qdrant://host:port/collection`, with `?tls=true` for https and the API key in the environment
            variable QDRANT_API_KEY; or `qdrant+local:///folder/collection`, which is Qdrant without a server, for
            tests and small collections.
        create: True: the index may be missing and is made here. False: the index must exist.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: the address has another form, the folder holds other files, or a later version of this package made
            the index.
        ConnectionError: a server or an object store does not answer, or denies access.
        ModuleNotFoundError: a package that the store needs is not installed.

    >>> store = open_store("index")
    >>> store.read_info().window_seconds
    10.0
    """
    text = str(address)
    scheme = re.match(r"([a-z][a-z0-9+]+)://", text)
    store = _open_qdrant(text) if scheme and scheme[1].startswith("qdrant") else _open_lance(text, bool(scheme), create)
    try:
        if store.read_info() is None and not create:
            raise FileNotFoundError(f"{text} is not an index. Make one: side4video index VIDEOS... --to {text}")
    except BaseException:
        store.close()
        raise
    return store


def _open_lance(address: str, remote: bool, create: bool) -> Store:
    _require("lancedb")
    if not remote:
        _check_folder(Path(address), create)
        address = str(Path(address).absolute())
    from side4video.search.stores.lance_store import LanceStore

    return LanceStore(address)


def _open_qdrant(address: str) -> Store:
    _require("qdrant_client")
    from side4video.search.stores.qdrant_store import QdrantStore

    parts = urlsplit(address)
    folder, _, collection = parts.path.lstrip("/").rpartition("/") if parts.scheme == "qdrant+local" else ("", "", "")
    if parts.scheme == "qdrant+local" and not parts.netloc and folder and collection:
        return QdrantStore.on_disk(Path("/") / folder, collection)
    collection = parts.path.strip("/")
    if parts.scheme != "qdrant" or not parts.hostname or not collection or "/" in collection:
        raise ValueError(
            f"{address} is not the address of a Qdrant collection. Write qdrant://host:port/collection, or "
            "qdrant+local:///folder/collection."
        )
    tls = parse_qs(parts.query).get("tls", ["false"])[-1].lower() in {"1", "true", "yes"}
    return QdrantStore.on_server(parts.hostname, parts.port or 6333, collection, tls=tls)


def _require(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        extra = _REQUIRED[module]
        raise ModuleNotFoundError(f"This index needs {module}. Install it: pip install 'side4video[{extra}]'")


def _check_folder(folder: Path, create: bool) -> None:
    """Check a folder: a new index needs an empty or missing folder, an existing one must be there."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not the folder of an index.")
    if (folder / _LANCE_TABLE).is_dir():
        return
    if not create:
        raise FileNotFoundError(f"{folder} is not an index. Make one: side4video index VIDEOS... --to {folder}")
    if folder.exists() and any(path.name not in LOCK_FILES for path in folder.iterdir()):
        raise ValueError(f"{folder} contains other files and no index. Choose an empty or a new folder.")
