"""The captions of public data sets: their own files if available, and small files in the same format."""

import csv
import json
import pickle
from collections import Counter
from pathlib import Path

import pytest

from side4video.data.lists.captions import CaptionList, DataError, check_caption_list, read_caption_list

ANNOTATIONS = Path(__file__).parents[3] / "../shared/data/annotations"
needs_annotations = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="no ../shared/data/annotations")


def write(path: Path, content: str | bytes | list | dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, (list, dict)):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def touch(root: Path, *names: str) -> None:
    for name in names:
        write(root / name, "")


def as_dict(found: CaptionList) -> dict[str, tuple[str, ...]]:
    return dict(zip((video.name for video in found.videos), found.captions, strict=True))


def files(found: CaptionList, root: Path) -> list[str]:
    return [video.path.relative_to(root).as_posix() for video in found.videos]


def problems(source: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_caption_list(source, **options)
    return str(caught.value)


class TestMsrvtt:
    def official(self) -> dict:
        splits = {"video0": "train", "video1": "train", "video6513": "validate", "video7010": "test"}
        videos = [
            {"id": n, "video_id": name, "category": 9, "url": "u", "start time": 1.0, "end time": 9.5, "split": split}
            for n, (name, split) in enumerate(splits.items())
        ]
        texts = [("video1", "b1"), ("video0", "a1"), ("video1", "b2"), ("video7010", "d"), ("video6513", "c, c")]
        sentences = [{"sen_id": n, "video_id": name, "caption": text} for n, (name, text) in enumerate(texts)]
        return {"info": {"year": "2016"}, "videos": videos, "sentences": sentences}

    @pytest.mark.parametrize(
        ("split", "expected", "label"),
        [
            ("train", {"video1": ("b1", "b2"), "video0": ("a1",)}, "train (official split)"),
            ("val", {"video6513": ("c, c",)}, "validate (official split)"),
            ("validation", {"video6513": ("c, c",)}, "validate (official split)"),
            ("test", {"video7010": ("d",)}, "test (official split)"),
        ],
    )
    def test_official_splits(self, tmp_path, split, expected, label):
        source = write(tmp_path / "MSRVTT_data.json", self.official())
        found = read_caption_list(source, split=split)
        assert (as_dict(found), found.split) == (expected, label)
        assert len(read_caption_list(source).videos) == 4
        assert read_caption_list(source).split == "train + validate + test (official split)"
        assert "no split 'extra'" in problems(source, split="extra")

    def test_list_and_official_json(self, tmp_path):
        captions = write(tmp_path / "MSRVTT_data.json", self.official())
        source = write(tmp_path / "MSRVTT_train.9k.csv", "video_id\r\nvideo6513\r\nvideo1\r\n")
        touch(tmp_path / "v", "video1.webm", "deep/video6513.mp4", "video0.mp4")
        found = read_caption_list(source, captions=captions, root=tmp_path / "v", split="train")
        assert as_dict(found) == {"video6513": ("c, c",), "video1": ("b1", "b2")}
        assert files(found, tmp_path / "v") == ["deep/video6513.mp4", "video1.webm"]
        assert check_caption_list(found).num_found == 2
        assert "1 of 1 videos of" in problems(write(tmp_path / "l.csv", "video_id\nvideo5\n"), captions=captions)

    def test_coco_format(self, tmp_path):
        """As in MSRVTT.zip, which other projects ask to be renamed to MSRVTT_data.json."""
        content = {
            "info": {},
            "images": [{"id": "video0"}, {"id": "video1"}],
            "annotations": [
                {"image_id": "video1", "caption": "b", "id": 1},
                {"image_id": "video0", "caption": "a", "id": 2},
                {"image_id": "video1", "caption": "c", "id": 3},
            ],
        }
        captions = write(tmp_path / "MSRVTT_data.json", content)
        assert as_dict(read_caption_list(captions)) == {"video1": ("b", "c"), "video0": ("a",)}
        source = write(tmp_path / "train_list.txt", "video0\n")
        assert as_dict(read_caption_list(source, captions=captions, split="train")) == {"video0": ("a",)}
        found = problems(captions, split="train")
        assert (
            "does not show which videos are in 'train'. Give the list of the split (such as MSRVTT_train.9k.csv)"
            in found
        )

    def test_1k_a(self, tmp_path):
        rows = "".join(f"ret{n},msr{n},video{n},sentence {n}\n" for n in range(7010, 8010))
        source = write(tmp_path / "test.csv", "key,vid_key,video_id,sentence\n" + rows)
        found = read_caption_list(source, captions=tmp_path / "not looked at.json")
        assert found.split == "test (1k-A; this field also validates on it: val == test)"
        assert as_dict(found)["video7077"] == ("sentence 7077",)
        source = write(tmp_path / "test.csv", "key,vid_key,video_id,sentence\n" + rows[: rows.index("ret8009")])
        assert read_caption_list(source).split == "test"  # a part of it is another test

    @pytest.mark.parametrize("name", ["train_9k.json", "msrvtt_ret_train9k.json"])
    def test_json_of_other_projects(self, tmp_path, name):
        content = {
            "train_9k.json": {"video0.mp4": ["a1", "a2"], "video1.mp4": ["b"]},
            "msrvtt_ret_train9k.json": [
                {"video": "video0.mp4", "caption": ["a1", "a2"]},
                {"video": "video1.mp4", "caption": "b"},
            ],
        }[name]
        touch(tmp_path, "video0.mp4", "video1.webm")
        found = read_caption_list(write(tmp_path / name, content), format="msrvtt")
        assert as_dict(found) == {"video0.mp4": ("a1", "a2"), "video1.mp4": ("b",)}
        assert found.split == "train"
        assert files(found, tmp_path) == ["video0.mp4", "video1.webm"]
        assert as_dict(read_caption_list(tmp_path / name)) == as_dict(found)

    def test_json_of_all_videos_has_no_split(self, tmp_path):
        source = write(tmp_path / "captions.json", {f"video{n}": ["x"] for n in range(10_000)})
        assert "does not show which videos are in 'test'" in problems(source, split="test")
        assert len(read_caption_list(source).videos) == 10_000

    def test_all_problems_at_once(self, tmp_path):
        content = self.official()
        content["videos"].append({"video_id": 7})
        content["videos"].append({"video_id": "video9", "split": "train"})
        content["sentences"] += [{"video_id": "video0"}, "x", {"video_id": "video8", "caption": "x"}]
        found = problems(write(tmp_path / "m.json", content), split="train")
        assert "video_id are missing or not text in 'entry 5' of `videos`" in found
        assert "video_id and caption are missing or not text in 'entry 6', 'entry 7' of `sentences`" in found
        assert "sentences refer to 1 videos that are not in `videos`: 'video8'" in found
        assert "1 videos have no sentence: 'video9'" in found
        assert "no sentence" not in problems(tmp_path / "m.json", split="test")
        assert "the content of `videos` is not a list" in problems(
            write(tmp_path / "m.json", {"videos": 3, "sentences": []})
        )

    @needs_annotations
    def test_the_real_1k_a(self):
        source = ANNOTATIONS / "MSRVTT/MSRVTT_JSFUSION_test.csv"
        found = read_caption_list(source)
        with source.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(video.name, *texts) for video, texts in zip(found.videos, found.captions, strict=True)] == [
            (row["video_id"], row["sentence"]) for row in rows
        ]
        assert len(found.videos) == 1000
        assert len({text for texts in found.captions for text in texts}) == 995
        assert found.split.startswith("test (1k-A")

    @needs_annotations
    def test_shared_captions_in_the_real_1k_a(self, tmp_path):
        source = ANNOTATIONS / "MSRVTT/MSRVTT_JSFUSION_test.csv"
        touch(tmp_path, *(f"video{n}.mp4" for n in range(7010, 10_000)))
        checked = check_caption_list(read_caption_list(source, root=tmp_path))
        assert (checked.num_listed, checked.num_found) == (1000, 1000)
        with source.open(newline="") as file:
            counts = Counter(row["sentence"] for row in csv.DictReader(file))
        shared = {text: count for text, count in counts.items() if count > 1}
        assert sorted(shared.values()) == [2, 2, 2, 3]
        (warning,) = checked.warnings
        assert "4 captions are shared by several videos, 9 in total" in warning
        assert "(1000 captions, 995 unique)" in warning
        assert all(repr(text) in warning for text in shared)

    @needs_annotations
    @pytest.mark.parametrize(
        ("name", "count", "split"),
        [
            ("MSRVTT_train.9k.csv", 9000, "train (9k)"),
            ("MSRVTT_train.7k.csv", 7010, "train (7k: official train and validate)"),
        ],
    )
    def test_the_real_lists(self, tmp_path, name, count, split):
        captions = write(tmp_path / "c.json", {f"video{n}": [f"text {n}"] for n in range(10_000)})
        found = read_caption_list(ANNOTATIONS / "MSRVTT" / name, captions=captions)
        with (ANNOTATIONS / "MSRVTT" / name).open(newline="") as file:
            expected = [row["video_id"] for row in csv.DictReader(file)]
        assert [video.name for video in found.videos] == expected
        assert len(expected) == count
        assert found.split == split
        test = read_caption_list(ANNOTATIONS / "MSRVTT/MSRVTT_JSFUSION_test.csv")
        both = set(expected) & {video.name for video in test.videos}
        assert not both
        assert "was read as a list of" in problems(ANNOTATIONS / "MSRVTT" / name)


MSVD_WORDS = {"-4wsuPCjDBc_5_15": [["a", "squirrel"], ["it", "eats"]], "eyhzdC936uk_15_27": [["a", "boy"]]}
MSVD_TEXTS = {"-4wsuPCjDBc_5_15": ("a squirrel", "it eats"), "eyhzdC936uk_15_27": ("a boy",)}


class TestMsvd:
    @pytest.mark.parametrize("protocol", [0, 2, 4])
    def test_pickle_of_words(self, tmp_path, protocol):
        captions = write(tmp_path / "raw-captions.pkl", pickle.dumps(MSVD_WORDS, protocol))
        source = write(tmp_path / "test_list.txt", "eyhzdC936uk_15_27\n-4wsuPCjDBc_5_15\n")
        touch(tmp_path / "YouTubeClips", "-4wsuPCjDBc_5_15.avi", "eyhzdC936uk_15_27.mp4")
        found = read_caption_list(source, captions=captions, root=tmp_path, split="test")
        assert as_dict(found) == MSVD_TEXTS
        assert [video.name for video in found.videos] == ["eyhzdC936uk_15_27", "-4wsuPCjDBc_5_15"]
        assert found.split == "test"
        assert files(found, tmp_path) == ["YouTubeClips/eyhzdC936uk_15_27.mp4", "YouTubeClips/-4wsuPCjDBc_5_15.avi"]
        assert check_caption_list(found).num_found == 2

    def test_json(self, tmp_path):
        for content in (MSVD_WORDS, {name: list(texts) for name, texts in MSVD_TEXTS.items()}):
            assert as_dict(read_caption_list(write(tmp_path / "captions.json", content))) == MSVD_TEXTS
            with_suffix = {f"{name}.avi": texts for name, texts in content.items()}
            source = write(tmp_path / "val_list.txt", "eyhzdC936uk_15_27\n")
            captions = write(tmp_path / "captions.json", with_suffix)
            assert as_dict(read_caption_list(source, captions=captions)) == {"eyhzdC936uk_15_27.avi": ("a boy",)}

    def test_refused(self, tmp_path):
        captions = write(tmp_path / "raw-captions.pkl", pickle.dumps(MSVD_WORDS))
        assert read_caption_list(captions, split="train").split == ""  # no more than one split can be
        many = {f"abcdefghijk_{n}_{n + 9}": [["a"]] for n in range(1201)}
        found = problems(write(tmp_path / "c.pkl", pickle.dumps(many)), split="train")
        assert "does not show which videos are in 'train'. Give the list of the split (such as train_list.txt)" in found
        source = write(tmp_path / "l.txt", "nobody_1_2\n")
        assert "1 of 1 videos of" in problems(source, captions=captions)
        broken = write(tmp_path / "c.pkl", pickle.dumps({**MSVD_WORDS, "x": [[1]], ("y",): [["a"]]}))
        assert "dictionary key that is not text" in problems(broken)
        broken = write(tmp_path / "c.pkl", pickle.dumps({**MSVD_WORDS, "x": [[1]], "y": 3, "z": [b"a"]}))
        assert "captions of 3 videos are not text: 'x', 'y', 'z'" in problems(broken)
        assert "contains more than text" in problems(write(tmp_path / "c.pkl", pickle.dumps({"a": Path("b")})))
        assert "no captions of MSVD" in problems(write(tmp_path / "c.pkl", pickle.dumps(["a", {}])), format="msvd")

    @needs_annotations
    @pytest.mark.parametrize(
        ("split", "num_videos", "num_captions"), [("train", 1200, 48_774), ("val", 100, 4290), ("test", 670, 27_763)]
    )
    def test_the_real_files(self, split, num_videos, num_captions):
        folder = ANNOTATIONS / "MSVD"
        found = read_caption_list(folder / f"{split}_list.txt", captions=folder / "captions_msvd.json")
        content = json.loads((folder / "captions_msvd.json").read_text())
        names = (folder / f"{split}_list.txt").read_text().split()
        assert list(as_dict(found).items()) == [(name, tuple(content[name])) for name in names]
        assert (len(found.videos), sum(map(len, found.captions))) == (num_videos, num_captions)
        assert (found.split, found.notes) == (split, ())

    @pytest.mark.slow
    @needs_annotations
    def test_the_real_captions_as_a_python_2_pickle(self, tmp_path):
        folder = ANNOTATIONS / "MSVD"
        content = json.loads((folder / "captions_msvd.json").read_text())
        words = {name: [text.split() for text in texts] for name, texts in content.items()}
        captions = write(tmp_path / "raw-captions.pkl", pickle.dumps(words, 2))
        source = folder / "test_list.txt"
        expected = {
            name: tuple(" ".join(text.split()) for text in content[name]) for name in source.read_text().split()
        }
        assert as_dict(read_caption_list(source, captions=captions)) == expected


VATEX_ENTRIES = [
    {"videoID": "-a_bcdefghi_000002_000012", "enCap": ["one", "two"], "chCap": ["一"]},
    {"videoID": "Zabcdefghij_000003_000013", "enCap": ["three"], "chCap": ["二"]},
]


class TestVatex:
    def test_official_list(self, tmp_path):
        source = write(tmp_path / "vatex_training_v1.0.json", VATEX_ENTRIES)
        found = read_caption_list(source)
        assert as_dict(found) == {"-a_bcdefghi_000002_000012": ("one", "two"), "Zabcdefghij_000003_000013": ("three",)}
        assert found.split == "train"
        test = write(tmp_path / "vatex_public_test_english_v1.1.json", VATEX_ENTRIES)
        assert read_caption_list(test).split == "test"

    def test_list_and_object(self, tmp_path):
        content = {entry["videoID"]: {"enCap": entry["enCap"]} for entry in VATEX_ENTRIES}
        captions = write(tmp_path / "vatex_data/vatex_data.json", content)
        source = write(tmp_path / "vatex_data/val_list.txt", "Zabcdefghij_000003_000013\n")
        touch(tmp_path / "videos", "val_video/Zabcdefghij_000003_000013/img_00001.jpg")
        found = read_caption_list(source, captions=captions, root=tmp_path / "videos")
        assert (as_dict(found), found.split) == ({"Zabcdefghij_000003_000013": ("three",)}, "val")
        assert files(found, tmp_path / "videos") == ["val_video/Zabcdefghij_000003_000013"]
        assert check_caption_list(found).num_found == 1
        assert len(read_caption_list(captions).videos) == 2
        assert "does not show which videos are in 'test'" in problems(captions, split="test")

    def test_private_test(self, tmp_path):
        source = write(tmp_path / "vatex_private_test_without_annotations.json", [{"videoID": "a"}, {"videoID": "b"}])
        assert "has no captions (enCap): it is VATEX's private test list" in problems(source)

    def test_broken(self, tmp_path):
        source = write(
            tmp_path / "v.json", [*VATEX_ENTRIES, {"videoID": "c"}, {"videoID": "d", "enCap": [1]}, {"x": 1}]
        )
        found = problems(source)
        assert "enCap of 2 videos is not a list of text: 'c', 'd'" in found
        assert "videoID are missing or not text in 'entry 5'." in found
        content = {"a": {"enCap": ["x"]}, "b": 3, "c": {"enCap": ["y"]}, "d": {}}
        assert "enCap of 2 videos is not a list of text: 'b', 'd'" in problems(write(tmp_path / "v.json", content))


class TestDidemo:
    def entries(self) -> list[dict]:
        texts = [
            ("a@N01_1.mov", "First a man."),
            ("b@N02_2.", " a dog "),
            ("a@N01_1.mp4", "then he"),
            ("a@N01_1.mov", "x"),
        ]
        return [
            {
                "annotation_id": n,
                "description": text,
                "video": name,
                "times": [[0, 0]],
                "num_segments": 6,
                "dl_link": "u",
            }
            for n, (name, text) in enumerate(texts)
        ]

    def test_paragraphs(self, tmp_path):
        touch(tmp_path / "v", "a@N01_1.mp4", "sub/b@N02_2.avi")
        source = write(tmp_path / "test_data.json", self.entries())
        found = read_caption_list(source, root=tmp_path / "v")
        assert as_dict(found) == {"a@N01_1": ("First a man. then he x",), "b@N02_2": ("a dog",)}
        assert {(video.start_seconds, video.end_seconds) for video in found.videos} == {(0.0, 31.0)}
        assert found.split == "test"
        assert files(found, tmp_path / "v") == ["a@N01_1.mp4", "sub/b@N02_2.avi"]
        assert check_caption_list(found).num_found == 2

    @pytest.mark.parametrize("name", ["a@N01_1.mov", "a@N01_1.mp4", "a@N01_1", "a@N01_1.avi"])
    def test_list(self, tmp_path, name):
        captions = write(tmp_path / "train_data.json", self.entries())
        found = read_caption_list(write(tmp_path / "train_list.txt", f"{name}\n"), captions=captions)
        assert as_dict(found) == {"a@N01_1": ("First a man. then he x",)}
        assert "1 of 1 videos" in problems(write(tmp_path / "l.txt", "a@N01_2.mov"), captions=captions)

    def test_broken(self, tmp_path):
        source = write(tmp_path / "d.json", [*self.entries(), {"video": "c.mov", "annotation_id": 3}, 7])
        assert "video and description are missing or not text in 'entry 5', 'entry 6'" in problems(source)

    @needs_annotations
    def test_the_real_file(self, tmp_path):
        source = ANNOTATIONS / "didemo/val_data.json"
        found = read_caption_list(source)
        texts: dict[str, list[str]] = {}
        for entry in json.loads(source.read_text()):
            texts.setdefault(entry["video"].split(".")[0], []).append(entry["description"].strip())
        assert len(texts) == 1065
        assert as_dict(found) == {name: (" ".join(parts),) for name, parts in texts.items()}
        written = sorted({entry["video"] for entry in json.loads(source.read_text())})
        assert len(written) == 1094  # 29 videos are named with two endings
        touch(tmp_path, *written)
        checked = check_caption_list(read_caption_list(source, root=tmp_path))
        assert (checked.num_listed, checked.num_found) == (1065, 1065)
        with_list = read_caption_list(write(tmp_path / "val_list.txt", "\n".join(texts)), captions=source)
        assert as_dict(with_list) == as_dict(found)


ACTIVITYNET_CONTENT = {
    "v_-abcdefghi_": {"duration": 82.73, "timestamps": [[0, 1], [1, 2]], "sentences": [" A girl.", " She runs. "]},
    "v_v_cdefghijk": {"duration": 9, "timestamps": [[0, 1]], "sentences": ["One."]},
}


class TestActivityNet:
    def test_paragraphs(self, tmp_path):
        touch(tmp_path / "v", "-abcdefghi_.mkv", "v_v_cdefghijk.mp4")
        found = read_caption_list(write(tmp_path / "val_1.json", ACTIVITYNET_CONTENT), root=tmp_path / "v")
        assert as_dict(found) == {"v_-abcdefghi_": ("A girl. She runs.",), "v_v_cdefghijk": ("One.",)}
        assert [(video.start_seconds, video.end_seconds) for video in found.videos] == [(0.0, 83.0), (0.0, 9.0)]
        assert files(found, tmp_path / "v") == ["-abcdefghi_.mkv", "v_v_cdefghijk.mp4"]
        assert found.split == "val_1"

    @pytest.mark.parametrize("name", ["v_-abcdefghi_", "-abcdefghi_"])
    def test_ids(self, tmp_path, name):
        captions = write(tmp_path / "train.json", ACTIVITYNET_CONTENT)
        found = read_caption_list(write(tmp_path / "train_ids.json", [name]), captions=captions)
        assert (list(as_dict(found)), found.split) == (["v_-abcdefghi_"], "train")
        assert "1 of 1 videos" in problems(write(tmp_path / "ids.json", ["v_x"]), captions=captions)

    def test_broken(self, tmp_path):
        bad = {
            "v_1": {"duration": 0, "sentences": ["x"]},
            "v_2": {"sentences": ["x"]},
            "v_3": {"duration": 3.0, "sentences": [3]},
            "v_4": {"duration": True, "sentences": ["x"]},
            "v_5": 3,
        }
        found = problems(write(tmp_path / "a.json", {**ACTIVITYNET_CONTENT, **bad}), format="activitynet")
        assert "'v_1', 'v_2', 'v_3', 'v_4', 'v_5' lack sentences as text or a positive duration" in found

    def test_detection_is_another_file(self, tmp_path):
        content = {
            "database": {"-abcdefghi_": {"duration": 9.0, "subset": "training", "annotations": []}},
            "taxonomy": [],
        }
        found = problems(write(tmp_path / "activity_net.v1-3.min.json", content))
        assert "detection (classes and times). Captions are in ActivityNet Captions: train.json" in found


class TestLsmdc:
    FIRST = "1001_Film_00.00.51.926-00.00.54.129"
    SECOND = "1001_Film_00.01.03.220-00.01.05.001"

    def line(self, name: str, sentence: str) -> bytes:
        times = "\t".join(["00.00.51.926", "00.00.54.129"] * 2)
        return f"{name}\t{times}\t".encode() + sentence.encode("cp1252") + b"\r\n"

    def test_clips_with_several_sentences(self, tmp_path):
        content = (
            self.line(self.FIRST, "SOMEONE waits.")
            + self.line(self.SECOND, "Café")
            + self.line(self.FIRST, "He\u2019s")
        )
        source = write(tmp_path / "LSMDC16_annos_training.csv", content)
        touch(tmp_path / "v", f"1001_Film/{self.FIRST}.avi", f"deep/er/{self.SECOND}.mp4")
        found = read_caption_list(source, root=tmp_path / "v")
        assert as_dict(found) == {self.FIRST: ("SOMEONE waits.", "He\u2019s"), self.SECOND: ("Café",)}
        assert found.notes == ("2 lines are not UTF-8 and were read as Windows-1252.",)
        assert files(found, tmp_path / "v") == [f"1001_Film/{self.FIRST}.avi", f"deep/er/{self.SECOND}.mp4"]
        assert found.split == "train"
        assert {(video.start_seconds, video.end_seconds) for video in found.videos} == {(None, None)}

    def test_every_byte_is_decoded(self, tmp_path):
        """Windows-1252 has five gaps; they are read as Latin-1, so no file is refused for one."""
        content = self.line(self.FIRST, "x").replace(b"x\r", bytes(range(0x80, 0x100)) + b"\r")
        found = read_caption_list(write(tmp_path / "l.csv", content))
        (text,) = as_dict(found)[self.FIRST]
        expected = bytes(range(0x80, 0x100)).translate(None, b"\x81\x8d\x8f\x90\x9d").decode("cp1252")
        gaps = "\x81\x8d\x8f\x90\x9d"
        assert "".join(letter for letter in text if letter not in gaps) == expected.strip()

    def test_utf8(self, tmp_path):
        content = self.line(self.FIRST, "x").replace(b"x\r", "日本 café\r".encode())
        found = read_caption_list(write(tmp_path / "l.csv", content))
        assert (as_dict(found), found.notes) == ({self.FIRST: ("日本 café",)}, ())

    def test_empty_sentences(self, tmp_path):
        content = self.line(self.FIRST, "x") + self.line(self.SECOND, "").replace(b"\t\r", b"\r") + self.line("a.b", "")
        found = read_caption_list(write(tmp_path / "LSMDC16_annos_val.csv", content))
        assert as_dict(found) == {self.FIRST: ("x",)}
        assert found.notes == (
            "2 captions are empty or missing (such as N/A); they are skipped.",
            f"2 of 3 videos have no caption; they are skipped: '{self.SECOND}', 'a.b'.",
        )

    def test_the_test_list(self, tmp_path):
        source = write(tmp_path / "LSMDC16_challenge_1000_publictect.csv", self.line(self.FIRST, "x"))
        assert read_caption_list(source).split == "test"

    def test_broken_lines(self, tmp_path):
        content = b"".join(self.line(f"c.{n}", "x") for n in range(30)) + b"c.30\tx\n" + self.line("c.31", "x\ty")
        found = problems(write(tmp_path / "l.csv", content))
        assert "2 lines do not have the six fields of LSMDC: 'c.30" in found
        assert "is not a list of LSMDC" in problems(write(tmp_path / "l.csv", "a\tb\nc\td\n"), format="lsmdc")


class TestAnywhereBelowTheRoot:
    def test_several_files_of_one_name(self, tmp_path):
        touch(tmp_path / "v", "small/abcdefghijk_1_2.mp4", "full/abcdefghijk_1_2.avi", "full/x.mp4")
        captions = write(tmp_path / "c.json", {"abcdefghijk_1_2": ["x"]})
        found = read_caption_list(captions, root=tmp_path / "v")
        assert files(found, tmp_path / "v") == ["full/abcdefghijk_1_2.avi"]
        (warning,) = check_caption_list(found).warnings
        assert warning.startswith(
            f"Several files below {tmp_path / 'v'} match the name of one video; the first file is used"
        )
        assert "small/abcdefghijk_1_2.mp4" in warning

    def test_circular_links_are_followed_once(self, tmp_path):
        touch(tmp_path / "v", "deep/abcdefghijk_1_2.avi")
        (tmp_path / "v/deep/again").symlink_to(tmp_path / "v", target_is_directory=True)
        captions = write(tmp_path / "c.json", {"abcdefghijk_1_2": ["x"], "abcdefghijk_3_4": ["y"]})
        found = read_caption_list(captions, root=tmp_path / "v")
        assert files(found, tmp_path / "v") == ["deep/abcdefghijk_1_2.avi", "abcdefghijk_3_4"]
        assert check_caption_list(found, allow_missing=True).num_found == 1

    def test_a_large_set(self, tmp_path):
        names = [f"{n:04d}_Film_00.00.{n:02d}.926-00.00.54.129" for n in range(3000)]
        touch(tmp_path / "v", *(f"{name[:2]}/{name}.avi" for name in names[:2000]))
        line = "\t".join(["{}", *["00.00.51.926"] * 4, "x{}"])
        source = write(tmp_path / "l.csv", "\n".join(line.format(name, n) for n, name in enumerate(names)))
        checked = check_caption_list(read_caption_list(source, root=tmp_path / "v"), allow_missing=True)
        assert (checked.num_listed, checked.num_found) == (3000, 2000)
