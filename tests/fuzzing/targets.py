"""The readers of this package, and whole files that each of them reads.

`ORIGINALS` writes the files of a target into a folder, `READERS` reads them there. Both are called in processes of
their own.
"""

import contextlib
import functools
import io
import json
import pickle
import tarfile
import warnings
from collections import OrderedDict
from pathlib import Path

import av
import torch
from safetensors.torch import save_file

from side4video.adapters.adapter import Adapter, load_adapter, read_adapter, save_adapter
from side4video.adapters.untrusted import check_untrusted
from side4video.config import dump_config, load_config, parse_config, recipe_text
from side4video.data.lists.annotations import LabelledVideo, check_video_list, read_video_list
from side4video.data.lists.captions import check_caption_list, read_caption_list
from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.weight_files import read_weights
from side4video.models.build import build_model
from side4video.models.official import Layout, from_official, read_official_checkpoint, to_official
from side4video.search.metadata import read_metadata
from side4video.subtitles.sidecars import SubtitleError, read_sidecar
from side4video.subtitles.tracks import read_tracks
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.token_cache import TokenCache
from side4video.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from side4video.training.optimizer import build_optimizer
from side4video.training.run_log import read_log
from side4video.video.frame_table import read_table, write_table
from side4video.video.listing import list_frames
from side4video.video.open_file import OpenFile
from small_videos import write_grey_video
from subtitle_videos import SRT, write_matroska

SHARED = Path(__file__).parents[2] / "../shared/data/annotations"
NAMES = "\n".join(f"{number} {name}" for number, name in enumerate(("archery", "bowling", "diving"), start=1))
CAPTION = "a man opens a door, then leaves"


def shard_bytes(*members):
    """A tar archive of names and texts."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return content.getvalue()


LISTS = {  # by format: the list, and the files that belong to it
    "csv": {"list.csv": "path,label,start,end,split\na.mp4,archery,0,1.5,train\nb.mp4,bowling,,,test\n"},
    "clock": {"list.csv": "path,label,start,end\na.mp4,archery,0:00:01.5,1:02\na.mp4,bowling,1:02,1:00:00\n"},
    "jsonl": {
        "list.jsonl": "\n".join(
            json.dumps({"video": "a.mp4", "label": name, "start": number, "end": "0:00:09"})
            for number, name in enumerate(("archery", "bowling"))
        )
    },
    "numbers": {"list.txt": "a.mp4 120 0\nb.mp4 90 1\nsome folder/c d.mp4 88 2\n"},
    "names": {"list.txt": "a.mp4,archery\nb.mp4,bowling\n"},
    "kinetics": {"list.csv": "label,youtube_id,time_start,time_end,split\narchery,---QUuC4vJs,84,94,val\n"},
    "ssv1": {"v1-validation.csv": "1;Doing x\n2;Doing y\n", "v1-labels.csv": "Doing x\nDoing y\n"},
    "ssv2": {
        "v2-validation.json": json.dumps([{"id": "1", "label": "doing a", "template": "Doing [x]"}]),
        "v2-labels.json": json.dumps({"Doing x": "0", "Doing y": "1"}),
    },
    "ucf101": {"trainlist01.txt": "Archery/v_a.avi 1\nBowling/v_b.avi 2\n", "classInd.txt": NAMES},
    "epic-kitchens": {
        "list.csv": "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,verb_class,noun_class\n"
        "P01_01_0,P01,P01_01,00:00:00.14,00:00:03.37,1,0\nP01_01_1,P01,P01_01,00:00:04.37,00:00:06.17,0,0\n",
        "EPIC_100_verb_classes.csv": "id,key\n0,take\n1,put\n",
        "EPIC_100_noun_classes.csv": "id,key\n0,tap\n",
    },
    "charades": {
        "list.csv": "id,subject,scene,actions,length\n46GP8,HR43,Kitchen,c092 11.90 21.20;c147 0.00 12.60,24.83\n"
    },
    "diving48": {
        "list.json": json.dumps([{"vid_name": "a", "start_frame": 0, "end_frame": 9, "label": 1}]),
        "Diving48_vocab.json": json.dumps([["Back", "15som"], ["Fwd", "25som"]]),
    },
    "activitynet": {
        "list.json": json.dumps(
            {"database": {"a": {"subset": "training", "annotations": [{"segment": [0.5, 2], "label": "x"}]}}}
        )
    },
    "thumos": {"Diving_val.txt": "video_validation_0000101  1.0 2.0\nvideo_validation_0000102  3.0 4.0\n"},
    "fiftyone-labels": {
        "labels.json": json.dumps(
            {"classes": ["x"], "labels": {"a": 0, "b": [{"label": "x", "support": [1, 9]}], "c": [0]}}
        )
    },
    "fiftyone-samples": {
        "samples.json": json.dumps(
            {"samples": [{"filepath": "a.mp4", "tags": ["train"], "gt": {"_cls": "Classification", "label": "x"}}]}
        )
    },
    "label-studio": {
        "list.json": json.dumps(
            [
                {
                    "id": 1,
                    "data": {"video": "/data/upload/1/1a2b3c4d-a.mp4"},
                    "annotations": [{"result": [{"value": {"choices": ["x"]}, "from_name": "c", "to_name": "video"}]}],
                }
            ]
        )
    },
    "via": {
        "list.json": json.dumps(
            {
                "project": {},
                "attribute": {"1": {"aname": "Activity", "options": {"1": "run"}}},
                "file": {"1": {"fname": "a.mp4", "src": "a.mp4"}},
                "view": {"1": {"fid_list": ["1"]}},
                "metadata": {"1_x": {"vid": "1", "z": [0.5, 1.5], "xy": [], "av": {"1": "1"}}},
            }
        )
    },
    "elan": {
        "list.eaf": '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR '
        'MEDIA_URL="file:///c/a.mp4" RELATIVE_MEDIA_URL="./a.mp4"/></HEADER><TIME_ORDER>'
        '<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="100"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="900"/></TIME_ORDER>'
        '<TIER TIER_ID="gesture"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" '
        'TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>wave</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>'
        "</ANNOTATION_DOCUMENT>"
    },
    "cvat": {
        "list.xml": "<annotations><version>1.1</version><meta><task><id>1</id><size>9</size><source>a.mp4</source>"
        '</task></meta><image id="0"><tag label="x"/></image><image id="1"><tag label="x"/></image>'
        '<track label="y"><box frame="1" outside="0"/><box frame="4" outside="1"/></track></annotations>'
    },
    "paths-to-labels": {"list.json": json.dumps({"a.mp4": "x", "b.mp4": ["x", "y"]})},
    "several-labels": {"list.jsonl": json.dumps({"video": "a.mp4", "labels": ["x", "y"], "start_frame": 3})},
    "webdataset": {
        "list.tar": shard_bytes(
            ("0.mp4", "v"),
            ("0.cls", "1"),
            (f"{'long' * 40}.mp4", "w"),
            (f"{'long' * 40}.cls", "0"),
            ("0.json", '{"group": "x"}'),
        )
    },
    "hmdb51": {"jump_test_split1.txt": "a.avi 1\nb.avi 2\n", "run_test_split1.txt": "c.avi 1\nd.avi 2\n"},
}
CAPTIONS = {
    "csv": {"list.csv": f'video,caption,start,end\na.mp4,"{CAPTION}",0,1\nb.mp4,two,,\n'},
    "jsonl": {"list.jsonl": "\n".join(json.dumps({"video": name, "caption": CAPTION}) for name in ("a.mp4", "b.mp4"))},
    "json": {"list.json": json.dumps({"a.mp4": [CAPTION, "two"], "b.mp4": "three"})},
    "records": {"list.json": json.dumps([{"video": "a.mp4", "caption": [CAPTION], "start": 0, "end": 1.5}] * 3)},
    "msrvtt": {
        "MSRVTT_data.json": json.dumps(
            {
                "videos": [{"video_id": "video0", "split": "train"}, {"video_id": "video1", "split": "test"}],
                "sentences": [{"video_id": "video0", "caption": CAPTION}, {"video_id": "video1", "caption": "two"}],
            }
        )
    },
    "msrvtt-coco": {
        "data.json": json.dumps(
            {"images": [{"id": "video0"}], "annotations": [{"image_id": "video0", "caption": CAPTION}]}
        )
    },
    "msrvtt-1k": {"test.csv": f'key,vid_key,video_id,sentence\nret0,msr0,video0,"{CAPTION}"\n'},
    "msvd": {"captions.json": json.dumps({"-4wsuPCjDBc_5_15": [CAPTION, "two"]})},
    **{
        f"msvd-pickle-{protocol}": {"raw-captions.pkl": pickle.dumps({"-4wsuPCjDBc_5_15": [CAPTION.split()]}, protocol)}
        for protocol in (0, 2, 5)
    },
    "vatex": {"vatex_training.json": json.dumps([{"videoID": "abc_000001_000011", "enCap": [CAPTION, "two"]}])},
    "didemo": {"test_data.json": json.dumps([{"video": "a.mov", "description": CAPTION, "annotation_id": 1}])},
    "activitynet": {"val_1.json": json.dumps({"v_abc": {"duration": 5.5, "sentences": [CAPTION, "two"]}})},
    "lsmdc": {"test.csv": f"film_0.01-0.05\t0.01\t0.05\t0.02\t0.04\t{CAPTION}\n" * 2},
    "webdataset": {
        "list.tar": shard_bytes(
            ("0.mp4", "v"), ("0.txt", CAPTION), ("é.webm", "w"), ("é.json", json.dumps({"caption": [CAPTION, "two"]}))
        )
    },
    "names": {"list.txt": "video0\nvideo1\n", "captions.json": json.dumps({"video0": [CAPTION], "video1": ["two"]})},
}
REAL = {  # format and file of public sets, of which the first lines are enough
    "real-kinetics": "kinetics/kinetics-400_val.csv",
    "real-frames": "kinetics/kinetics_rgb_val_se320.txt",
    "real-hmdb51": "hmdb51/val_rgb_split_1.txt",
    "real-something": "something-something/v2_val_rgb.txt",
    "real-jester": "jester/vallist.txt",
}


# --- lists ----------------------------------------------------------------------------------------------------------


def write_files(files, folder):
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def write_real(name, folder):
    lines = (SHARED / name).read_bytes().splitlines(keepends=True)[:40]
    (folder / Path(name).name).write_bytes(b"".join(lines))
    if name.startswith("jester"):
        (folder / "classInd.txt").write_bytes((SHARED / "jester/classInd.txt").read_bytes())


def read_list(first, folder):
    source = folder if first.endswith(("_split1.txt", "_val.txt")) else folder / first
    videos = read_video_list(source, split="train", fps=25)
    check_video_list(videos, allow_missing=True)


def read_captions(files, folder):
    first, *others = files
    captions = read_caption_list(folder / first, captions=folder / others[0] if others else None, split=None)
    check_caption_list(captions, allow_missing=True)


# --- settings, adapters, checkpoints --------------------------------------------------------------------------------


@functools.cache
def settings():
    return parse_config(
        {
            "backbone": {
                "name": "vit_tiny_patch16_224",
                "weights": "random",
                "image_size": 32,
                "model_args": {"patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2},
            },
            "side": {"width": 16},
            "data": {"num_frames": 2},
        },
        source="the small model",
    )


@functools.cache
def model():
    torch.manual_seed(0)
    return build_model(settings(), num_classes=2, device=torch.device("cpu"))


def optimizer():
    made = build_optimizer(model(), settings().train)
    for parameter in (parameter for parameter in model().parameters() if parameter.requires_grad):
        parameter.grad = torch.ones_like(parameter)
    made.step()
    return made


def write_adapter(folder):
    adapter = Adapter(settings(), ("archery", "bowling"), model().backbone.fingerprint, {"top1": 0.5}, {"steps": 3})
    save_adapter(folder, model(), adapter)


def read_whole_adapter(folder):
    read_adapter(folder)
    load_adapter(folder, device=torch.device("cpu"))


def read_adapter_of_a_stranger(folder):
    adapter = read_adapter(folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_untrusted(content, adapter.config, source=str(folder / "config.json"))


def write_checkpoint(folder):
    save_checkpoint(folder, model=model(), optimizer=optimizer(), progress=Progress(step=3))


def read_checkpoint(folder):
    load_checkpoint(folder, model=model(), optimizer=build_optimizer(model(), settings().train))


def write_config(folder):
    (folder / "config.yaml").write_text(dump_config(settings()))


def write_recipe(folder):
    (folder / "config.yaml").write_text(recipe_text("own-clips"))


# --- weights --------------------------------------------------------------------------------------------------------


def backbone_state():
    return model().backbone.model.state_dict()


def write_safetensors(folder):
    save_file(backbone_state(), folder / "weights.safetensors")


def write_torch_save(folder):
    torch.save({"state_dict": backbone_state(), "epoch": 3, "args": OrderedDict(lr=0.1)}, folder / "weights.pt")


def write_old_torch_save(folder):
    torch.save({"model": backbone_state()}, folder / "weights.pth", _use_new_zipfile_serialization=False)


def write_torchscript(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))).save(
            folder / "weights.pt"
        )


def load_weights(folder):
    (path,) = folder.iterdir()
    load_backbone("vit_tiny_patch16_224", weights=path, image_size=32, model_args=dict(settings().backbone.model_args))


def write_official(folder):
    state = to_official(model().trained_state(), Layout("pre-norm", 1, retrieval=False))
    torch.save({"model_state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, folder / "a.pt")


def read_official(folder):
    from_official(read_official_checkpoint(folder / "a.pt"), source=str(folder / "a.pt"))


# --- what runs leave ------------------------------------------------------------------------------------------------


@functools.cache
def clips(folder):
    video = folder.parent / "cached.mp4"
    if not video.exists():
        write_grey_video(video, [0, 80, 160], height=32, width=32)
    return evaluation_clips([LabelledVideo(video, 0, "a")], config=settings(), backbone=model().backbone)


def open_cache(folder):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # progress
        return TokenCache(folder, clips(folder), model(), transform={}, pooled=True)


def read_cache(folder):
    for batch in open_cache(folder).test_batches(1):
        batch.clips.frames()


def read_subtitles(folder):
    with contextlib.suppress(SubtitleError):  # the caller names the file
        read_sidecar(folder / "film.srt")


def read_text_tracks(folder):
    with contextlib.suppress(av.FFmpegError, OSError, ValueError):
        read_tracks(folder / "film.mkv")


def read_facts(folder):
    read_metadata(folder / "facts.csv").match(["/videos/a.mp4", "/videos/b/c.mp4"])


def write_frame_table(folder):
    video = write_grey_video(folder / "clip.mp4", [0, 80, 160], height=32, width=32)
    write_table(folder / "clip.frames", list_frames(OpenFile(video)))
    video.unlink()


def write_log(folder):
    lines = [{"kind": "train", "step": step, "loss": 1.5} for step in range(3)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


ORIGINALS = {
    **{f"list {name}": functools.partial(write_files, files) for name, files in LISTS.items()},
    **{f"captions {name}": functools.partial(write_files, files) for name, files in CAPTIONS.items()},
    **{f"list {name}": functools.partial(write_real, path) for name, path in REAL.items() if (SHARED / path).is_file()},
    "settings": write_config,
    "recipe": write_recipe,
    "adapter": write_adapter,
    "adapter of a stranger": write_adapter,
    "checkpoint": write_checkpoint,
    "weights safetensors": write_safetensors,
    "weights torch.save": write_torch_save,
    "weights old torch.save": write_old_torch_save,
    "weights torchscript": write_torchscript,
    "official checkpoint": write_official,
    "token cache": open_cache,
    "frame table": write_frame_table,
    "log": write_log,
    "subtitles": functools.partial(write_files, {"film.srt": SRT}),
    "text tracks": lambda folder: write_matroska(folder / "film.mkv", (SRT, "eng")),
    "metadata": functools.partial(write_files, {"facts.csv": "path,camera,year\na.mp4,north,2019\nb/c.mp4,true,1e3\n"}),
}
READERS = {
    **{f"list {name}": functools.partial(read_list, next(iter(files))) for name, files in LISTS.items()},
    **{f"captions {name}": functools.partial(read_captions, list(files)) for name, files in CAPTIONS.items()},
    **{f"list {name}": functools.partial(read_list, Path(path).name) for name, path in REAL.items()},
    "settings": lambda folder: load_config(folder / "config.yaml"),
    "recipe": lambda folder: load_config(folder / "config.yaml"),
    "adapter": read_whole_adapter,
    "adapter of a stranger": read_adapter_of_a_stranger,
    "checkpoint": read_checkpoint,
    "weights safetensors": load_weights,
    "weights torch.save": load_weights,
    "weights old torch.save": load_weights,
    "weights torchscript": lambda folder: read_weights(folder / "weights.pt"),
    "official checkpoint": read_official,
    "token cache": read_cache,
    "frame table": lambda folder: read_table(folder / "clip.frames"),  # None if corrupt
    "log": read_log,
    "metadata": read_facts,
    "subtitles": read_subtitles,
    "text tracks": read_text_tracks,
}
