"""Write shards: each whole or not at all, with the same bytes for the same videos, and continued after a stop."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from side4video.atomic_files import check_space, check_writable, remove_abandoned, replacing, write_json
from side4video.shards.plan import Plan, PlannedSample, archive_bytes
from side4video.video.file_access import open_bytes

PLAN_FILE = "shards.json"
"""What the shards of a folder contain; marks a folder whose writing may continue."""
CLASS_NAMES_FILE = "class_names.json"


def write_shards(plan: Plan, folder: Path, *, source: str, task: str, class_names: Sequence[str] = ()) -> int:
    """Write the shards of a plan, `shards.json` and `class_names.json`.

    Shards that an interrupted run has written are kept.

    Args:
        plan: the samples.
        folder: an empty or new folder, or one in which the same plan was begun.
        source: the list, whose name `shards.json` states.
        task: recognition or retrieval.
        class_names: names of the numbers in the cls members.

    Returns:
        The number of shards that existed.

    Raises:
        ValueError: the folder contains other files, or shards of another list.
        OSError: a file cannot be read or written, or has changed since it was planned.
    """
    sizes = [archive_bytes(shard) for shard in plan.shards]
    about = {
        "format": "webdataset",
        "source": Path(source).name,
        "task": task,
        "plan": plan.digest(),
        "videos": sum(map(len, plan.shards)),
        "shards": [
            {"file": name, "videos": len(shard), "bytes": size}
            for name, shard, size in zip(plan.names, plan.shards, sizes, strict=True)
        ],
    }
    _prepare(folder, about)
    done = {name for name in plan.names if (folder / name).is_file()}
    left = sum(size for name, size in zip(plan.names, sizes, strict=True) if name not in done)
    check_space(folder, left, "the shards")
    if class_names:
        write_json(folder / CLASS_NAMES_FILE, list(class_names))
    write_json(folder / PLAN_FILE, about)
    with tqdm(total=sum(sizes), desc="write", unit="B", unit_scale=True, dynamic_ncols=True, leave=False) as progress:
        progress.initial = progress.n = sum(sizes) - left  # not part of the speed
        for name, shard in zip(plan.names, plan.shards, strict=True):
            if name not in done:
                with replacing(folder / name) as temporary, temporary.open("wb") as file:
                    _write_archive(file, shard, progress)
    return len(done)


def _prepare(folder: Path, about: dict[str, Any]) -> None:
    """Make the folder; refuse one with other files."""
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder, "*.tar")
    if not any(folder.iterdir()):
        return
    try:
        known = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))["plan"]
    except FileNotFoundError:
        raise ValueError(f"--out {folder} contains files that are no shards. Use a new folder.") from None
    except (ValueError, KeyError, TypeError):
        known = None
    if known != about["plan"]:
        raise ValueError(
            f"--out {folder} contains shards of another list, of videos that have changed since, or of other sizes. "
            "Use a new folder, or remove this one."
        )


def _write_archive(file: BinaryIO, shard: Sequence[PlannedSample], progress: Any) -> None:
    written = 0
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for sample in shard:
            for suffix in sorted([*sample.texts, sample.suffix]):
                if suffix in sample.texts:
                    content = sample.texts[suffix]
                    archive.addfile(_header(f"{sample.key}.{suffix}", len(content)), io.BytesIO(content))
                else:
                    _add_video(archive, sample)
            progress.update(file.tell() - written)
            written = file.tell()


def _add_video(archive: tarfile.TarFile, sample: PlannedSample) -> None:
    """Copy a video, in parts: the largest video need not fit into memory."""
    changed = f"{sample.path} has changed since the command began. Start the command again."
    with open_bytes(sample.path) as video:
        try:
            archive.addfile(_header(f"{sample.key}.{sample.suffix}", sample.size), video)
        except OSError as error:
            raise OSError(changed) if "unexpected end" in str(error) else error from None
        if video.read(1):
            raise OSError(changed)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """The same for the same video: without times, users and rights of this machine."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info
