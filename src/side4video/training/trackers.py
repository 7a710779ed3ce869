"""Trackers that follow a run: Weights & Biases, MLflow and TensorBoard. No other file knows these libraries."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from side4video.atomic_files import write_json

TRACKERS_FILE = "trackers.json"
"""File in the run folder: the identifier of the run in each tracker, with which a resumed run continues it."""
PROJECT = "side4video"
"""Name of the project or experiment, unless WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME names another."""
_MODULES = {"wandb": "wandb", "mlflow": "mlflow", "tensorboard": "tensorboard"}
_LONGEST_VALUE = 500
_PARAMS_PER_REQUEST = 100


class Tracker(Protocol):
    """What gets the numbers of a run.

    >>> class Printed:
    ...     def write(self, kind, step, values):
    ...         print(kind, step, values)
    ...     def close(self, *, failed):
    ...         print("failed" if failed else "done")
    >>> tracker: Tracker = Printed()
    >>> tracker.write("train", 10, {"loss": 0.5})
    train 10 {'loss': 0.5}
    """

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Record numbers of the kind "train", "evaluation", ... after a step."""

    def close(self, *, failed: bool) -> None:
        """End the run in the tracker, which may continue later."""


def check_trackers(names: Sequence[str]) -> None:
    """Check that the libraries of the trackers are installed, before any work.

    >>> check_trackers(())

    Raises:
        ModuleNotFoundError: one is not; the error names the extra.
    """
    if missing := [name for name in names if find_spec(_MODULES[name]) is None]:
        extras = ",".join(missing)
        raise ModuleNotFoundError(
            f"train.log {extras}: not installed. Install it with: pip install 'side4video[{extras}]'."
        )


def open_trackers(
    names: Sequence[str], folder: Path, *, settings: Mapping[str, Any], start_step: int, resumed: bool
) -> dict[str, Tracker]:
    """Begin the run in each tracker, or continue it with the identifier in the run folder.

    Args:
        names: "wandb", "mlflow", "tensorboard".
        folder: the run folder.
        settings: settings of the run by flag name.
        start_step: steps done before; numbers of later steps of an interrupted run are written again.
        resumed: continue the runs whose identifiers are in the folder.
    """
    path = folder / TRACKERS_FILE
    known = json.loads(path.read_text(encoding="utf-8")) if resumed and path.is_file() else {}
    found: dict[str, Tracker] = {}
    for name in names:
        if name == "tensorboard":
            found[name] = _TensorBoard(folder, start_step)
            continue
        tracker = (_Wandb if name == "wandb" else _Mlflow)(folder, settings, known.get(name, {}))
        found[name], known[name] = tracker, tracker.identity
    if known:
        write_json(path, known)
    return found


class _TensorBoard:
    """Event files in the run folder."""

    def __init__(self, folder: Path, start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=start_step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._events.add_scalar(f"{kind}/{name}", value, step)

    def close(self, *, failed: bool) -> None:  # noqa: ARG002 - event files have no end
        self._events.close()


class _Wandb:
    """A run of Weights & Biases; WANDB_MODE=offline writes it to the run folder alone."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], known: Mapping[str, str]) -> None:
        import wandb

        self._run = wandb.init(
            project=known.get("project") or os.environ.get("WANDB_PROJECT") or PROJECT,
            id=known.get("id"),
            name=folder.resolve().name,
            dir=str(folder.resolve()),
            config=dict(settings),
            resume="allow",
        )
        # The step of the tracker itself cannot go back, but a resumed run repeats steps after its checkpoint.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.identity = {"id": str(self._run.id), "project": str(self._run.project)}

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step} | {f"{kind}/{name}": value for name, value in values.items()})

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _Mlflow:
    """A run of MLflow, where MLFLOW_TRACKING_URI says; by default in mlflow.db of the current folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], known: Mapping[str, str]) -> None:
        import mlflow
        from mlflow.entities import Param

        address = os.environ.get("MLFLOW_TRACKING_URI") or known.get("address") or mlflow.get_tracking_uri()
        self._client = mlflow.MlflowClient(tracking_uri=address)
        self._id = known.get("id") or ""
        if self._id:
            self._client.update_run(self._id, status="RUNNING")
        else:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
            experiment = self._client.get_experiment_by_name(name)
            number = experiment.experiment_id if experiment else self._client.create_experiment(name)
            self._id = self._client.create_run(number, run_name=folder.resolve().name).info.run_id
            params = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in settings.items()]
            for start in range(0, len(params), _PARAMS_PER_REQUEST):
                self._client.log_batch(self._id, params=params[start : start + _PARAMS_PER_REQUEST])
        self.identity = {"id": self._id, "address": address}

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(f"{kind}/{name}", value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")
