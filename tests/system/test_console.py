"""Output on consoles and in redirected files whose encoding lacks characters, as code pages of Windows do."""

import io
import json
import os
import subprocess
import sys

import pytest

from side4video.system.console import escape_what_the_console_lacks, has_all_characters

PROGRAM = """
import sys
from side4video.cli import main
code = main(["漢字"])
from rich.console import Console
from rich.table import Table
from tqdm import tqdm
table = Table("name")
table.add_row("漢字 é")
Console().print(table)
for _ in tqdm(range(2), desc="é", ascii=None):
    pass
sys.exit(code)
"""


def run(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, env=environment, timeout=120)


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "utf-8"])
def test_output_fits_the_encoding(encoding):
    done = run(encoding)
    assert done.returncode == 2, done.stderr
    output, errors = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert "Traceback" not in errors
    whole = encoding == "utf-8"
    assert ("漢字" if whole else r"\u6f22\u5b57") in errors
    assert ("漢字 é" if whole else r"\u6f22\u5b57 é") in output
    assert "é: 100%|" in errors
    assert ("┃" in output, "█" in errors) == (whole, whole)
    assert whole or "+-" in output


def test_other_streams_stay_as_they_are(monkeypatch):
    for stream in (None, io.StringIO(), io.TextIOWrapper(io.BytesIO(), "utf-8")):
        monkeypatch.setattr(sys, "stdout", stream)
        escape_what_the_console_lacks()
        assert stream is None or stream.errors in {None, "strict"}
    narrow = io.TextIOWrapper(io.BytesIO(), "cp1252")
    with pytest.raises(UnicodeEncodeError):
        narrow.write("漢")
    assert not has_all_characters(narrow)
    assert json.loads(json.dumps("é漢😀").encode("cp1252")) == "é漢😀"
