"""Options of the side network beyond the paper: no stem, no attention, no still content."""

import pytest
import torch

from side4video.config import ConfigError, parse_config
from side4video.models.heads import ClassificationHead
from side4video.models.side.side_block import centre_in_time
from side4video.models.side.side_network import SideNetwork

FRAMES, PATCHES, BACKBONE_WIDTH = 4, 4, 12


def side_network(**options):
    torch.manual_seed(0)
    sizes = {"backbone_width": BACKBONE_WIDTH, "num_patches": PATCHES, "patch_size": 4, "width": 8}
    return SideNetwork(**sizes, taps=[0], **options)


def tokens(seed=1, *, still=False):
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(2, FRAMES, PATCHES, BACKBONE_WIDTH, generator=generator)
    summary = torch.randn(2, FRAMES, 1, BACKBONE_WIDTH, generator=generator)
    if still:
        patches, summary = (x[:, :1].expand(-1, FRAMES, -1, -1) for x in (patches, summary))
    return {"block": 0, "patches": patches, "summary": summary}


def clips(seed=2, *, still=False):
    x = torch.randn(2, FRAMES, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return x[:, :1].expand(-1, FRAMES, -1, -1, -1) if still else x


def test_centre_in_time_is_the_deviation_from_each_tokens_mean():
    x = tokens()["patches"]
    for b in range(2):
        for n in range(PATCHES):
            torch.testing.assert_close(centre_in_time(x)[b, :, n], x[b, :, n] - x[b, :, n].sum(0) / FRAMES)


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("attention", [True, False])
def test_a_centred_network_ignores_still_content(variant, attention):
    side = side_network(variant=variant, attention=attention, stem=False, centred=True).eval()
    one, other = (side.advance(side.begin(clips()), **tokens(seed, still=True)) for seed in (1, 5))
    torch.testing.assert_close(one, other)
    moving = side.advance(side.begin(clips()), **tokens(1))
    assert (one - moving).abs().max() > 0.01


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
def test_without_centring_still_content_matters(variant):
    side = side_network(variant=variant, stem=False).eval()
    one, other = (side.advance(side.begin(clips()), **tokens(seed, still=True)) for seed in (1, 5))
    assert (one - other).abs().max() > 0.01


def test_a_centred_stem_ignores_still_pixels_except_at_the_ends():
    side = side_network(centred=True).eval()
    x = side.begin(clips(still=True))
    torch.testing.assert_close(x[:, 1], x[:, 2])  # the same pixels before and after
    torch.testing.assert_close(x.mean(dim=1), torch.zeros(2, PATCHES, 8))


def test_without_a_stem_the_pixels_do_not_matter():
    side = side_network(stem=False).eval()
    assert torch.equal(side.begin(clips()), torch.zeros(2, FRAMES, PATCHES, 8))
    assert not [name for name in side.state_dict() if name.startswith("stem")]
    with_stem = side_network().eval()
    assert not torch.equal(with_stem.begin(clips(2)), with_stem.begin(clips(3)))


@pytest.mark.parametrize("attention", [True, False])
def test_only_attention_mixes_patches(attention):
    side = side_network(attention=attention, stem=False).eval()
    before = tokens()
    after = {**before, "patches": before["patches"].clone()}
    after["patches"][:, :, 0] += torch.randn(BACKBONE_WIDTH, generator=torch.Generator().manual_seed(3))
    outputs = [side.advance(side.begin(clips()), **given) for given in (before, after)]
    moved = (outputs[0] - outputs[1]).abs().amax(dim=(0, 1, 3)) > 1e-6
    assert moved.tolist() == [True] + [attention] * (PATCHES - 1)


def test_without_attention_it_has_no_parameters():
    names = side_network(attention=False).state_dict().keys()
    assert not [name for name in names if "attention" in name or name == "positions"]


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
def test_every_parameter_of_the_smallest_network_gets_a_gradient(variant):
    side = side_network(variant=variant, stem=False, attention=False, centred=True).train()
    side.advance(side.begin(clips()), **tokens()).pow(3).sum().backward()
    assert all(parameter.grad is not None for parameter in side.parameters())


def test_pooled_norm_gives_every_pooled_feature_mean_zero_and_variance_one_over_the_clips():
    torch.manual_seed(0)
    head = ClassificationHead(width=6, num_classes=3, pooled_norm=True).train()
    x = torch.randn(5, 2, 4, 6) * torch.tensor([1.0, 2.0, 5.0, 0.5, 1.0, 3.0]) + 7
    features = head.features(x)
    torch.testing.assert_close(features.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.var(dim=0, correction=0), torch.ones(6), atol=1e-2, rtol=0)
    plain = ClassificationHead(width=6, num_classes=3).train().features(x)
    assert plain.var(dim=0, correction=0).max() < 0.5


def test_a_plain_head_stores_no_pooled_norm():
    assert not [name for name in ClassificationHead(width=6, num_classes=3).state_dict() if "pooled" in name]


def test_pooled_norm_of_single_clips_is_refused():
    config = {"head": {"pooled_norm": True}, "train": {"micro_batch": 1}}
    with pytest.raises(ConfigError, match=r"pooled_norm.*micro_batch must be 2"):
        parse_config(config, source="test")
    assert parse_config({"head": {"pooled_norm": True}}, source="test").head.pooled_norm
