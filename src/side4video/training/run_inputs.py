"""What a run was started with: fingerprints of its frozen weights and data, which may move before it is resumed."""

import json
from pathlib import Path
from typing import Any

from side4video.atomic_files import write_json
from side4video.config import ConfigError
from side4video.models.backbones.frozen_backbone import FrozenBackbone

INPUTS = "inputs.json"


def has_inputs(out: Path) -> bool:
    """Whether a run folder knows what its run was started with; those of earlier versions do not."""
    return (out / INPUTS).is_file()


def write_inputs(out: Path, backbone: FrozenBackbone, data: dict[str, Any]) -> None:
    """Write the fingerprints of a new run: of the backbone and of the data, see `Task.identity`."""
    write_json(out / INPUTS, {"weights": backbone.fingerprint, **data})


def check_same_inputs(out: Path, backbone: FrozenBackbone, data: dict[str, Any], *, remedy: str = "") -> None:
    """Check that a run is resumed with the weights and the data that it was started with, wherever they are now.

    Args:
        out: folder of the run, or of its search.
        backbone: the frozen model now.
        data: what identifies the data now, see `Task.identity`.
        remedy: more advice for the error.

    Raises:
        ConfigError: they differ; the error names each.
    """
    started = _read(out)
    now = json.loads(json.dumps(data))
    weights = started.pop("weights", None)
    problems = [_describe(name, started[name], now.get(name)) for name in started if started[name] != now.get(name)]
    if weights is not None and not backbone.has_fingerprint(weights):
        problems.append(f"backbone.weights: the fingerprint was {weights}, now it is {backbone.fingerprint}")
    if problems:
        raise ConfigError(
            f"{out} was started with other data or weights:\n"
            + "\n".join(f"  {problem}" for problem in problems)
            + f"\nResume with the same ones, which may lie elsewhere, or choose another --out{remedy}."
        )


def _read(out: Path) -> dict[str, Any]:
    if has_inputs(out):
        content = json.loads((out / INPUTS).read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}  # a run of an earlier version


def _describe(name: str, before: Any, now: Any) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{name}: was {before}, now it is {now}"
    if before["videos"] != now["videos"]:
        return f"data.{name}: there were {before['videos']} videos, now there are {now['videos']}"
    return f"data.{name}: {now['videos']} videos as before, but their order, labels, times, sizes or content differ"
