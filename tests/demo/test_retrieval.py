import json
import re

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file

from side4video import VideoIndex
from side4video.cli import main
from side4video.config import load_config
from side4video.demo.retrieval import AFTER, BEFORE
from side4video.demo.still_clip import BACKBONE_ARGS, TEXT_ARGS
from side4video.video.decoding import open_video

SMALL = "--train-clips-per-caption 1 --epochs 1 --forms disc square --colours red blue"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "retrieval", "--out", str(out), *SMALL.split()]) == 0
    return out


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_demo_writes_the_files_it_names(out):
    expected = {"best", "last", "config.yaml", "evaluation.json", "zero_shot.json", "scores.json", "retrieval.html"}
    assert expected <= {path.name for path in (out / "run").iterdir()}
    assert {path.name for path in out.iterdir()} == {"videos", "run", "index", "still_clip.safetensors"}
    assert len(list((out / "videos").glob("*/*.mp4"))) == 12 + 16
    assert load_config(out / "run/config.yaml").task == "retrieval"


def test_scores_are_counted_from_the_queries(out):
    scores = read(out / "run/scores.json")
    for model, name in ((BEFORE, "zero_shot.json"), (AFTER, "evaluation.json")):
        queries = read(out / "run" / name)["queries"]
        caption_of = {query["video"]: query["caption"].split() for query in queries}
        firsts = [(query["caption"].split(), caption_of[query["best"][0]]) for query in queries]
        assert len(queries) == 16
        # "a red square moves up": colour, form and motion are words 1, 2 and 4
        assert scores["text to video: R@1"][model] == sum(asked == got for asked, got in firsts) / 16
        assert scores["… right form and colour"][model] == sum(asked[1:3] == got[1:3] for asked, got in firsts) / 16
        assert scores["… right motion"][model] == sum(asked[4] == got[4] for asked, got in firsts) / 16
        trained_on = (out / "videos/train.csv").read_text()
        unseen = [asked == got for asked, got in firsts if " ".join(asked) not in trained_on]
        assert len(unseen) == 4
        assert scores["… of captions without a training video"][model] == sum(unseen) / 4


def test_untrained_scores_equal_open_clip(out):
    image = BACKBONE_ARGS
    heads = image["embed_dim"] // image["num_heads"]
    vision = CLIPVisionCfg(layers=image["depth"], width=image["embed_dim"], head_width=heads, image_size=64)
    text = CLIPTextCfg(**{name: value for name, value in TEXT_ARGS.items() if name != "embed_dim"})
    clip = CLIP(TEXT_ARGS["embed_dim"], vision, text, quick_gelu=True).eval()
    clip.load_state_dict(load_file(out / "still_clip.safetensors"))
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    queries = read(out / "run/zero_shot.json")["queries"]
    found = []
    with torch.no_grad():
        for query in queries:
            with open_video(out / "videos" / query["video"]) as video:
                frames = video.read(range(1, 24, 3)).float() / 255  # the middle one of the three at each stop
            found.append(clip.encode_image((frames - mean) / std).mean(dim=0))
        tokens = open_clip.SimpleTokenizer()([query["caption"] for query in queries], context_length=16)
        texts = torch.nn.functional.normalize(clip.encode_text(tokens), dim=1)
    similarities = texts @ torch.nn.functional.normalize(torch.stack(found), dim=1).T
    best = torch.tensor([query["best_scores"][0] for query in queries])
    torch.testing.assert_close(similarities.amax(dim=1), best, rtol=0, atol=1e-4)


def test_index_results_equal_the_evaluation(out):
    queries = read(out / "run/evaluation.json")["queries"]
    index = VideoIndex.open(out / "index", device="cpu")
    assert len(index.files()) == 16
    assert index.columns() == {"colour": str, "form": str, "motion": str}
    for query, found in zip(queries, index.search_many([query["caption"] for query in queries]), strict=True):
        assert [video.score for video in found[:3]] == pytest.approx(query["best_scores"][:3], abs=1e-3)
        asked, facts = query["caption"].split(), index.files()[str(out / "videos" / query["video"])].metadata
        assert asked[1:3] + asked[4:] == [facts["colour"], facts["form"], facts["motion"]]


def test_page_shows_missed_captions(out):
    page = (out / "run/retrieval.html").read_text(encoding="utf-8")
    missed = [query["caption"] for query in read(out / "run/zero_shot.json")["queries"] if query["rank"] > 1]
    shown = re.findall(r"<h2>“(.*?)”</h2>", page)
    missed_after = [query["caption"] for query in read(out / "run/evaluation.json")["queries"] if query["rank"] > 1]
    assert shown
    assert set(shown) <= {*missed, *missed_after}
    assert page.count("data:image/png") == 6 * len(shown)


@pytest.mark.slow
def test_second_demo_replaces_the_run_and_keeps_the_videos(out, capsys):
    before = {path: path.stat().st_mtime_ns for path in (out / "videos").glob("*/*.mp4")}
    page = (out / "run/retrieval.html").stat().st_mtime_ns
    assert main(["demo", "retrieval", "--out", str(out), *SMALL.split()]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (out / "run/retrieval.html").stat().st_mtime_ns > page
    printed = capsys.readouterr().out
    assert BEFORE in printed
    assert "text to video: R@1" in printed
    assert f"side4video serve {out / 'index'}" in printed
    assert len(VideoIndex.open(out / "index", device="cpu").files()) == 16


def test_folder_with_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine")
    assert main(["demo", "retrieval", "--out", str(tmp_path), *SMALL.split()]) == 2
    assert "Use another --out" in capsys.readouterr().err
    assert (tmp_path / "run/thesis.txt").read_text() == "mine"
    assert not (tmp_path / "videos").exists()


def test_run_is_kept_if_the_videos_are_refused(out, capsys):
    other = SMALL.replace("red blue", "red green")
    assert main(["demo", "retrieval", "--out", str(out), *other.split()]) == 2
    assert "Use another folder" in capsys.readouterr().err
    assert (out / "run/retrieval.html").is_file()


def test_unknown_demonstrations_and_forms_are_refused(tmp_path, capsys):
    assert main(["demo", "retreival"]) == 2
    assert "Use demo or demo retrieval" in capsys.readouterr().err
    assert main(["demo", "retrieval", "--out", str(tmp_path), "--forms", "blob"]) == 2
    assert "one or more, all different, of disc" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_demonstration_learns_the_motion(tmp_path):
    assert main(["demo", "retrieval", "--out", str(tmp_path)]) == 0
    scores = read(tmp_path / "run/scores.json")
    assert scores["text to video: R@1"][BEFORE] < 0.5
    assert scores["… right form and colour"][BEFORE] > 0.9
    assert scores["text to video: R@1"][AFTER] > 0.85
    assert scores["… of captions without a training video"][AFTER] > 0.7
