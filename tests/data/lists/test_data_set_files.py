"""Label files of EPIC-Kitchens-100, Charades, Diving48, ActivityNet and THUMOS14, in the form of the official files."""

import json
from pathlib import Path

import pytest

from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.data.lists.list_formats import detect_format


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def segments(source: Path, **options) -> list[tuple]:
    found = read_video_list(source, **options)
    return [
        (video.name, video.start_seconds, video.end_seconds, found.class_names[video.label]) for video in found.videos
    ]


class TestEpicKitchens:
    HEADER = (
        "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
        "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    )

    @pytest.fixture
    def source(self, tmp_path):
        rows = (
            "P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open door,open,3,door,3,['door'],[3]\n"
            'P01_01_1,P01,P01_01,00:00:02.629,00:00:04.37,00:00:06.17,262,370,"turn-on light, then",turn-on,0,light,1,'
            "\"['light', 'lamp']\",\"[1, 2]\"\n"
        )
        return write(tmp_path / "EPIC_100_train.csv", self.HEADER + rows)

    def test_times_and_numbers(self, source):
        assert segments(source, label_field="verb") == [("P01_01", 0.14, 3.37, "3"), ("P01_01", 4.37, 6.17, "0")]
        assert segments(source) == [("P01_01", 0.14, 3.37, "3,3"), ("P01_01", 4.37, 6.17, "0,1")]
        notes = " ".join(read_video_list(source).notes)
        assert "Read as epic-kitchens. Labels: action" in notes
        assert "numbers, without EPIC_100_*_classes.csv" in notes

    def test_names(self, source):
        write(
            source.parent / "EPIC_100_verb_classes.csv", "id,key,instances\n0,take,[]\n1,put,[]\n2,wash,[]\n3,open,[]\n"
        )
        write(source.parent / "EPIC_100_noun_classes.csv", "id,key,instances\n0,tap,[]\n1,light,[]\n3,door,[]\n")
        assert [row[3] for row in segments(source, label_field="verb")] == ["open", "take"]
        assert read_video_list(source, label_field="verb").class_names == ("take", "put", "wash", "open")
        assert [row[3] for row in segments(source)] == ["open door", "take light"]
        write(source.parent / "EPIC_100_verb_classes.csv", "id,key\n0,take\n")
        with pytest.raises(DataError, match=r"class 3 is not in EPIC_100_verb_classes\.csv"):
            read_video_list(source, label_field="verb")

    @pytest.mark.parametrize(
        "place", ["P01_01.MP4", "P01/P01_01.MP4", "P01/videos/P01_01.MP4", "P01/rgb_frames/P01_01/frame_0000000001.jpg"]
    )
    def test_places_of_videos(self, source, place):
        write(source.parent / "videos" / place, "")
        found = read_video_list(source, root=source.parent / "videos")
        assert check_video_list(found).num_found == 2

    def test_test_list_and_wrong_fields(self, source, tmp_path):
        header = self.HEADER.split(",narration,")[0] + "\n"
        path = write(
            tmp_path / "EPIC_100_test_timestamps.csv", header + "P01_11_0,P01,P01_11,0,00:00:00.00,00:00:01.89,1,113\n"
        )
        assert read_video_list(path, class_names=["x"]).videos[0].label is None
        with pytest.raises(DataError, match="label-field object is not one of action, verb, noun"):
            read_video_list(source, label_field="object")


class TestCharades:
    @pytest.fixture
    def source(self, tmp_path):
        text = (
            "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
            '46GP8,HR43,Kitchen,6,7,Yes,"A person cooks, and eats.",food;stove,Someone cooks.,'
            "c092 11.90 21.20;c147 0.00 12.60,24.83\n"
            "N11GT,0KZ7,Stairs,6,7,Yes,Throws a broom.,broom,Someone throws.,c098 8.70 15.10;c098 0.00 3.00,18.33\n"
            "0IH69,HR43,Hall,6,7,Yes,Nothing.,,Nothing.,,30.00\n"
        )
        return write(tmp_path / "Charades_v1_train.csv", text)

    def test_videos_have_all_their_classes(self, source):
        found = read_video_list(source)
        assert (found.multi_label, len(found.class_names)) == (True, 157)
        assert [(video.name, video.labels, video.group) for video in found.videos] == [
            ("46GP8", (92, 147), "HR43"),
            ("N11GT", (98,), "0KZ7"),
            ("0IH69", (), "HR43"),
        ]

    def test_segments(self, source):
        assert segments(source, label_field="segments") == [
            ("46GP8", 11.9, 21.2, "c092"),
            ("46GP8", 0.0, 12.6, "c147"),
            ("N11GT", 8.7, 15.1, "c098"),
            ("N11GT", 0.0, 3.0, "c098"),
        ]

    def test_names(self, source):
        names = "\n".join(f"c{number:03d} Action {number}" for number in range(157))
        write(source.parent / "Charades_v1_classes.txt", names)
        assert segments(source, label_field="segments")[0][3] == "Action 92"
        write(source.parent / "Charades_v1_classes.txt", "c000 Holding some clothes\n")
        with pytest.raises(DataError, match="one line for each class from c000 to c156"):
            read_video_list(source)

    @pytest.mark.parametrize("actions", ["c092 11.90", "c157 0 1", "92 0 1"])
    def test_wrong_actions(self, tmp_path, actions):
        source = write(tmp_path / "a.csv", f"id,subject,scene,actions\nA,B,C,c001 0.0 1.0;{actions}\n")
        with pytest.raises(DataError, match=f"line 2: '{actions}' is not an action"):
            read_video_list(source)


class TestDiving48:
    RECORDS = (
        {"vid_name": "8ErU4NWsV4Y_00019", "start_frame": 0, "end_frame": 4, "label": 1},
        {"vid_name": "8ErU4NWsV4Y_00020", "start_frame": 2, "end_frame": 8, "label": 0},
    )

    @pytest.fixture
    def source(self, tmp_path, make_video):
        for record in self.RECORDS:
            make_video(tmp_path / "rgb" / f"{record['vid_name']}.mp4", range(0, 200, 20), fps=10)
        return write(tmp_path / "Diving48_V2_train.json", json.dumps(self.RECORDS))

    def test_frames_of_the_files(self, source):
        found = read_video_list(source)
        assert [(video.label, video.path.name) for video in found.videos] == [
            (1, "8ErU4NWsV4Y_00019.mp4"),
            (0, "8ErU4NWsV4Y_00020.mp4"),
        ]
        times = [(video.start_seconds, video.end_seconds) for video in found.videos]
        assert times == [pytest.approx((0.0, 0.35)), pytest.approx((0.15, 0.75))]
        assert "Frame numbers are those of the video files" in " ".join(found.notes)

    def test_a_given_frame_rate(self, source):
        found = read_video_list(source, fps=25)
        assert [video.end_seconds for video in found.videos] == [3.5 / 25, 7.5 / 25]
        assert "Frame numbers are read at 25 frames per second (--data.fps)." in found.notes

    def test_names(self, source):
        write(
            source.parent / "Diving48_vocab.json",
            json.dumps([["Back", "15som", "05Twis", "FREE"], ["Fwd", "25som", "NoTwis", "PIKE"]]),
        )
        assert segments(source, fps=25)[0][3] == "Fwd 25som NoTwis PIKE"

    def test_wrong_records(self, tmp_path):
        source = write(tmp_path / "a.json", json.dumps([{**self.RECORDS[0], "label": "back"}]))
        with pytest.raises(DataError, match="has the label 'back', which is not a class number"):
            read_video_list(source)


DATABASE = {
    "_aaaaaaaaaa": {
        "duration": 82.7,
        "subset": "training",
        "resolution": "320x240",
        "url": "",
        "annotations": [{"segment": [6.2, 77.8], "label": "Fun sliding down"}],
    },
    "bbbbbbbbbbb": {
        "duration": 20,
        "subset": "validation",
        "annotations": [{"segment": [0, 5], "label": "Zumba"}, {"segment": [7.5, 9], "label": "Fun sliding down"}],
    },
    "ccccccccccc": {"duration": 20, "subset": "testing", "annotations": []},
    "ddddddddddd": {"duration": 20, "subset": "validation", "annotations": []},
}


class TestActivityNet:
    @pytest.fixture
    def source(self, tmp_path):
        return write(
            tmp_path / "activity_net.v1-3.min.json",
            json.dumps({"database": DATABASE, "taxonomy": [], "version": "VERSION 1.3"}),
        )

    def test_subsets(self, source):
        assert segments(source, split="train") == [("_aaaaaaaaaa", 6.2, 77.8, "Fun sliding down")]
        assert segments(source, split="test") == [
            ("bbbbbbbbbbb", 0.0, 5.0, "Zumba"),
            ("bbbbbbbbbbb", 7.5, 9.0, "Fun sliding down"),
        ]
        found = read_video_list(source, split="test")
        assert found.class_names == ("Fun sliding down", "Zumba")
        assert "1 of 2 videos have no annotations and are left out." in found.notes
        assert len(segments(source)) == 3

    @pytest.mark.parametrize("place", ["v__aaaaaaaaaa.mp4", "_aaaaaaaaaa.mkv", "train/v__aaaaaaaaaa.webm"])
    def test_places_of_videos(self, source, place):
        path = write(source.parent / "videos" / place, "")
        assert read_video_list(source, root=source.parent / "videos", split="train").videos[0].path == path

    def test_videos_at_the_top_level(self, tmp_path):
        content = {"v_a": {"duration_second": 9, "annotations": [{"segment": [1, 2], "label": "x"}], "fps": 30}}
        assert segments(write(tmp_path / "anet_anno_val.json", json.dumps(content))) == [("v_a", 1.0, 2.0, "x")]

    def test_thumos_in_this_form_trains_on_validation(self, tmp_path):
        content = {
            name: {"subset": subset, "annotations": [{"segment": [1, 2], "label": "Diving", "label_id": 0}]}
            for name, subset in (("video_validation_0000051", "Validation"), ("video_test_0000004", "Test"))
        }
        source = write(tmp_path / "thumos14.json", json.dumps({"database": content}))
        assert [row[0] for row in segments(source, split="train")] == ["video_validation_0000051"]
        assert [row[0] for row in segments(source, split="test")] == ["video_test_0000004"]
        assert "the split 'Validation' is the training set" in " ".join(read_video_list(source, split="train").notes)

    @pytest.mark.parametrize(
        "annotation", [{"segment": [1], "label": "x"}, {"segment": ["1", 2], "label": "x"}, {"segment": [1, 2]}]
    )
    def test_wrong_annotations(self, tmp_path, annotation):
        with pytest.raises(DataError, match="segment"):
            read_video_list(write(tmp_path / "a.json", json.dumps({"database": {"a": {"annotations": [annotation]}}})))

    def test_captions_are_not_this_form(self, tmp_path):
        content = {"v_a": {"duration": 5.5, "timestamps": [[0, 1]], "sentences": ["x"]}}
        with pytest.raises(DataError, match=r"is an object with the keys 'v_a', not a list of labelled videos"):
            detect_format(write(tmp_path / "val_1.json", json.dumps(content)))


class TestThumos:
    @pytest.fixture
    def source(self, tmp_path):
        val, test = (tmp_path / f"TH14_Temporal_annotations_{name}/annotation" for name in ("validation", "test"))
        write(
            val / "BaseballPitch_val.txt",
            "video_validation_0000266  72.80 76.40\nvideo_validation_0000681  44.00 50.90\n",
        )
        write(val / "Diving_val.txt", "video_validation_0000101 1.0 2.0\nvideo_validation_0000102 3.0 4.0\n")
        write(val / "CliffDiving_val.txt", "video_validation_0000101 1.0 2.0\n")
        write(val / "Ambiguous_val.txt", "video_validation_0000266  90.10 91.00\n")
        write(val / "._BaseballPitch_val.txt", "\0\5\x16\7")  # macOS, on disks of other systems
        write(test / "BaseballPitch_test.txt", "video_test_0000324   9.60  10.80\n")
        return tmp_path

    def test_validation_is_the_training_set(self, source):
        assert segments(source, split="train") == [
            ("video_validation_0000266", 72.8, 76.4, "BaseballPitch"),
            ("video_validation_0000681", 44.0, 50.9, "BaseballPitch"),
            ("video_validation_0000101", 1.0, 2.0, "CliffDiving"),
            ("video_validation_0000102", 3.0, 4.0, "Diving"),
        ]
        assert segments(source, split="test") == [("video_test_0000324", 9.6, 10.8, "BaseballPitch")]
        notes = " ".join(read_video_list(source, split="train").notes)
        assert "Read as thumos." in notes
        assert "1 ambiguous segments are left out. 1 segments of Diving are CliffDiving and only that." in notes

    def test_one_folder(self, source):
        folder = source / "TH14_Temporal_annotations_test/annotation"
        assert (
            segments(folder, split="train") == segments(folder) == [("video_test_0000324", 9.6, 10.8, "BaseballPitch")]
        )

    def test_several_splits_need_one(self, source):
        with pytest.raises(DataError, match="annotations of several splits: 'test', 'val'"):
            read_video_list(source)

    def test_a_wrong_line(self, source):
        write(source / "TH14_Temporal_annotations_test/annotation/Diving_test.txt", "video_test_0000001 x 3\n")
        with pytest.raises(DataError, match="'video_test_0000001 x 3' is not a line `video start end`"):
            read_video_list(source, split="test")
