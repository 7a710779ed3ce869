"""Heartbeats of the processes of a run: they tell a process that works from one that was lost.

A process waits for the others as long as their heartbeats go on, however long they work. Communication libraries report
that a connection was closed or that an answer timed out, at best with an address. This module names the process: its
rank, machine and process id, or the error that it ended with.
"""

import os
import socket
import threading
import time
from types import TracebackType
from typing import Self

import torch.distributed as dist

BEAT_SECONDS = 0.5
"""Time between two heartbeats."""
SILENCE_SECONDS = 5.0
"""A process without a heartbeat for so long counts as lost: a busy machine may delay heartbeats."""
FIRST_PAUSE_SECONDS = 0.001
"""First pause between two looks for the other processes that are waited for; each one is twice as long as the last."""
LINGER_SECONDS = 3 * BEAT_SECONDS
"""How much longer than the others the process with the store lives, so that they can read the diagnosis."""
_DIAGNOSIS = "diagnosis"


class LostProcessError(RuntimeError):
    """A process of the run is lost or does not answer; the message names it.

    >>> str(LostProcessError("Process 1 of 2 (gpu-07, process id 71) was lost: no heartbeat for 5 seconds."))[:23]
    'Process 1 of 2 (gpu-07,'
    """


class Heartbeat:
    """Sends heartbeats of this process and observes those of the others; use it as a context manager.

    A separate thread talks to the store, so that a store that hangs never delays the run.

    >>> with Heartbeat(dist.HashStore(), rank=0, world=1) as heartbeat:
    ...     heartbeat.record_processes()

    Args:
        store: that all processes reach.
        rank, world: of this process, and the number of processes.
    """

    def __init__(self, store: dist.Store, *, rank: int, world: int) -> None:
        self._store = store.clone()  # a separate connection: other calls may block theirs
        self._rank, self._world = rank, world
        self._addresses: dict[int, str] = {}
        self._stop, self._diagnosis_known = threading.Event(), threading.Event()
        self._meetings = self._announced = self._met = 0
        """Meetings of all processes that this one has come to, told the others, and has seen complete."""
        self._come, self._complete = threading.Event(), threading.Event()
        self._diagnosis = ""
        self._store_is_lost = False
        self._last_answer = time.monotonic()
        self._last_beats: dict[int, tuple[bytes, float]] = {}
        """Last heartbeat of each process, and when it was received."""
        self._observed_since: float | None = None
        """Since when heartbeats are received; None: they are not."""
        self._thread = threading.Thread(target=self._send_beats, daemon=True)

    def __enter__(self) -> Self:
        self._store.set(f"place/{self._rank}", f"{socket.gethostname()}, process id {os.getpid()}")
        self._store.set(f"beat/{self._rank}", "0")
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None and not self._stop.is_set():
            if not isinstance(error, LostProcessError) and not self._store_is_lost:
                self._publish(f"{self._name(self._rank)} ended: {type(error).__name__}: {error}")
            if self._rank == 0:
                time.sleep(LINGER_SECONDS)
        self.leave()

    def record_processes(self) -> None:
        """Record the address of each process, once all have joined."""
        names = self._store.multi_get([f"place/{rank}" for rank in range(self._world)])
        self._addresses = {rank: name.decode() for rank, name in enumerate(names)}

    def leave(self) -> None:
        """Stop sending heartbeats; call this when no other process needs them any more."""
        self._stop.set()
        self._come.set()
        self._thread.join(timeout=2 * BEAT_SECONDS)  # a thread that hangs in the store ends with this process

    def wait_for_others(self) -> None:
        """Wait until each process has called this as often as this one, as long as all others send heartbeats.

        If one is silent or has ended, this returns early: the next exchange with it fails, at the latest after the
        timeout, and the error can be explained by `describe_lost_process`.
        """
        self._observe()
        self._meetings += 1
        self._come.set()
        while self._met < self._meetings:
            if self._diagnosis_known.is_set() or self._store_hangs() or self._silent():
                return
            self._complete.wait(BEAT_SECONDS)
            self._complete.clear()
        self._observed_since = None

    def describe_lost_process(self) -> str:
        """Name the processes that are silent, or the error that one ended with, in a sentence.

        Takes a little more than `SILENCE_SECONDS`, less if this or another process has detected it before.
        """
        if self._stop.is_set():
            return f"One of {self._world} processes was lost after the run was complete."
        self._observe()
        self._diagnosis_known.wait(3 * BEAT_SECONDS + (0.0 if self._silent() else SILENCE_SECONDS))
        if not self._diagnosis and self._store_hangs():
            address = os.environ.get("MASTER_ADDR", "")
            self._diagnosis = f"{self._name(0)} was lost or cannot be reached: its address {address} does not answer."
        elif not self._diagnosis:
            self._diagnosis = self._describe_silent()
            self._publish(self._diagnosis)
        return self._diagnosis

    def _store_hangs(self) -> bool:
        return self._store_is_lost or time.monotonic() - self._last_answer > SILENCE_SECONDS - BEAT_SECONDS

    def _observe(self) -> None:
        if self._observed_since is None:
            self._observed_since = time.monotonic()

    def _silent(self) -> list[int]:
        """Other processes without a heartbeat for `SILENCE_SECONDS` while heartbeats were received."""
        assert self._observed_since is not None
        before = time.monotonic() - SILENCE_SECONDS
        last = {rank: self._last_beats.get(rank, (b"", 0.0))[1] for rank in range(self._world) if rank != self._rank}
        return [rank for rank, received in last.items() if max(received, self._observed_since) <= before]

    def _describe_silent(self) -> str:
        if not (silent := self._silent()):
            return "All other processes send heartbeats, so one of them was busy for longer than the timeout."
        names = "; ".join(map(self._name, silent))
        return f"{names} {'was' if len(silent) == 1 else 'were'} lost: no heartbeat for {SILENCE_SECONDS:g} seconds."

    def _name(self, rank: int) -> str:
        place = f" ({self._addresses[rank]})" if rank in self._addresses else ""
        return f"Process {rank} of {self._world}{place}"

    def _publish(self, diagnosis: str) -> None:
        """Tell the other processes, unless one of them was faster. In a separate thread, because the store may hang."""
        thread = threading.Thread(target=self._try_to_publish, args=(diagnosis,), daemon=True)
        thread.start()
        thread.join(timeout=2 * BEAT_SECONDS)

    def _try_to_publish(self, diagnosis: str) -> None:
        try:
            self._store.compare_set(_DIAGNOSIS, "", diagnosis)
        except RuntimeError:
            return  # the store ended with its process

    def _send_beats(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                number += 1
                self._store.set(f"beat/{self._rank}", str(number))
                if not self._diagnosis_known.is_set() and self._store.check([_DIAGNOSIS]):
                    self._diagnosis = self._store.get(_DIAGNOSIS).decode()
                    self._diagnosis_known.set()
                if self._observed_since is not None:
                    self._read_beats()
                self._last_answer = time.monotonic()
                self._pause()
        except RuntimeError:
            self._store_is_lost = True  # its process has ended
            self._diagnosis_known.set()

    def _pause(self) -> None:
        """Wait for the next beat; meanwhile look whether all processes have come to the meeting of the main thread."""
        end, pause = time.monotonic() + BEAT_SECONDS, FIRST_PAUSE_SECONDS
        while (left := end - time.monotonic()) > 0 and not self._stop.is_set():
            if self._met == self._meetings:
                self._come.wait(left)
                self._come.clear()
                continue
            new = self._meetings - self._announced
            come = self._store.add("met", new)
            self._announced += new
            if come >= self._announced * self._world:
                self._met = self._announced
                self._complete.set()
            else:
                time.sleep(min(pause, left))
                pause *= 2

    def _read_beats(self) -> None:
        has_all = len(self._addresses) == self._world
        ranks = [rank for rank in range(self._world) if has_all or self._store.check([f"beat/{rank}"])]
        for rank, beat in zip(ranks, self._store.multi_get([f"beat/{rank}" for rank in ranks]), strict=True):
            if rank not in self._last_beats or self._last_beats[rank][0] != beat:
                self._last_beats[rank] = (beat, time.monotonic())
