"""Training of retrieval on real small videos: files of a run, resuming, micro-batches, unreadable videos, errors."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

from side4video.adapters.adapter import load_adapter, read_adapter
from side4video.cli import main
from side4video.config import ConfigError
from side4video.data.lists.captions import DataError
from side4video.data.loading.batch import collate
from side4video.inference.embedder import Embedder
from side4video.inference.predictor import Predictor
from side4video.models.retrieval_model import RetrievalModel, build_retrieval_model
from side4video.reports.run_report import compare_frozen_and_trained, write_run_report
from side4video.tasks.recognition.evaluate import evaluate_adapter
from side4video.tasks.retrieval.data import read_caption_data
from side4video.tasks.retrieval.evaluate import evaluate_retrieval_adapter
from side4video.tasks.retrieval.task import RetrievalTask
from side4video.training.loop import train
from side4video.training.run_log import read_log

CPU = torch.device("cpu")


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_bit_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("finished") / "run"


@pytest.fixture
def run(finished, small_retrieval_run):
    """One finished run, shared by tests that do not change it."""
    if not finished.exists():
        train(small_retrieval_run(eval={"probe": True}), out=finished)
    return finished


def test_a_run_leaves_adapters_logs_scores_and_a_report(run):
    evaluations = [entry for entry in read_log(run) if entry["kind"] == "evaluation"]
    assert [(entry["epoch"], entry["videos"], entry["captions"]) for entry in evaluations] == [(1, 8, 8), (2, 8, 8)]
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["scores"]["text_to_video"]["num_queries"] == 8
    best = max(entry["t2v_r1"] for entry in evaluations)
    assert evaluation["scores"]["text_to_video"]["recall_at_1"] == read_adapter(run / "best").scores["t2v_r1"] == best
    assert [*compare_frozen_and_trained(run)] == ["zero-shot with the frozen model: R@1", "with the side network: R@1"]
    page = write_run_report(run).read_text()
    assert "a shape moves star anticlockwise" in page
    assert "text to video: R@5" in page
    assert "Recall at 1" in page


def test_trained_weights_are_not_scored_as_the_frozen_model(run, small_retrieval_run, tmp_path, capsys):
    config = small_retrieval_run(eval={"probe": True}, train={"epochs": 1})
    train(config, out=tmp_path / "next", init_from=run)
    assert "the frozen model alone is not scored, because this run starts from the trained" in capsys.readouterr().out
    assert [*compare_frozen_and_trained(tmp_path / "next")] == ["with the side network: R@1"]
    longer = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 2})})
    train(longer, out=tmp_path / "next", resume=True)
    assert not (tmp_path / "next/zero_shot.json").exists(), "nor after a resume"


def test_without_eval_probe_no_line_is_printed(run, small_retrieval_run, tmp_path, capsys):
    train(small_retrieval_run(train={"epochs": 1}), out=tmp_path / "next", init_from=run)
    assert "frozen model alone" not in capsys.readouterr().out


def test_everything_but_the_backbone_is_trained_and_saved(run, small_retrieval_run):
    fresh = build_retrieval_model(small_retrieval_run(), device=CPU)
    trained = weights(run / "last")
    unread = {"text.model.positional_embedding"}  # its rows behind the longest caption get weight decay alone
    for name, tensor in fresh.trained_state().items():
        if name not in unread and "num_batches" not in name:
            assert not torch.equal(tensor, trained[name]), f"{name} was not trained"
    assert not [name for name in trained if name.startswith("backbone")]
    model, adapter = load_adapter(run, device=CPU)
    assert isinstance(model, RetrievalModel)
    assert adapter.config.task == "retrieval"
    assert adapter.class_names == ()


def test_the_finetuned_part_learns_at_its_own_rate(small_retrieval_run, tmp_path):
    config = small_retrieval_run(train={"epochs": 1, "finetuned_lr_scale": 0.0, "decay_biases": False})
    train(config, out=tmp_path / "run")
    fresh, trained = build_retrieval_model(config, device=CPU).trained_state(), weights(tmp_path / "run" / "last")
    for name, tensor in fresh.items():
        is_finetuned = name.startswith(("text.", "head.final_norm", "head.projection"))
        assert torch.equal(tensor, trained[name]) == is_finetuned, name


@pytest.mark.parametrize(  # the epoch ends after step 3
    ("cached", "stops"), [(False, (2,)), pytest.param(True, (3, 5), marks=pytest.mark.slow)]
)
def test_resume_after_any_step_is_bit_identical(cached, stops, small_retrieval_run, tmp_path, monkeypatch):
    config = small_retrieval_run(
        train={"checkpoint_minutes": 0, "micro_batch": 3},
        data={"cache": tmp_path / "cache" if cached else None},
    )
    train(config, out=tmp_path / "whole")
    expected = weights(tmp_path / "whole" / "last")
    step = RetrievalTask.step
    for stop_after in stops:
        taken = 0

        def stopping(self, *arguments, **keywords):
            nonlocal taken
            taken += 1
            if taken > stop_after:  # noqa: B023 - called in this turn
                raise KeyboardInterrupt
            return step(self, *arguments, **keywords)

        folder = tmp_path / f"stopped{stop_after}"
        with monkeypatch.context() as patch:
            patch.setattr(RetrievalTask, "step", stopping)
            with pytest.raises(KeyboardInterrupt):
                train(config, out=folder)
        train(config, out=folder, resume=True)
        assert_bit_equal(weights(folder / "last"), expected)


def test_micro_batches_keep_all_negatives(small_retrieval_run, make_video, tmp_path):
    """On still clips that are all alike, so that BatchNorm sees the same statistics in every micro-batch."""
    lines = ["video,caption"]
    for clip, word in enumerate(["red", "blue", "green", "white", "black", "grey", "pink", "brown"]):
        make_video(tmp_path / f"{clip}.mp4", [100] * 6, height=32, width=32)
        lines.append(f"{clip}.mp4,a {word} dog")
    (tmp_path / "train.csv").write_text("\n".join(lines))
    moments, losses = [], []
    for micro_batch in (8, 3, 1):
        config = small_retrieval_run(
            data={"train": tmp_path / "train.csv", "test": None},
            train={"epochs": 1, "batch": 8, "micro_batch": micro_batch, "lr": 1e-9},
        )
        train(config, out=tmp_path / f"run{micro_batch}")
        state = load_file(tmp_path / f"run{micro_batch}" / "checkpoint.safetensors")
        moments.append({name: tensor for name, tensor in state.items() if name.endswith(".exp_avg")})
        losses.append(read_log(tmp_path / f"run{micro_batch}")[0]["loss"])
    # The captions decide which of the like videos is meant by chance alone: the loss of eight, not of one or three.
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    assert losses[0] == pytest.approx(math.log(8), rel=0.2)
    whole = moments[0]
    assert max(tensor.abs().max() for tensor in whole.values()) > 1e-5
    for parts in moments[1:]:
        for name, tensor in whole.items():
            torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-6, msg=name)


def test_every_caption_can_be_a_sample(small_retrieval_run):
    one, every = (RetrievalTask(small_retrieval_run(text={"captions_per_video": kind}), CPU) for kind in ("one", "all"))
    assert (len(one.train_set), len(every.train_set)) == (24, 48)
    drawn = [{one._caption(index, epoch) for epoch in range(20)} for index in range(24)]
    assert all(len(captions) == 2 for captions in drawn)
    assert one._caption(3, 5) == one._caption(3, 5)
    assert all(len(captions) == 1 for captions in every.captions)


def test_decorrelation_is_part_of_the_loss(small_retrieval_run, tmp_path):
    losses = []
    for weight in (0.0, 0.5):
        config = small_retrieval_run(train={"epochs": 1}, text={"decorrelation": weight})
        train(config, out=tmp_path / f"{weight}")
        losses.append(read_log(tmp_path / f"{weight}")[0]["loss"])
    assert losses[1] > losses[0] + 0.1


def test_the_logit_scale_stays_below_its_bound(small_retrieval_run):
    task = RetrievalTask(small_retrieval_run(), CPU)
    with torch.no_grad():
        task.model.logit_scale.fill_(7.0)
    assert task.step(iter(()), lambda loss, names: None, views=8, epoch=0).views == 0
    batch = task.train_set.read(0, [0]), task.train_set.read(5, [0])
    task.model.train()
    task.step(iter([collate(batch)]), lambda loss, names: loss.backward(), views=2, epoch=0)
    assert task.model.logit_scale.item() == pytest.approx(math.log(100))


def test_unreadable_videos_are_skipped_in_training_and_reported_in_evaluation(
    small_retrieval_run, captioned_videos, tmp_path, capsys
):
    shutil.copytree(captioned_videos, tmp_path / "videos")
    (tmp_path / "videos/train/clockwise/0001.mp4").write_bytes(b"no video")
    (tmp_path / "videos/test/clockwise/0001.mp4").write_bytes(b"no video")
    data = {"train": tmp_path / "videos/train.csv", "test": tmp_path / "videos/test.csv"}
    result = train(small_retrieval_run(train={"epochs": 1}, data=data), out=tmp_path / "run")
    failures = [entry["name"] for entry in read_log(tmp_path / "run") if entry["kind"] == "failure"]
    assert failures == ["train/clockwise/0001.mp4"]
    assert (result.evaluation.num_videos, result.evaluation.num_captions) == (7, 7)
    assert [video.name for video in result.evaluation.unread] == ["test/clockwise/0001.mp4"]
    assert "1 could not be read" in result.evaluation.table().title
    capsys.readouterr()
    command = ["evaluate", str(tmp_path / "run"), "--device", "cpu", "--json", str(tmp_path / "e.json")]
    assert main(command) == 1
    assert "R@1" not in capsys.readouterr().out
    assert main([*command, "--eval.max-unread", "0.2"]) == 1
    assert "R@1" in capsys.readouterr().out


def test_missing_videos_and_captions_are_refused_before_training(small_retrieval_run, captioned_videos, tmp_path):
    (tmp_path / "train.csv").write_text("video,caption\nnone.mp4,a dog\n")
    with pytest.raises(DataError, match=r"none\.mp4"):
        read_caption_data(small_retrieval_run(data={"train": tmp_path / "train.csv"}).data)
    with pytest.raises(ValueError, match="No training set"):
        RetrievalTask(small_retrieval_run(data={"train": None}), CPU)
    with pytest.raises(ValueError, match="No videos"):
        read_caption_data(small_retrieval_run(data={"train": None, "test": None}).data)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"head": {"fused": True}}, "head: not supported by task retrieval"),
        ({"eval": {"clips": 2}}, "eval.clips = 2: task retrieval embeds one view of each video"),
        ({"train": {"batch": 1}}, "no other pair to compare with"),
        ({"text": {"similarity": "mean-pool", "decorrelation": 0.1}}, "needs text.similarity wti"),
    ],
)
def test_settings_that_do_not_suit_retrieval_are_refused(small_retrieval_run, groups, message):
    with pytest.raises(ConfigError, match=message):
        small_retrieval_run(**groups)


def test_cached_tokens_need_the_last_block(small_retrieval_run, tmp_path):
    with pytest.raises(ValueError, match="retrieval also reads the last one"):
        RetrievalTask(small_retrieval_run(side={"taps": [0]}, data={"cache": tmp_path}), CPU)


def test_an_adapter_gives_the_scores_and_embeddings_of_its_run(run, small_retrieval_run, captioned_videos):
    config = small_retrieval_run()
    evaluation = evaluate_retrieval_adapter(run / "best", data=config.data, settings=config.eval, device="cpu")
    written = json.loads((run / "evaluation.json").read_text())
    assert evaluation.to_json()["scores"] == written["scores"]
    embedder = Embedder(run, device="cpu")
    paths = sorted((captioned_videos / "test").glob("*/*.mp4"))
    videos = embedder.embed_videos(paths, workers=0)
    for query in evaluation.queries:
        (found,) = embedder.rank([query.caption], videos, top_k=3)
        assert [score for _, score in found] == pytest.approx(query.best_scores, abs=1e-5)
    alone = embedder.embed_videos(paths[:1])
    torch.testing.assert_close(alone.features.frames, videos.features.frames[:1], rtol=1e-4, atol=1e-5)


def test_adapters_of_one_task_are_refused_by_the_other(run, small_run, captioned_videos, tmp_path):
    with pytest.raises(ValueError, match="was trained for retrieval"):
        Predictor(run, device="cpu")
    config = small_run(train={"epochs": 1})
    with pytest.raises(ValueError, match="was trained for retrieval"):
        evaluate_adapter(run, data=config.data, settings=config.eval, device="cpu")
    train(config, out=tmp_path / "recognition")
    with pytest.raises(ValueError, match="was trained for recognition"):
        Embedder(tmp_path / "recognition", device="cpu")


@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_mirrored_clips_of_captions_with_directions_get_a_warning(small_retrieval_run, capsys, flip):
    RetrievalTask(small_retrieval_run(augment={"flip": flip}), CPU)
    said = "48 captions contain left, right, clockwise or anticlockwise, such as 'a shape moves anticlockwise'"
    assert (said in capsys.readouterr().out) == (flip > 0)
