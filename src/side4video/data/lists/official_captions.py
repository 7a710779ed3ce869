"""Readers of the captions of public data sets: MSR-VTT, MSVD, VATEX, DiDeMo, ActivityNet Captions, LSMDC."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side4video.data.lists.caption_files import CaptionFile, is_lsmdc
from side4video.data.lists.caption_formats import (
    CaptionRow,
    CaptionTable,
    all_splits,
    parse_captions,
    read_csv_captions,
    read_json_captions,
    read_mapping,
    split_in_name,
)
from side4video.data.lists.segments import parse_seconds
from side4video.data.lists.split_names import choose_split
from side4video.data.lists.text_files import DataError, first_few
from side4video.data.lists.video_finder import strip_suffix

MSRVTT_1K_A = "test (1k-A; this field also validates on it: val == test)"
MSRVTT_LISTS = {9000: "train (9k)", 7010: "train (7k: official train and validate)"}
MSVD_TRAIN = 1200  # videos in its largest split
DIDEMO_END_SECONDS = 31.0  # the annotators saw 30 seconds; CLIP4Clip reads until second 31


# --- MSR-VTT --------------------------------------------------------------------------------------------------------


def read_msrvtt(file: CaptionFile, split: str | None) -> CaptionTable:
    """Read the official JSON (`videos` and `sentences`), with a part chosen by `split`; its variant in COCO's format
    (`images` and `annotations`), which has no splits; the 1k-A test CSV; or general JSON."""
    content = file.content
    if file.kind == "text":
        table = read_csv_captions(file, split)
        is_1k_a = "vid_key" in file.columns() and len({row.name for row in table.rows}) == 1000
        return table._replace(split=MSRVTT_1K_A if is_1k_a else table.split, search_subfolders=True)
    if isinstance(content, dict) and {"videos", "sentences"} <= content.keys():
        return _read_official_msrvtt(content, file.path, split)
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        _reject_split(split, file.path, "MSRVTT_train.9k.csv")
        captions, problems = _valid_entries(
            content["annotations"], ("image_id", "caption"), " of `annotations`", file.path
        )
        rows = [CaptionRow(entry["image_id"], (entry["caption"],)) for entry in captions]
        return CaptionTable(rows, split_in_name(file.path), problems, search_subfolders=True)
    table = read_json_captions(file, split)._replace(search_subfolders=True)
    if len({row.name for row in table.rows}) > max(MSRVTT_LISTS):
        _reject_split(split, file.path, "MSRVTT_train.9k.csv")
    return table


def _read_official_msrvtt(content: dict[str, Any], path: Path, split: str | None) -> CaptionTable:
    videos, problems = _valid_entries(content["videos"], ("video_id",), " of `videos`", path)
    sentences, more = _valid_entries(content["sentences"], ("video_id", "caption"), " of `sentences`", path)
    problems += more
    split_of = {video["video_id"]: str(video.get("split") or "") for video in videos}
    if unknown := [name for name in dict.fromkeys(s["video_id"] for s in sentences) if name not in split_of]:
        problems.append(
            f"{path}: sentences refer to {len(unknown)} videos that are not in `videos`: {first_few(unknown)}."
        )
    splits = list(dict.fromkeys(split_of.values()))
    wanted = set(splits if split is None or len(splits) <= 1 else [choose_split(splits, split, path)])
    if without_sentence := split_of.keys() - {sentence["video_id"] for sentence in sentences}:
        names = [name for name, its_split in split_of.items() if name in without_sentence and its_split in wanted]
        problems += [f"{path}: {len(names)} videos have no sentence: {first_few(names)}."] if names else []
    rows = [CaptionRow(s["video_id"], (s["caption"],)) for s in sentences if split_of.get(s["video_id"]) in wanted]
    label = all_splits(name for name in splits if name in wanted)
    return CaptionTable(rows, f"{label} (official split)" if label else "", problems, search_subfolders=True)


def _valid_entries(
    entries: Any, texts: Sequence[str], where: str, path: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects of a list in which all fields `texts` are strings, and the problems of the others."""
    if not isinstance(entries, list):
        raise DataError(f"{path}: the content{where} is not a list.")
    good = [isinstance(e, dict) and all(isinstance(e.get(name), str) for name in texts) for e in entries]
    bad = [f"entry {number}" for number, is_good in enumerate(good, start=1) if not is_good]
    problem = f"{path}: {' and '.join(texts)} are missing or not text in {first_few(bad)}{where}."
    return [entry for entry, is_good in zip(entries, good, strict=True) if is_good], [problem] if bad else []


def _reject_split(split: str | None, path: Path, example: str) -> None:
    """Raise if a split is given for a file that contains all splits without labels."""
    if split is not None and not split_in_name(path):
        raise DataError(
            f"{path} contains all splits and does not show which videos are in {split!r}. Give the list of the split "
            f"(such as {example}) as the source and this file as captions."
        )


# --- MSVD and VATEX -------------------------------------------------------------------------------------------------


def read_msvd(file: CaptionFile, split: str | None) -> CaptionTable:
    """Read `{id: [captions]}` as JSON or as the old pickle, whose captions are lists of words."""
    if not isinstance(file.content, dict):
        raise DataError(f"{file.path} has no captions of MSVD, which are JSON or a pickle: {{id: [captions]}}.")
    if len(file.content) > MSVD_TRAIN:
        _reject_split(split, file.path, "train_list.txt")
    return read_mapping(file.content, file.path, token_lists=True)._replace(search_subfolders=True)


def read_vatex(file: CaptionFile, split: str | None) -> CaptionTable:
    """Read the official list of `{"videoID": ..., "enCap": [...]}`, or `{id: {"enCap": [...]}}` with all splits."""
    content = file.content
    if isinstance(content, dict):
        _reject_split(split, file.path, "train_list.txt")
        content = [{**(entry if isinstance(entry, dict) else {}), "videoID": name} for name, entry in content.items()]
    entries, problems = _valid_entries(content, ("videoID",), "", file.path)
    if entries and not any("enCap" in entry for entry in entries):
        raise DataError(
            f"{file.path} has no captions (enCap): it is VATEX's private test list. Its captions were never "
            "published; test on the public test or the validation set."
        )
    rows, wrong = [], []
    for entry in entries:
        captions = parse_captions(entry.get("enCap"))
        if captions is None:
            wrong.append(entry["videoID"])
        else:
            rows.append(CaptionRow(entry["videoID"], captions))
    if wrong:
        problems.append(f"{file.path}: enCap of {len(wrong)} videos is not a list of text: {first_few(wrong)}.")
    return CaptionTable(rows, split_in_name(file.path), problems, search_subfolders=True)


# --- DiDeMo and ActivityNet: one paragraph per video ----------------------------------------------------------------


def read_didemo(file: CaptionFile, split: str | None) -> CaptionTable:  # noqa: ARG001
    """Read a list of `{"video": ..., "description": ...}`: join all descriptions of a video, in the order of the file,
    to one caption of its first 31 seconds.

    Videos are identified by their name without suffix, because the files name some videos with two suffixes (`.mov`
    and `.mp4`) or none.
    """
    entries, problems = _valid_entries(file.content, ("video", "description"), "", file.path)
    texts: dict[str, list[str]] = {}
    names: dict[str, dict[str, None]] = {}
    for entry in entries:
        name = entry["video"].rpartition(".")[0] or entry["video"]
        texts.setdefault(name, []).append(entry["description"])
        names.setdefault(name, {})[entry["video"]] = None
    rows = [
        CaptionRow(name, (_paragraph(texts[name]),), (*names[name], name), 0.0, DIDEMO_END_SECONDS) for name in texts
    ]
    return CaptionTable(rows, split_in_name(file.path), problems, search_subfolders=True)


def read_activitynet(file: CaptionFile, split: str | None) -> CaptionTable:  # noqa: ARG001
    """Read `{"v_<id>": {"duration": seconds, "sentences": [...]}}`: join them to one caption of the whole video.

    Video files are named `<id>` or `v_<id>`.
    """
    if not isinstance(file.content, dict):
        raise DataError(
            f"{file.path} is not in the format of ActivityNet Captions: {{id: {{duration, timestamps, sentences}}}}."
        )
    rows, wrong = [], []
    for name, entry in file.content.items():
        sentences = parse_captions(entry.get("sentences")) if isinstance(entry, dict) else None
        duration = parse_seconds(entry.get("duration")) if isinstance(entry, dict) else None
        if sentences is None or not duration or not duration > 0:
            wrong.append(name)
        else:
            candidates = (name.removeprefix("v_"), name)
            rows.append(CaptionRow(name, (_paragraph(sentences),), candidates, 0.0, float(math.ceil(duration))))
    problems = [f"{file.path}: {first_few(wrong)} lack sentences as text or a positive duration."] if wrong else []
    return CaptionTable(rows, split_in_name(file.path), problems, search_subfolders=True)


def _paragraph(sentences: Sequence[str]) -> str:
    return " ".join(stripped for sentence in sentences if (stripped := sentence.strip()))


# --- LSMDC ----------------------------------------------------------------------------------------------------------


def read_lsmdc(file: CaptionFile, split: str | None) -> CaptionTable:  # noqa: ARG001
    """Read lines of `clip, start, end, start, end, sentence`, separated by tabs, no header. A clip may have several.

    Times refer to the film and are ignored, because the files are already cut. Lines that are not UTF-8 are read as
    Windows-1252.
    """
    lines = file.lines()
    if not lines or not is_lsmdc(lines):
        raise DataError(
            f"{file.path} is not a list of LSMDC: a line is a clip, four times and a sentence, separated by tabs."
        )
    rows, wrong = [], []
    for line in lines:
        name, *fields = (field.strip() for field in line.split("\t"))
        sentence, *rest = fields[4:] or ("",)  # an empty sentence may have lost the tab before it
        if len(fields) < 4 or any(rest) or not name:
            wrong.append(line)
        else:
            rows.append(CaptionRow(name, (sentence,)))
    problems = (
        [f"{file.path}: {len(wrong)} lines do not have the six fields of LSMDC: {first_few(wrong)}."] if wrong else []
    )
    notes = [f"{file.num_not_utf8} lines are not UTF-8 and were read as Windows-1252."] if file.num_not_utf8 else []
    test = "test" if "challenge" in file.path.stem else ""  # LSMDC16_challenge_1000_publictect.csv
    return CaptionTable(rows, test or split_in_name(file.path), problems, notes, search_subfolders=True)


def split_of_names(names: Sequence[str], path: Path) -> str:
    """The split of a list of names: MSR-VTT's lists by their length, others by the name of the file."""
    is_msrvtt = all(re.fullmatch(r"video\d+", strip_suffix(name)) for name in names)
    known = MSRVTT_LISTS.get(len(set(names)), "") if is_msrvtt else ""
    return known or split_in_name(path)
