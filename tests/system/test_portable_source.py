"""Source that means the same on every system: no module of one system at the top, encodings and line ends stated."""

import ast
import subprocess
from collections import Counter
from pathlib import Path, PureWindowsPath

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "src").rglob("*.py"))
OPENING = {"open", "read_text", "write_text"}
ONE_SYSTEM = {"fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "winreg"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node, {keyword.arg for keyword in node.keywords}


def mode_of(call):
    texts = [word.value for word in call.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return texts[0] if texts else "r"


def missing(name, call, given):
    """What a call that opens a text file has to state."""
    if name == "read_text":
        return {"encoding"} - given - ({"encoding"} if call.args else set())
    if name == "write_text":
        return {"encoding", "newline"} - given
    mode = mode_of(call)
    if name != "open" or "fileobj" in given or "b" in mode or not set(mode) <= set("rwxat+"):
        return set()
    return {"encoding", "newline"} - given if set(mode) & set("wxa") else {"encoding"} - given


def test_modules_of_one_system_are_imported_where_they_are_used():
    for place, node in ((path, node) for path in FILES for node in ast.parse(path.read_text()).body):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & ONE_SYSTEM, f"{place}, line {node.lineno}"


@pytest.mark.parametrize(
    ("source", "lacks"),
    [
        ("path.read_text()", {"encoding"}),
        ("path.read_text(encoding='utf-8')", set()),
        ("tarfile.open(fileobj=file, mode='w')", set()),
        ("path.write_text(text, encoding='utf-8')", {"newline"}),
        ("path.open('a', encoding='utf-8')", {"newline"}),
        ("path.open()", {"encoding"}),
        ("path.open('wb')", set()),
        ("Image.open(file)", {"encoding"}),
    ],
)
def test_the_rule(source, lacks):
    [call] = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert missing(call.func.attr, call, {keyword.arg for keyword in call.keywords}) == lacks


OTHER_OPENS = {"av", "Image", "VideoIndex", "webbrowser", "archive", "os", "socket"}
"""Objects whose `open` opens no text file."""


def test_text_files_have_a_stated_encoding_and_line_end():
    for place, (name, call, given) in ((path, found) for path in FILES for found in calls(path)):
        if name in OPENING and ast.unparse(call.func.value) not in OTHER_OPENS:
            assert not missing(name, call, given), f"{place}, line {call.lineno}"


def test_files_of_a_checkout_have_names_that_every_system_allows():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = listed.strip("\0").split("\0")
    same = [name for name, number in Counter(name.casefold() for name in names).items() if number > 1]
    assert not same, "these differ in case only"
    assert not [name for name in names if set(name) & set('<>:"|?*\\') or name.endswith((".", " "))]
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
    assert not [
        name for name in names if {part.split(".")[0].lower() for part in PureWindowsPath(name).parts} & reserved
    ]
    assert max(map(len, names)) < 150, "Windows allows 260 characters with the folder of the checkout"
