"""The command line: `side4video COMMAND ...`. Commands import their libraries when they run, so that help is fast."""

import difflib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext

from side4video.commands.check_data import check_data
from side4video.commands.convert import convert
from side4video.commands.demo import demo
from side4video.commands.embed import embed
from side4video.commands.evaluate import evaluate
from side4video.commands.export import export
from side4video.commands.index import index
from side4video.commands.listings import backbones, recipes
from side4video.commands.memory import memory
from side4video.commands.positional import asks_for_help
from side4video.commands.predict import predict
from side4video.commands.search import search
from side4video.commands.serve import serve
from side4video.commands.share import share
from side4video.commands.train import train
from side4video.commands.zero_shot import zero_shot
from side4video.output_targets import messages_to_stderr, writes_to_standard_output
from side4video.system.console import escape_what_the_console_lacks
from side4video.training.stopping import ended_by_sigterm

USER_ERRORS = (ValueError, FileNotFoundError, ModuleNotFoundError, RuntimeError, OSError, FloatingPointError)

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "check-data": check_data,
    "train": train,
    "evaluate": evaluate,
    "zero-shot": zero_shot,
    "predict": predict,
    "embed": embed,
    "index": index,
    "search": search,
    "serve": serve,
    "convert": convert,
    "share": share,
    "export": export,
    "recipes": recipes,
    "backbones": backbones,
    "memory": memory,
    "demo": demo,
}

COMMANDS_WITHOUT_FLAGS = {"convert", "recipes", "backbones"}
"""Commands without flags, or with flags that depend on their first argument. Their help is one line."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command and its arguments. Default: those of the process.

    Returns:
        The exit code: 0 success, 1 some videos are bad, 2 wrong input, 128 + the number of a signal.

    >>> main(["recipes", "--help"])
    List the recipes with the paper's numbers, parameters and memory, or print one: recipes [show NAME].
    0
    """
    escape_what_the_console_lacks()
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # operations that Apple's MPS lacks run on the CPU
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _print_help()
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        print(f"There is no command {name!r}.{hint} Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    if name in COMMANDS_WITHOUT_FLAGS and (asks_for_help(rest[:1]) or (name != "convert" and asks_for_help(rest))):
        print(COMMANDS[name].__doc__)
        return 0
    try:
        with ended_by_sigterm(), messages_to_stderr() if writes_to_standard_output(rest) else nullcontext():
            return COMMANDS[name](rest)
    except USER_ERRORS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:  # a subclass has its own exit code for other signals
        print(error if str(error) else "Stopped by SIGINT.", file=sys.stderr)
        return getattr(error, "exit_code", 128 + signal.SIGINT)


def _print_help() -> None:
    print("usage: side4video COMMAND ...   (side4video COMMAND --help shows its settings)\n")
    for name, command in COMMANDS.items():
        print(f"  {name:10} {command.__doc__}")
