"""Handles signals: a run finishes its step, saves its state and exits with the signal's exit code."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGBREAK") if hasattr(signal, name))
"""Those that this system has of: Ctrl-C; the signal of schedulers, containers and `kill`; the signal of SLURM's
`--signal=USR1@120` before timeout; Ctrl-Break on Windows."""


class TrainingStopped(KeyboardInterrupt):
    """A signal stopped the run. Like Ctrl-C it is a `KeyboardInterrupt`, so `except Exception` does not catch it.

    Args:
        number: number of the signal.
        saved: a sentence about what was saved and how to continue; empty: nothing is saved.

    >>> TrainingStopped(signal.SIGTERM, "Continue with --resume.").exit_code
    143
    """

    def __init__(self, number: int, saved: str = "") -> None:
        self.number = number
        super().__init__(f"Stopped by {signal.Signals(number).name}. {saved}".rstrip())

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as in shells: 130, 143; 138 for SIGUSR1 on Linux."""
        return 128 + self.number


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """In the block, SIGTERM raises `TrainingStopped`, as Ctrl-C raises `KeyboardInterrupt`; a second one kills.

    Only the main thread handles signals: in others this does nothing.

    >>> import os
    >>> try:
    ...     with ended_by_sigterm():
    ...         os.kill(os.getpid(), signal.SIGTERM)
    ... except TrainingStopped as stopped:
    ...     print(stopped, stopped.exit_code)
    Stopped by SIGTERM. 143
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise TrainingStopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class StopSignals:
    """Context manager that counts signals; on exit it restores the previous handlers.

    A second signal of the same kind ends the run immediately, without saving. Threads other than the main one cannot
    handle signals: there it does nothing.

    >>> with StopSignals() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.first_received(stop.counts()) == signal.SIGTERM
    True
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
        """How often each of `SIGNALS` was received."""
        return [self._counts[number] for number in SIGNALS]

    @staticmethod
    def first_received(counts: Sequence[float]) -> int | None:
        """The signal to stop for, given counts summed over processes; None: continue."""
        return next((number for number, times in zip(SIGNALS, counts, strict=True) if times), None)

    def _count_signal(self, number: int, _frame: FrameType | None) -> None:
        self._counts[number] += 1
        if self._immediate_message is not None:
            raise TrainingStopped(number, self._immediate_message)
        if self._counts[number] > 1:
            raise TrainingStopped(
                number, "It was received twice, so nothing was saved. --resume continues the last checkpoint."
            )
        message = f"\n{signal.Signals(number).name}: the run stops after this step is done and saved.\n"
        os.write(2, message.encode())  # not print: the signal may have interrupted one
