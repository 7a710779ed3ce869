import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from side4video.demo.captioned_stills import StillCaption
from side4video.demo.moving_captions import MotionCaption
from side4video.demo.pretrain_captions import caption_vocabulary, draw_batch, main, measure, pretrain
from side4video.demo.still_clip import WEIGHTS_PATH, create_clip


def test_weights_file_has_metadata():
    with safe_open(WEIGHTS_PATH, framework="pt") as weights:
        metadata = weights.metadata()
    assert json.loads(metadata["made"])["seed"] == 0
    accuracy = json.loads(metadata["held_out_accuracy"])
    assert set(accuracy) == {"caption", "form", "colour", "place"}
    assert min(accuracy.values()) > 0.9


def test_pretrained_model_matches_captions_and_a_random_one_does_not():
    words = caption_vocabulary()
    torch.manual_seed(0)
    clip = create_clip(vocab_size=len(words))
    assert measure(clip, words, seed=12345)["caption"] < 0.05
    with safe_open(WEIGHTS_PATH, framework="pt") as weights:
        clip.load_state_dict({name: weights.get_tensor(name).float() for name in clip.state_dict()})
    known = measure(clip, words, seed=12345)  # other pictures than those of training and of the metadata
    assert min(known.values()) > 0.9


def test_batch_has_normalised_pictures_and_different_captions():
    pictures, captions = draw_batch(np.random.default_rng(0), batch_size=50)
    assert pictures.shape == (50, 3, 64, 64)
    assert pictures.dtype == torch.float32
    assert -1.9 < pictures.min() < -0.5 < 0.5 < pictures.max() < 2.2
    assert len(set(captions)) == 50


@pytest.mark.parametrize("batch_size", [0, 241])
def test_batches_larger_than_the_captions_are_refused(batch_size):
    assert len(StillCaption.all_captions()) == 240
    with pytest.raises(ValueError, match=r"must be from 1 to 240"):
        draw_batch(np.random.default_rng(0), batch_size=batch_size)


def test_motion_words_are_in_the_vocabulary_and_not_trained():
    words = caption_vocabulary()
    torch.manual_seed(3)
    first = create_clip(vocab_size=len(words)).token_embedding.weight.detach()
    trained = pretrain(words, steps=3, batch_size=8, seed=3).token_embedding.weight.detach()
    in_stills = set(words.encode([str(caption) for caption in StillCaption.all_captions()]).unique().tolist())
    in_videos = set(words.encode([str(caption) for caption in MotionCaption.all_captions()]).unique().tolist())
    of_motion = sorted(in_videos - in_stills)
    assert len(of_motion) == 1  # "moves"; left, right, up and down are words of places too
    torch.testing.assert_close(trained[of_motion], first[of_motion], rtol=0, atol=0)
    assert not torch.equal(trained[sorted(in_stills)], first[sorted(in_stills)])


def test_seed_determines_the_model():
    words = caption_vocabulary()
    first, again, other = (pretrain(words, steps=2, batch_size=4, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["visual.conv1.weight"], other["visual.conv1.weight"])


def test_command_writes_weights_that_fit_the_model(tmp_path, capsys):
    main(out=tmp_path / "weights.safetensors", steps=2, batch_size=4)
    assert "accuracy on held-out pictures" in capsys.readouterr().out
    with safe_open(tmp_path / "weights.safetensors", framework="pt") as weights:
        names = set(weights.keys())
        made = json.loads(weights.metadata()["made"])
    assert names == {*create_clip(vocab_size=len(caption_vocabulary())).state_dict(), "token_embedding.ids"}
    assert (made["steps"], made["batch_size"]) == (2, 4)
