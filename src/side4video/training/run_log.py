"""What a run says about itself: a progress bar, one JSON line per logging step, a CSV of evaluations, TensorBoard."""

import csv
import io
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from side4video.atomic_files import write_text


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far in MiB: allocated on the GPU, or the resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def device_name(device: torch.device) -> str:
    """The GPU's own name, or the machine's architecture and its number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {os.cpu_count()} cores)"


class Meter:
    """Averages over the steps between two log lines."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.started, self.loss_sum, self.right, self.views, self.lr = time.monotonic(), 0.0, 0, 0, 0.0

    def add(self, step: dict[str, Any]) -> None:
        """Count a step: `loss_sum` and `right` over its `views`, and `lr`."""
        self.loss_sum, self.right = self.loss_sum + step["loss_sum"], self.right + step["right"]
        self.views, self.lr = self.views + step["views"], step["lr"]

    def progress_values(self, device: torch.device) -> dict[str, str]:
        """What stands beside the progress bar."""
        if not self.views:
            return {}
        speed = self.views / max(time.monotonic() - self.started, 1e-9)
        memory = peak_memory_mb(device)
        return {"loss": f"{self.loss_sum / self.views:.3f}", "clips/s": f"{speed:.1f}", "MiB": f"{memory:.0f}"}

    def flush(self, device: torch.device) -> dict[str, float]:
        """Values for a log line, none where no step counted; counting starts anew."""
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
        start_step: step a resumed run starts at; later lines of an interrupted run are dropped.
        evaluation_due: the evaluation behind that step will be done again.
        tensorboard: also write event files to `folder/tensorboard`.
        silent: write and print nothing, as in all processes but the main one.

    Raises:
        ModuleNotFoundError: TensorBoard is wanted and not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        total_steps: int,
        start_step: int = 0,
        evaluation_due: bool = False,
        tensorboard: bool = False,
        silent: bool = False,
    ) -> None:
        self.folder, self.silent = folder, silent
        self._bar = tqdm(
            total=total_steps, initial=start_step, unit="step", desc="train", dynamic_ncols=True, disable=silent
        )
        if silent:
            return
        # failures and the like name the step that was being taken, all others those that were done
        again = {"failure", "nonfinite", *(["evaluation"] if evaluation_due else [])}
        entries = [
            entry for entry in read_log(folder) if entry["step"] + (entry["kind"] in again) <= start_step and start_step
        ]
        write_text(folder / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
        self._evaluations = [entry for entry in entries if entry["kind"] == "evaluation"]
        self._file = (folder / "log.jsonl").open("ab", buffering=0)  # a line that fails does not fail again later
        self._events = _open_tensorboard(folder / "tensorboard", start_step) if tensorboard else None

    def update_progress(self, **shown: Any) -> None:
        """One optimizer step is done; `shown` appears beside the progress bar."""
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
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(f"{kind}/{name}", value, step)
        if kind == "evaluation":
            self._evaluations.append(entry)
            self._write_metrics()

    def print(self, text: str) -> None:
        """Print a line without breaking the progress bar."""
        if not self.silent:
            self._bar.write(text, file=sys.stdout)

    def close(self) -> None:
        """Close the files and the bar."""
        self._bar.close()
        if self.silent:
            return
        self._file.close()
        if self._events is not None:
            self._events.close()

    def _write_metrics(self) -> None:
        rows = [{name: value for name, value in entry.items() if name != "kind"} for entry in self._evaluations]
        text = io.StringIO()
        names = max((list(row) for row in rows), key=len)  # one without scores has counts alone
        writer = csv.DictWriter(text, fieldnames=names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "metrics.csv", text.getvalue())


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's `log.jsonl` up to the first line that is none: a kill can cut the last one short."""
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


def _open_tensorboard(folder: Path, start_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        remedy = "train.tensorboard needs TensorBoard: pip install 'side4video[tensorboard]'."
        raise ModuleNotFoundError(remedy) from error
    return SummaryWriter(str(folder), purge_step=start_step)
