"""Logs of a run: a progress bar, one JSON line per logging step, a CSV of evaluations; trackers get the same."""

import csv
import io
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from side4video.atomic_files import write_text
from side4video.system.devices import peak_device_bytes
from side4video.training.trackers import Tracker


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far, MiB: allocated on the GPU, or the resident size of this process."""
    return peak_device_bytes(device) / 2**20


class Meter:
    """Averages over the steps between two log lines.

    >>> meter = Meter()
    >>> meter.add({"loss_sum": 3.0, "right": 1, "views": 2, "lr": 0.1})
    >>> meter.flush(torch.device("cpu"))["loss"]
    1.5
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.started, self.loss_sum, self.right, self.views, self.lr = time.monotonic(), 0.0, 0, 0, 0.0

    def add(self, step: dict[str, Any]) -> None:
        """Add a step: `loss_sum` and `right` over its `views`, and `lr`."""
        self.loss_sum, self.right = self.loss_sum + step["loss_sum"], self.right + step["right"]
        self.views, self.lr = self.views + step["views"], step["lr"]

    def progress_values(self, device: torch.device) -> dict[str, str]:
        """Values for the progress bar: loss, speed and memory."""
        if not self.views:
            return {}
        speed = self.views / max(time.monotonic() - self.started, 1e-9)
        memory = peak_memory_mb(device)
        return {"loss": f"{self.loss_sum / self.views:.3f}", "clips/s": f"{speed:.1f}", "MiB": f"{memory:.0f}"}

    def flush(self, device: torch.device) -> dict[str, float]:
        """Return the values for a log line and reset; empty if no view was added."""
        if not self.views:
            self._reset()
            return {}
        seconds = max(time.monotonic() - self.started, 1e-9)
        values = {
            "loss": self.loss_sum / self.views,
            "train_top1": self.right / self.views,
            "lr": self.lr,
            "clips_per_second": self.views / seconds,
            "peak_memory_mb": peak_memory_mb(device),
        }
        self._reset()
        return values


class RunLog:
    """Writes `log.jsonl` (training steps and events) and `metrics.csv` (one row per evaluation) in the run folder.

    Args:
        folder: the run folder.
        total_steps: optimizer steps of the whole run.
        start_step: first step of a resumed run; later lines of the interrupted run are dropped.
        evaluation_due: the evaluation after that step will be repeated.
        trackers: by name; they get every number that the log gets.
        silent: write and print nothing, for all processes except the main one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = RunLog(Path(folder), total_steps=2)
    ...     log.write("train", 1, loss=0.5)
    ...     log.close()
    ...     read_log(Path(folder))
    [{'kind': 'train', 'step': 1, 'loss': 0.5}]
    """

    def __init__(
        self,
        folder: Path,
        *,
        total_steps: int,
        start_step: int = 0,
        evaluation_due: bool = False,
        trackers: Mapping[str, Tracker] | None = None,
        silent: bool = False,
    ) -> None:
        self.folder, self.silent = folder, silent
        self._trackers = dict(trackers or {})
        self._bar = tqdm(
            total=total_steps, initial=start_step, unit="step", desc="train", dynamic_ncols=True, disable=silent
        )
        if silent:
            return
        # "failure" and "nonfinite" entries have the number of the running step, all others of completed steps
        again = {"failure", "nonfinite", *(["evaluation"] if evaluation_due else [])}
        entries = [
            entry for entry in read_log(folder) if entry["step"] + (entry["kind"] in again) <= start_step and start_step
        ]
        write_text(folder / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
        self._evaluations = [entry for entry in entries if entry["kind"] == "evaluation"]
        self._file = (folder / "log.jsonl").open("ab", buffering=0)  # unbuffered: a failed write is not repeated later

    def update_progress(self, **shown: Any) -> None:
        """Advance the progress bar by one optimizer step and show these values next to it."""
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Append one line: `kind` is "train", "evaluation", "failure", "nonfinite" or "note"."""
        if self.silent:
            return
        entry = {"kind": kind, "step": step, **values}
        try:
            self._file.write((json.dumps(entry, allow_nan=False) + "\n").encode())
        except OSError as error:
            path = self.folder / "log.jsonl"
            raise OSError(error.errno, f"{path} could not be written: {error.strerror}.") from error
        self._tell_trackers(
            kind, step, {name: value for name, value in values.items() if isinstance(value, int | float)}
        )
        if kind == "evaluation":
            self._evaluations.append(entry)
            self._write_metrics()

    def print(self, text: str) -> None:
        """Print a line without breaking the progress bar."""
        if not self.silent:
            self._bar.write(text, file=sys.stdout)

    def _tell_trackers(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Pass on numbers. A tracker that fails, such as one without a network, does not end the run."""
        for name, tracker in list(self._trackers.items()) if values else ():
            try:
                tracker.write(kind, step, values)
            except Exception as error:  # each library has its own
                del self._trackers[name]
                self.print(f"warning: {name} failed and gets no more numbers; log.jsonl has all of them: {error}")

    def close(self, *, failed: bool = False) -> None:
        """Close the files, the bar and the trackers; `failed`: the run ended early."""
        self._bar.close()
        if self.silent:
            return
        self._file.close()
        for name, tracker in self._trackers.items():
            try:
                tracker.close(failed=failed)
            except Exception as error:
                print(f"warning: {name} could not be closed: {error}", file=sys.stderr)

    def _write_metrics(self) -> None:
        rows = [{name: value for name, value in entry.items() if name != "kind"} for entry in self._evaluations]
        text = io.StringIO()
        names = max((list(row) for row in rows), key=len)  # a row without scores has only counts
        writer = csv.DictWriter(text, fieldnames=names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "metrics.csv", text.getvalue())


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's `log.jsonl` up to the first invalid line: a kill can truncate the last one."""
    path = folder / "log.jsonl"
    entries: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n") if path.is_file() else []:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str) or type(entry.get("step")) is not int:
            break
        entries.append(entry)
    return entries
