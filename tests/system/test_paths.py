"""Paths relative to each other, with Python's own functions for paths of Windows."""

import ntpath
import os
import tempfile
from pathlib import Path

import pytest

from side4video.search.allowed_addresses import allowed_addresses, remember_addresses
from side4video.search.partial_work import partial_folder
from side4video.system import console, paths
from side4video.system.console import shell_words
from side4video.system.paths import cache_folder, common_folder, home_folder, relative_names, relative_path


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(paths, "os_path", ntpath)


@pytest.mark.usefixtures("windows")
def test_files_on_several_drives_keep_apart():
    files = [r"C:\videos\a\1.mp4", r"D:\videos\a\1.mp4", r"\\nas\films\a\1.mp4"]
    assert common_folder(files) == common_folder([]) == ""
    assert relative_names(files) == ["C/videos/a/1.mp4", "D/videos/a/1.mp4", "nas/films/a/1.mp4"]
    assert relative_path(r"D:\film.mp4", r"C:\pages") is None


@pytest.mark.usefixtures("windows")
def test_files_on_one_drive_are_relative():
    files = [r"C:\videos\a\1.mp4", r"c:\Videos\b\1.mp4"]
    assert common_folder(files) == r"C:\videos"
    assert relative_names(files) == ["a/1.mp4", "b/1.mp4"]
    assert relative_path(r"C:\videos\film.mp4", r"C:\videos\pages") == "../film.mp4"


def test_files_of_other_systems():
    assert common_folder(["/videos/1.mp4"]) == "/videos"
    assert relative_names(["/1.mp4", "/a/2.mp4"]) == ["1.mp4", "a/2.mp4"]
    assert relative_names([]) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nt", r'check-data --out "C:\my clips\train.csv" "say \"a\""'),
        ("posix", r"""check-data --out 'C:\my clips\train.csv' 'say "a"'"""),
    ],
)
def test_printed_commands_are_quoted_as_the_shell_reads_them(monkeypatch, name, expected):
    monkeypatch.setattr(console, "SYSTEM", name)
    assert shell_words(["check-data", "--out", r"C:\my clips\train.csv", 'say "a"']) == expected


@pytest.mark.skipif(os.name == "nt", reason="users have names and home folders there")
def test_users_without_a_home_folder(monkeypatch):
    """A container's user may have a number only: no HOME, and no entry in the list of users."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "SIDE4VIDEO_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert home_folder() is None
    assert cache_folder() == Path(tempfile.gettempdir(), f"cache-{os.getuid()}", "side4video")
    assert partial_folder("qdrant://host/name").is_relative_to(cache_folder())
    remember_addresses("index", ["s3://bucket/clips"])
    assert not allowed_addresses("index").contains("s3://bucket/clips/a.mp4")
    assert allowed_addresses("index", ["s3://bucket"]).contains("s3://bucket/clips/a.mp4")
