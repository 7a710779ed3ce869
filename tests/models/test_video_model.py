"""The whole model: what is trained, what is stored, what stays frozen."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from side4video.config import parse_config
from side4video.models.video_model import VideoModel, build_video_model, choose_device

CPU = torch.device("cpu")
SMALL = {"patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 2}
BACKBONES = {
    "class token": ("vit_tiny_patch16_224", SMALL),
    "no class token": ("vit_base_patch16_siglip_224", SMALL),
    "rope": ("eva02_base_patch16_clip_224", {**SMALL, "num_heads": 4}),
    "registers": ("vit_small_patch14_reg4_dinov2", SMALL),
}


def build(kind="class token", *, num_classes=3, **groups):
    name, args = BACKBONES[kind]
    settings = {
        "backbone": {"name": name, "weights": "random", "image_size": 32, "model_args": args},
        "side": {"width": 16},
    }
    return build_video_model(parse_config(settings | groups, source="test"), num_classes=num_classes, device=CPU)


def clips(batch=2, frames=3):
    return torch.randn(batch, frames, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("kind", BACKBONES)
def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one(kind, variant):
    model = build(kind, side={"width": 16, "variant": variant, "taps": "every-second"}, head={"fused": True})
    torch.nn.init.normal_(model.head.linear.weight)  # it starts at zero, which would stop the gradient
    model.train()
    model(clips()).square().sum().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("backbone."):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_sharded_frozen_blocks_are_whole_only_while_they_run():
    model = build().eval()
    whole = model(clips())
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        model.backbone.shard()
        for _ in range(2):
            torch.testing.assert_close(model(clips()), whole)
            assert all(isinstance(weight, DTensor) for weight in model.backbone.model.blocks.parameters())
    finally:
        dist.destroy_process_group()


def test_train_leaves_the_backbone_in_eval_mode():
    model = build().train()
    assert model.side.training
    assert not any(module.training for module in model.backbone.modules())


def test_the_backbone_stores_nothing_for_the_backward_pass():
    model = build().train()
    in_backbone, stored = [], []

    def pack(tensor):
        if in_backbone:
            stored.append(tensor.shape)
        return tensor

    model.backbone.model.register_forward_pre_hook(lambda *_: in_backbone.append(1))
    for block in model.backbone.model.blocks:
        block.register_forward_pre_hook(lambda *_: in_backbone.append(1))
        block.register_forward_hook(lambda *_: in_backbone.clear())
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(clips()).sum().backward()
    assert stored == []


def test_frozen_tokens_are_stored_once():
    """One normalised copy of each tapped block is stored: patches and summary, 17 tokens per frame, 64 wide."""
    model = build(side={"width": 24, "taps": [1]}).train()
    found = {}

    def pack(tensor):
        if tensor.shape[-1] == 64 and tensor.numel() not in {64, 24 * 64}:  # no weight is that large
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(clips(batch=2, frames=3))
    assert sum(tensor.numel() for tensor in found.values()) == 2 * 3 * 17 * 64


def test_blocks_after_the_last_tap_are_not_computed():
    model = build(side={"width": 16, "taps": [0]})
    model.backbone.model.blocks[1].register_forward_hook(lambda *_: pytest.fail("block 1 ran"))
    model(clips())


def test_any_number_of_frames_works():
    model = build().eval()
    for frames in (1, 2, 5, 16):
        assert model(clips(frames=frames)).shape == (2, 3)


def test_the_side_network_sees_the_order_of_frames_and_a_probe_does_not():
    model = build(head={"fused": True}).eval()
    torch.nn.init.normal_(model.head.probe.weight)
    x = clips()
    torch.testing.assert_close(model(x), model(x.flip(1)))  # the side part starts at zero
    torch.nn.init.normal_(model.head.linear.weight)
    assert not torch.allclose(model(x), model(x.flip(1)))


def test_trained_state_round_trips_and_foreign_states_are_refused():
    model, twin = build(), build(seed=7)
    state = model.trained_state()
    assert not any(name.startswith("backbone") for name in state)
    twin.load_trained_state(state)
    assert all(torch.equal(twin.trained_state()[name], tensor) for name, tensor in state.items())
    del state["head.linear.bias"]
    with pytest.raises(ValueError, match=r"1 tensors are missing, unknown or of another shape: head\.linear\.bias"):
        twin.load_trained_state(state)
    with pytest.raises(ValueError, match="of another shape"):
        build(num_classes=4).load_trained_state(model.trained_state())


def test_the_seed_decides_the_first_weights():
    assert torch.equal(build(seed=3).side.stem.weight, build(seed=3).side.stem.weight)
    assert not torch.equal(build(seed=3).side.stem.weight, build(seed=4).side.stem.weight)


def test_bfloat16_backbone_gives_nearly_the_same_logits():
    full, half = build(), build(backbone={**_backbone(), "dtype": "bfloat16"})
    half.load_trained_state(full.trained_state())
    assert half.backbone.dtype == torch.bfloat16
    with torch.no_grad():
        torch.testing.assert_close(full.eval()(clips()), half.eval()(clips()), atol=0.05, rtol=0.05)


def _backbone():
    name, args = BACKBONES["class token"]
    return {"name": name, "weights": "random", "image_size": 32, "model_args": args}


def test_every_setting_of_side_network_and_head_reaches_the_model():
    plain = build()
    assert (plain.side.stem is None, plain.side.positions is None, plain.side.centred) == (False, False, False)
    side = {"width": 16, "stem": False, "attention": False, "centred": True}
    changed = build(side=side, head={"pooled_norm": True, "dropout": 0.3})
    assert (changed.side.stem, changed.side.positions, changed.side.blocks[0].attention) == (None, None, None)
    assert changed.side.centred
    assert changed.head.dropout.p == 0.3
    assert {"head.pooled_norm.weight"} <= changed.trained_state().keys()


def test_fused_head_without_frozen_features_is_an_error():
    model = build(head={"fused": True})
    with pytest.raises(ValueError, match="pooled=backbone"):
        model.head(torch.randn(1, 2, 4, 16))
    with pytest.raises(ValueError, match="no probe"):
        build().head.load_probe(torch.zeros(3, 64), torch.zeros(3))


def test_devices():
    assert choose_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(ValueError, match="has 0 cuda devices"):
            choose_device("cuda")


def test_video_model_is_a_module_of_three_parts():
    assert [name for name, _ in build().named_children()] == ["backbone", "side", "head"]
    assert isinstance(build(), VideoModel)
