"""The Hugging Face hub: parse names of repositories, download and upload files."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from side4video.system.paths import as_listed, real_path

_NAME = re.compile(r"(?P<repo_id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?", re.ASCII)
LOGIN_HINT = "Log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class HubName:
    """A repository on the hub, written `user/name` or `user/name@revision`.

    Attributes:
        repo_id: `user/name`.
        revision: a branch, tag or commit. None: the newest commit of the main branch.

    >>> name = HubName("user/name", revision="v1")
    >>> str(name)
    'user/name@v1'
    """

    repo_id: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


def parse_hub_name(text: str) -> HubName | None:
    """The repository that a text names; None if it is no valid name.

    >>> str(parse_hub_name("user/name@v1"))
    'user/name@v1'
    >>> parse_hub_name("runs/mine/best"), parse_hub_name("../mine"), parse_hub_name("mine")
    (None, None, None)
    """
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    try:
        validate_repo_id(match["repo_id"])
    except HFValidationError:
        return None
    return HubName(match["repo_id"], match["revision"])


@cache  # one request per process, so that all parts of a command see the same commit
def download(name: HubName, files: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> Path:
    """Download these files of a repository, and no others; returns their folder in the local cache of the hub.

    Files that are `optional` may be missing.

    Without a connection, or if a mirror or proxy answers with something else than a hub, the newest cached version is
    used.

    Raises:
        FileNotFoundError: the repository, revision or a file does not exist, or the hub is unreachable and nothing is
            cached.
        OSError: the hub, a mirror or a proxy gives another answer, such as an HTML page, and nothing is cached.
        PermissionError: the repository is gated: its owner must grant you access.
    """
    try:
        folder = _snapshot(name, files + optional)
    except GatedRepoError as error:
        page = f"{constants.ENDPOINT}/{name.repo_id}"
        raise PermissionError(f"{name} is gated: request access at {page}. {LOGIN_HINT}.") from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{name} is neither a local folder nor a repository on {constants.ENDPOINT} that you can read. Check the "
            f"name. {LOGIN_HINT} if the repository is private."
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"{name.repo_id} has no revision {name.revision!r} on {constants.ENDPOINT}.") from error
    except LocalEntryNotFoundError as error:
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else error.__cause__ or error
        raise FileNotFoundError(
            f"{name} is neither a local folder nor cached, and {constants.ENDPOINT} cannot be reached ({reason}). "
            "Check the name and the connection."
        ) from error
    except HfHubHTTPError as error:
        raise OSError(f"{name} cannot be downloaded from {constants.ENDPOINT}: {error}") from error
    except (ValueError, KeyError, TypeError, HTTPError) as error:  # no JSON, other JSON, or an error of a proxy
        folder = _cached_snapshot(name, files + optional, error)
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(f"The repository {name} is not an adapter: it has no {' and no '.join(missing)}.")
    _check_no_pages(folder, (*files, *(file for file in optional if (folder / file).is_file())))
    return folder


def _snapshot(name: HubName, files: tuple[str, ...], *, local_files_only: bool = False) -> Path:
    return Path(
        snapshot_download(
            name.repo_id, revision=name.revision, allow_patterns=list(files), local_files_only=local_files_only
        )
    )


def _cached_snapshot(name: HubName, files: tuple[str, ...], error: Exception) -> Path:
    """The cached version of a repository whose hub gave an answer that is none of a hub."""
    answer = f"{constants.ENDPOINT} does not answer like a hub ({type(error).__name__}: {str(error)[:200]})"
    try:
        folder = _snapshot(name, files, local_files_only=True)
    except LocalEntryNotFoundError:
        raise OSError(
            f"{name} cannot be downloaded: {answer}, and it is not cached. A mirror, a proxy or a login page may have "
            "answered: open the address in a browser, and check HF_ENDPOINT and the proxy settings."
        ) from error
    print(f"warning: {answer}: the cached version of {name} is used.", file=sys.stderr)
    return folder


def _check_no_pages(folder: Path, files: tuple[str, ...]) -> None:
    """Check that no file is an HTML page, which a mirror or proxy sent in its place."""
    for file in files:
        with (folder / file).open("rb") as opened:
            start = opened.read(512).lstrip().lower()
        if start.startswith((b"<!doctype", b"<html")):
            raise OSError(
                f"{folder / file} is an HTML page: a mirror, a proxy or a login page answered in place of "
                f"{constants.ENDPOINT}. Delete {folder.parents[1]}, check HF_ENDPOINT and the proxy settings."
            )


def is_downloaded(path: Path) -> bool:
    """Whether a path is in the local cache of the hub or of addresses. Files there come from others: untrusted."""
    return any(
        Path(*as_listed([str(path.absolute())])).is_relative_to(*as_listed([str(cache.absolute())]))
        or Path(real_path(path)).is_relative_to(real_path(cache))
        for cache in (Path(constants.HF_HUB_CACHE), address_cache())
    )


def address_cache() -> Path:
    """The folder of adapters that were downloaded from addresses such as s3://bucket/run/best."""
    return Path(constants.HF_HOME) / "side4video-adapters"


def upload(
    folder: Path,
    repo_id: str,
    *,
    files: Sequence[str],
    outdated: Sequence[str] = (),
    private: bool,
    message: str,
    token: str | None,
) -> str:
    """Upload files of a folder to a repository, which is created if it does not exist; returns its address.

    Args:
        folder: folder of the files.
        repo_id: `user/name`.
        files: names of the files, below `folder` and with `/`; nothing else is uploaded.
        outdated: files that are removed from the repository, if it has them.
        private: create a private repository; an existing one keeps its visibility.
        message: commit message.
        token: token of the hub. Default: the token of `hf auth login` or of HF_TOKEN.

    Raises:
        PermissionError: there is no token.
        OSError: the hub rejects the upload, or is unreachable.
    """
    token = token or get_token()
    if token is None:
        raise PermissionError(f"Uploading to {repo_id} needs a token of {constants.ENDPOINT}. {LOGIN_HINT}.")
    hub = HfApi(token=token, library_name="side4video")
    try:
        address = hub.create_repo(repo_id, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(files),
            delete_patterns=list(outdated),
            commit_message=message,
        )
    except (HTTPError, OSError, json.JSONDecodeError) as error:  # of the hub, of the connection, of a page
        raise OSError(f"{repo_id} cannot be uploaded to {constants.ENDPOINT}: {error}") from error
    return str(address)
