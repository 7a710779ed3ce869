"""Frames in chunks: equal tokens, and temporary memory that does not depend on the batch."""

from dataclasses import astuple

import pytest
import torch

from side4video.memory.tracking import AllocationTracker
from side4video.models.backbones.loading import FrozenBackbone, load_backbone

SMALL = {"embed_dim": 64, "num_heads": 2, "depth": 4}
MODELS = ["vit_tiny_patch16_224", "vit_base_patch16_siglip_224", "eva02_base_patch16_clip_224"]


def backbone(name: str, *, chunk_frames: int, **args) -> FrozenBackbone:
    return load_backbone(name, weights="random", image_size=32, model_args=SMALL, chunk_frames=chunk_frames, **args)


def random_clips(clips: int, frames: int = 3) -> torch.Tensor:
    return torch.randn((clips, frames, 3, 32, 32), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", [*MODELS, "vit_small_patch16_rope_mixed_224"])
@pytest.mark.parametrize("chunk_frames", [1, 4, 9])  # 9 frames: the last chunk of four is smaller
@pytest.mark.parametrize("taps", [(0, 1, 2, 3), (1, 3)])
def test_chunked_tokens_equal_those_of_the_whole_batch(name, chunk_frames, taps):
    clips = random_clips(3)
    whole = list(backbone(name, chunk_frames=100).iterate(clips, taps))
    parts = list(backbone(name, chunk_frames=chunk_frames).iterate(clips, taps))  # all are held to the end
    assert [tokens.block for tokens in parts] == list(taps)
    for part, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(part.patches, expected.patches)
        torch.testing.assert_close(part.summary, expected.summary)


def test_yielded_tokens_do_not_change_later():
    model = backbone("vit_tiny_patch16_224", chunk_frames=2)
    seen, copies = [], []
    for tokens in model.iterate(random_clips(3), [1, 2]):  # block 0 may be written over, 1 and 2 may not
        seen.append(tokens)
        copies.append([part.clone() for part in astuple(tokens)[1:]])
    assert len({tokens.patches.untyped_storage().data_ptr() for tokens in seen}) == 2
    for tokens, (patches, summary) in zip(seen, copies, strict=True):
        assert torch.equal(tokens.patches, patches)
        assert torch.equal(tokens.summary, summary)


def test_the_input_frames_do_not_change():
    clips = random_clips(3)
    before = clips.clone()
    list(backbone("vit_tiny_patch16_224", chunk_frames=2).iterate(clips, [3]))
    assert torch.equal(clips, before)


def transient(clips: int, *, chunk_frames: int, dtype: torch.dtype) -> int:
    """Bytes at the peak above weights, frames and twice the tokens of a block, its input and its output."""
    model = backbone("vit_tiny_patch16_224", chunk_frames=chunk_frames, dtype=dtype)
    frames = random_clips(clips)
    with AllocationTracker() as tracker:
        tracker.count_module(model, "weights")
        tracker.count([frames], "frames")
        for tokens in model.iterate(frames, range(4)):
            held = tokens.patches.untyped_storage().nbytes()
    return tracker.peak["workspace"] - 2 * held


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])  # bfloat16: frames are cast in chunks, too
def test_temporary_memory_does_not_grow_with_the_batch(dtype):
    small, large = (transient(clips, chunk_frames=6, dtype=dtype) for clips in (4, 32))
    assert 0 < large <= small
    whole_small, whole_large = (transient(clips, chunk_frames=1000, dtype=dtype) for clips in (4, 32))
    assert whole_large == pytest.approx(8 * whole_small, rel=0.02)  # without chunks it does
    assert whole_large > 10 * large


def test_zero_chunk_frames_are_refused():
    with pytest.raises(ValueError, match="chunk_frames = 0 must be at least 1"):
        backbone("vit_tiny_patch16_224", chunk_frames=0)
