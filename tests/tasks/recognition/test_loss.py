"""The loss of recognition: which clips mixup mixes."""

import pytest
import torch

from side4video.config import AugmentConfig, DataConfig, RunConfig
from side4video.data.transforms import seeded
from side4video.tasks.recognition.loss import RecognitionLoss


class Recorder:
    """A model that keeps its input and guesses the class of the larger part of a clip."""

    def __call__(self, clips):
        self.clips = clips
        return torch.nn.functional.one_hot(clips[:, 0, 0, 0, 0].round().long(), 4).float()


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_clip_is_mixed_with_other_videos_not_with_its_own_copies(kind, repeats):
    """All pixels of a clip are the number of its video."""
    labels = torch.arange(4).repeat_interleave(repeats)
    clips = labels.float().reshape(-1, 1, 1, 1, 1).expand(-1, 2, 3, 16, 16)
    config = RunConfig(data=DataConfig(repeats=repeats), augment=AugmentConfig(**{kind: 1.0}))
    loss, model = RecognitionLoss(config, num_classes=4), Recorder()
    with seeded(3):
        loss(model, clips, labels)
    rows = model.clips.flatten(1)
    found = rows.mean(1)
    assert not torch.isclose(found, found.round(), atol=1e-3).any()
    pairs = [sorted({round(value) for value in (row.min().item(), row.max().item())}) for row in rows]
    if kind == "cutmix":
        assert sorted(pairs) == sorted([[0, 1], [1, 2], [2, 3], [0, 3]] * repeats)


def test_a_mixed_clip_counts_as_right_by_its_own_label():
    labels = torch.tensor([0, 0, 3, 3])
    clips = labels.float().reshape(-1, 1, 1, 1, 1).expand(-1, 2, 3, 16, 16)
    config = RunConfig(data=DataConfig(repeats=2), augment=AugmentConfig(mixup=0.2))
    counts = set()
    for seed in range(10):
        with seeded(seed):
            counts.add(RecognitionLoss(config, num_classes=4)(Recorder(), clips, labels)[1].item())
    assert counts == {0, 4}
