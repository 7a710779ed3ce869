"""Finds the tokeniser of a text tower, on the hub or in local files, and checks that they belong together."""

from pathlib import Path

from open_clip.pretrained import download_pretrained_from_hf
from open_clip.tokenizer import get_clean_fn

from side4video.models.text.encoders import Encoder, read_encoder
from side4video.models.text.text_settings import TextSettings
from side4video.models.text.tokeniser import Tokeniser, clip_tokeniser
from side4video.models.text.tokeniser_kinds import CLIP, TokeniserKind, tokeniser_kind

LOCAL_FILES = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
"""Names of tokeniser files in a folder, best first."""
_SMALLEST, _LARGEST = 0.95, 1.005
"""Size of a vocabulary as a share of the tower's table. BERT's fills 95.4 % of CLIPA's table; the files of SigLIP's
multilingual models have 0.04 % more entries than theirs, which never occur in texts."""


def load_tokeniser(settings: TextSettings, *, file: Path | None = None, vocab_size: int | None = None) -> Tokeniser:
    """Load the tokeniser of a text tower.

    Args:
        settings: the tower.
        file: a tokenizer.json, a SentencePiece model, or a folder with one of them. Default: CLIP's is part of
            open_clip, others are downloaded from the hub once and cached.
        vocab_size: number of rows of the tower's table of tokens. Default: as in the settings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a tokeniser, or does not belong to the tower.
        OSError: the file cannot be downloaded.
    """
    kind = tokeniser_kind(settings.text)
    rows = vocab_size or int(settings.text["vocab_size"])
    if file is None and kind is CLIP:
        return clip_tokeniser()
    path = _download(settings, kind) if file is None else _find(file.expanduser(), kind, settings.name)
    encoder = read_encoder(path, fairseq=kind.fairseq)
    _check(encoder, kind, settings.name, rows, str(path))
    own = "lower" if kind is CLIP else "whitespace"
    clean = settings.text.get("tokenizer_kwargs", {}).get("clean", own)
    return Tokeniser(kind, encoder, clean=get_clean_fn(clean), file=path)


def _check(encoder: Encoder, kind: TokeniserKind, name: str, rows: int, source: str) -> None:
    """Check the size of the vocabulary and the numbers of the special tokens."""
    remedy = f"Give {kind.title} tokeniser, the one that {name} was trained with: --text.tokenizer FILE."
    if not _SMALLEST * rows <= encoder.vocab_size <= _LARGEST * rows:
        raise ValueError(
            f"{source} has {encoder.vocab_size:,} tokens, but the text tower of {name} has {rows:,}. {remedy}"
        )
    found = {token: encoder.id_of(token) for token in kind.special}
    if found != kind.special:
        listed = ", ".join(f"{token} is {found[token]}, not {kind.special[token]}" for token in kind.special)
        raise ValueError(f"{source} does not belong to {name}: in its vocabulary {listed}. {remedy}")


def _find(path: Path, kind: TokeniserKind, name: str) -> Path:
    names = [file for file in (*kind.files, *LOCAL_FILES) if (path / file).is_file()]
    if path.is_file():
        return path
    if names:
        return path / names[0]
    what = "is a folder without a tokeniser file" if path.is_dir() else "does not exist"
    raise FileNotFoundError(f"--text.tokenizer {path} {what}. {_wanted(kind, name)}")


def _download(settings: TextSettings, kind: TokeniserKind) -> Path:
    repository, reasons = settings.text["hf_tokenizer_name"], []
    for file in kind.files:
        try:
            return Path(download_pretrained_from_hf(repository, filename=file))
        except (OSError, RuntimeError, ValueError) as error:
            reasons.append(f"{file}: {type(error).__name__}: {str(error)[:200]}")
            if "404" not in str(error):  # the hub cannot be reached, so further files need no attempts
                break
    raise OSError(
        f"The tokeniser of {settings.name} cannot be loaded from the hub ({'; '.join(reasons)}). Without a connection, "
        f"download {' or '.join(kind.files)} of https://huggingface.co/{repository} elsewhere and give its path: "
        "--text.tokenizer FILE."
    )


def _wanted(kind: TokeniserKind, name: str) -> str:
    files = kind.files or ("tokenizer.json",)
    return f"{name} needs {kind.title} tokeniser: {' or '.join(files)}, or a folder with one of them."
