"""Many clients at one `side4video serve` for a minute: lost answers, response times, memory of the server.

Each client loops over what a reader of the page does: a search, the pictures of its results, parts of two of the
videos, sometimes more like one of them, and now and then an upload. An answer counts as lost if it does not arrive, has
a wrong status, or is shorter than its stated length.
"""

import asyncio
import datetime
import os
import platform
import random
import re
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tyro
from tqdm import tqdm

from side4video.atomic_files import write_json

WORDS = (
    "a",
    "red",
    "blue",
    "green",
    "yellow",
    "square",
    "disc",
    "star",
    "ring",
    "moves",
    "up",
    "down",
    "left",
    "right",
)
RANGE_BYTES = 256 * 2**10
THINKING_SECONDS = 1.0
"""Mean of what a reader waits between two searches."""


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    index: str
    """What `side4video index` made."""
    clients: int = 50
    seconds: float = 60.0
    upload_share: float = 0.03
    """Of the searches, those by an uploaded clip."""
    backbone_weights: str | None = None
    """As `side4video serve` takes it."""
    out: Path = Path("docs/figures/serve-load.json")


@dataclass
class Tally:
    """Answers by kind: their seconds, and the errors of lost ones."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bytes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lost: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        return {
            kind: {
                "answers": len(taken),
                "p50_ms": round(1000 * float(np.percentile(taken, 50)), 1),
                "p95_ms": round(1000 * float(np.percentile(taken, 95)), 1),
                "max_ms": round(1000 * max(taken), 1),
                "megabytes": round(self.bytes[kind] / 2**20, 1),
            }
            for kind, taken in sorted(self.seconds.items())
        }


class Reader:
    """One client."""

    def __init__(self, address: str, tally: Tally, arguments: Arguments, seed: int) -> None:
        limits = httpx.Limits(max_connections=6)  # as browsers have
        self.client = httpx.AsyncClient(base_url=address, timeout=60, limits=limits)
        self.tally, self.arguments = tally, arguments
        self.random = random.Random(seed)

    async def read_until(self, end: float) -> None:
        await asyncio.sleep(self.random.uniform(0, THINKING_SECONDS))
        clip: bytes | None = None
        while time.monotonic() < end:
            if clip is not None and self.random.random() < self.arguments.upload_share:
                answer = await self.ask("upload", "POST", "/api/search-like", files={"clip": ("clip", clip)})
            else:
                words = " ".join(self.random.choices(WORDS, k=self.random.randint(1, 6)))
                answer = await self.ask("search", "GET", "/api/search", params={"q": words})
            if answer is not None:
                results = answer.json()["results"]
                clip = await self.look_at(results) or clip
                if results and self.random.random() < 0.2:
                    await self.ask("more like this", "GET", f"/api/like/{self.random.choice(results)['id']}")
            await asyncio.sleep(self.random.expovariate(1 / THINKING_SECONDS))
        await self.client.aclose()

    async def look_at(self, results: list[dict[str, Any]]) -> bytes | None:
        """Fetch the pictures at once, as a browser does, then parts of two videos; the whole of a small one."""
        await asyncio.gather(*(self.ask("picture", "GET", one["poster"]) for one in results))
        content = None
        for one in self.random.sample(results, min(2, len(results))):
            start = self.random.choice([0, 0, RANGE_BYTES // 2])
            wanted = {"range": f"bytes={start}-{start + RANGE_BYTES - 1}"}
            answer = await self.ask("part of a video", "GET", one["video"], headers=wanted, right=(206, 416))
            if answer is not None and start == 0 and len(answer.content) < RANGE_BYTES:
                content = answer.content
        return content

    async def ask(
        self, kind: str, method: str, url: str, *, right: Sequence[int] = (200,), **options: Any
    ) -> httpx.Response | None:
        began = time.perf_counter()
        try:
            answer = await self.client.request(method, url, **options)
        except httpx.HTTPError as error:
            self.tally.lost.append(f"{kind}: {type(error).__name__}: {error}")
            return None
        taken = time.perf_counter() - began
        if answer.status_code not in right:
            self.tally.lost.append(f"{kind}: {answer.status_code} {answer.text[:200]}")
            return None
        self.tally.seconds[kind].append(taken)
        self.tally.bytes[kind] += len(answer.content)
        return answer


def memory_bytes(pid: int) -> int:
    """Memory of a process and its children without the files that they map, such as libraries (Linux)."""
    pids, total = [pid], 0
    while pids:
        one = pids.pop()
        try:
            kept = Path(f"/proc/{one}/smaps_rollup").read_text()
            pids += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):  # a child that ended just now
            continue
        if anonymous := re.search(r"Pss_Anon:\s+(\d+)", kept):  # one that is ending keeps nothing
            total += 1024 * int(anonymous[1])
    return total


def processor_seconds(pid: int) -> float:
    """Time that a process has computed (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(address: str, arguments: Arguments, pid: int) -> dict[str, Any]:
    tally = Tally()
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        await client.get("/api/search", params={"q": "a"})  # the model has run once
        before = memory_bytes(pid)
        passes_before = (await client.get("/api/info")).json()["questions_per_pass"]
        computed = processor_seconds(pid)
        own = time.process_time()
        end = time.monotonic() + arguments.seconds
        readers = [Reader(address, tally, arguments, seed) for seed in range(arguments.clients)]
        memory = []

        async def watch() -> None:
            for _ in tqdm(range(int(arguments.seconds)), desc="seconds"):
                memory.append(memory_bytes(pid))
                await asyncio.sleep(1)

        await asyncio.gather(watch(), *(reader.read_until(end) for reader in readers))
        await asyncio.sleep(1)
        info = (await client.get("/api/info")).json()
    passes = {size: count - passes_before.get(size, 0) for size, count in info["questions_per_pass"].items()}
    return {
        "lost": len(tally.lost),
        "lost_examples": tally.lost[:20],
        "answers": sum(map(len, tally.seconds.values())),
        "kinds": tally.summary(),
        "questions_per_pass": {size: count for size, count in passes.items() if count},
        "server_megabytes": {
            "before": round(before / 2**20),
            "after_a_third": round(memory[len(memory) // 3] / 2**20),
            "largest": round(max(memory) / 2**20),
            "after": round(memory_bytes(pid) / 2**20),
        },
        "processor_seconds": {
            "server": round(processor_seconds(pid) - computed, 1),
            "clients": round(time.process_time() - own, 1),
        },
        "videos": info["videos"],
    }


def main(command: Sequence[str] | None = None) -> None:
    """Start a server, measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=command)
    serve = [sys.executable, "-m", "side4video", "serve", arguments.index, "--port", "0"]
    if arguments.backbone_weights is not None:
        serve += ["--backbone-weights", arguments.backbone_weights]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(line for line in server.stdout if line.startswith("http")).split()[0]
        try:
            found = asyncio.run(measure(address.rstrip("/"), arguments, server.pid))
        finally:
            server.terminate()
            code = server.wait(20)
    written = {
        "date": str(datetime.date.today()),
        "command": shlex.join(["python", *(sys.argv if command is None else ["benchmarks/serve_load.py", *command])]),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "exit_code": code,
    }
    print(
        f"{found['answers']} answers, {found['lost']} lost; {found['questions_per_pass']}; {found['server_megabytes']}"
    )
    for kind, figures in found["kinds"].items():
        print(f"{kind}: {figures}")
    write_json(arguments.out, written | found)


if __name__ == "__main__":
    main()
