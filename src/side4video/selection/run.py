"""A run: an optional search, then the training of a probe or a side network on all clips."""

from dataclasses import replace
from pathlib import Path

from side4video.atomic_files import write_text
from side4video.config import ConfigError, RunConfig, dump_config, load_config, parse_config
from side4video.distributed.processes import launched_processes
from side4video.selection.candidates import changed
from side4video.selection.probe_run import train_probe
from side4video.selection.search import Search
from side4video.training.loop import TrainResult
from side4video.training.loop import train as train_side_network
from side4video.training.run_folder import (
    CONFIG,
    EPOCHS,
    MAY_CHANGE_ON_RESUME,
    PATHS,
    WEIGHTS,
    check_run_folder,
    config_changes,
)
from side4video.training.run_inputs import check_same_inputs, has_inputs, write_inputs
from side4video.training.run_mirror import mirror_of, run_folder, shown_place
from side4video.video.remote import video_path


def train(
    config: RunConfig, *, out: str | Path, resume: bool = False, init_from: str | Path | None = None
) -> TrainResult:
    """Train a model and write adapters, logs and scores to the folder `out`.

    With `config.search`, candidates are first compared on the training clips. The chosen settings are stored in the
    run folder's config.yaml with the search off: training with that file repeats the run without the search.

    Args:
        config: all settings.
        out: run folder, or its address, such as s3://bucket/run; must not hold a run or a search yet, unless `resume`.
        resume: continue the search or the run in `out`.
        init_from: adapter to start a side network from.

    Raises:
        ConfigError: `out` holds another run or search, or it was started with other settings.
        ValueError: the settings are invalid together, or the data cannot be used.

    See `side4video.training.loop.train` for the errors of training itself.
    """
    if not isinstance(config, RunConfig):
        raise TypeError(f"config is {config!r}, not settings. Load a recipe: train(load_config('own-clips'), ...).")
    init_from = None if init_from is None else Path(init_from)
    with run_folder(out) as folder:
        result = _train(config, folder, resume=resume, init_from=init_from)
    return replace(result, folder=video_path(out))


def _train(config: RunConfig, out: Path, *, resume: bool, init_from: Path | None) -> TrainResult:
    if config.search != "off":
        if mirror_of(out) is not None:
            raise ConfigError(
                f"{shown_place(out)}: a search needs a folder of this machine as --out. Search in one, then train its "
                "config.yaml with this address."
            )
        if init_from is not None:
            raise ValueError(f"The search may choose another network than that of {init_from}. Give --search off.")
        config, resume = _searched(config, out, resume=resume)
    if config.probe.name == "none":
        return train_side_network(config, out=out, resume=resume, init_from=init_from)
    if init_from is not None:
        raise ValueError(f"probe.name = {config.probe.name!r} is fitted anew: it starts from no adapter.")
    return train_probe(config, out=out, resume=resume)


def _searched(config: RunConfig, out: Path, *, resume: bool) -> tuple[RunConfig, bool]:
    """Return the settings that the search chose, now or earlier, and whether to resume their run."""
    if launched_processes() > 1:
        raise ValueError(
            "A search takes one process. Let one process search; if it chooses a side network, several can train its "
            "config.yaml."
        )
    folder = out / "search"
    settings = folder / "settings.yaml"
    if (out / CONFIG).is_file() and not settings.is_file():
        check_run_folder(out, config, resume=resume)
    if settings.is_file():
        if not resume:
            raise ConfigError(f"{out} holds a search already. Add --resume to continue it, or choose another --out.")
        before, has_chosen = load_config(settings), (out / CONFIG).is_file()
        more_epochs = has_chosen and config.train.epochs > before.train.epochs
        if changes := config_changes(before, config, moved=has_inputs(folder), more_epochs=more_epochs):
            listed = "\n".join(f"  {change}" for change in changes)
            raise ConfigError(
                f"The search in {out} was started with other settings:\n{listed}\nResume with the same, or choose "
                "another --out."
            )
        if has_chosen:
            return _as_given_now(load_config(out / CONFIG), config), True
    check_run_folder(out, config, resume=resume)
    search = Search(config, out)
    data = search.data.identity()
    check_same_inputs(folder, search.backbone, data)
    write_text(settings, dump_config(config))
    write_inputs(folder, search.backbone, data)
    search.run()
    return changed(config, search.changes), False


def _as_given_now(chosen: RunConfig, given: RunConfig) -> RunConfig:
    """The settings that a search chose, with the settings of this call that may change when a run is resumed."""
    content, now = (config.model_dump(mode="json") for config in (chosen, given))
    for name in (*MAY_CHANGE_ON_RESUME, *PATHS, *WEIGHTS, EPOCHS, "data.cache"):
        group, key = name.split(".")
        content[group][key] = now[group][key]
    return parse_config(content, source="the chosen settings")
