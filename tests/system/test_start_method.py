"""How processes are started on each system: the lists of start methods are those in Python's documentation."""

import multiprocessing
import sys

import pytest

from side4video.system.start_method import start_method


@pytest.mark.parametrize(
    ("platform", "available", "expected"),
    [
        ("linux", ["fork", "spawn", "forkserver"], "forkserver"),
        ("darwin", ["spawn", "fork", "forkserver"], "spawn"),
        ("win32", ["spawn"], "spawn"),
    ],
)
def test_the_start_method_depends_on_the_system(monkeypatch, platform, available, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: available)
    assert start_method() == expected
