import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from side4video.demo.pretrain import (
    BACKBONE_ARGS,
    BACKBONE_NAME,
    STILL_TASKS,
    WEIGHTS_PATH,
    create_backbone,
    draw_batch,
    main,
    patch_labels,
    pretrain,
    still_labels,
)
from side4video.demo.still_shapes import FORMS, MAX_RADIUS, MIN_RADIUS, Shape
from side4video.models.backbones.loading import load_backbone


def shape(**changes):
    return Shape(**{"form": "square", "colour": "red", "x": 0.5, "y": 0.5, "radius": 0.1, **changes})


def test_weights_are_small_float16_with_metadata():
    assert WEIGHTS_PATH.stat().st_size < 2_000_000
    with safe_open(WEIGHTS_PATH, framework="pt") as weights:
        metadata = weights.metadata()
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
    assert json.loads(metadata["model"])["name"] == BACKBONE_NAME
    assert json.loads(metadata["made"])["seed"] == 0
    assert set(json.loads(metadata["held_out_accuracy"])) == {*STILL_TASKS, "patches"}


def linear_readout_accuracy(backbone):
    """Share of right answers of a fresh linear read-out of the class token, per task, on stills never seen before."""
    accuracy = {}
    pictures, labels = draw_batch(np.random.default_rng(987654), batch_size=900)
    with torch.inference_mode():
        tokens = torch.cat([backbone.forward_features(batch)[:, 0] for batch in pictures.split(100)]).numpy()
    for task in STILL_TASKS:
        readout = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        readout.fit(tokens[:600], labels[task][:600])
        accuracy[task] = readout.score(tokens[600:], labels[task][600:])
    return accuracy


@pytest.mark.slow
def test_pretrained_tokens_encode_form_and_place_and_random_ones_do_not():
    known, unknown = (
        linear_readout_accuracy(load_backbone(BACKBONE_NAME, weights=weights, model_args=BACKBONE_ARGS).model)
        for weights in (WEIGHTS_PATH, "random")
    )
    for task, least in {"form": 0.5, "colour": 0.9, "column": 0.85, "row": 0.85, "size": 0.5}.items():
        assert known[task] > least
        assert known[task] > unknown[task] + 0.1
    assert known["column"] + known["row"] > unknown["column"] + unknown["row"] + 1


def test_still_labels_by_hand():
    small = shape(form="ring", colour="white", x=0.13, y=0.99, radius=MIN_RADIUS)
    assert still_labels(small) == {"form": 1, "colour": 7, "column": 1, "row": 7, "size": 0}
    assert still_labels(shape(radius=MAX_RADIUS))["size"] == 2


def test_patch_labels_of_a_square_that_fills_four_patches():
    # A square in a circle of radius r has sides of r * sqrt(2): half the picture, two patches, for r = 0.25 * sqrt(2).
    square = shape(x=0.25, y=0.5, radius=0.25 * 2**0.5, angle=np.pi / 4)
    labels = patch_labels(square).reshape(4, 4)
    expected = np.zeros((4, 4), dtype=int)
    expected[1:3, 0:2] = 1 + FORMS.index("square")
    np.testing.assert_array_equal(labels, expected)


def test_batch_has_normalised_pictures_and_a_label_per_task():
    pictures, labels = draw_batch(np.random.default_rng(0), batch_size=5)
    assert pictures.shape == (5, 3, 64, 64)
    assert pictures.dtype == torch.float32
    assert -1 <= pictures.min() < -0.5 < 0.5 < pictures.max() <= 1
    assert {task: tuple(answers.shape) for task, answers in labels.items()} == {
        **dict.fromkeys(STILL_TASKS, (5,)),
        "patches": (5, 16),
    }


def test_seed_determines_the_model():
    first, again, other = (pretrain(steps=2, batch_size=4, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.pos_embed"], other["backbone.pos_embed"])


def test_command_writes_weights_that_fit_the_backbone(tmp_path, capsys):
    main(out=tmp_path / "weights.safetensors", steps=2, batch_size=4)
    assert "accuracy on held-out pictures" in capsys.readouterr().out
    with safe_open(tmp_path / "weights.safetensors", framework="pt") as weights:
        names = set(weights.keys())
        made = json.loads(weights.metadata()["made"])
    assert names == set(create_backbone().state_dict())
    assert (made["steps"], made["batch_size"]) == (2, 4)
