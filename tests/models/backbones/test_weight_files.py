"""Weight files from others, valid and malicious."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from side4video.models.backbones.weight_files import check_state_dict, read_weights


def linear_weights() -> dict[str, torch.Tensor]:
    return {"fc.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.tensor([7.0, 8.0])}


def check_read(path: Path) -> None:
    expected, state = linear_weights(), read_weights(path)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


class TestReadWeights:
    def test_safetensors(self, tmp_path):
        save_file(linear_weights(), tmp_path / "w.safetensors")
        check_read(tmp_path / "w.safetensors")

    @pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
    @pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "module", None])
    @pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
    def test_wrapped(self, tmp_path, suffix, key, prefix):
        state = {prefix + name: tensor for name, tensor in linear_weights().items()}
        torch.save(
            state if key is None else {key: state, "epoch": 3, "args": Namespace(lr=0.1)}, tmp_path / f"w{suffix}"
        )
        check_read(tmp_path / f"w{suffix}")

    def test_wrapped_twice(self, tmp_path):
        torch.save({"model": {"state_dict": linear_weights()}}, tmp_path / "w.pt")
        check_read(tmp_path / "w.pt")

    def test_no_such_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no weight file .*w\.pt"):
            read_weights(tmp_path / "w.pt")

    @pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
    @pytest.mark.parametrize("content", [b"<!DOCTYPE html>" * 9, b"", b"PK\x03\x04 cut off"])
    def test_other_files_are_refused(self, tmp_path, suffix, content):
        (tmp_path / f"w{suffix}").write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read as weights.*Save model\.state_dict"):
            read_weights(tmp_path / f"w{suffix}")

    def test_nothing_is_executed(self, tmp_path):
        class Malice:
            def __reduce__(self):
                return Path.touch, (tmp_path / "executed",)

        torch.save({"model": Malice()}, tmp_path / "w.pt")
        with pytest.raises(ValueError, match="cannot be read as weights"):
            read_weights(tmp_path / "w.pt")
        assert not (tmp_path / "executed").exists()

    @pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
    def test_torchscript(self, tmp_path):
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).half()
        torch.jit.script(model).save(tmp_path / "w.pt")
        found = read_weights(tmp_path / "w.pt")
        assert found.keys() == model.state_dict().keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())

    @pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(1), {}, {0: torch.zeros(1)}])
    def test_no_tensors_by_name(self, tmp_path, content):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(ValueError, match="instead of tensors by name"):
            read_weights(tmp_path / "w.pt")

    def test_a_dictionary_that_contains_itself_is_refused(self, tmp_path):
        content = {}
        content["state_dict"] = content
        torch.save(content, tmp_path / "w.pt")
        assert read_weights(tmp_path / "w.pt").keys() == {"state_dict"}  # no tensor, as whoever wants one will say

    @pytest.mark.parametrize("content", [b"", b"\x80\x02.", b"\x80\x02K\x01K", b"PK\x05\x06" + bytes(18), b"a\n" * 100])
    def test_any_error_of_torch_becomes_a_value_error(self, content, tmp_path):
        (tmp_path / "w.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"w\.pt cannot be read as weights"):
            read_weights(tmp_path / "w.pt")


class TestCheckFit:
    def test_a_matching_state_dict_is_accepted(self):
        check_state_dict(linear_weights(), linear_weights(), ignored=(), what="it")
        check_state_dict(
            {**linear_weights(), "head.bias": torch.zeros(2)}, linear_weights(), ignored=("head",), what="it"
        )

    def test_every_problem_is_named(self):
        state = {"fc.weight": torch.zeros(3, 2), "neck": torch.zeros(1)}
        with pytest.raises(ValueError) as error:
            check_state_dict(state, linear_weights(), ignored=("head",), what="it")
        assert (
            "it: 1 missing: fc.bias; 1 unknown: neck; 1 of another shape: fc.weight (3, 2) instead of (2, 3)."
            in str(error.value)
        )

    def test_at_most_ten_names_and_the_count_are_listed(self):
        with pytest.raises(ValueError, match="12 missing: t00, ") as error:
            check_state_dict({}, {f"t{i:02}": torch.zeros(1) for i in range(12)}, ignored=(), what="it")
        assert "t09." in str(error.value)
        assert "t10" not in str(error.value)
