"""The command line: `side4video COMMAND ...`. It imports a command when it runs it, so that help is fast."""

import difflib
import os
import signal
import sys
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import version

from side4video.commands.local_outputs import refuse_addresses
from side4video.commands.positional import asks_for_help
from side4video.commands.remote_cache_flag import FLAG, take_remote_cache
from side4video.output_targets import messages_to_stderr, writes_to_standard_output
from side4video.system.console import CLOSED_OUTPUT, escape_what_the_console_lacks, silence_closed_outputs
from side4video.training.stopping import ended_by_sigterm

USER_ERRORS = (ValueError, FileNotFoundError, ModuleNotFoundError, RuntimeError, OSError, FloatingPointError)

COMMANDS = {
    "check-data": "Open every file of a data set and report errors: "
    "check-data [RECIPE] [--data.train ...] [--data.test ...].",
    "write-shards": "Write the videos of a list into WebDataset shards: "
    "write-shards LIST --out FOLDER [--max-size 1GB].",
    "train": "Train on a folder of clips or a data set: train RECIPE[-f16] [--data.train ...] [--out ...].",
    "evaluate": "Score an adapter on labelled or captioned videos: "
    "evaluate ADAPTER [--data.test ...] [--eval.crops 3].",
    "zero-shot": "Score a CLIP model without training, by class names: "
    "zero-shot RECIPE [--data.test ...] [--text.prompts ...].",
    "predict": "Classify videos: predict ADAPTER VIDEOS... [--top-k 5] [--timeline] [--json FILE].",
    "embed": "Write embeddings of videos and sentences to a file: embed ADAPTER [VIDEOS...] [--text ...] --out FILE.",
    "index": "Make videos searchable by words: index VIDEOS... --to FOLDER --model ADAPTER [--metadata FILE.csv].",
    "search": 'Find moments in the videos of an index: search FOLDER "words" [--like clip.mp4] [--where camera=north].',
    "serve": "Serve an index as a search page for the browser: serve FOLDER [--classify ADAPTER] [--open].",
    "convert": "Convert an official checkpoint to an adapter, or the reverse: convert FILE RECIPE --out FOLDER.",
    "share": "Upload an adapter and its card to the Hugging Face hub: "
    "share ADAPTER USER/NAME [--private] [--license mit].",
    "export": "Write an adapter and its backbone as one model: export ADAPTER OUT.onnx|OUT.pt2.",
    "recipes": "List the recipes with the paper's numbers, parameters and memory, or print one: recipes [show NAME].",
    "backbones": "List image models: all short names, one of them, or timm's names that contain PART: "
    "backbones [PART].",
    "memory": "Plan whether a run fits on a GPU, in seconds and without one: memory RECIPE [--card 24GB] [--measure].",
    "demo": "Make videos of moving shapes, train on them, and write a report: demo [retrieval] [--out FOLDER].",
}
"""Each command and its line of help. It is the function of its name in the file of its name in `commands`."""

READ_ADDRESSES = {
    *("check-data", "write-shards", "train", "evaluate", "zero-shot", "predict", "embed", "index", "search", "serve")
}
"""Commands that read videos at addresses, whose help ends with the flag for their cache."""
_CACHE_HELP = f"{FLAG} 20{{}}: cache up to 20 GB of the videos that it reads at addresses."

COMMANDS_WITHOUT_FLAGS = {"convert", "recipes", "backbones"}
"""Commands without flags, or with flags that depend on their first argument. Their help is one line."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command and its arguments. Default: those of the process.

    Returns:
        The exit code: 0 success, 1 some videos are bad, 2 wrong input, 128 + the number of a signal. It is 141, without
        a message, if the reader of the output closes it.

    >>> main(["recipes", "--help"])
    List the recipes with the paper's numbers, parameters and memory, or print one: recipes [show NAME].
    0
    """
    escape_what_the_console_lacks()
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # operations that Apple's MPS lacks run on the CPU
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for them in every installed package
    try:
        exit_code = _run(sys.argv[1:] if arguments is None else arguments)
    except (OSError, SystemExit):  # help ends with SystemExit
        if silence_closed_outputs():
            return CLOSED_OUTPUT
        raise
    return CLOSED_OUTPUT if silence_closed_outputs() else exit_code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _print_help()
        return 0
    name, *rest = arguments
    if name == "--version":
        print(f"side4video {version('side4video')}")
        return 0
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        print(f"There is no command {name!r}.{hint} Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    if name in COMMANDS_WITHOUT_FLAGS and (asks_for_help(rest[:1]) or (name != "convert" and asks_for_help(rest))):
        print(COMMANDS[name])
        return 0
    try:
        rest = take_remote_cache(rest)
        refuse_addresses(name, rest)
        with ended_by_sigterm(), messages_to_stderr() if writes_to_standard_output(rest) else nullcontext():
            function = name.replace("-", "_")
            return getattr(import_module(f"side4video.commands.{function}"), function)(rest)
    except SystemExit:  # help was printed, or flags are wrong
        if name in READ_ADDRESSES and asks_for_help(rest):
            print(_CACHE_HELP.format(""))
        raise
    except USER_ERRORS as error:
        if isinstance(error, OSError) and silence_closed_outputs():
            return CLOSED_OUTPUT
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:  # a subclass has its own exit code for other signals
        print(error if str(error) else "Stopped by SIGINT.", file=sys.stderr)
        return getattr(error, "exit_code", 128 + signal.SIGINT)


def _print_help() -> None:
    print("usage: side4video COMMAND ...   (side4video COMMAND --help shows its settings)\n")
    for name, summary in COMMANDS.items():
        print(f"  {name:10} {summary}")
    print("\n" + _CACHE_HELP.format(", in any command"))
