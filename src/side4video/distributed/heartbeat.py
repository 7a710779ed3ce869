"""Which processes of a run are still there: each gives signs of life, and one that lost another asks who is silent.

Libraries for several processes say that a connection was closed or that an answer did not come, and at best an
address. This says which process it was: its rank, its machine and its process id, or the error that it ended with.
"""

import os
import socket
import threading
import time
from types import TracebackType
from typing import Self

import torch.distributed as dist

BEAT_SECONDS = 0.5
"""Between two signs of life."""
SILENCE_SECONDS = 5.0
"""After so long without one a process is taken for lost: a busy machine may hold a sign back for a while."""
LINGER_SECONDS = 3 * BEAT_SECONDS
"""How much longer than the others the process lives that keeps the store, so that they can read what was found."""
_VERDICT = "verdict"


class LostProcessError(RuntimeError):
    """A process of the run is gone, or does not answer; the message names it."""


class Heartbeat:
    """Signs of life of this process, and a look at those of the others; use as a context.

    A thread of its own speaks to the store, so that a store that hangs never holds up the run.

    Args:
        store: that all processes reach.
        rank, world: of this process, and how many there are.
    """

    def __init__(self, store: dist.Store, *, rank: int, world: int) -> None:
        self._store = store.clone()  # a connection of its own: others may wait on theirs
        self._rank, self._world = rank, world
        self._places: dict[int, str] = {}
        self._stop, self._asked, self._found = threading.Event(), threading.Event(), threading.Event()
        self._verdict = ""
        self._store_is_gone = False
        self._answered = time.monotonic()
        self._heard: dict[int, tuple[bytes, float]] = {}
        """Last sign of life of each process, and since when it is that one."""
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._store.set(f"place/{self._rank}", f"{socket.gethostname()}, process id {os.getpid()}")
        self._store.set(f"sign/{self._rank}", "0")
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None and not self._stop.is_set():
            if not isinstance(error, LostProcessError) and not self._store_is_gone:
                self._publish(f"{self._name(self._rank)} ended: {type(error).__name__}: {error}")
            if self._rank == 0:
                time.sleep(LINGER_SECONDS)
        self.leave()

    def all_are_here(self) -> None:
        """Note who they are, once all have come."""
        names = self._store.multi_get([f"place/{rank}" for rank in range(self._world)])
        self._places = {rank: name.decode() for rank, name in enumerate(names)}

    def leave(self) -> None:
        """Give no more signs of life; when all others need none either."""
        self._stop.set()
        self._thread.join(timeout=2 * BEAT_SECONDS)  # one that hangs in the store ends with this process

    def name_lost_process(self) -> str:
        """A sentence that names the processes that are silent, or the error that one ended with.

        Takes `SILENCE_SECONDS` and a little more, less where another process has found it out before.
        """
        if self._stop.is_set():
            return f"One of {self._world} processes was lost when all was done."
        self._asked.set()
        self._found.wait(SILENCE_SECONDS + 3 * BEAT_SECONDS)
        if not self._verdict and self._store_hangs():
            address = os.environ.get("MASTER_ADDR", "")
            self._verdict = (
                f"{self._name(0)} was lost, or the way to it: {address}, where processes meet, does not answer."
            )
        elif not self._verdict:
            self._verdict = self._judge()
            self._publish(self._verdict)
        return self._verdict

    def _store_hangs(self) -> bool:
        return self._store_is_gone or time.monotonic() - self._answered > SILENCE_SECONDS - BEAT_SECONDS

    def _judge(self) -> str:
        now = time.monotonic()
        silent = [
            rank
            for rank in range(self._world)
            if rank != self._rank and (rank not in self._heard or now - self._heard[rank][1] >= SILENCE_SECONDS)
        ]
        if not silent:
            return "All others give signs of life, so one of them was busy with something else for too long."
        names = "; ".join(map(self._name, silent))
        return f"{names} {'was' if len(silent) == 1 else 'were'} lost: no sign of life for {SILENCE_SECONDS:g} seconds."

    def _name(self, rank: int) -> str:
        place = f" ({self._places[rank]})" if rank in self._places else ""
        return f"Process {rank} of {self._world}{place}"

    def _publish(self, verdict: str) -> None:
        """Tell the others, unless one of them was faster. In a thread of its own, for the store may hang."""
        thread = threading.Thread(target=self._try_to_publish, args=(verdict,), daemon=True)
        thread.start()
        thread.join(timeout=2 * BEAT_SECONDS)

    def _try_to_publish(self, verdict: str) -> None:
        try:
            self._store.compare_set(_VERDICT, "", verdict)
        except RuntimeError:
            return  # the store went with the process that kept it

    def _beat(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                number += 1
                self._store.set(f"sign/{self._rank}", str(number))
                if not self._found.is_set() and self._store.check([_VERDICT]):
                    self._verdict = self._store.get(_VERDICT).decode()
                    self._found.set()
                if self._asked.is_set():
                    self._listen()
                self._answered = time.monotonic()
                self._stop.wait(BEAT_SECONDS)
        except RuntimeError:
            self._store_is_gone = True  # with the process that kept it
            self._found.set()

    def _listen(self) -> None:
        ranks = [rank for rank in range(self._world) if self._store.check([f"sign/{rank}"])]
        for rank, sign in zip(ranks, self._store.multi_get([f"sign/{rank}" for rank in ranks]), strict=True):
            if rank not in self._heard or self._heard[rank][0] != sign:
                self._heard[rank] = (sign, time.monotonic())
