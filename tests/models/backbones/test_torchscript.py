"""TorchScript archives: all tensors of real ones are read, and no code of malicious ones is executed."""

import io
import pickle
import tracemalloc
import zipfile

import pytest
import torch
from torch import nn

from side4video.models.backbones.torchscript import is_torchscript, read_torchscript

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


class Nested(nn.Module):
    """Views of one storage, an empty tensor, integers and half precision, as in real archives."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 2).half()])
        whole = torch.arange(12.0)
        self.register_buffer("rows", whole.reshape(3, 4)[1:])
        self.register_buffer("columns", whole.reshape(3, 4).T)
        self.register_buffer("steps", torch.tensor(7))
        self.register_buffer("nothing", torch.empty(0))

    def forward(self, x):
        return self.layers[0](x)


@pytest.fixture
def archive(tmp_path):
    torch.jit.script(Nested()).save(tmp_path / "archive.pt")
    return tmp_path / "archive.pt"


def test_every_tensor_is_found(archive):
    assert is_torchscript(archive)
    expected = torch.jit.load(archive).state_dict()
    found = read_torchscript(archive)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def test_other_files_are_not_torchscript(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("no archive")
    assert not is_torchscript(tmp_path / "state.pt")
    assert not is_torchscript(tmp_path / "text.pt")


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


@pytest.mark.parametrize("payload", [Evil(), {"weight": Evil()}])
def test_no_code_is_executed(archive, tmp_path, monkeypatch, payload):
    monkeypatch.chdir(tmp_path)
    forged = replace_data(archive, tmp_path / "forged.pt", pickle.dumps(payload))
    with pytest.raises(ValueError, match="which no weight file needs"):
        read_torchscript(forged)
    assert not (tmp_path / "executed").exists()


def test_tensors_that_exceed_their_storage_are_refused(archive, tmp_path):
    class Beyond(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if obj == "here" else None

    content = io.BytesIO()
    pickler = Beyond(content, protocol=2)

    class Tensor:
        def __reduce__(self):
            return (torch._utils._rebuild_tensor_v2, ("here", 10**6, (2,), (1,), False, {}))

    pickler.dump({"weight": Tensor()})
    forged = replace_data(archive, tmp_path / "forged.pt", content.getvalue())
    with pytest.raises(ValueError, match="exceeds its storage"):
        read_torchscript(forged)


def test_a_damaged_archive_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:-400])
    assert not is_torchscript(archive)
    with pytest.raises(ValueError, match="cannot be read as a TorchScript archive"):
        read_torchscript(archive)


def test_missing_storages_are_refused(archive, tmp_path):
    forged = tmp_path / "forged.pt"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(forged, "w") as new:
        for name in old.namelist():
            if not name.endswith("/data/0"):
                new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match="cannot be read as a TorchScript archive"):
        read_torchscript(forged)


def doubled(levels):
    """A small dictionary that contains another one twice, and so on: it has too many parts to visit."""
    content = {}
    for _ in range(levels):
        content = {"a": content, "b": content}
    return content


def in_itself():
    content = {}
    content["part"] = content
    return content


@pytest.mark.parametrize("content", [doubled(60), in_itself()], ids=["doubled", "in itself"])
def test_exponential_nesting_is_refused(archive, tmp_path, content):
    forged = replace_data(archive, tmp_path / "forged.pt", pickle.dumps(content, protocol=2))
    with pytest.raises(ValueError, match="it has more than 100000 parts"):
        read_torchscript(forged)


def test_a_large_memo_index_takes_no_memory(archive, tmp_path):
    """An instruction that stores a value at memo index 2^32 - 1, for which C's unpickler allocates a table."""
    tracemalloc.start()
    forged = replace_data(archive, tmp_path / "forged.pt", b"\x80\x02}r\xff\xff\xff\xff.")
    assert read_torchscript(forged) == {}
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_a_corrupt_zip_directory_is_not_an_archive(archive):
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"PK\x01\x02", b"PK\x01\xff"))
    assert not is_torchscript(archive)


def replace_data(archive, forged, content):
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(forged, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith("/data.pkl") else old.read(name))
    return forged
