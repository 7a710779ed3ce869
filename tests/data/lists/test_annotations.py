"""Lists of videos in every format; also the public data sets' own files if they are available."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from side4video.data.lists.annotations import (
    DataError,
    LabelledVideo,
    VideoList,
    check_video_list,
    read_class_names,
    read_video_list,
)

SHARED = Path(__file__).parents[3] / "../shared/data"
ANNOTATIONS = SHARED / "annotations"
needs_annotations = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="no ../shared/data/annotations")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())  # bytes: line ends stay as they are
    return path


def touch(root: Path, *names: str) -> None:
    for name in names:
        write(root / name, "")


def labels(video_list: VideoList) -> dict[str, int | None]:
    return {video.name: video.label for video in video_list.videos}


def problems(video_list: VideoList, **options) -> str:
    with pytest.raises(DataError) as caught:
        check_video_list(video_list, **options)
    return str(caught.value)


class TestFolder:
    def test_one_sub_folder_per_class(self, tmp_path):
        touch(tmp_path, "walk/b.MP4", "walk/a.webm", "jump/deep/c.avi", "jump/readme.txt", ".cache/x.mp4", "note.txt")
        touch(tmp_path, "walk/frames of d/img_00001.jpg", "walk/._a.webm")
        found = read_video_list(tmp_path)
        assert found.class_names == ("jump", "walk")
        assert labels(found) == {"jump/deep/c.avi": 0, "walk/a.webm": 1, "walk/b.MP4": 1, "walk/frames of d": 1}
        assert [video.path for video in found.videos] == [tmp_path / video.name for video in found.videos]

    def test_split_folders(self, tmp_path):
        touch(tmp_path, "train/walk/a.mp4", "val/walk/b.mp4")
        assert labels(read_video_list(tmp_path, split="test")) == {"val/walk/b.mp4": 0}
        assert read_video_list(tmp_path, split="train").videos[0].path == tmp_path / "train/walk/a.mp4"

    def test_split_folders_are_not_classes(self, tmp_path):
        touch(tmp_path, "train/walk/a.mp4", "val/walk/b.mp4")
        with pytest.raises(DataError, match="splits and not classes"):
            read_video_list(tmp_path)

    def test_given_class_names_define_the_order(self, tmp_path):
        touch(tmp_path, "walk/a.mp4", "Jump_up/b.mp4")
        found = read_video_list(tmp_path, class_names=["walk", "run", "jump up"])
        assert labels(found) == {"walk/a.mp4": 0, "Jump_up/b.mp4": 2}

    def test_unknown_classes_are_listed(self, tmp_path):
        touch(tmp_path, "walk/a.mp4", *(f"new{n:02d}/b.mp4" for n in range(12)))
        with pytest.raises(DataError, match=r"'new00'.*'new09', \.\.\. \(12 in all\).*'walk', 'run'"):
            read_video_list(tmp_path, class_names=["walk", "run"])

    def test_names_that_differ_only_in_punctuation_stay_distinct(self, tmp_path):
        touch(tmp_path, "C/a.mp4", "C++/b.mp4")
        assert labels(read_video_list(tmp_path)) == {"C/a.mp4": 0, "C++/b.mp4": 1}
        touch(tmp_path, "C#/b.mp4")
        with pytest.raises(DataError, match="'C#'"):
            read_video_list(tmp_path, class_names=["C", "C++"])

    def test_empty_folder(self, tmp_path):
        with pytest.raises(DataError, match="neither one sub-folder per class"):
            read_video_list(tmp_path)

    def test_folders_without_videos(self, tmp_path):
        (tmp_path / "walk").mkdir()
        with pytest.raises(DataError, match="lists no videos"):
            read_video_list(tmp_path)


class TestList:
    @pytest.mark.parametrize(
        "text",
        [
            "a b/my clip 1.mp4 0\nc.mp4 12\n",
            "a b/my clip 1.mp4 250 0\nc.mp4 9 12\n",
            "a b/my clip 1.mp4\t0\nc.mp4\t12\n",
            "a b/my clip 1.mp4,0\nc.mp4,12\n",
            "a b/my clip 1.mp4::0\nc.mp4::12\n",
            '"a b/my clip 1.mp4",0\nc.mp4, 12\n',
            "\ufeffa b/my clip 1.mp4 0 \r\n\r\nc.mp4   12\t\r\n\r\n",  # BOM, CRLF, trailing blanks
        ],
    )
    def test_delimiters_and_blanks(self, tmp_path, text):
        found = read_video_list(write(tmp_path / "list.txt", text))
        assert labels(found) == {"a b/my clip 1.mp4": 0, "c.mp4": 12}
        assert found.class_names == tuple(str(n) for n in range(13))

    @pytest.mark.parametrize(
        "text",
        [
            "video      label\na.mp4    run\nb.mp4  walk\n",  # as pandas prints tables
            "path::label\na.mp4::run\nb.mp4::walk\n",
            "a.mp4,run,\nb.mp4,walk,\n",
            "a.mp4: run\nb.mp4: walk\n",
            "\ufeffa.mp4,run\n\ufeffb.mp4\u200b,\xa0walk\u200b\n",  # two files with byte order marks
            "video\xa0,label\u200b\n\u200ba.mp4\xa0,run\nb.mp4,walk\u200b\n",
        ],
    )
    def test_what_other_programs_add(self, tmp_path, text):
        found = read_video_list(write(tmp_path / "list.txt", text))
        assert {video.name: found.class_names[video.label] for video in found.videos} == {
            "a.mp4": "run",
            "b.mp4": "walk",
        }

    def test_headers_of_more_columns_with_blanks_are_refused(self, tmp_path):
        source = write(tmp_path / "list.txt", "video start label\na.mp4 1 run\nb.mp4 2 walk\n")
        with pytest.raises(DataError, match="the header 'video start label', whose columns blanks separate"):
            read_video_list(source)

    def test_numbers_of_frames_are_reported(self, tmp_path):
        found = read_video_list(write(tmp_path / "list.txt", "a.mp4 250 0\nb.mp4 30 1\n"))
        assert "The number before each label, such as 250, is read as the number of frames and ignored." in found.notes

    @pytest.mark.parametrize("text", ["a.mp4 3 0\nb.mp4 0 1\n", "a.mp4,0,1\nb.mp4,2,0\n"])
    def test_a_number_before_the_label_that_counts_no_frames_is_refused(self, tmp_path, text):
        with pytest.raises(
            DataError, match=r"would have no frames\. If both are labels, give --data\.multi-label true"
        ):
            read_video_list(write(tmp_path / "list.txt", text))

    def test_several_numbers_in_some_lines_are_several_labels(self, tmp_path):
        source = write(tmp_path / "list.txt", "a.mp4 0 1\nb.mp4 1\n")
        with pytest.raises(DataError, match=r"several labels for one video, such as '0 1'\. Give --data\.multi-label"):
            read_video_list(source)

    def test_commas_in_paths(self, tmp_path):
        assert labels(read_video_list(write(tmp_path / "l.txt", "a, b.mp4 1\nc,d.mp4 0\n"))) == {
            "a, b.mp4": 1,
            "c,d.mp4": 0,
        }
        assert labels(read_video_list(write(tmp_path / "l.txt", '"a, b.mp4",1\n"c,d",0\n'))) == {
            "a, b.mp4": 1,
            "c,d": 0,
        }

    @pytest.mark.parametrize("delimiter", [",", ";", "|"])
    def test_delimiters_in_some_labels(self, tmp_path, delimiter):
        label = f"hold{delimiter} then release"
        source = write(tmp_path / "l.csv", f"a.mp4{delimiter}{label}\nx{delimiter}y.mp4{delimiter}run\n")
        found = read_video_list(source)
        assert [(video.name, found.class_names[video.label]) for video in found.videos] == [
            ("a.mp4", label),
            (f"x{delimiter}y.mp4", "run"),
        ]
        text = "a.mp4,run,jump\nb.mp4,run\nc.mp4,jump\n"
        with pytest.raises(DataError, match="several labels for one video"):
            read_video_list(write(source, text.replace(",", delimiter)))

    @pytest.mark.parametrize("delimiter", [",", ", ", ";", "; ", "\t"])
    def test_quotes_are_no_part_of_names(self, tmp_path, delimiter):
        text = f'a.mp4{delimiter}"run"\n"b b.mp4"{delimiter}"sit, then lie"\nc.mp4{delimiter}run\n'
        found = read_video_list(write(tmp_path / "l.txt", text))
        named = read_video_list(write(tmp_path / "l.csv", f"video{delimiter}label\n{text}"))
        assert found.class_names == named.class_names == ("run", "sit, then lie")
        assert labels(found) == labels(named) == {"a.mp4": 0, "b b.mp4": 1, "c.mp4": 0}

    def test_quotes_are_no_part_of_names_after_a_blank(self, tmp_path):
        found = read_video_list(write(tmp_path / "l.txt", 'a.mp4 "run fast"\n"b b.mp4" "sit"\nc.mp4 sit\n'))
        assert found.class_names == ("run fast", "sit")
        assert labels(found) == {"a.mp4": 0, "b b.mp4": 1, "c.mp4": 1}

    @pytest.mark.parametrize("text", ["a.mp4|run\nb b.mp4|sit down", '"a.mp4" run\n"b b.mp4" "sit down"'])
    def test_bars_and_quoted_paths(self, tmp_path, text):
        found = read_video_list(write(tmp_path / "l.txt", f"# my clips\n{text}\n"))
        assert labels(found) == {"a.mp4": 0, "b b.mp4": 1}
        assert found.class_names == ("run", "sit down")
        assert "Comments: 1 lines that start with '#' and name no video." in found.notes
        table = read_video_list(write(tmp_path / "l.csv", "video|label\na.mp4|run\n"))
        assert (table.videos[0].name, table.class_names) == ("a.mp4", ("run",))

    @pytest.mark.parametrize("delimiter", ["\t", ",", "|"])
    def test_labels_before_paths_are_refused(self, tmp_path, delimiter):
        text = f"run{delimiter}a.mp4\nsit down{delimiter}b b.mp4\n"
        with pytest.raises(DataError, match=r"each line ends in a video, .* Write the path first"):
            read_video_list(write(tmp_path / "l.txt", text))
        found = read_video_list(write(tmp_path / "l.txt", f"label{delimiter}path\n{text}"))
        assert [video.name for video in found.videos] == ["a.mp4", "b b.mp4"]

    @pytest.mark.parametrize("delimiter", [",", "\t", " "])
    def test_quotes_inside_a_label_stay(self, tmp_path, delimiter):
        text = f'a.mp4{delimiter}say "hello"\nb.mp4{delimiter}run\n'
        assert read_video_list(write(tmp_path / "l.txt", text)).class_names == ("run", 'say "hello"')

    def test_frame_folders(self, tmp_path):
        touch(tmp_path, "frames/v1/img_00001.jpg", "frames/v2/img_00001.jpg")
        found = read_video_list(write(tmp_path / "l.txt", "v1 30 1\nv2 4 0"), root=tmp_path / "frames")
        assert labels(found) == {"v1": 1, "v2": 0}
        assert check_video_list(found).num_found == 2

    def test_class_names_as_labels(self, tmp_path):
        found = read_video_list(write(tmp_path / "l.txt", "a.mp4 brush hair\nb.mp4 air_drumming\n"))
        assert found.class_names == ("air_drumming", "brush hair")
        assert labels(found) == {"a.mp4": 1, "b.mp4": 0}
        found = read_video_list(tmp_path / "l.txt", class_names=["x", "Brush Hair", "air drumming"])
        assert labels(found) == {"a.mp4": 1, "b.mp4": 2}

    def test_numbers_are_indices_into_names(self, tmp_path):
        found = read_video_list(write(tmp_path / "l.txt", "a.mp4 1\nb.mp4 0\n"), class_names=["x", "y"])
        assert (found.class_names, labels(found)) == (("x", "y"), {"a.mp4": 1, "b.mp4": 0})

    def test_numbers_are_names_if_all_class_names_are_numbers(self, tmp_path):
        found = read_video_list(write(tmp_path / "l.txt", "a.mp4 1\nb.mp4 10\n"), class_names=["1", "10", "2"])
        assert labels(found) == {"a.mp4": 0, "b.mp4": 1}

    def test_no_labels(self, tmp_path):
        found = read_video_list(write(tmp_path / "l.txt", "a 1.mp4\nb.mp4\n"), class_names=["x"])
        assert labels(found) == {"a 1.mp4": None, "b.mp4": None}
        assert labels(read_video_list(write(tmp_path / "l.txt", "a.mp4 -1\n"))) == {"a.mp4": None}

    def test_labels_from_one(self, tmp_path):
        write(tmp_path / "l.txt", "a.mp4 1\nb.mp4 2\n")
        assert labels(read_video_list(tmp_path / "l.txt", first_label=1)) == {"a.mp4": 0, "b.mp4": 1}
        assert "count from 1: use first_label=1" in problems(
            read_video_list(tmp_path / "l.txt", class_names=["x", "y"]), allow_missing=True
        )

    def test_a_line_without_label(self, tmp_path):
        with pytest.raises(DataError, match=r"no label.*'b\.mp4'"):
            read_video_list(write(tmp_path / "l.txt", "a.mp4 1\nb.mp4\nc.mp4 0"))

    def test_mixed_labels(self, tmp_path):
        with pytest.raises(DataError, match=r"numbers \('1'\) and names \('walk'\)"):
            read_video_list(write(tmp_path / "l.txt", "a.mp4 1\nb.mp4 walk\n"))

    def test_long_lines_are_refused_in_a_short_message(self, tmp_path):
        with pytest.raises(DataError, match=r"l\.txt is not a list of videos") as caught:
            read_video_list(write(tmp_path / "l.txt", "a" * 500_000 + " 1\n"))
        assert len(str(caught.value)) < 1000

    @pytest.mark.parametrize("name", ["a\0/b.mp4", f"{'a' * 300}/b.mp4"], ids=["NUL", "too long"])
    @pytest.mark.parametrize("ignore_case", [False, True])
    def test_impossible_file_names_count_as_missing(self, name, ignore_case, tmp_path):
        write(tmp_path / "classInd.txt", "1 x\n")
        list_name = "trainlist01.txt" if ignore_case else "l.txt"  # UCF101 is found in any case
        found = read_video_list(write(tmp_path / list_name, f"{name} {int(ignore_case)}\n"))
        assert "1 of 1 videos are missing" in problems(found, allow_missing=True)

    def test_huge_labels_are_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"l\.txt has the label 1000000000: .* at most 1,000,000"):
            read_video_list(write(tmp_path / "l.txt", "a.mp4 0\nb.mp4 1000000000\n"))

    def test_labels_with_too_many_digits_are_names(self, tmp_path):
        found = read_video_list(write(tmp_path / "l.txt", f"a.mp4 {'9' * 5000}\n"))
        assert found.class_names == ("9" * 5000,)

    def test_offsets_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="Offsets into a folder"):
            read_video_list(write(tmp_path / "l.txt", "v1 30 60 1\nv2 0 60 0\n"))

    @needs_annotations
    @pytest.mark.parametrize(
        ("name", "count", "classes", "first"),
        [
            ("kinetics/kinetics_rgb_val_se320.txt", 19796, 400, ("--07WQ2iBlw", 166)),
            ("kinetics/kinetics_video_val_se320.txt", 19796, 400, ("0wR5jVB-WPk.mp4", 0)),
            ("something-something/v1_val_rgb.txt", 11522, 174, ("85", 30)),
            ("something-something/v2_val_rgb.txt", 24777, 174, ("74225", 140)),
            ("something-something/v2_validation_videos.txt", 24777, 174, ("74225.webm", 140)),
            ("hmdb51/val_rgb_split_1.txt", 1530, 51, (None, 0)),
        ],
    )
    def test_real_lists(self, name, count, classes, first):
        found = read_video_list(ANNOTATIONS / name)
        assert (len(found.videos), len(found.class_names)) == (count, classes)
        assert found.videos[0].label == first[1]
        assert first[0] in (None, found.videos[0].name)
        expected = Counter(line.split()[-1] for line in (ANNOTATIONS / name).read_text().splitlines())
        assert Counter(str(video.label) for video in found.videos) == expected


class TestCsv:
    def test_header_with_times(self, tmp_path):
        text = 'Label,video-path,start_seconds,end_seconds\n"run, fast","a, b.mp4",1.5,3\nwalk,c.mp4,,\n'
        found = read_video_list(write(tmp_path / "data.csv", text))
        first, second = found.videos
        assert found.class_names == ("run, fast", "walk")
        assert (first.name, first.label, first.start_seconds, first.end_seconds) == ("a, b.mp4", 0, 1.5, 3.0)
        assert (second.label, second.start_seconds, second.end_seconds) == (1, None, None)

    @pytest.mark.parametrize("delimiter", ["\t", ";", ","])
    def test_delimiters(self, tmp_path, delimiter):
        text = "\ufefffilename,class\r\na.mp4,0\r\nb.mp4,1 \r\n".replace(",", delimiter)
        assert labels(read_video_list(write(tmp_path / "x.tsv", text))) == {"a.mp4": 0, "b.mp4": 1}

    def test_split_column(self, tmp_path):
        write(tmp_path / "x.csv", "path,label,split\na.mp4,0,train\nb.mp4,1,val\n")
        assert labels(read_video_list(tmp_path / "x.csv", split="train")) == {"a.mp4": 0}
        assert labels(read_video_list(tmp_path / "x.csv", split="test")) == {"b.mp4": 1}  # val, for want of a test
        assert len(read_video_list(tmp_path / "x.csv").videos) == 2
        with pytest.raises(DataError, match=r"no split 'extra'.*'train', 'val'"):
            read_video_list(tmp_path / "x.csv", split="extra")

    def test_unknown_class(self, tmp_path):
        with pytest.raises(DataError, match="'run'"):
            read_video_list(write(tmp_path / "x.csv", "path,label\na.mp4,run\n"), class_names=["walk"])

    def test_no_path_column(self, tmp_path):
        with pytest.raises(DataError, match="no column of paths"):
            read_video_list(write(tmp_path / "x.csv", "clap,label\na,run\n"), format="csv")

    def test_unquoted_delimiter(self, tmp_path):
        with pytest.raises(DataError, match="Quote fields"):
            read_video_list(write(tmp_path / "x.csv", "path,label\na, b.mp4,run\n"))

    def test_bad_time(self, tmp_path):
        with pytest.raises(DataError, match="'soon' is not a time"):
            read_video_list(write(tmp_path / "x.csv", "path,label,start\na.mp4,run,soon\n"))


class TestKinetics:
    HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"

    def test_json(self, tmp_path):
        about = {"duration": 10.0, "url": "https://www.youtube.com/watch?v=x"}
        content = {
            name: {"annotations": {"label": label, "segment": [start, start + 10.0]}, "subset": subset, **about}
            for name, label, start, subset in (
                ("-bcdefghijk", "run", 5.0, "train"),
                ("abcdefghijk", "walk", 0.0, "val"),
            )
        }
        source = write(tmp_path / "kinetics.json", json.dumps(content))
        assert list(labels(read_video_list(source, split="train"))) == ["-bcdefghijk_000005_000015"]
        assert list(labels(read_video_list(source, split="test"))) == ["abcdefghijk_000000_000010"]

    def test_names_of_files(self, tmp_path):
        text = self.HEADER + (
            "massaging person's head,-Abc_dEf-12,5,15,val,0\n"
            '"petting animal (not cat)",--bcdefghij,0.0,10.0,val,0\n'
            "abseiling,a_cdefghijk,100,110,val,0\n"
            "abseiling,gone_______,100,110,val,0\n"
        )
        videos = tmp_path / "videos"
        touch(
            videos, "massaging_person's_head/-Abc_dEf-12_000005_000015.mp4", "abseiling/a_cdefghijk_000100_000110.mkv"
        )
        touch(videos, "--bcdefghij.webm")
        found = read_video_list(write(tmp_path / "k.csv", text), root=videos)
        assert found.class_names == ("abseiling", "massaging person's head", "petting animal (not cat)")
        assert [(video.path.relative_to(videos).as_posix(), video.label) for video in found.videos] == [
            ("massaging_person's_head/-Abc_dEf-12_000005_000015.mp4", 1),
            ("--bcdefghij.webm", 2),
            ("abseiling/a_cdefghijk_000100_000110.mkv", 0),
            ("gone________000100_000110", 0),
        ]
        checked = check_video_list(found, allow_missing=True)
        assert (checked.num_listed, checked.num_found) == (4, 3)
        assert "1 of 4 videos are missing: 'gone________000100_000110'; they are skipped." in checked.warnings

    def test_the_index_of_pandas_is_no_split(self, tmp_path):
        text = ",label,youtube_id,time_start,time_end\n0,run,abcdefghijk,1,11\n1,sit,abcdefghijl,0,10\n"
        found = read_video_list(write(tmp_path / "k.csv", text), split="train")
        assert labels(found) == {"abcdefghijk_000001_000011": 0, "abcdefghijl_000000_000010": 1}

    def test_test_list_without_labels(self, tmp_path):
        text = "youtube_id,time_start,time_end,split\nabcdefghijk,1,11,test\n"
        found = read_video_list(write(tmp_path / "k.csv", text), class_names=["x"])
        assert labels(found) == {"abcdefghijk_000001_000011": None}

    def test_the_id_alone_names_no_clip_of_several(self, tmp_path):
        """Two clips of one video: a file with the id alone would be both."""
        touch(tmp_path, "abcdefghijk.mp4", "abcdefghijl.mp4")
        text = self.HEADER + "run,abcdefghijk,1,11,val,0\nsit,abcdefghijk,20,30,val,0\nrun,abcdefghijl,1,11,val,0\n"
        found = read_video_list(write(tmp_path / "k.csv", text))
        assert "Times are part of the names of the clips, which are cut already." in found.notes
        with pytest.raises(DataError, match=r"2 of 3 videos are missing: 'abcdefghijk_000001_000011', .*_000030'"):
            check_video_list(found)

    def test_other_lists_of_youtube_videos_give_segments(self, tmp_path):
        touch(tmp_path, "abcdefghijk.mp4")
        rows = "run,abcdefghijk,training,1.5,11\nsit,abcdefghijk,training,20,30\n"
        text = f"classname,youtube_id,subset,start,end\n{rows}"
        found = read_video_list(write(tmp_path / "k.csv", text))
        assert [(video.start_seconds, video.end_seconds, video.path.name) for video in found.videos] == [
            (1.5, 11.0, "abcdefghijk.mp4"),
            (20.0, 30.0, "abcdefghijk.mp4"),
        ]

    @needs_annotations
    def test_real_list(self):
        source = ANNOTATIONS / "kinetics/kinetics-400_val.csv"
        found = read_video_list(source, split="test")
        names = ANNOTATIONS / "kinetics/kinetics_400_labels.csv"
        assert found.class_names == read_class_names(names)
        with source.open(newline="") as file:
            expected = [row["label"] for row in csv.DictReader(file)]
        assert [found.class_names[video.label] for video in found.videos] == expected
        # The same clips, with the same labels, in the list of another project.
        other = labels(read_video_list(ANNOTATIONS / "kinetics/kinetics_rgb_val_se320.txt", class_names=names))
        bare = {video.name.rsplit("_", 2)[0]: video.label for video in found.videos}
        both = other.keys() & bare.keys()
        assert len(both) > 19_000
        assert {name: other[name] for name in both} == {name: bare[name] for name in both}


class TestSomethingSomething:
    NAMES = ("Putting something onto something", "Holding something, then letting go")

    def records(self) -> str:
        return json.dumps(
            [
                {"id": "12", "label": "holding a cup", "template": "Holding [something], then letting go"},
                {"id": "7", "label": "putting a cup", "template": "Putting [something] onto [something]"},
            ]
        )

    def test_version_2(self, tmp_path):
        write(tmp_path / "something-something-v2-labels.json", json.dumps({self.NAMES[0]: "0", self.NAMES[1]: "1"}))
        touch(tmp_path / "v", "12.webm", "7.webm")
        source = write(tmp_path / "something-something-v2-train.json", self.records())
        found = read_video_list(source, root=tmp_path / "v")
        assert (found.class_names, labels(found)) == (self.NAMES, {"12": 1, "7": 0})
        assert found.videos[0].path == tmp_path / "v/12.webm"
        test = write(tmp_path / "something-something-v2-test.json", '[{"id": "12"}]')
        assert labels(read_video_list(test)) == {"12": None}

    def test_version_1(self, tmp_path):
        write(tmp_path / "something-something-v1-labels.csv", "\n".join(self.NAMES))
        text = f"85;{self.NAMES[1]}\r\n9;{self.NAMES[0]}\r\n"
        touch(tmp_path / "v", "85/00001.jpg", "9/00001.jpg")
        source = write(tmp_path / "something-something-v1-train.csv", text)
        found = read_video_list(source, root=tmp_path / "v")
        assert (found.class_names, labels(found)) == (self.NAMES, {"85": 1, "9": 0})
        assert check_video_list(found).num_found == 2

    def test_labels_are_matched_by_name_across_versions(self, tmp_path):
        """The versions have the same classes in different order and with different punctuation."""
        other = ["Holding something then letting go", "Putting something onto something"]
        found = read_video_list(write(tmp_path / "validation.json", self.records()), class_names=other)
        assert labels(found) == {"12": 0, "7": 1}

    @pytest.mark.parametrize("name", ["train.json", "mine.json"])
    def test_a_missing_class_order_is_an_error(self, tmp_path, name):
        with pytest.raises(DataError, match=r"needs the class order: put labels\.json next to it"):
            read_video_list(write(tmp_path / name, self.records()))

    def test_other_json(self, tmp_path):
        with pytest.raises(
            DataError, match=r"is an object with the keys 'a', not a list of labelled videos\. Write \{path: label\}"
        ):
            read_video_list(write(tmp_path / "x.json", '{"a": 1}'), class_names=["x"])
        with pytest.raises(DataError, match="is not JSON"):
            read_video_list(write(tmp_path / "x.json", "a.mp4 0"), class_names=["x"])


class TestUcf101:
    def lists(self, tmp_path: Path) -> Path:
        write(tmp_path / "splits/classInd.txt", "1 HandstandPushups\r\n2 Archery\r\n")
        write(tmp_path / "splits/trainlist01.txt", "Archery/v_Archery_g08_c01.avi 2\r\n")
        write(tmp_path / "splits/testlist02.txt", "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n")
        return tmp_path / "splits"

    def test_train_and_test_list(self, tmp_path):
        splits = self.lists(tmp_path)
        found = read_video_list(splits / "trainlist01.txt")
        assert (found.class_names, found.videos[0].label) == (("HandstandPushups", "Archery"), 1)
        assert read_video_list(splits / "testlist02.txt").videos[0].label == 0
        assert labels(read_video_list(splits, split="train")) == labels(found)
        assert read_video_list(splits, split="test", fold=2).videos[0].label == 0

    @pytest.mark.parametrize("folder", ["HandStandPushups", "HandstandPushups"])
    def test_case_of_file_names(self, tmp_path, folder):
        touch(tmp_path / "v", f"{folder}/v_HandstandPushups_g01_c01.avi")
        found = read_video_list(self.lists(tmp_path) / "testlist02.txt", root=tmp_path / "v")
        assert found.videos[0].path == tmp_path / "v" / folder / "v_HandstandPushups_g01_c01.avi"

    def test_converted_videos_have_another_suffix(self, tmp_path):
        touch(tmp_path / "v", "Archery/v_Archery_g08_c01.mp4")
        found = read_video_list(self.lists(tmp_path), split="train", root=tmp_path / "v")
        assert check_video_list(found).num_found == 1

    def test_other_class_order(self, tmp_path):
        found = read_video_list(self.lists(tmp_path) / "trainlist01.txt", class_names=["Archery", "HandstandPushups"])
        assert found.videos[0].label == 0

    def test_missing_fold(self, tmp_path):
        with pytest.raises(DataError, match=r"has no trainlist03\.txt"):
            read_video_list(self.lists(tmp_path), split="train", fold=3)

    def test_unknown_number_and_folder(self, tmp_path):
        splits = self.lists(tmp_path)
        write(splits / "trainlist03.txt", "Archery/a.avi 3\nArchery/b.avi 0\nArchery/c.avi 1\nKnitting/d.avi\n")
        with pytest.raises(DataError, match=r"'Archery/a.avi 3', 'Archery/b.avi 0', 'Knitting/d.avi'"):
            read_video_list(splits / "trainlist03.txt")

    def test_no_class_order(self, tmp_path):
        with pytest.raises(DataError, match=r"classInd\.txt"):
            read_video_list(write(tmp_path / "trainlist01.txt", "A/a.avi 1"), format="ucf101")

    @needs_annotations
    def test_real_lists(self):
        folder = ANNOTATIONS / "ucf101"
        everything = set()
        for fold in (1, 2, 3):
            train = read_video_list(folder, split="train", fold=fold)
            test = read_video_list(folder / f"testlist0{fold}.txt")
            names = {video.name for video in (*train.videos, *test.videos)}
            assert len(names) == len(train.videos) + len(test.videos) == 13_320
            everything |= names
            for video in (*train.videos, *test.videos):
                assert train.class_names[video.label] == video.name.split("/")[0]
        assert len(everything) == 13_320

    @needs_annotations
    def test_jester(self):
        found = read_video_list(ANNOTATIONS / "jester/vallist.txt")
        assert found.class_names[0] == "Doing_other_things"
        assert (found.videos[0].name, found.videos[0].label) == ("9223", 20)
        assert {video.label for video in found.videos} == set(range(27))

    @needs_annotations
    def test_real_videos(self):
        folder = SHARED / "ucf3"
        train = read_video_list(
            folder / "train.txt", root=folder / "videos", class_names=("BabyCrawling", "Punch", "PushUps")
        )
        checked = check_video_list(train)
        assert (checked.num_listed, checked.num_found, checked.warnings) == (120, 120, ())
        by_folder = read_video_list(folder / "videos")
        assert by_folder.class_names == train.class_names
        assert labels(train).items() <= labels(by_folder).items()
        assert len(check_video_list(by_folder).videos.videos) == 168


class TestHmdb51:
    def lists(self, tmp_path: Path) -> Path:
        write(tmp_path / "s/brush_hair_test_split1.txt", "#20_Rhythm_&(x)[y]!.avi 1 \nb.avi 2 \nc.avi 0 \n")
        write(tmp_path / "s/wave_test_split1.txt", "d.avi 1 \ne.avi 2 \n")
        write(tmp_path / "s/wave_test_split2.txt", "d.avi 2 \n")
        return tmp_path / "s"

    def test_flags(self, tmp_path):
        splits = self.lists(tmp_path)
        (splits / "._wave_test_split1.txt").write_bytes(b"\0\5\x16\7")  # macOS, on disks of other systems
        touch(tmp_path / "v", "brush_hair/#20_Rhythm_&(x)[y]!.avi", "d.avi")
        train = read_video_list(splits, split="train", root=tmp_path / "v")
        assert train.class_names == ("brush_hair", "wave")
        assert labels(train) == {"brush_hair/#20_Rhythm_&(x)[y]!.avi": 0, "wave/d.avi": 1}
        assert check_video_list(train).num_found == 2
        assert labels(read_video_list(splits, split="test")) == {"brush_hair/b.avi": 0, "wave/e.avi": 1}
        assert labels(read_video_list(splits, split="test", fold=2)) == {"wave/d.avi": 0}

    def test_converted_videos_have_another_suffix(self, tmp_path):
        touch(tmp_path / "v", "brush_hair/#20_Rhythm_&(x)[y]!.mp4", "d.webm")
        found = read_video_list(self.lists(tmp_path), split="train", root=tmp_path / "v")
        assert check_video_list(found).num_found == 2

    @pytest.mark.parametrize("options", [{}, {"split": "train", "fold": 3}])
    def test_a_missing_split_or_fold_is_an_error(self, tmp_path, options):
        with pytest.raises(DataError, match="select nothing"):
            read_video_list(self.lists(tmp_path), **options)


class TestClassNames:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("n.txt", "\ufeffair drumming\r\nzumba, fast \r\n\r\n"),
            ("n.txt", "2 zumba, fast\n1 air drumming\n"),
            ("n.csv", 'id,name\n0,air drumming\n1,"zumba, fast"\n'),
            ("n.json", '["air drumming", "zumba, fast"]'),
            ("n.json", '{"zumba, fast": "1", "air drumming": "0"}'),
            ("n.json", '{"1": "zumba, fast", "0": "air drumming"}'),
            ("n.json", '{"zumba, fast": 2, "air drumming": 1}'),
            ("n.json", '{"id2label": {"0": "air drumming", "1": "zumba, fast"}, "label2id": {}}'),
            ("n.json", '{"categories": [{"id": 2, "name": "zumba, fast"}, {"id": 1, "name": "air drumming"}]}'),
            ("n.json", '[{"name": "zumba, fast", "label_id": "1"}, {"name": "air drumming", "label_id": "0"}]'),
            ("n.txt", "# written today\nair drumming\nzumba, fast\n"),
            ("n.txt", "zumba, fast 1\nair drumming 0\n"),
            ("n.csv", "zumba, fast,2\nair drumming,1\n"),
            ("n.csv", 'name,id\n"zumba, fast",1\nair drumming,0\n'),
            ("n.csv", "index;label;count\n1;zumba, fast;30\n0;air drumming;5\n"),
            ("n.tsv", "\tname\tid\n0\tzumba, fast\t1\n1\tair drumming\t0\n"),
            ("n.pbtxt", "item {\n  name: \"zumba, fast\"\n  id: 2\n}\nitem {\n  id: 1 name: 'air drumming'\n}\n"),
            ("n.yaml", "nc: 2\nnames: ['air drumming', 'zumba, fast']\n"),
            ("n.yml", "names:\n  1: zumba, fast\n  0: air drumming\n"),
        ],
    )
    def test_formats(self, tmp_path, name, text):
        assert read_class_names(write(tmp_path / name, text)) == ("air drumming", "zumba, fast")

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("n.txt", "a\nb\na\n", "has duplicate class names: 'a'"),
            ("n.txt", "\n", "has no class names"),
            ("n.json", '{"a": 0, "b": 2}', "are not 0 to 1, or 1 to 2"),
            ("n.json", '{"a": 0, "b": 1, "a": 2}', "a duplicate name in one object: 'a'"),
            ("n.json", "[" * 100_000, "nested too deeply"),
            ("n.json", "[1, 2]", "has no class names"),
            ("n.csv", "id,name\n0,a\n5,b\n", "are not 0 to 1, or 1 to 2"),
            ("n.csv", "id,name\nx,a\ny,b\n", "'x' is not the number of a class"),
            ("n.pbtxt", 'item { name: "a" }', "an item has no id or no name"),
            ("n.yaml", "a: [", "is not YAML"),
        ],
    )
    def test_broken(self, tmp_path, name, text, message):
        with pytest.raises(DataError, match=message):
            read_class_names(write(tmp_path / name, text))

    def test_names_that_end_in_numbers(self, tmp_path):
        assert read_class_names(write(tmp_path / "n.txt", "level 1\nlevel 2\n")) == ("level 1", "level 2")

    def test_names_that_count_from_1_need_the_first_label(self, tmp_path):
        source = write(tmp_path / "a.txt", "a.mp4 1\nb.mp4 2\n")
        names = write(tmp_path / "n.txt", "1 jump\n2 run\n3 walk\n")
        with pytest.raises(DataError, match=r"labels may count from 0 or 1\. Give --data\.first-label 1, or class"):
            read_video_list(source, class_names=names)
        assert labels(read_video_list(source, class_names=names, first_label=1)) == {"a.mp4": 0, "b.mp4": 1}
        source = write(tmp_path / "b.txt", "a.mp4 1\nb.mp4 0\n")
        assert labels(read_video_list(source, class_names=names)) == {"a.mp4": 1, "b.mp4": 0}

    def test_not_utf8(self, tmp_path):
        (tmp_path / "n.txt").write_bytes("café".encode("latin-1"))
        with pytest.raises(DataError, match=r"not UTF-8.*Save it as UTF-8"):
            read_class_names(tmp_path / "n.txt")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.xlsx", b"PK\x03\x04\xff", r"is a spreadsheet\. Save the table as CSV"),
            ("a.xls", b"\xd0\xcf\x11\xe0\xa1", "is a file of old Excel or Word. Save the table as CSV"),
            ("a.zip", b"PK\x03\x04\xff", "is a ZIP archive. Unpack it"),
            ("a.parquet", b"PAR1\xff", "is a Parquet file. Convert it to CSV"),
            ("a.csv", "video,label\na.mp4,run\n".encode("utf-32"), "not UTF-8"),
            ("a.csv", "video,label\na.mp4,run\n".encode("utf-16")[:-1], "not UTF-16 text .*Save it as UTF-8"),
        ],
    )
    def test_other_kinds_of_files(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_video_list(tmp_path / name)

    @pytest.mark.parametrize("name", ["list.csv", "table.xls"])  # tools call tables of text .xls too
    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_encodings_and_line_ends(self, tmp_path, name, ends, encoding):
        """Excel and PowerShell write UTF-16, old Macs ended lines with a carriage return."""
        (tmp_path / name).write_bytes(ends.join(["video\tlabel", "é.mp4\tGröße", "b.mp4\trun", ""]).encode(encoding))
        found = read_video_list(tmp_path / name)
        assert [(video.name, found.class_names[video.label]) for video in found.videos] == [
            ("é.mp4", "Größe"),
            ("b.mp4", "run"),
        ]

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read: No such file"):
            read_class_names(tmp_path / "n.txt")

    @needs_annotations
    def test_real_files(self):
        assert read_class_names(ANNOTATIONS / "something-something/sth_labels.csv")[86].startswith(
            "Pulling something from"
        )
        assert read_class_names(ANNOTATIONS / "ucf101/classInd.txt")[100] == "YoYo"
        assert len(read_class_names(ANNOTATIONS / "jester/classInd.txt")) == 27


class TestReading:
    def test_missing_source(self, tmp_path):
        with pytest.raises(DataError, match=r"no\.txt does not exist"):
            read_video_list(tmp_path / "no.txt")

    def test_empty_source(self, tmp_path):
        with pytest.raises(DataError, match="is empty"):
            read_video_list(write(tmp_path / "l.txt", "\n\n"))

    def test_unknown_format(self, tmp_path):
        with pytest.raises(DataError, match="'vhs' is not known"):
            read_video_list(write(tmp_path / "l.txt", "a.mp4 0"), format="vhs")

    def test_suffixes_are_found_and_exact_names_come_first(self, tmp_path):
        touch(tmp_path, "a.webm", "a.mp4", "b.MKV", "c.d.avi", "e/img_00001.jpg", "e.mp4")
        found = read_video_list(write(tmp_path / "l.txt", "a 0\nb 0\nc.d 0\ne 0\nf 0\n"))
        assert [video.path.name for video in found.videos] == ["a.mp4", "b.MKV", "c.d.avi", "e", "f"]

    def test_absolute_paths_and_parents(self, tmp_path):
        touch(tmp_path, "v/a.mp4", "w/b.mp4")
        found = read_video_list(write(tmp_path / "x/l.txt", f"{tmp_path}/v/a 0\n../w/b.mp4 0\n"))
        assert [video.path.resolve() for video in found.videos] == [tmp_path / "v/a.mp4", tmp_path / "w/b.mp4"]

    def test_long_list(self, tmp_path):
        write(tmp_path / "l.txt", "".join(f"{n % 400}/video{n} {n % 400}\n" for n in range(24_000)))
        touch(tmp_path, *(f"{n % 400}/video{n}.mp4" for n in range(800)))
        found = read_video_list(tmp_path / "l.txt")
        checked = check_video_list(found, allow_missing=True)
        assert (checked.num_listed, checked.num_found) == (24_000, 800)


class TestCheck:
    def video(self, root: Path, name: str, label: int | None, **more) -> LabelledVideo:
        return LabelledVideo(path=root / name, label=label, name=name, **more)

    def test_all_problems_at_once(self, tmp_path):
        touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
        videos = (
            self.video(tmp_path, "a.mp4", 0),
            self.video(tmp_path, "a.mp4", 1),
            self.video(tmp_path, "b.mp4", 2),
            self.video(tmp_path, "b.mp4", None),
            self.video(tmp_path, "c.mp4", 0, start_seconds=3.0, end_seconds=3.0),
            *(self.video(tmp_path, f"gone{n}.mp4", 0) for n in range(12)),
        )
        found = problems(VideoList(videos, ("x", "y"), "my list"))
        assert "1 labels are outside 0 to 1: 'b.mp4 2'" in found
        assert "1 videos have no label: 'b.mp4'" in found
        assert "videos have two labels" in found
        assert "1 segments end before they start: 'c.mp4 from 3.0 to 3.0" in found
        assert "12 of 17 videos are missing: 'gone0.mp4'" in found
        assert f"(12 in all). Looked in '{tmp_path}'" in found
        assert all(line.startswith("my list: ") for line in found.splitlines())

    def test_names_in_another_case_are_shown(self, tmp_path):
        """A list from a system that ignores case."""
        touch(tmp_path, "a.mp4", "b.MP4")
        videos = tuple(self.video(tmp_path, name, 0) for name in ("a.MP4", "B.mp4", "c.mp4"))
        found = problems(VideoList(videos, ("x",), "l"))
        assert "'c.mp4'; 2 of these exist in another case: 'a.mp4', 'b.MP4'. Looked in" in found

    def test_names_with_another_suffix_are_shown(self, tmp_path):
        """Videos that were converted after the list was written."""
        touch(tmp_path, "a.mp4", "b.mp4")
        videos = tuple(self.video(tmp_path, name, 0) for name in ("a.avi", "b.mkv", "c.mp4"))
        found = problems(VideoList(videos, ("x",), "l"))
        assert "2 of these exist with another suffix: 'a.mp4', 'b.mp4' (names without suffix match any)" in found

    def test_duplicates_and_empty_classes_are_warnings(self, tmp_path):
        touch(tmp_path, "a.mp4")
        video = self.video(tmp_path, "a.mp4", 1)
        part = self.video(tmp_path, "a.mp4", 1, start_seconds=1.0)  # another part of a video is no double
        checked = check_video_list(VideoList((video, video, part), ("x", "y", "z"), "l"))
        assert checked.warnings == (
            f"1 videos are listed more than once: '{tmp_path}/a.mp4'.",
            "2 of 3 classes have no video: 'x', 'z'.",
        )
        assert check_video_list(VideoList((video,), ("x", "y"), "l")).videos.videos == (video,)

    def test_all_videos_missing_is_always_an_error(self, tmp_path):
        found = VideoList((self.video(tmp_path, "a.mp4", 0),), ("x",), "l")
        assert "1 of 1 videos are missing" in problems(found, allow_missing=True)

    def test_labels_are_not_required_for_prediction(self, tmp_path):
        touch(tmp_path, "a.mp4")
        found = VideoList((self.video(tmp_path, "a.mp4", None),), ("x",), "l")
        assert check_video_list(found, require_labels=False).num_found == 1
        assert "no label" in problems(found)


@pytest.mark.parametrize("written", ["007", "7"])
def test_numeric_class_names_keep_leading_zeros(tmp_path, written):
    (tmp_path / "a.csv").write_text(f"video,label\na.mp4,{written}\n")
    read = read_video_list(tmp_path / "a.csv", class_names=["003", "007"])
    assert [video.label for video in read.videos] == [1]
    with pytest.raises(DataError, match="not among the 2 given ones"):
        read_video_list(tmp_path / "a.csv", class_names=["003", "008"])
