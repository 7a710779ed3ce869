"""Every reader gets corrupt and odd files: it reads them or raises an error that names the file.

Each case has ten seconds and 2 GB, in a process of its own kind, so that one that hangs or crashes is a finding too.
`-m slow` runs many more.
"""

import random
import tempfile
import traceback
import warnings
from collections import defaultdict
from pathlib import Path

import pytest

from fuzzing.mutations import mutate
from fuzzing.targets import ORIGINALS, READERS
from side4video.checking.workers import run_with_timeout
from side4video.config import ConfigError
from side4video.data.lists.text_files import DataError

ALLOWED = (ValueError, DataError, ConfigError, FileNotFoundError)  # these themselves: subclasses are accidents
LONGEST_MESSAGE = 20_000
SHORT, LONG = 2, 1000


def check_case(case):
    """A description or traceback of a reader's fault with one corrupt variant; None without a fault."""
    target, seed = case
    chance = random.Random(f"{target} {seed}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "files"
        folder.mkdir()
        ORIGINALS[target](folder)
        if target.startswith(("list ", "captions ")):
            (folder / "a.mp4").touch()
        path = chance.choice(sorted(path for path in folder.iterdir() if path.suffix != ".mp4"))
        if chance.random() < 0.01 and target != "token cache":  # a folder of the file's name
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(mutate(path.read_bytes(), chance))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _fault(READERS[target], folder)


def _fault(read, folder):
    try:
        read(folder)
    except ALLOWED as error:
        message = str(error)
        if type(error) not in ALLOWED:
            return traceback.format_exc()
        if str(folder) not in message:
            return f"names no file: {message[:500]}\n{traceback.format_exc()[-1500:]}"
        if len(message) > LONGEST_MESSAGE:
            return f"a message of {len(message)} characters: {message[:300]}"
    except Exception:
        return traceback.format_exc()[-3000:]
    return None


def run_cases(seeds):
    """The faults of each target, with all seeds."""
    cases = [(target, seed) for seed in seeds for target in ORIGINALS]
    found = defaultdict(list)
    for place, fault in run_with_timeout(check_case, cases, processes=2, seconds=10, memory_bytes=2 * 2**30):
        if fault is not None:
            target, seed = cases[place]
            found[target].append(f"seed {seed}: {fault}")
    return found


@pytest.mark.parametrize("seeds", [range(SHORT), pytest.param(range(SHORT, LONG), marks=pytest.mark.slow)], ids=str)
def test_readers_read_or_report_an_error(seeds):
    found = run_cases(seeds)
    assert not found, "\n".join(f"{target}: {len(faults)}, {faults[0]}" for target, faults in found.items())


@pytest.mark.parametrize("target", ORIGINALS)
def test_intact_files_are_read(target, tmp_path):
    ORIGINALS[target](tmp_path)
    try:
        READERS[target](tmp_path)
    except DataError as error:
        assert "videos are missing" in str(error)  # noqa: PT017 - what comes after reading
