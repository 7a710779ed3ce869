"""Evidence is at the decisive place and time, adds up, and equals the effect of removing a frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from side4video.config.probe import FLOW_BLOCK
from side4video.inference import explanation
from side4video.inference.explanation import attention_weights, explain_clip
from side4video.models.backbones.loading import load_backbone
from side4video.models.heads import ClassificationHead
from side4video.models.probe_model import ProbeModel
from side4video.models.probes import AttentiveProbe, CombinedProbe, FlowProbe, LinearProbe, SpeedProbe
from side4video.models.side.side_network import SideNetwork
from side4video.models.video_model import VideoModel

FRAMES, GRID, PATCH = 6, 4, 8
NAMES = ("red flash", "blue flash", "green flash")
SMALL = {"patch_size": PATCH, "embed_dim": 32, "depth": 2, "num_heads": 2}


def build(*, fused=False, **side):
    torch.manual_seed(0)
    backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=PATCH * GRID, model_args=SMALL)
    network = SideNetwork(
        backbone_width=32, num_patches=GRID * GRID, patch_size=PATCH, width=16, **{"taps": [0], "stem": False, **side}
    )
    head = ClassificationHead(width=16, num_classes=3, probe_width=32 if fused else None)
    return VideoModel(backbone=backbone, side=network, head=head)


def flashes(count, seed):
    """Clips of a still, noisy scene in which one patch of one frame lights up; its colour determines the class."""
    generator = torch.Generator().manual_seed(seed)
    clips = 0.3 * torch.randn(count, 1, 3, PATCH * GRID, PATCH * GRID, generator=generator).repeat(1, FRAMES, 1, 1, 1)
    labels, times = (torch.randint(limit, (count,), generator=generator) for limit in (3, FRAMES))
    places = torch.randint(GRID, (count, 2), generator=generator)
    for clip, label, time, (row, column) in zip(clips, labels, times, places, strict=True):
        clip[time, [0, 2, 1][label], PATCH * row : PATCH * (row + 1), PATCH * column : PATCH * (column + 1)] += 2.5
    return clips, labels, times, places


@pytest.fixture(scope="module")
def trained():
    model = build(centred=True, attention=False).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for step in range(60):
        clips, labels, _, _ = flashes(32, seed=step)
        F.cross_entropy(model(clips), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def hottest(model, clip, label):
    (evidence,) = explain_clip(model, clip, labels=[label], class_names=NAMES)
    return np.unravel_index(evidence.change_places.argmax(), evidence.change_places.shape)


def test_evidence_is_at_the_decisive_place_and_time(trained):
    clips, labels, times, places = flashes(40, seed=1000)
    with torch.no_grad():
        assert (trained(clips).argmax(1) == labels).float().mean() >= 0.95
    found = [hottest(trained, clip, int(label)) for clip, label in zip(clips, labels, strict=True)]
    there = [(row, column) == tuple(place.tolist()) for (_, row, column), place in zip(found, places, strict=True)]
    then = [time == expected for (time, _, _), expected in zip(found, times.tolist(), strict=True)]
    assert np.mean(there) >= 0.95  # by chance: 1 in 16
    assert np.mean(then) >= 0.9  # by chance: 1 in 6


def test_evidence_of_a_reversed_clip_is_at_the_mirrored_time(trained):
    clips, labels, times, _ = flashes(40, seed=1001)
    found = [hottest(trained, clip.flip(0), int(label))[0] for clip, label in zip(clips, labels, strict=True)]
    mirrored = [time == FRAMES - 1 - expected for time, expected in zip(found, times.tolist(), strict=True)]
    unmoved = [time == expected for time, expected in zip(found, times.tolist(), strict=True)]
    assert np.mean(mirrored) >= 0.9
    assert np.mean(unmoved) <= 0.1


def untrained(**options):
    model = build(**options)
    with torch.no_grad():
        for parameter in [*model.side.parameters(), *model.head.parameters()]:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


VARIANTS = {
    "plain": {},
    "all taps and the stem": {"taps": [0, 1], "stem": True},
    "centred and fused": {"centred": True, "attention": False, "fused": True},
    "correlations of a coarser grid": {"correlation": 1, "patch_grid": 2, "temporal_difference": True, "stem": False},
}


def margins(model, clips):
    """For each class: its logit minus the mean of the two others."""
    with torch.no_grad():
        logits = model(clips).double()
    return 1.5 * (logits - logits.mean(dim=1, keepdim=True))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_appearance_and_change_are_what_the_whole_clip_adds(options):
    model, clip = untrained(**options), flashes(1, seed=2)[0][0]
    shown, grey = margins(model, torch.stack([clip, torch.zeros_like(clip)]))
    with torch.no_grad():
        scores = model(clip[None])[0].softmax(0)
    for label, one in enumerate(explain_clip(model, clip, labels=range(3), class_names=NAMES)):
        assert one.appearance + one.change == pytest.approx(float(shown[label] - grey[label]), rel=1e-4, abs=1e-5)
        assert one.score == pytest.approx(float(scores[label]), rel=1e-5)
        assert one.name == NAMES[label]


def test_a_still_clip_has_appearance_and_no_change():
    model, clip = untrained(taps=[0, 1], stem=True), flashes(1, seed=3)[0][0]
    still = clip[:1].expand_as(clip)
    (evidence,) = explain_clip(model, still, labels=[1], class_names=NAMES)
    assert abs(evidence.change) < 1e-5
    assert np.abs(evidence.change_places).max() < 1e-5
    assert abs(evidence.appearance) > 0.1


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_evidence_of_a_frame_equals_the_margin_lost_without_it(options):
    model, clip = untrained(**options), flashes(1, seed=2)[0][0]
    tokens = list(model.backbone.iterate(clip[None], model.read_blocks))
    pooled = model.backbone.pool(tokens[-1]) if options.get("fused") else None
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)

    def replaced(value, frame):
        value = value.clone()
        value[:, frame] = value[:, [other for other in range(FRAMES) if other != frame]].mean(1)
        return value

    for frame in range(FRAMES):
        blocks = [
            replace(one, patches=replaced(one.patches, frame), summary=replaced(one.summary, frame)) for one in tokens
        ]
        with torch.no_grad():
            without = model.classify(
                replaced(clip[None], frame), blocks, None if pooled is None else replaced(pooled, frame)
            )
            lost = (model(clip[None]) - without)[0]
        expected = float(lost[1] - (lost[0] + lost[2]) / 2)
        assert evidence.change_frames[frame] == pytest.approx(expected, rel=0.05, abs=0.02)


def test_appearance_is_distributed_over_places_and_adds_up():
    model, clip = untrained(taps=[0], stem=True, attention=False), flashes(1, seed=4)[0][0]  # reads no summary token
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)
    assert evidence.appearance_places.sum() == pytest.approx(evidence.appearance, rel=0.05)


def test_evidence_of_a_fused_probe_has_no_place():
    model, clip = untrained(fused=True), flashes(1, seed=5)[0][0]
    with torch.no_grad():
        model.head.linear.weight.zero_()
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)
    assert np.abs(evidence.appearance_places).max() < 1e-6
    assert np.abs(evidence.change_places).max() < 1e-6
    assert abs(evidence.appearance) > 0.01


@pytest.mark.parametrize("memory", ["exact", "tight"])
def test_memory_modes_give_the_same_evidence(memory):
    clip = flashes(1, seed=6)[0][0]
    plain, saving = (untrained(taps=[0, 1], memory=mode) for mode in ("plain", memory))
    (expected,), (found,) = (explain_clip(m, clip, labels=[0], class_names=NAMES) for m in (plain, saving))
    np.testing.assert_allclose(found.change_places, expected.change_places, rtol=1e-4, atol=1e-6)
    assert {block.memory for block in saving.side.blocks} == {memory}


def test_points_of_several_paths_in_one_pass_give_the_same_evidence(monkeypatch):
    model, clip = untrained(taps=[0, 1], stem=True, fused=True), flashes(1, seed=6)[0][0]
    together = explain_clip(model, clip, labels=[0, 2], class_names=NAMES)
    monkeypatch.setattr(explanation, "PASS_BYTES", 1)
    alone = explain_clip(model, clip, labels=[0, 2], class_names=NAMES)
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(found.change_places, expected.change_places, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.change_frames, expected.change_frames, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.appearance_places, expected.appearance_places, rtol=1e-4, atol=1e-6)


def test_a_grey_clip_has_no_evidence_and_the_best_class_is_the_default():
    model = untrained(fused=True)
    (grey,) = explain_clip(model, torch.zeros(FRAMES, 3, 32, 32), labels=None, class_names=NAMES)
    assert np.abs(grey.change_places).max() < 1e-6
    assert np.abs(grey.appearance_places).max() < 1e-6
    clip = flashes(1, seed=4)[0][0]
    with torch.no_grad():
        best = NAMES[int(model(clip[None]).argmax())]
    assert [one.name for one in explain_clip(model, clip, labels=None, class_names=NAMES)] == [best]


def test_explaining_does_not_change_the_model():
    model, clip = untrained(taps=[0, 1], fused=True).train(), flashes(1, seed=5)[0][0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = explain_clip(model, clip, labels=[0], class_names=NAMES)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    second = explain_clip(model, clip, labels=[0], class_names=NAMES)
    np.testing.assert_array_equal(first[0].change_places, second[0].change_places)


def probe_model(probe, block):
    backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=PATCH * GRID, model_args=SMALL)
    for part in probe.parts if isinstance(probe, CombinedProbe) else [probe]:
        torch.nn.init.normal_(part.linear.weight)
    return ProbeModel(backbone=backbone, probe=probe, block=block).eval()


def test_a_linear_probe_sees_appearance_without_a_place():
    model, clip = probe_model(LinearProbe(width=32, num_classes=3), -1), flashes(1, seed=7)[0][0]
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)
    shown, grey = margins(model, torch.stack([clip, torch.zeros_like(clip)]))
    assert evidence.appearance == pytest.approx(float(shown[1] - grey[1]), rel=1e-3)
    assert abs(evidence.change) < 1e-4
    assert np.abs(evidence.appearance_places).max() == 0
    assert attention_weights(model, clip) is None


def test_an_attentive_probe_has_evidence_at_places_and_attention_that_sums_to_one():
    torch.manual_seed(0)
    probe = AttentiveProbe(width=32, num_classes=3, num_frames=FRAMES, grid=GRID)
    model, clip = probe_model(probe, 0), flashes(1, seed=8)[0][0]
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)
    assert np.abs(evidence.change_places).max() > 0
    attention = attention_weights(model, clip)
    assert attention.shape == (FRAMES, GRID, GRID)
    assert attention.sum() == pytest.approx(1, rel=1e-4)
    (tokens,) = model.backbone.iterate(clip[None], [0])
    with torch.no_grad():
        keys, values = probe._keys_and_values(tokens.patches)
        weights = (probe.query[:, None] @ keys[0].transpose(-1, -2) * keys.shape[-1] ** -0.5).softmax(-1)[:, 0]
        mixed = torch.stack([head @ value for head, value in zip(weights, values[0], strict=True)])
        torch.testing.assert_close(mixed.flatten(), probe.features(tokens.patches)[0])  # these weights are used
    np.testing.assert_allclose(attention.reshape(-1), weights.mean(0).numpy(), rtol=1e-4)


def moving_square(speed):
    """A bright square in the lower left part, on noise; it moves to the right by `speed` pixels per frame."""
    clip = 0.3 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).repeat(FRAMES, 1, 1, 1)
    for frame in range(FRAMES):
        clip[frame, :, 18:26, 2 + speed * frame : 10 + speed * frame] += 2.0
    return clip


def test_probes_of_flow_see_changes_where_something_moves():
    torch.manual_seed(0)
    probe = SpeedProbe(num_classes=3, num_frames=FRAMES, grid=2)
    model, clip = probe_model(probe, FLOW_BLOCK), moving_square(2)
    with torch.no_grad():
        probe.linear.weight.zero_()[1] = 1.0  # the faster, the larger the score
        probe.linear.bias.zero_()
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)
    shown, still = margins(model, torch.stack([clip, clip[:1].expand_as(clip)]))
    assert abs(evidence.appearance) < 1e-4
    assert evidence.change == pytest.approx(float(shown[1] - still[1]), rel=1e-3)
    places = evidence.change_places.sum(axis=0)
    assert places.shape == (GRID, GRID)
    assert places[2:].sum() > 4 * abs(places[:2]).sum() > 0


def test_a_combined_probe_of_tokens_and_flow_adds_up():
    torch.manual_seed(0)
    parts = [(-1, LinearProbe(width=32, num_classes=3)), (FLOW_BLOCK, FlowProbe(num_classes=3, num_frames=FRAMES))]
    model, clip = probe_model(CombinedProbe(parts, weights=[0.5, 2.0]), -1), moving_square(1)
    assert model.read_blocks == (1,)
    (evidence,) = explain_clip(model, clip, labels=[1], class_names=NAMES)
    shown, grey = margins(model, torch.stack([clip, torch.zeros_like(clip)]))
    assert evidence.appearance + evidence.change == pytest.approx(float(shown[1] - grey[1]), rel=1e-3)
    assert min(abs(evidence.appearance), abs(evidence.change)) > 0.01
