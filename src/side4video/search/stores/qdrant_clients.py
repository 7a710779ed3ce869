"""Clients of Qdrant: one per server connection, and one per folder, which several stores share."""

import os
import threading
from pathlib import Path

from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

_folders: dict[Path, tuple[QdrantClient, int]] = {}
"""The client of each folder, which Qdrant can open only once, and the number of stores that use it."""
_folders_lock = threading.Lock()


def connect(host: str, port: int, collection: str, *, address: str, tls: bool) -> QdrantClient:
    """Connect to a server. The API key comes from the environment variable QDRANT_API_KEY.

    Args:
        host: name or address of the server.
        port: port of its REST interface.
        collection: a collection to ask for, which may be missing.
        address: address of the index, for errors.
        tls: use https.

    Raises:
        ConnectionError: the server does not answer, or denies access.
    """
    key = os.environ.get("QDRANT_API_KEY")
    client = QdrantClient(host=host, port=port, https=tls, api_key=key, check_compatibility=False, timeout=60)
    try:
        client.collection_exists(collection)
    except (ResponseHandlingException, UnexpectedResponse) as error:
        client.close()
        raise ConnectionError(
            f"{address} does not answer as a Qdrant server: {error}. Check that it runs, and whether it needs "
            "?tls=true or an API key in the environment variable QDRANT_API_KEY."
        ) from error
    return client


def open_folder(folder: Path, address: str) -> QdrantClient:
    """Open a folder without a server, or share its open client. Each call needs a call of `close_folder`.

    Raises:
        ValueError: another process has opened the folder.
    """
    with _folders_lock:
        client, users = _folders.get(folder, (None, 0))
        if client is None:
            try:
                client = QdrantClient(path=str(folder))
            except RuntimeError as error:
                raise ValueError(f"{address} cannot be opened: {error}") from error
        _folders[folder] = client, users + 1
    return client


def close_folder(folder: Path, client: QdrantClient) -> None:
    """Close the client of a folder when its last store is closed."""
    with _folders_lock:
        current, users = _folders.get(folder, (None, 0))
        if current is not client:
            return
        if users == 1:
            client.close()
            del _folders[folder]
        else:
            _folders[folder] = client, users - 1
