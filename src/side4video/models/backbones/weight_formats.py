"""Detects what a weight file is by its first bytes, never by its name, and explains files that hold no weights."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

from side4video.models.backbones.torchscript import is_torchscript

Format = Literal["safetensors", "torchscript", "torch"]

_DOWNLOAD = "Download the file again, with a tool that checks its size, such as `hf download`."
_CONVERT = "Convert it to a .safetensors file, or get the file for PyTorch of the same model."
_UNPACK = "Unpack it, and give the weight file inside."

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer in place of the file", "Run `git lfs pull`."),
    (b"/annex/objects/", "a git-annex pointer in place of the file", "Run `git annex get`."),
    (b"GGUF", "a GGUF file, for llama.cpp", _CONVERT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as of TensorFlow and Keras", _CONVERT),
    (b"\x93NUMPY", "an array of NumPy", _CONVERT),
    (b"\x1f\x8b", "compressed with gzip", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"%PDF", "a PDF document", _DOWNLOAD),
    (b"\x89PNG", "a PNG image", _DOWNLOAD),
    (b"\xff\xd8\xff", "a JPEG image", _DOWNLOAD),
)
"""First bytes of a file, what it is, and the remedy."""

_PICKLE_PROTOCOLS = range(2, 6)
_ONNX_FIELDS = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42}  # tags of the fields that can follow the version
_HEAD_BYTES = 512
_SAFETENSORS_HEADER_BYTES = 100_000_000  # the format's own limit


def weight_format(path: Path) -> Format:
    """The format of a weight file, by its content.

    Raises:
        ValueError: the file holds no weights that can be read: it is empty, incomplete, an error page, a Git LFS
            pointer, an archive, or of another framework. The message says which, and the remedy.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not size:
        raise _refusal(path, "it is empty (0 bytes)", _DOWNLOAD)
    if _is_safetensors(head):
        _check_complete(path, size)
        return "safetensors"
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"}:
        return _zip_format(path)
    _refuse_known(path, head, size)
    return "torch"


def _refusal(path: Path, what: str, remedy: str) -> ValueError:
    return ValueError(
        f"{path} cannot be read as weights: {what}. {remedy} Weights are a .safetensors file, a torch.save file with "
        "tensors and plain containers, or a TorchScript archive. Save model.state_dict() and nothing else."
    )


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and head[8:9] == b"{" and 2 <= length <= _SAFETENSORS_HEADER_BYTES


def _check_complete(path: Path, size: int) -> None:
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(8), "little")
        header = file.read(header_length)
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        needed = 8 + header_length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        if len(header) < header_length:
            needed = 8 + header_length
        else:
            return  # corrupt: the library's own error says how
    if size < needed:
        raise _refusal(path, f"it is incomplete: it has {size:,} of {needed:,} bytes", _DOWNLOAD)


def _zip_format(path: Path) -> Format:
    names = None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _refusal(path, f"its ZIP archive is corrupt ({error})", _DOWNLOAD) from None
    if names is None:
        raise _refusal(path, "it is incomplete: the end of its ZIP archive is missing", _DOWNLOAD)
    if is_torchscript(path):
        return "torchscript"
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        raise _refusal(path, "it contains arrays of NumPy (.npz), as of JAX", _CONVERT)
    if any(name.endswith("weights.h5") for name in names):
        raise _refusal(path, "it is a model of Keras", _CONVERT)
    raise _refusal(path, f"it is a ZIP archive with {', '.join(names[:3]) or 'nothing in it'}", _UNPACK)


def _refuse_known(path: Path, head: bytes, size: int) -> None:
    for signature, what, remedy in _SIGNATURES:
        if head.startswith(signature):
            raise _refusal(path, f"it is {what}{_lfs_size(head)}", remedy)
    if not any(head):
        raise _refusal(path, "it begins with zeros: the download or the copy did not finish", _DOWNLOAD)
    if tarfile.is_tarfile(path):
        raise _refusal(path, "it is a tar archive", _UNPACK)
    if head[4:8] == b"TFL3":
        raise _refusal(path, "it is a model of TensorFlow Lite", _CONVERT)
    if _is_msgpack(head):
        raise _refusal(path, "it is a MessagePack file, as of JAX and Flax", _CONVERT)
    if head[0] == 0x08 and len(head) > 2 and head[1] < 0x20 and head[2] in _ONNX_FIELDS:
        raise _refusal(path, "it is a graph in protobuf, such as an ONNX or TensorFlow model", _CONVERT)
    if (text := _as_text(head)) is not None:
        _refuse_text(path, text, size)


def _lfs_size(head: bytes) -> str:
    sizes = [line.split()[1] for line in head.splitlines() if line.startswith(b"size ") and len(line.split()) > 1]
    return f" of {int(sizes[0]):,} bytes" if head.startswith(b"version") and sizes and sizes[0].isdigit() else ""


def _is_msgpack(head: bytes) -> bool:
    """Whether it begins with a map whose first key is a text."""
    small = 0x81 <= head[0] <= 0x8F and len(head) > 1 and _is_text_header(head[1])
    return small or (head[0] == 0xDE and len(head) > 3 and _is_text_header(head[3]))


def _is_text_header(byte: int) -> bool:
    return 0xA1 <= byte <= 0xBF or byte in {0xD9, 0xDA}


def _as_text(head: bytes) -> str | None:
    """The beginning of a text file without its blanks; None: it is binary. Pickles of protocol 0 look like text."""
    if head[0] == 0x80 and len(head) > 1 and head[1] in _PICKLE_PROTOCOLS:
        return None
    text = head.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    return text if text and all(letter.isprintable() or letter in "\t\r\n" for letter in text) else None


def _refuse_text(path: Path, text: str, size: int) -> None:
    start = " ".join(text[:200].split())
    if text[:1] == "<":
        raise _refusal(path, f"it is an HTML or XML page, of an error or a login: {start[:80]!r}", _DOWNLOAD)
    if text[:1] in "{[":
        raise _refusal(path, f"it is JSON, beginning with {start[:80]!r}", _DOWNLOAD)
    if size < 2**20 and not text.startswith(("(", "c", "]")):  # pickles of protocol 0 begin so
        raise _refusal(path, f"it is a text file, beginning with {start[:80]!r}", _DOWNLOAD)
