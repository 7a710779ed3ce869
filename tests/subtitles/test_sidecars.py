"""Which subtitle files belong to a video, and their encodings."""

import codecs
import unicodedata

import pytest

from side4video.subtitles.sidecars import MAX_BYTES, SubtitleError, decode_text, match_sidecars, read_sidecar

CUE = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["film.mp4", "film.srt"], {"film.mp4": [("film.srt", "")]}),
        (["film.mp4", "film.en.srt", "film.vtt"], {"film.mp4": [("film.en.srt", "en"), ("film.vtt", "")]}),
        (["film.mp4", "film.pt-BR.forced.srt"], {"film.mp4": [("film.pt-BR.forced.srt", "pt-BR")]}),
        (
            ["film.mp4", "film.forced.srt", "film.SDH.en.srt"],
            {"film.mp4": [("film.SDH.en.srt", "en"), ("film.forced.srt", "")]},
        ),
        (["film.MP4", "Film.EN.SRT"], {"film.MP4": [("Film.EN.SRT", "EN")]}),
        (["film.mp4", "film.avi", "film.srt"], {"film.avi": [("film.srt", "")], "film.mp4": [("film.srt", "")]}),
        (["film.mp4", "film.en.mp4", "film.en.srt"], {"film.en.mp4": [("film.en.srt", "")]}),
        (["film.mp4", "film.2.srt", "filmed.srt", "film en.srt", "fil.srt", "film.en.txt"], {}),
        (["a.b.mp4", "a.b.de.srt", "a.de.srt"], {"a.b.mp4": [("a.b.de.srt", "de")]}),
    ],
)
def test_files_of_a_video(names, expected):
    assert match_sidecars(names) == expected


def test_names_in_two_unicode_forms_are_equal():
    video, subtitles = unicodedata.normalize("NFD", "Café.mp4"), unicodedata.normalize("NFC", "Café.fr.srt")
    assert match_sidecars([video, subtitles]) == {video: [(subtitles, "fr")]}


def test_videos_with_unknown_suffixes_are_named():
    assert match_sidecars(["film.xyz", "film.srt"], videos=["film.xyz"]) == {"film.xyz": [("film.srt", "")]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path, encoding):
    text = "Größe \u2013 naïve “café”"
    (tmp_path / "film.srt").write_bytes(CUE.format(text).encode(encoding))
    found = read_sidecar(tmp_path / "film.srt")
    assert [cue.text for cue in found.cues] == [text]
    assert (found.encoding == "cp1252") == (encoding == "cp1252")


def test_the_byte_order_mark_of_big_endian_utf16():
    assert decode_text(codecs.BOM_UTF16_BE + "Größe".encode("utf-16-be"))[0] == "Größe"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CUE.format("Собака лает на кошку").encode("cp1251"), "Save it in UTF-8"),
        (CUE.format("狗在叫一只猫睡觉").encode("gbk"), "Save it in UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00", "Save it in UTF-8"),
        (b"", "has no cues"),
        (b"hello", "has no cues"),
        (bytes(range(256)) * 20, "Save it in UTF-8|has no cues"),
    ],
)
def test_unreadable_files_say_why(tmp_path, content, reason):
    (tmp_path / "film.srt").write_bytes(content)
    with pytest.raises(SubtitleError, match=reason):
        read_sidecar(tmp_path / "film.srt")


def test_large_and_missing_files_and_folders_are_refused(tmp_path):
    (tmp_path / "folder.srt").mkdir()
    with (tmp_path / "large.srt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, reason in (("folder", "is not a file"), ("large", "at most 32 MB"), ("missing", "cannot be read")):
        with pytest.raises(SubtitleError, match=reason):
            read_sidecar(tmp_path / f"{name}.srt")
