"""A run folder belongs to one set of settings, stored in it as config.yaml."""

from pathlib import Path
from typing import Any

from side4video.adapters.adapter import CONFIG as ADAPTER_CONFIG
from side4video.adapters.adapter import read_adapter
from side4video.atomic_files import check_writable, write_text
from side4video.config import NAMED_WEIGHTS, ConfigError, RunConfig, dump_config, load_config, with_absolute_paths
from side4video.models.backbones.frozen_backbone import FrozenBackbone
from side4video.models.backbones.supported_models import ACTIVATIONS, activation_of
from side4video.system.paths import real_path
from side4video.training.checkpoint import has_checkpoint
from side4video.training.run_inputs import has_inputs
from side4video.training.run_mirror import mirror_of, shown_place

CONFIG = "config.yaml"

MAY_CHANGE_ON_RESUME = (
    "data.workers",
    "data.timeout_seconds",
    "data.outside_root",
    "train.device",
    "train.log_every",
    "train.checkpoint_minutes",
    "train.log",
    "train.on_nonfinite",
)
"""Settings that do not change the result, or only the result of steps that stopped the run. The path of the cache may
change too, but not whether there is one."""


PATHS = (
    "data.train",
    "data.test",
    "data.captions",
    "data.root",
    "data.test_root",
    "data.class_names",
    "train.class_weights",
)
"""Settings with paths of data: the same place may be written in another way, or the data may have moved."""
WEIGHTS = ("backbone.weights", "text.weights")
"""May be other files on resume: `check_same_weights` compares the backbone's fingerprint, and the checkpoint contains
the whole text tower."""
EPOCHS = "train.epochs"
"""May grow on resume, see `train`."""


def check_run_folder(out: Path, config: RunConfig, *, resume: bool) -> None:
    """Check that a run with these settings may write to `out`; writes nothing yet.

    A run that stopped before its first checkpoint, for example out of memory, may start again with other settings.

    Raises:
        ConfigError: the folder already contains a run and `resume` is off, or its settings differ (all are listed).
        OSError: the folder cannot be created or written.
    """
    check_writable(out)
    path = out / CONFIG
    if path.is_file():
        if not resume:
            raise ConfigError(
                f"{shown_place(out)} already contains a run. Add --resume to continue it, or choose another --out."
            )
        if has_begun(out) and (changes := _changes_on_resume(out, config)):
            listed = "\n".join(f"  {change}" for change in changes)
            raise ConfigError(
                f"{shown_place(out)} was started with other settings:\n{listed}\nResume with the same settings, or "
                "choose another --out. Only train.epochs may grow. Data that moved is recognised by its content, "
                "unless the run was started by an earlier version: then make a link from the old place to the new one."
            )


def has_begun(out: Path) -> bool:
    """Whether a run folder contains something that was trained; otherwise a resumed run starts from the beginning."""
    return has_checkpoint(out) or (out / "last").exists()


def has_adapter(out: Path) -> bool:
    """Whether a run folder contains an adapter: not before the end of the run's first epoch."""
    return any((out / name / ADAPTER_CONFIG).is_file() for name in ("best", "last"))


def _changes_on_resume(out: Path, config: RunConfig) -> list[str]:
    before = load_config(out / CONFIG)
    return config_changes(before, config, moved=has_inputs(out), more_epochs=config.train.epochs > before.train.epochs)


def earlier_epochs(out: Path, config: RunConfig) -> int | None:
    """The number of epochs that a run was started with, if the settings now ask for more; otherwise None."""
    if not (out / CONFIG).is_file() or not has_checkpoint(out):
        return None
    before = load_config(out / CONFIG).train.epochs
    return before if before < config.train.epochs else None


def check_same_weights(out: Path, backbone: FrozenBackbone) -> None:
    """Check that a run is resumed with the frozen weights that it was started with, wherever their file is now.

    Raises:
        ConfigError: the weights, their activation or the preprocessing of frames differ.
    """
    if not (out / "last" / ADAPTER_CONFIG).is_file():
        return
    started = read_adapter(out / "last")
    if not backbone.has_fingerprint(started.fingerprint):
        raise ConfigError(
            f"{shown_place(out)} was started with frozen weights of fingerprint {started.fingerprint}; these have "
            f"{backbone.fingerprint}. Resume with the same weights, or choose another --out."
        )
    now = activation_of(backbone.model)
    if started.activation in ACTIVATIONS and started.activation != now:  # others, as of gated MLPs, cannot be chosen
        raise ConfigError(
            f"{out} was started with the activation {started.activation}; now it is {now}. Resume with "
            f"--backbone.activation {started.activation}, or choose another --out."
        )
    if started.preprocessing and (differences := backbone.preprocessing.differences(started.preprocessing)):
        raise ConfigError(
            f"{out} was started with another preprocessing; now it has {differences}. Resume with the versions of timm "
            "and of the files next to the weights that it was started with, or choose another --out."
        )


def claim_run_folder(out: Path, config: RunConfig) -> None:
    """Create the run folder and write the resolved settings to it, with absolute paths; also at the run's address.

    Raises:
        OSError: nothing can be written to the folder or the address.
    """
    if (mirror := mirror_of(out)) is not None:
        mirror.claim()
    write_text(out / CONFIG, dump_config(with_absolute_paths(config)))


def config_changes(before: RunConfig, now: RunConfig, *, moved: bool = False, more_epochs: bool = False) -> list[str]:
    """Settings that differ, as `name: old -> new`, without those that do not change the result.

    Args:
        before, now: the settings.
        moved: paths of data may differ: `check_same_inputs` compares what they lead to.
        more_epochs: the number of epochs may differ.
    """
    old, new = flat_settings(before), flat_settings(now)
    return [
        f"{name}: {old.get(name)!r} -> {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and name not in MAY_CHANGE_ON_RESUME
        and not (name == "data.cache" and old.get(name) and new.get(name))
        and not (name == EPOCHS and more_epochs)
        and not (name in PATHS and old.get(name) and new.get(name) and (moved or _same_place(old[name], new[name])))
        and not (name in WEIGHTS and not {old.get(name), new.get(name)} & set(NAMED_WEIGHTS))
    ]


def _same_place(one: str, other: str) -> bool:
    return real_path(Path(one).expanduser()) == real_path(Path(other).expanduser())


def flat_settings(config: RunConfig) -> dict[str, Any]:
    """The settings by flag name, such as `train.lr`."""
    return _flatten(config.model_dump(mode="json"))


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
