"""A run that needs more memory than its process may use: the real allocator fails."""

import errno
import json
import sys

import pytest
import torch

from side4video.config import dump_config
from side4video.training.out_of_memory import is_out_of_memory, short_message


@pytest.mark.slow  # advice before the first step is in every run, and so is resuming
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space through Linux")
def test_out_of_memory_gives_advice_and_the_run_resumes_with_less(small_run, warm, tmp_path):
    large = small_run(
        backbone={"image_size": 160},
        side={"width": 64},
        data={"num_frames": 2, "repeats": 8},
        augment={"resize": 160},
        train={"batch": 24, "epochs": 1, "memory": "plain"},
        eval={"resize": 160, "batch": 2},
        seed=3,
    )
    recipe, out = tmp_path / "large.yaml", tmp_path / "run"
    recipe.write_text(dump_config(large))
    code, said = warm.run("train", recipe, "--out", out, more_memory=700 * 2**20)
    assert code == 2, said
    assert "Traceback" not in said
    assert "Memory ran out in a training step" in said
    assert "Planned peak with 192 clips per forward pass" in said
    assert "The fastest mode that fits is --train.memory exact" in said, "not the mode that failed"
    assert "--resume" in said
    smaller = ("--train.memory", "tight", "--train.micro-batch", "2", "--resume")
    code, said = warm.run("train", recipe, "--out", out, *smaller, more_memory=1400 * 2**20)
    assert code == 0, said
    assert json.loads((out / "evaluation.json").read_text())["num_videos"] == 8


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space through Linux")
@pytest.mark.parametrize(
    "moment", [*(pytest.param(moment, marks=pytest.mark.slow) for moment in ("model", "probe")), "cache"]
)
def test_out_of_memory_before_the_first_step_gives_advice(moment, small_run, warm, tmp_path):
    """A model of 400 MB in a process limited to 300 MB, and a small model whose frozen tokens need more than that."""
    large = {"embed_dim": 2048, "depth": 2, "num_heads": 16, "patch_size": 8}
    small = {"embed_dim": 256, "depth": 2, "num_heads": 4, "patch_size": 4}
    config = small_run(
        backbone={"model_args": large} if moment == "model" else {"model_args": small, "image_size": 256},
        side={"taps": (-1,), "attention": False},
        data={"cache": tmp_path / "cache"} if moment == "cache" else {},
        augment={"resize": 256} if moment != "model" else {},
        train={"batch": 2, "epochs": 1, "memory": "plain"},
        eval={"resize": 256, "batch": 8, "probe": moment == "probe"} if moment != "model" else {},
    )
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(dump_config(config))
    code, said = warm.run("train", recipe, "--out", out, more_memory=300 * 2**20)
    assert code == 2, said
    assert "Traceback" not in said
    assert "can't allocate memory" in said
    assert "Planned peak with 2 clips per forward pass, by --train.memory" in said
    assert f"No step was completed: run the same command with the changed settings and --resume in {out}" in said
    if moment == "model":
        assert "Memory ran out while the model was built" in said
        assert "Not even one video fits in any mode" in said
        assert "--backbone.dtype bfloat16" in said
    else:
        assert "Memory ran out while frozen tokens were computed for the probe or the cache" in said
        assert "a smaller --eval.batch or --backbone.chunk-frames needs less memory" in said


def test_other_errors_are_not_mistaken_for_it():
    assert not is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert short_message(caught.value).startswith("DefaultCPUAllocator: can't allocate memory")
    long = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB."
    assert short_message(torch.OutOfMemoryError(long)) == "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert short_message(MemoryError()) == "MemoryError."
