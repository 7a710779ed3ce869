"""Files of BORIS, ELAN, FiftyOne, Label Studio and CVAT, folders of Hugging Face and Roboflow, JSON of any tool."""

import json
from pathlib import Path

import pympi
import pytest

from side4video.checking.entries import detect_task
from side4video.config import DataConfig
from side4video.data.lists.annotations import DataError, VideoList, read_video_list

FPS = 10


def write(path: Path, text: str | dict | list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def named(found: VideoList) -> list[tuple]:
    """File, class or classes, start and end of each video."""
    return [
        (
            video.path.name,
            found.class_names[video.label] if video.labels is None else {found.class_names[c] for c in video.labels},
            *((video.start_seconds, video.end_seconds) if video.end_seconds is not None else ()),
        )
        for video in found.videos
    ]


def frames(first: int, end: int) -> tuple[float, float]:
    """The times of frames `first` to before `end`."""
    return pytest.approx(max((first - 0.5) / FPS, 0.0)), pytest.approx((end - 0.5) / FPS)


BORIS = """\
Observation id,Media file name,Total length,FPS,Behavior,Behavior type,Start (s),Stop (s),Duration (s),Comment stop
night,rats/1.mp4,12.5,25.0,grooming,STATE,1.0,2.5,1.5,
night,rats/1.mp4,12.5,25.0,rearing,STATE,3.0,4.5,1.5,
"""


def test_aggregated_events_of_boris(tmp_path):
    """Units in brackets, and columns of other times that are not those of the segments."""
    found = read_video_list(write(tmp_path / "events.csv", BORIS))
    assert named(found) == [("1.mp4", "grooming", 1.0, 2.5), ("1.mp4", "rearing", 3.0, 4.5)]
    tabs = read_video_list(write(tmp_path / "events.tsv", BORIS.replace(",", "\t")))
    assert named(tabs) == named(found)


class TestElan:
    @pytest.fixture
    def save(self, tmp_path):
        """Write a file of ELAN with `(tier, start in ms, end in ms, text)`; the tier `hand` refers to `gesture`."""

        def make(name, annotations, *, video="clips/a.mp4", origin=None):
            file = pympi.Elan.Eaf()
            file.remove_tier("default")
            place = {"relpath": f"./{video}", "mimetype": "video/mp4", "time_origin": origin}
            file.add_linked_file(f"file:///nowhere/{Path(video).name}", **place)
            file.add_linguistic_type("association", "Symbolic_Association")
            for tier in dict.fromkeys(tier for tier, *_ in annotations):
                if tier == "hand":
                    file.add_tier(tier, ling="association", parent="gesture")
                else:
                    file.add_tier(tier)
            for tier, start, end, text in annotations:
                if tier == "hand":
                    file.add_ref_annotation(tier, "gesture", (start + end) // 2, text)
                else:
                    file.add_annotation(tier, start, end, text)
            path = tmp_path / name
            file.to_file(path)
            return path

        return make

    GESTURES = (("gesture", 1000, 2500, "wave"), ("gesture", 3000, 4250, "point"))

    def test_annotations_are_segments(self, save, tmp_path):
        path = save("a.eaf", self.GESTURES)
        write(tmp_path / "clips/a.mp4", "")
        found = read_video_list(path)
        assert named(found) == [("a.mp4", "wave", 1.0, 2.5), ("a.mp4", "point", 3.0, 4.25)]
        assert found.videos[0].path == tmp_path / "clips/a.mp4"

    def test_a_folder_of_files(self, save, tmp_path):
        save("a.eaf", self.GESTURES)
        save("b.eaf", self.GESTURES[:1], video="b.mp4")
        write(tmp_path / "._b.eaf", "\0\5\x16\7")  # macOS, on disks of other systems
        write(tmp_path / "a.mp4", "")  # next to the file, not at the stored path
        found = read_video_list(tmp_path)
        assert [row[:2] for row in named(found)] == [("a.mp4", "wave"), ("a.mp4", "point"), ("b.mp4", "wave")]
        assert found.videos[0].path == tmp_path / "a.mp4"
        assert "Labels: the tier 'gesture' of 2 files." in found.notes

    def test_several_tiers_need_one(self, save):
        path = save("a.eaf", [*self.GESTURES, ("hand", 1000, 2500, "left"), ("hand", 3000, 4250, "")])
        with pytest.raises(DataError, match=r"'gesture' \(2\), 'hand' \(2\)\. Give --data\.label-field"):
            read_video_list(path)
        found = read_video_list(path, label_field="hand")
        assert named(found) == [("a.mp4", "left", 1.0, 2.5)]
        assert "1 annotations without a text or times are left out." in found.notes

    @pytest.mark.parametrize(
        ("origin", "found"),
        [
            (1200, [("a.mp4", "wave", 2.2, 3.7), ("a.mp4", "point", 4.2, 5.45)]),
            (-1500, [("a.mp4", "wave", 0.0, 1.0), ("a.mp4", "point", 1.5, 2.75)]),
            (-2500, [("a.mp4", "point", 0.5, 1.75)]),
        ],
    )
    def test_a_video_that_starts_at_another_time(self, save, origin, found):
        """The time of the annotations at 0 is `origin` in the video."""
        listed = read_video_list(save("a.eaf", self.GESTURES, origin=origin))
        assert named(listed) == [(*row[:2], *map(pytest.approx, row[2:])) for row in found]
        assert "1 of 1 videos are shifted against the annotations (TIME_ORIGIN)." in listed.notes
        left_out = "1 annotations before the start of their video are left out."
        assert (left_out in listed.notes) == (len(found) == 1)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            (("<ANNOTATION_DOCUMENT", "<other", "</ANNOTATION_DOCUMENT", "</other"), "is not a file of ELAN"),
            (('TIME_VALUE="1000"', 'TIME_VALUE="soon"'), "has the time 'soon', which is no number of milliseconds"),
            (("<HEADER", '<HEADER TIME_UNITS="NTSC-frames"'), "has times in 'NTSC-frames'"),
            ((".mp4", ".wav"), "names no video: 'file:///nowhere/a.wav'"),
            (
                ("MIME_TYPE=", 'TIME_ORIGIN="soon" MIME_TYPE='),
                "has the time 'soon', which is no number of milliseconds",
            ),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else "",
    )
    def test_other_files_are_refused(self, save, changed, message):
        path = save("a.eaf", self.GESTURES)
        text = path.read_text()
        for old, new in zip(changed[::2], changed[1::2], strict=True):
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_video_list(path)


class TestFiftyOne:
    def test_class_folders(self, tmp_path):
        for name in ("dog/1.mp4", "cat/1.mp4", "_unlabeled/2.mp4"):
            write(tmp_path / name, "")
        found = read_video_list(tmp_path)
        assert found.class_names == ("cat", "dog")
        assert "The folder _unlabeled is left out: it is not a class." in found.notes

    @pytest.mark.parametrize(
        "labels", [{"a": 1, "b": 0, "c": None}, {"a": "dog", "b": {"label": "cat", "confidence": 0.9}}]
    )
    def test_classes(self, tmp_path, labels):
        write(tmp_path / "labels.json", {"classes": ["cat", "dog"], "labels": labels})
        for name in "abc":
            write(tmp_path / f"data/{name}.mp4", "")
        assert named(read_video_list(tmp_path)) == [("a.mp4", "dog"), ("b.mp4", "cat")]
        assert named(read_video_list(tmp_path / "labels.json")) == [("a.mp4", "dog"), ("b.mp4", "cat")]

    def test_several_classes(self, tmp_path):
        write(tmp_path / "labels.json", {"classes": ["cat", "dog"], "labels": {"a": [0, 1], "b": ["dog"]}})
        write(tmp_path / "data/a.mp4", "")
        found = read_video_list(tmp_path)
        assert [video.labels for video in found.videos] == [(0, 1), (1,)]

    def test_temporal_detections(self, tmp_path):
        content = {
            "classes": None,
            "labels": {
                "a": [{"label": "run", "timestamps": [0.5, 2.5]}, {"label": "jump", "support": [1, 30]}],
                "b": [],
            },
        }
        write(tmp_path / "labels.json", content)
        write(tmp_path / "data/a.mp4", "")
        found = read_video_list(tmp_path, fps=FPS)
        assert named(found) == [("a.mp4", "run", 0.5, 2.5), ("a.mp4", "jump", *frames(0, 30))]
        assert "1 videos without labels are left out." in found.notes

    def test_a_manifest_names_the_files(self, tmp_path):
        video = write(tmp_path / "elsewhere/film 1.mp4", "")
        write(tmp_path / "export/labels.json", {"classes": ["x"], "labels": {"id1": 0}})
        write(tmp_path / "export/data.json", {"id1": str(video)})
        assert read_video_list(tmp_path / "export").videos[0].path == video

    @pytest.mark.parametrize("target", [5, "x y", [{"label": "x", "support": 3}], {"confidence": 1}, True])
    def test_wrong_labels(self, tmp_path, target):
        write(tmp_path / "data/a.mp4", "")
        write(tmp_path / "labels.json", {"classes": ["x"], "labels": {"a": target}})
        with pytest.raises(DataError, match=r"is not one of its 1 classes|no pair of times|not among|'x y'"):
            read_video_list(tmp_path, class_names=["x"])

    def samples(self, tmp_path: Path) -> Path:
        def sample(name, tag, label, extra):
            return {
                "filepath": f"data/{name}.mp4",
                "tags": [tag, "checked"],
                "metadata": {"frame_rate": FPS},
                "ground_truth": label,
            } | extra

        run = {"_cls": "Classification", "label": "run", "tags": []}
        both = {"_cls": "Classifications", "classifications": [run, {"_cls": "Classification", "label": "jump"}]}
        events = {
            "_cls": "TemporalDetections",
            "detections": [{"_cls": "TemporalDetection", "label": "fall", "support": [11, 20]}],
        }
        boxes = {"frames": {"_cls": "Detections", "detections": []}}
        samples = [
            sample("a", "train", run, {"events": events} | boxes),
            sample("b", "train", both, {"events": None}),
            sample("c", "validation", run, {}),
        ]
        write(tmp_path / "metadata.json", {"name": "mine", "media_type": "video"})
        return write(tmp_path / "samples.json", {"samples": samples}).parent

    def test_samples(self, tmp_path):
        found = read_video_list(self.samples(tmp_path), split="train")
        assert named(found) == [("a.mp4", {"run"}), ("b.mp4", {"run", "jump"})]
        assert {
            "Labels: the field 'ground_truth'.",
            "Tag 'train' of the splits 'train', 'validation': 2 of 3 samples.",
        } <= set(found.notes)
        assert [video.name for video in read_video_list(tmp_path, split="test").videos] == ["data/c.mp4"]

    def test_another_field(self, tmp_path):
        self.samples(tmp_path)
        found = read_video_list(tmp_path / "samples.json", label_field="events", fps=FPS)
        assert named(found) == [("a.mp4", "fall", *frames(10, 20))]
        with pytest.raises(DataError, match="the fields with classes are 'events', 'ground_truth', not 'frames'"):
            read_video_list(tmp_path, label_field="frames")


class TestLabelStudio:
    def task(self, number, video, *results, **extra):
        annotations = [{"id": number, "was_cancelled": False, "ground_truth": False, "result": list(results)}]
        return {
            "id": number,
            "annotations": annotations,
            "data": {"video": video},
            "predictions": [],
            "meta": {},
        } | extra

    def choice(self, *labels, control="class"):
        return {
            "id": "x",
            "type": "choices",
            "value": {"choices": list(labels)},
            "from_name": control,
            "to_name": "video",
        }

    def timeline(self, label, start, end, control="events"):
        value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
        return {"id": "y", "type": "timelinelabels", "value": value, "from_name": control, "to_name": "video"}

    def test_choices(self, tmp_path):
        tasks = [
            self.task(1, "/data/upload/7/1a2b3c4d-first%20clip.mp4", self.choice("run")),
            self.task(2, "/data/local-files/?d=films/second.mp4", self.choice("jump")),
            self.task(3, "s3://bucket/films/third.mp4"),
        ]
        for name in ("first clip.mp4", "films/second.mp4"):
            write(tmp_path / name, "")
        found = read_video_list(write(tmp_path / "project-1.json", tasks))
        assert named(found) == [("first clip.mp4", "run"), ("second.mp4", "jump")]
        assert all(video.path.exists() for video in found.videos)
        assert "1 tasks without labels are left out." in found.notes

    def test_several_choices(self, tmp_path):
        tasks = [self.task(1, "a.mp4", self.choice("run", "jump")), self.task(2, "b.mp4", self.choice("run"))]
        assert named(read_video_list(write(tmp_path / "a.json", tasks))) == [
            ("a.mp4", {"run", "jump"}),
            ("b.mp4", {"run"}),
        ]

    def test_timelines_count_frames_from_one(self, tmp_path, make_video):
        make_video(tmp_path / "a.mp4", range(0, 200, 10), fps=FPS)
        tasks = [
            self.task(1, "/data/upload/1/deadbeef-a.mp4", self.timeline("run", 1, 5), self.timeline("jump", 6, 12))
        ]
        found = read_video_list(write(tmp_path / "a.json", tasks))
        assert named(found) == [("a.mp4", "run", *frames(0, 5)), ("a.mp4", "jump", *frames(5, 12))]

    def test_several_controls_need_one(self, tmp_path):
        tasks = [self.task(1, "a.mp4", self.choice("run"), self.timeline("jump", 6, 12))]
        source = write(tmp_path / "a.json", tasks)
        with pytest.raises(
            DataError,
            match=r"controls with choices or timeline labels are 'class', 'events'\. Give --data\.label-field",
        ):
            read_video_list(source)
        assert named(read_video_list(source, label_field="class")) == [("a.mp4", "run")]

    def test_several_annotations(self, tmp_path):
        task = self.task(1, "a.mp4", self.choice("run"))
        task["annotations"].append(
            {"id": 2, "was_cancelled": False, "ground_truth": True, "result": [self.choice("jump")]}
        )
        task["annotations"].append({"id": 3, "was_cancelled": True, "result": [self.choice("walk")]})
        found = read_video_list(write(tmp_path / "a.json", [task]))
        assert named(found) == [("a.mp4", "jump")]
        assert "1 tasks have several annotations, of which the ground truth or the first one is used." in found.notes

    def test_json_min(self, tmp_path):
        about = {
            "annotator": 1,
            "annotation_id": 5,
            "created_at": "2024-01-01T00:00:00Z",
            "updated_at": "",
            "lead_time": 3.2,
        }
        rows = [
            {"video": "/data/upload/1/1a2b3c4d-a.mp4", "id": 1, "choice": "run", **about},
            {"video": "/data/upload/1/1a2b3c4d-b.mp4", "id": 2, "choice": {"choices": ["run", "jump"]}, **about},
        ]
        assert [labels for _, labels in named(read_video_list(write(tmp_path / "a.json", rows)))] == [
            {"run"},
            {"run", "jump"},
        ]
        events = [{"ranges": [{"start": 3, "end": 5}], "timelinelabels": ["Moving"]}]
        source = write(tmp_path / "b.json", [{"video": "a.mp4", "id": 1, "videoLabels": events, **about}])
        assert named(read_video_list(source, fps=FPS)) == [("a.mp4", "Moving", *frames(2, 5))]

    def test_labels_of_the_audio_track_are_segments(self, tmp_path):
        """The template for video timelines labels the audio track, in seconds."""
        value = {"start": 0.5, "end": 1.5, "channel": 0, "labels": ["run"]}
        result = {"id": "z", "type": "labels", "value": value, "from_name": "tricks", "to_name": "audio"}
        source = write(tmp_path / "a.json", [self.task(1, "a.mp4", result)])
        assert named(read_video_list(source)) == [("a.mp4", "run", 0.5, 1.5)]

    def test_csv(self, tmp_path):
        header = "annotation_id,annotator,choice,created_at,id,lead_time,updated_at,video"
        rows = [f"{n},1,{label},x,{n},3.4,x,/data/upload/1/1a2b3c4d-{n}.mp4" for n, label in ((1, "run"), (2, "jump"))]
        write(tmp_path / "1.mp4", "")
        found = read_video_list(write(tmp_path / "a.csv", "\n".join([header, *rows])))
        assert named(found) == [("1.mp4", "run"), ("1a2b3c4d-2.mp4", "jump")]
        fields = '"[{""start"": 0.5, ""end"": 1.5, ""labels"": [""run""]}]"'
        text = f"video\tid\ttricks\tannotator\tannotation_id\na.mp4\t1\t{fields}\t1\t1\n"
        assert named(read_video_list(write(tmp_path / "b.tsv", text))) == [("a.mp4", "run", 0.5, 1.5)]

    def test_a_task_without_video(self, tmp_path):
        source = write(tmp_path / "a.json", [self.task(1, "picture.jpg", self.choice("run"))])
        with pytest.raises(DataError, match="the task '1' has 0 videos"):
            read_video_list(source)


class TestCvat:
    META = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        "<annotations><version>1.1</version><meta><task><id>3</id><name>t</name>"
        "<size>40</size><mode>interpolation</mode><start_frame>0</start_frame><stop_frame>39</stop_frame>"
        "<frame_filter>{filter}</frame_filter><labels/><source>film.mp4</source></task><dumped/></meta>"
    )

    def file(self, tmp_path, body, filter=""):
        return write(tmp_path / "annotations.xml", self.META.format(filter=filter) + body + "</annotations>")

    def images(self, tagged):
        return "".join(
            f'<image id="{frame}" name="frame_{frame:06d}" width="64" height="48">'
            + "".join(f'<tag label="{label}" source="manual"></tag>' for label in labels)
            + "</image>"
            for frame, labels in tagged.items()
        )

    def test_tags_by_frame(self, tmp_path):
        tagged = {0: ["run"], 1: ["run"], 2: ["run", "jump"], 3: [], 4: ["run"]}
        found = read_video_list(self.file(tmp_path, self.images(tagged)), fps=FPS)
        assert named(found) == [
            ("film.mp4", "run", *frames(0, 3)),
            ("film.mp4", "run", *frames(4, 5)),
            ("film.mp4", "jump", *frames(2, 3)),
        ]
        assert "Labels: tags (--data.label-field tags or tracks); frames count from 0." in found.notes

    def test_every_tenth_frame(self, tmp_path):
        found = read_video_list(
            self.file(tmp_path, self.images({0: ["run"], 10: ["run"], 30: ["run"]}), "step=10"), fps=FPS
        )
        assert named(found) == [("film.mp4", "run", *frames(0, 11)), ("film.mp4", "run", *frames(30, 31))]

    def test_one_tagged_frame_is_the_whole_video(self, tmp_path):
        found = read_video_list(self.file(tmp_path, self.images({0: ["run", "fast"], 1: []})))
        assert named(found) == [("film.mp4", {"run", "fast"})]
        assert "No video has two tagged frames: tags are classes of whole videos." in found.notes

    def test_tracks(self, tmp_path):
        box = (
            '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>'
        )
        shapes = [(5, 0), (6, 0), (9, 1), (20, 0), (25, 1)]
        body = '<track id="0" label="run">' + "".join(box.format(*shape) for shape in shapes) + "</track>"
        body += '<track id="1" label="jump">' + box.format(30, 0) + "</track>"
        (tmp_path / "film.mp4").touch()
        found = read_video_list(self.file(tmp_path, body).parent, fps=FPS)
        assert named(found) == [
            ("film.mp4", "run", *frames(5, 9)),
            ("film.mp4", "run", *frames(20, 25)),
            ("film.mp4", "jump", *frames(30, 40)),
        ]

    def test_attributes_of_tracks(self, tmp_path):
        def box(frame, action, outside=0):
            return f'<box frame="{frame}" outside="{outside}"><attribute name="action">{action}</attribute></box>'

        shapes = box(5, "run") + box(8, "run") + box(9, "jump") + box(12, "jump", 1) + box(20, "") + box(30, "run")
        source = self.file(tmp_path, f'<track id="0" label="person">{shapes}</track>')
        found = read_video_list(source, fps=FPS)
        assert found.class_names == ("person",)
        ignored = "Attributes are ignored: 'action'. --data.label-field NAME takes one as the label."
        assert ignored in found.notes
        found = read_video_list(source, fps=FPS, label_field="action")
        assert named(found) == [
            ("film.mp4", "run", *frames(5, 9)),
            ("film.mp4", "run", *frames(30, 40)),
            ("film.mp4", "jump", *frames(9, 12)),
        ]
        assert "Labels: the attribute 'action' of tracks; frames count from 0." in found.notes

    def test_attributes_of_tags(self, tmp_path):
        tag = '<tag label="event"><attribute name="kind">goal</attribute></tag><tag label="other"/>'
        source = self.file(tmp_path, f'<image id="0" name="f">{tag}</image>')
        assert named(read_video_list(source, label_field="kind")) == [("film.mp4", "goal")]

    def test_projects_have_several_tasks(self, tmp_path):
        def task(number, subset):
            about = f"<id>{number}</id><name>t</name><size>9</size><subset>{subset}</subset>"
            return f"<task>{about}<source>{number}.mp4</source></task>"

        tasks = task(1, "Train") + task(2, "Validation")
        head = f"<annotations><version>1.1</version><meta><project><tasks>{tasks}</tasks></project></meta>"
        images = "".join(f'<image id="0" name="f" task_id="{n}"><tag label="x{n}"/></image>' for n in (1, 2))
        source = write(tmp_path / "annotations.xml", f"{head}{images}</annotations>")
        assert named(read_video_list(source, split="train")) == [("1.mp4", "x1")]
        assert named(read_video_list(source, split="test")) == [("2.mp4", "x2")]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("<annotations><meta/>", "is not XML"),
            ("<other/>", "is not an export of CVAT"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><annotations><meta/></annotations>', "defines XML entities"),
            (META.format(filter="") + "</annotations>", "has 0 tags and 0 tracks"),
            (
                META.format(filter="") + '<image id="x"><tag label="a"/></image></annotations>',
                "'x' is not a frame number",
            ),
            (META.format(filter="") + '<image id="1" task_id="9"><tag label="a"/></image></annotations>', "task '9'"),
        ],
    )
    def test_wrong_files(self, tmp_path, text, message):
        with pytest.raises(DataError, match=message):
            read_video_list(write(tmp_path / "a.xml", text))


class TestVia:
    def project(self, *entries, options=None, kind=4):
        attribute = {"aname": "Activity", "anchor_id": "FILE1_Z2_XY0", "type": kind, "options": options or {}}
        return {
            "project": {"pid": "__VIA_PROJECT_ID__", "data_format_version": "3.1.1"},
            "config": {},
            "attribute": {"1": attribute, "2": {"aname": "Note", "type": 1, "options": {}}},
            "file": {"1": {"fid": "1", "fname": "a.mp4", "type": 4, "loc": 2, "src": "http://host/films/a.mp4"}},
            "view": {"1": {"fid_list": ["1"]}},
            "metadata": {f"1_{n}": {"vid": "1", "flg": 0, "xy": [], **entry} for n, entry in enumerate(entries)},
        }

    def test_segments(self, tmp_path):
        entries = [{"z": [0.5, 1.5], "av": {"1": "1"}}, {"z": [1.5, 2], "av": {"1": "2"}}]
        source = write(tmp_path / "a.json", self.project(*entries, options={"1": "run", "2": "jump"}))
        write(tmp_path / "films/a.mp4", "")
        found = read_video_list(source)
        assert named(found) == [("a.mp4", "run", 0.5, 1.5), ("a.mp4", "jump", 1.5, 2.0)]
        assert found.videos[0].path == tmp_path / "films/a.mp4"

    def test_whole_videos_and_several_options(self, tmp_path):
        source = write(
            tmp_path / "a.json", self.project({"z": [], "av": {"1": "1,2"}}, options={"1": "run", "2": "jump"})
        )
        assert named(read_video_list(source)) == [("a.mp4", {"run", "jump"})]

    def test_regions_and_points_are_counted(self, tmp_path):
        entries = [
            {"z": [0.5, 1.5], "av": {"1": "run, fast"}},
            {"z": [0.5], "av": {"1": "x"}},
            {"z": [0.5], "xy": [2, 1, 1, 5, 5], "av": {"1": "x"}},
        ]
        found = read_video_list(write(tmp_path / "a.json", self.project(*entries)))
        assert named(found) == [("a.mp4", "run, fast", 0.5, 1.5)]
        assert "2 regions or points in time are left out." in found.notes

    def test_several_attributes_need_one(self, tmp_path):
        source = write(tmp_path / "a.json", self.project({"z": [0, 1], "av": {"1": "run", "2": "blurred"}}))
        with pytest.raises(
            DataError, match=r"attributes with values are 'Activity', 'Note'\. Give --data\.label-field"
        ):
            read_video_list(source)
        assert named(read_video_list(source, label_field="Note")) == [("a.mp4", "blurred", 0.0, 1.0)]

    def test_csv(self, tmp_path):
        header = "# Exported using VIA\n# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,"
        row = '"1_x","[""a.mp4""]",0,"[0.5,1.5]","[]","{""Activity"":""run""}"'
        source = write(tmp_path / "a.csv", f"{header}spatial_coordinates,metadata\n{row}\n")
        assert named(read_video_list(source)) == [("a.mp4", "run", 0.5, 1.5)]
        with pytest.raises(DataError, match="no columns 'spatial_coordinates'"):
            read_video_list(write(tmp_path / "b.csv", f"{header}metadata\n{row}\n"))

    @pytest.mark.parametrize("part", ["attribute", "file", "view", "metadata"])
    def test_damaged_projects(self, tmp_path, part):
        source = write(tmp_path / "a.json", self.project({"z": [0, 1], "av": {"1": "run"}}) | {part: 3})
        with pytest.raises(DataError, match="no project of VIA 3"):
            read_video_list(source)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.srt", "1\n00:00:00,500 --> 00:00:01,500\nrun\n"),
        ("a.vtt", "WEBVTT\n\n00:00.500 --> 00:01.500\nrun\n"),
        ("a.txt", "0.5\t1.5\trun\n1.5\t2.5\tjump\n"),
    ],
)
def test_times_without_a_video_are_refused(tmp_path, name, text):
    with pytest.raises(DataError, match=r"but names no video\. Write a CSV with the columns path,start,end,label"):
        read_video_list(write(tmp_path / name, text))


class TestFoldersWithTables:
    @pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
    def test_hugging_face(self, tmp_path, name):
        rows = [("1.mp4", "dog"), ("deep/2.mp4", "cat")]
        csv = "file_name,label\n" + "".join(f"{path},{label}\n" for path, label in rows)
        lines = "\n".join(json.dumps({"file_name": path, "label": label}) for path, label in rows)
        write(tmp_path / name, csv if name.endswith("csv") else lines)
        found = read_video_list(tmp_path)
        assert named(found) == [("1.mp4", "dog"), ("2.mp4", "cat")]
        assert found.videos[1].path == tmp_path / "deep/2.mp4"
        assert f"The table is {name}." in found.notes

    def test_split_folders(self, tmp_path):
        write(tmp_path / "train/metadata.csv", "file_name,label\na.mp4,dog\n")
        write(tmp_path / "validation/metadata.csv", "file_name,label\nb.mp4,cat\n")
        found = read_video_list(tmp_path, split="test")
        assert (found.videos[0].name, found.videos[0].path) == ("validation/b.mp4", tmp_path / "validation/b.mp4")
        assert named(read_video_list(tmp_path, split="train")) == [("a.mp4", "dog")]
        with pytest.raises(DataError, match="contains the splits 'train', 'validation'"):
            read_video_list(tmp_path)

    def test_one_table_for_all_splits(self, tmp_path):
        write(tmp_path / "metadata.csv", "file_name,label\ntrain/a.mp4,dog\ntrain/b.mp4,cat\ntest/c.mp4,cat\n")
        assert named(read_video_list(tmp_path, split="test")) == [("c.mp4", "cat")]
        assert len(read_video_list(tmp_path, split="train").videos) == 2

    def test_classes_of_folders(self, tmp_path):
        write(tmp_path / "metadata.csv", "file_name,author\ntrain/dog/a.mp4,me\ntrain/cat/b.mp4,you\n")
        assert named(read_video_list(tmp_path)) == [("a.mp4", "dog"), ("b.mp4", "cat")]

    def test_parquet_is_refused(self, tmp_path):
        write(tmp_path / "metadata.parquet", "")
        with pytest.raises(DataError, match="parquet files are not read"):
            read_video_list(tmp_path)

    def test_roboflow(self, tmp_path):
        write(tmp_path / "train/_classes.csv", "filename, run, jump\na.mp4, 1, 0\nb.mp4, 1, 1\n")
        write(tmp_path / "valid/_classes.csv", "filename, run, jump\nc.mp4, 0, 0\n")
        assert named(read_video_list(tmp_path, split="train")) == [("a.mp4", {"run"}), ("b.mp4", {"run", "jump"})]
        found = read_video_list(tmp_path, split="test", multi_label=True, class_names=["run", "jump"])
        assert [video.name for video in found.videos] == ["valid/c.mp4"]

    def test_train_valid_test(self, tmp_path):
        for name in ("train/run/a.mp4", "valid/run/b.mp4", "test/run/c.mp4"):
            write(tmp_path / name, "")
        assert named(read_video_list(tmp_path, split="test")) == [("c.mp4", "run")]


class TestJson:
    @pytest.mark.parametrize("content", [{"a.mp4": "run", "x/b.mp4": "walk"}, {"a.mp4": 0, "x/b.mp4": 1}])
    def test_path_to_label(self, tmp_path, content):
        source = write(tmp_path / "labels.json", content)
        found = read_video_list(source)
        assert [(video.name, video.label) for video in found.videos] == [("a.mp4", 0), ("x/b.mp4", 1)]
        assert detect_task(DataConfig(train=source)) == "recognition"

    def test_path_to_labels(self, tmp_path):
        found = read_video_list(write(tmp_path / "labels.json", {"a.mp4": ["run", "jump"], "b.mp4": []}))
        assert [video.labels for video in found.videos] == [(0, 1), ()]

    RUN, WALK = {"video": "a.mp4", "label": "run"}, {"video": "b.mp4", "label": "walk"}

    @pytest.mark.parametrize(
        "content",
        [
            {"version": 1, "info": {}, "data": [RUN, WALK]},
            {"clip1": RUN, "clip2": WALK},
            {"a.mp4": {"label": "run"}, "b.mp4": {"label": "walk"}},
            [["a.mp4", "run"], ["b.mp4", "walk"]],
            {"run": ["a.mp4"], "walk": ["b.mp4"]},
            {"columns": ["video", "label"], "index": [0, 1], "data": [["a.mp4", "run"], ["b.mp4", "walk"]]},
            {"video": {"0": "a.mp4", "1": "b.mp4"}, "label": {"0": "run", "1": "walk"}},
            {"video": ["a.mp4", "b.mp4"], "label": ["run", "walk"]},
            {
                "videos": [{"id": 7, "file_name": "a.mp4"}, {"id": 8, "file_name": "b.mp4"}],
                "categories": [{"id": 1, "name": "run"}, {"id": 2, "name": "walk"}],
                "annotations": [{"id": 1, "video_id": 7, "category_id": 1}, {"id": 2, "video_id": 8, "category_id": 2}],
            },
        ],
    )
    def test_other_forms(self, tmp_path, content):
        found = read_video_list(write(tmp_path / "a.json", content))
        assert named(found) == [("a.mp4", "run"), ("b.mp4", "walk")]

    def test_classes_with_a_slash(self, tmp_path):
        source = write(tmp_path / "a.json", {"run/fast": ["a.mp4"], "walk": ["b.mp4"]})
        assert named(read_video_list(source)) == [("a.mp4", "run/fast"), ("b.mp4", "walk")]

    @pytest.mark.parametrize(
        "content",
        [
            {"train": [RUN], "val": [WALK]},
            {"train": {"a.mp4": "run"}, "val": {"b.mp4": "walk"}},
            {"Training": {"data": [RUN]}, "Test": {"data": [WALK]}},
            [{**RUN, "phase": "train"}, {**WALK, "phase": "test"}],
        ],
    )
    def test_splits(self, tmp_path, content):
        source = write(tmp_path / "a.json", content)
        assert named(read_video_list(source, split="train")) == [("a.mp4", "run")]
        assert named(read_video_list(source, split="test")) == [("b.mp4", "walk")]

    @pytest.mark.parametrize("content", [[["a.mp4", "a man runs"]], {"train": {"a.mp4": "a man runs"}}])
    def test_sentences_in_other_forms_are_captions(self, tmp_path, content):
        with pytest.raises(DataError, match="not a list of labelled videos"):
            read_video_list(write(tmp_path / "a.json", content))

    def test_sentences_are_captions(self, tmp_path):
        source = write(
            tmp_path / "a.json", {"a.mp4": "a man runs along a street", "b.mp4": ["a dog jumps over it", "x"]}
        )
        assert detect_task(DataConfig(train=source)) == "retrieval"
        with pytest.raises(DataError, match="not a list of labelled videos"):
            read_video_list(source)

    def test_records(self, tmp_path):
        rows = [{"file": "a.mp4", "class": "run", "start": 1, "end": "0:02"}, {"file": "b.mp4", "class": "walk"}]
        found = read_video_list(write(tmp_path / "a.json", rows))
        assert named(found) == [("a.mp4", "run", 1.0, 2.0), ("b.mp4", "walk")]

    def test_frames_with_a_column_of_frame_rates(self, tmp_path):
        source = write(
            tmp_path / "a.csv", "video,label,start_frame,end_frame,fps\na.mp4,x,10,20,10\nb.mp4,x,10,20,25\n"
        )
        found = read_video_list(source)
        assert [video.start_seconds for video in found.videos] == [0.95, 0.38]
        with pytest.raises(DataError, match=r"line 2: 'soon' is not a positive number of frames per second"):
            read_video_list(write(tmp_path / "b.csv", "video,label,start_frame,end_frame,fps\na.mp4,x,1,2,soon\n"))


def test_a_choice_of_labels_that_a_format_does_not_have_is_reported(tmp_path):
    (tmp_path / "list.csv").write_text("path,label\na.mp4,run\nb.mp4,walk\n")
    sentence = "label_field = 'verb' is ignored: this format has one kind of labels."
    assert sentence in read_video_list(tmp_path / "list.csv", label_field="verb").notes
    assert sentence not in read_video_list(tmp_path / "list.csv").notes
