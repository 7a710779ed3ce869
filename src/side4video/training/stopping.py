"""Signals that ask a run to stop: it finishes the step, saves its state and ends with the signal's exit code."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; what schedulers, containers and `kill` send; what SLURM's `--signal=USR1@120` sends before the time is up."""


class TrainingStopped(KeyboardInterrupt):
    """A signal stopped the run. As a `KeyboardInterrupt` it passes through `except Exception`, as Ctrl-C does.

    Args:
        number: of the signal.
        saved: what was saved and how to go on, as a sentence.
    """

    def __init__(self, number: int, saved: str) -> None:
        self.number = number
        super().__init__(f"Stopped by {signal.Signals(number).name}. {saved}")

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells say it: 130, 143; 138 for SIGUSR1 on Linux."""
        return 128 + self.number


class StopSignals:
    """Signals that came while this is entered as a context; they are handled again as before when it is left.

    A second one of the same kind ends the run at once, without saving. Threads other than the main one cannot handle
    signals: there nothing changes.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = dict.fromkeys(SIGNALS, 0)
        self._previous_handlers: dict[int, Any] = {}
        self._immediate_message: str | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous_handlers = {number: signal.signal(number, self._count_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def raising_immediately(self, saved: str) -> Iterator[None]:
        """In the block a signal, or one received before, raises `TrainingStopped` immediately with the text `saved`."""
        self._immediate_message = saved
        try:
            if (number := self.first_received(self.counts())) is not None:
                raise TrainingStopped(number, saved)
            yield
        finally:
            self._immediate_message = None

    def counts(self) -> list[int]:
        """How often each of `SIGNALS` came."""
        return [self._counts[number] for number in SIGNALS]

    @staticmethod
    def first_received(counts: Sequence[float]) -> int | None:
        """The signal to stop for, where several processes added up their counts; None: go on."""
        return next((number for number, times in zip(SIGNALS, counts, strict=True) if times), None)

    def _count_signal(self, number: int, _frame: FrameType | None) -> None:
        self._counts[number] += 1
        if self._immediate_message is not None:
            raise TrainingStopped(number, self._immediate_message)
        if self._counts[number] > 1:
            raise TrainingStopped(number, "It came twice, so nothing was saved now; --resume goes on where it was.")
        said = f"\n{signal.Signals(number).name}: the run stops when this step is done and saved.\n"
        os.write(2, said.encode())  # print may be at work where the signal came
