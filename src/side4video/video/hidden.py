"""Which names in folders are hidden: files and folders that no command takes as videos."""

HIDDEN_NAMES = {
    "@eadir",
    "$recycle.bin",
    "recycler",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "system volume information",
    "lost+found",
    "__macosx",
}
"""Trash, thumbnails and system folders of file managers, network drives and archives, in lower case."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder starts with a dot (`.git`, `.Trash-1000`, `._clip.mp4`) or is one of `HIDDEN_NAMES`.

    >>> is_hidden(".Trash-1000"), is_hidden("$RECYCLE.BIN"), is_hidden("clips")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in HIDDEN_NAMES
