"""What a file is, by its first bytes: files without weights are explained, whatever their name."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save, save_file

from side4video.models.backbones.weight_files import read_weights
from side4video.models.backbones.weight_formats import weight_format

STATE = {"fc.weight": torch.arange(6.0).view(2, 3)}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 351450000\n"


def zip_of_nine_disks():
    whole = torch_bytes()
    end = whole.rindex(b"PK\5\6")
    return whole[:end] + b"PK\6\6" + bytes(52) + b"PK\6\7" + struct.pack("<LQL", 0, end, 9) + whole[end:]


def torch_bytes(state=STATE, **kwargs):
    buffer = io.BytesIO()
    torch.save(state, buffer, **kwargs)
    return buffer.getvalue()


def zip_bytes(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_bytes():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pt"))
    return buffer.getvalue()


def numpy_bytes(write, *args, **kwargs):
    buffer = io.BytesIO()
    write(buffer, *args, **kwargs)
    return buffer.getvalue()


def onnx_bytes():
    graph = onnx.helper.make_graph([], "empty", [], [])
    return onnx.helper.make_model(graph, producer_name="pytorch").SerializeToString()


def msgpack_bytes():
    """{"params": {"kernel": ...}}, as Flax writes it: https://github.com/msgpack/msgpack/blob/master/spec.md."""
    return b"\x81\xa6params\x81\xa6kernel\xc7\x10\x01" + bytes(16)


REFUSED = {
    "empty": (b"", r"it is empty \(0 bytes\)"),
    "lfs": (LFS, r"Git LFS pointer in place of the file of 351,450,000 bytes\. Run `git lfs pull`"),
    "annex": (b"/annex/objects/SHA256E-s5--ab.pt\n", "git-annex pointer"),
    "html": (b"\n <!DOCTYPE html><html><head><title>Sign in</title></head>", "HTML or XML page, .*Sign in"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "HTML or XML page.*AccessDenied"),
    "json": (b'{"error": "Access to model x/y is restricted"}', "it is JSON, beginning with .*restricted"),
    "text": (b"Entry not found", "a text file, beginning with 'Entry not found'"),
    "zeros": (bytes(4096), "begins with zeros"),
    "zip-of-nine-disks": (zip_of_nine_disks(), "corrupt \\(zipfiles that span multiple disks"),
    "cut-zip": (torch_bytes()[:-30], "incomplete: the end of its ZIP archive is missing"),
    "cut-safetensors": (save(STATE)[:-8], r"incomplete: it has \d+ of \d+ bytes"),
    "cut-safetensors-header": (save(STATE)[:40], r"incomplete: it has 40 of \d+ bytes"),
    "gzip": (gzip.compress(b"weights"), "compressed with gzip. Unpack it"),
    "zip": (zip_bytes(**{"folder/model.pt": b"x"}), "ZIP archive with folder/model.pt. Unpack it"),
    "tar": (tar_bytes(), "tar archive. Unpack it"),
    "keras": (zip_bytes(**{"config.json": b"{}", "model.weights.h5": b"x"}), "a model of Keras"),
    "npz": (numpy_bytes(np.savez, kernel=np.zeros(3)), r"arrays of NumPy \(\.npz\), as of JAX"),
    "npy": (numpy_bytes(np.save, np.zeros(3)), "an array of NumPy"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, as of TensorFlow"),
    "gguf": (b"GGUF\x03" + bytes(99), "a GGUF file"),
    "onnx": (onnx_bytes(), "such as an ONNX or TensorFlow model"),
    "msgpack": (msgpack_bytes(), "MessagePack file, as of JAX and Flax"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_files_without_weights_are_explained(kind, tmp_path):
    content, said = REFUSED[kind]
    path = tmp_path / ("w.safetensors" if len(kind) % 2 else "w.bin")  # the name does not matter
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read as weights: .*{said}") as error:
        read_weights(path)
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ".safetensors", ""])
def test_the_content_decides_and_not_the_name(suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    for content, kind in (
        (save(STATE), "safetensors"),
        (torch_bytes(), "torch"),
        (torch_bytes(_use_new_zipfile_serialization=False), "torch"),
    ):
        path.write_bytes(content)
        assert weight_format(path) == kind
        assert torch.equal(read_weights(path)["fc.weight"], STATE["fc.weight"])


def test_an_object_in_a_pickle_is_named(tmp_path):
    torch.save({"model": STATE, "config": Fraction(1, 2)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"contains a Python object \(fractions\.Fraction\)"):
        read_weights(tmp_path / "w.pt")


class TestFolders:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (("model.safetensors", "pytorch_model.bin", "tf_model.h5"), "model.safetensors"),
            (("pytorch_model.bin", "training_args.bin"), "pytorch_model.bin"),
            (("vit.pth", "README.md"), "vit.pth"),
        ],
    )
    def test_the_model_of_a_folder(self, names, expected, tmp_path):
        for name in names:
            number = torch.full((1,), float(name == expected))
            save_file({"w": number}, tmp_path / name)
        assert read_weights(tmp_path)["w"].item() == 1

    def test_a_model_in_the_cache_of_the_hub(self, tmp_path):
        folder = tmp_path / "models--user--vit/snapshots/0a1b"
        folder.mkdir(parents=True)
        save_file(STATE, folder / "model.safetensors")
        assert read_weights(tmp_path / "models--user--vit").keys() == STATE.keys()

    def test_several_models(self, tmp_path):
        for name in ("a.pt", "b.pt"):
            torch.save(STATE, tmp_path / name)
        with pytest.raises(ValueError, match=r"several models: a\.pt, b\.pt\. Give one file"):
            read_weights(tmp_path)

    def test_no_model(self, tmp_path):
        (tmp_path / "flax_model.msgpack").touch()
        with pytest.raises(FileNotFoundError, match=r"has no weights .* only: flax_model\.msgpack"):
            read_weights(tmp_path)

    def test_a_distributed_checkpoint(self, tmp_path):
        (tmp_path / "__0_0.distcp").touch()
        with pytest.raises(ValueError, match=r"distributed checkpoint of PyTorch.*dcp_to_torch"):
            read_weights(tmp_path)

    def test_sharded_torch_files(self, tmp_path):
        for number, name in enumerate(("one", "two"), start=1):
            torch.save({name: torch.tensor(number)}, tmp_path / f"pytorch_model-0000{number}-of-00002.bin")
        parts = {name: f"pytorch_model-0000{number}-of-00002.bin" for number, name in enumerate(("one", "two"), 1)}
        index = tmp_path / "pytorch_model.bin.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": parts}), encoding="utf-8-sig")
        for path in (tmp_path, index, tmp_path / "pytorch_model-00002-of-00002.bin"):
            assert {name: int(number) for name, number in read_weights(path).items()} == {"one": 1, "two": 2}

    @pytest.mark.parametrize("part", ["../secret.bin", "/etc/passwd", "a\\b", ""])
    def test_an_index_stays_in_its_folder(self, part, tmp_path):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": part}}))
        with pytest.raises(ValueError, match="its parts are not file names"):
            read_weights(tmp_path)

    @pytest.mark.parametrize("content", ["", "[]", '{"weight_map": []}', "[" * 100_000])
    def test_a_corrupt_index(self, content, tmp_path):
        (tmp_path / "model.safetensors.index.json").write_text(content)
        with pytest.raises(ValueError, match="is not the index of a sharded model"):
            read_weights(tmp_path)

    def test_parts_that_hold_the_same_tensor(self, tmp_path):
        for number in (1, 2):
            save_file(STATE, tmp_path / f"model-0000{number}-of-00002.safetensors")
        with pytest.raises(ValueError, match=r"contains fc\.weight again"):
            read_weights(tmp_path)

    def test_the_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        save_file(STATE, tmp_path / "w.safetensors")
        assert read_weights(Path("~/w.safetensors")).keys() == STATE.keys()

    def test_a_name_of_the_hub_is_explained(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FileNotFoundError, match=r"hf download openai/clip-vit-base-patch16 --local-dir"):
            read_weights(Path("openai/clip-vit-base-patch16"))
