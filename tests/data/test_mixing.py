"""Mixup and cutmix: clips and labels are mixed in the same shares."""

import pytest
import torch

from side4video.data.mixing import mix_clips
from side4video.data.transforms import seeded


def test_mixup_mixes_clips_in_the_shares_of_their_labels():
    clips, labels = torch.rand(4, 2, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    with seeded(1):
        mixed, shares = mix_clips(clips, labels, num_classes=5, mixup_alpha=0.8)
    assert type(mixed) is torch.Tensor
    assert shares.shape == (4, 5)
    assert torch.allclose(shares.sum(1), torch.ones(4))
    own = shares[0, 0]
    assert 0 < own < 1
    assert torch.allclose(mixed, own * clips + (1 - own) * clips.roll(1, 0), atol=1e-6)
    assert torch.allclose(shares[1], torch.tensor([1 - own, own, 0, 0, 0]))


def test_cutmix_pastes_the_same_rectangle_in_all_frames():
    clips, labels = torch.rand(4, 3, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    for seed in range(5):
        with seeded(seed):
            mixed, shares = mix_clips(clips, labels, num_classes=4, cutmix_alpha=1.0)
        is_pasted = (mixed != clips).all(2)  # (4, 3, 16, 16)
        assert (is_pasted == is_pasted[:1, :1]).all()
        assert torch.equal(mixed, torch.where(is_pasted.unsqueeze(2), clips.roll(1, 0), clips))
        assert shares[0, 0] == pytest.approx(1 - is_pasted[0, 0].float().mean().item())


def test_both_are_used_about_equally_often():
    clips, labels = torch.rand(2, 1, 3, 16, 16), torch.tensor([0, 1])
    num_cut = 0
    for seed in range(100):
        with seeded(seed):
            mixed, _ = mix_clips(clips, labels, num_classes=2, mixup_alpha=1.0, cutmix_alpha=1.0)
        num_cut += bool(((mixed == clips) | (mixed == clips.roll(1, 0))).all())
    assert 30 < num_cut < 70


def test_without_mixing_labels_become_one_hot():
    clips, labels = torch.rand(2, 1, 3, 4, 4), torch.tensor([2, 0])
    mixed, shares = mix_clips(clips, labels, num_classes=3)
    assert torch.equal(mixed, clips)
    assert shares.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_negative_alpha_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        mix_clips(torch.rand(2, 1, 3, 4, 4), torch.tensor([0, 1]), num_classes=2, mixup_alpha=-1.0)
