"""The command line in a process that lacks what Windows lacks: `python other_system.py COMMAND ... + COMMAND ...`.

As a script it imports every module of the package, then runs the commands one after the other. Worker processes import
this file too, so they lack the same. Libraries keep what they use themselves: on other systems they use other means.
With `any_case.c` they and their libraries open files in any case.
"""

import builtins
import importlib
import multiprocessing
import multiprocessing.context
import os
import pkgutil
import signal
import sys
from pathlib import Path

import psutil
import safetensors

MODULES = {"fcntl", "grp", "pwd", "resource", "termios"}
SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGBUS", "SIGHUP", "pthread_sigmask", "sigwait")
FUNCTIONS = ("fork", "forkpty", "posix_fallocate", "sched_getaffinity", "getuid", "geteuid", "killpg")

plain_import, plain_is_file = builtins.__import__, Path.is_file


def import_what_exists(name, globals=None, *others, **options):
    importer = (globals or {}).get("__name__", "")
    if name in MODULES and importer.startswith("side4video"):
        raise ModuleNotFoundError(f"No module named {name!r}, which {importer} imports")
    return plain_import(name, globals, *others, **options)


def refuse_proc(event, arguments):
    if event == "open" and str(arguments[0]).startswith("/proc"):
        frame = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in {"pathlib", "io", "_io"}:
            frame = frame.f_back
        if frame is not None and frame.f_globals.get("__name__", "").startswith("side4video"):
            raise FileNotFoundError(arguments[0])


def save_in_any_case(tensors, path, *others, save=safetensors.serialize_file, **named):
    """safetensors renames its file by a direct call of the kernel, which `any_case.c` cannot replace."""
    from side4video.system.paths import real_path

    return save(tensors, real_path(path), *others, **named)


def remove_what_windows_lacks():
    builtins.__import__ = import_what_exists
    safetensors.serialize_file = save_in_any_case
    sys.addaudithook(refuse_proc)
    Path.is_file = lambda self: not self.as_posix().startswith("/proc") and plain_is_file(self)
    for owner, names in ((signal, SIGNALS), (os, FUNCTIONS), (psutil.Process, ("rlimit",))):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
    multiprocessing.get_all_start_methods = lambda: ["spawn"]
    for name in ("fork", "forkserver"):
        multiprocessing.context._concrete_contexts.pop(name, None)


def import_all():
    import side4video

    names = [module.name for module in pkgutil.walk_packages(side4video.__path__, "side4video.")]
    for name in names:
        if name != "side4video.__main__":
            importlib.import_module(name)
    return len(names)


def main(arguments):
    from side4video.cli import main

    print(f"{import_all()} modules")
    while arguments:
        end = arguments.index("+") if "+" in arguments else len(arguments)
        code = main(arguments[:end])
        print(f"{arguments[0]}: exit code {code}", flush=True)
        arguments = arguments[end + 1 :]


remove_what_windows_lacks()
if __name__ == "__main__":
    main(sys.argv[1:])
