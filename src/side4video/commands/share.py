"""The command `share`."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class ShareArguments:
    """Put an adapter on the Hugging Face hub, or with --folder on this disk alone: only what others need of it."""

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, or run folder (its best adapter is taken)."""
    name: tyro.conf.Positional[str]
    """user/name on the hub; made where it is not there."""
    private: bool = False
    """Only its owner can read a repository that is made now."""
    license: str | None = None
    """The hub's short name of a licence, such as mit; by default that of the card that is there, if any."""
    dataset: str | None = None
    """Name of the data set in the card; by default the official one's, or that of its file or folder."""
    folder: Path | None = None
    """Write what would be uploaded to this folder instead: no connection and no token."""


def share(arguments: list[str]) -> int:
    """Put an adapter and its card on the Hugging Face hub: share ADAPTER USER/NAME [--private] [--license mit]."""
    given = tyro.cli(ShareArguments, prog="side4video share", args=arguments)

    from side4video.sharing.share import push_to_hub, save_shareable

    if given.folder is not None:
        files = save_shareable(
            given.adapter, given.folder, name=given.name, license=given.license, dataset=given.dataset
        )
        print(f"written: {', '.join(map(str, files))}")
        return 0
    address = push_to_hub(
        given.adapter, given.name, private=given.private, license=given.license, dataset=given.dataset
    )
    print(f"shared: {address}")
    return 0
