"""Paths and metadata as stored text: any of them round-trips."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from side4video.search.stores.serialisation import metadata_from_text, metadata_to_text, path_from_text, path_to_text

BYTES = st.binary(max_size=40).map(lambda name: os.fsdecode(b"/" + name.replace(b"\0", b"_")))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
PATHS = BYTES | TEXTS | TEXTS.map("file://".__add__)
METADATA = st.dictionaries(TEXTS, TEXTS | st.booleans() | st.floats(allow_nan=False, allow_infinity=False), max_size=5)


@given(PATHS)
def test_paths_round_trip(path):
    text = path_to_text(path)
    text.encode("utf-8")  # what databases take
    assert path_from_text(text) == path


@given(st.lists(PATHS, unique=True, max_size=10))
def test_different_paths_are_stored_as_different_text(paths):
    assert len({path_to_text(path) for path in paths}) == len(paths)


@given(METADATA)
def test_metadata_round_trip(metadata):
    text = metadata_to_text(metadata)
    assert metadata_from_text(text) == metadata
    assert {column: type(value) for column, value in metadata_from_text(text).items()} == {
        column: type(value) for column, value in metadata.items()
    }
    assert metadata_to_text(dict(reversed(metadata.items()))) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        metadata_to_text({"a": number})


def test_paths_of_windows_are_stored_with_slashes(monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    text = path_to_text(r"C:\videos\cat.mp4")
    assert text == "C:/videos/cat.mp4"
    assert path_from_text(text) == r"C:\videos\cat.mp4"


def test_addresses_keep_their_slashes_on_windows(monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    assert path_from_text(path_to_text("s3://bucket/cat.mp4")) == "s3://bucket/cat.mp4"
