"""Processes of a `WorkerContext`: how they ended, and ending them at any time."""

import os
import signal
import subprocess
import sys
import time

from side4video.data.loading.worker_processes import WorkerContext


def test_the_exit_of_each_worker_is_reported():
    context = WorkerContext()
    ends = context.Process(target=os._exit, args=(3,))
    stays = context.Process(target=time.sleep, args=(600,))
    context.Process(target=os._exit, args=(4,))  # never started
    for process in (ends, stays):
        process.start()
    assert context.ended(wait_seconds=30) == {ends.pid: 3}
    context.kill()
    stays.join(timeout=30)
    assert stays.exitcode == -signal.SIGKILL
    assert context.ended(wait_seconds=0) == {}, "forgotten"


def test_it_waits_at_most_the_given_time():
    context = WorkerContext()
    process = context.Process(target=time.sleep, args=(600,))
    process.start()
    started = time.monotonic()
    assert context.ended(wait_seconds=0.2) == {}
    assert 0.2 <= time.monotonic() - started < 5
    context.kill()
    process.join(timeout=30)


EARLY = """
import sys
from multiprocessing import forkserver
from side4video.data.loading.worker_processes import WorkerContext, prestart_workers

def server():
    return forkserver._forkserver._forkserver_pid

prestart_workers(workers=0)
assert server() is None, "nobody needs one"
prestart_workers()
early = server()
assert early is not None
worker = WorkerContext().Process(target=sys.exit, args=(5,))
worker.start()
worker.join()
assert (worker.exitcode, server()) == (5, early), "the worker came from it"
assert "torch" not in sys.modules, "this process has yet to import what the server imports meanwhile"
"""


def test_the_server_starts_early():
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
