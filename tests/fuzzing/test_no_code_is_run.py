"""No reader executes a pickle, in place of any file that it reads."""

import contextlib
import io
import itertools
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fuzzing.targets import ORIGINALS, READERS


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def as_archive(content):
    """A ZIP archive with the file names of TorchScript and this pickle as its data."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in (
            ("a/data.pkl", content),
            ("a/constants.pkl", content),
            ("a/code/x.py", b""),
            ("a/version", b"3"),
        ):
            file.writestr(name, text)
    return archive.getvalue()


def saved(save, *arguments, **options):
    file = io.BytesIO()
    save(file, *arguments, **options)
    return file.getvalue()


PAYLOADS = {
    "pickle, protocol 0": lambda attack: pickle.dumps(attack, 0),
    "pickle, protocol 4": lambda attack: pickle.dumps({"video0": [attack]}, 4),
    "torch.save": lambda attack: saved(lambda file: torch.save({"state_dict": attack}, file)),
    "old torch.save": lambda attack: saved(
        lambda file: torch.save({"weight": attack}, file, _use_new_zipfile_serialization=False)
    ),
    "TorchScript": lambda attack: as_archive(pickle.dumps(attack, 2)),
    "npy": lambda attack: saved(np.save, np.array([attack], dtype=object), allow_pickle=True),
    "npz": lambda attack: saved(np.savez, weight=np.array([attack], dtype=object)),
    "safetensors header and pickle": lambda attack: (2).to_bytes(8, "little") + b"{}" + pickle.dumps(attack),
    "text before a pickle": lambda attack: b"video,caption\n" + pickle.dumps(attack, 0),
}


@pytest.mark.parametrize("target", ORIGINALS)
def test_no_pickle_is_executed(target, tmp_path):
    folder, executed = tmp_path / "files", tmp_path / "executed"
    folder.mkdir()
    ORIGINALS[target](folder)
    contents = {payload: make(Attack(executed)) for payload, make in PAYLOADS.items()}
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for path, payload in itertools.product(whole, contents):
        path.write_bytes(contents[payload])
        with warnings.catch_warnings(), contextlib.suppress(ValueError, FileNotFoundError):
            warnings.simplefilter("ignore")
            READERS[target](folder)
        assert not executed.exists(), (path.name, payload)
        path.write_bytes(whole[path])


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_unpickling_would_run_the_code(protocol, tmp_path):
    pickle.loads(pickle.dumps(Attack(tmp_path / "executed"), protocol))
    assert (tmp_path / "executed").exists()
