"""The command `share`."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class ShareArguments:
    """Upload an adapter and its card to the Hugging Face hub, or write the same files to --folder.

    Examples:
        >>> tyro.cli(ShareArguments, args=["adapter", "user/name", "--license", "mit"]).license
        'mit'
    """

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, or run folder (its best adapter is used)."""
    name: tyro.conf.Positional[str]
    """Repository on the hub, user/name; created if it does not exist."""
    private: bool = False
    """Create a private repository; an existing one keeps its visibility."""
    license: str | None = None
    """The hub's short name of a licence, such as mit. Default: the licence in the existing card, if any."""
    dataset: str | None = None
    """Name of the data set in the card. Default: its official name, or the name of its file or folder."""
    folder: Path | None = None
    """Write the files to this folder instead of uploading them; requires no connection and no token."""


def share(arguments: list[str]) -> int:
    """Run `side4video share`; returns the exit code."""
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
