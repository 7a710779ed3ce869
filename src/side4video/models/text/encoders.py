"""Encoders: split a clean text into the pieces of a vocabulary. CLIP's own, and those of local tokeniser files."""

import re
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from open_clip.tokenizer import SimpleTokenizer

from side4video.models.text.pieces import Piece, pieces_from_bytes

UNKNOWN_TOKENS = ("<unk>", "[UNK]")
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_SPACE = "▁Ġ "  # SentencePiece's and byte-level signs of a space
_FAIRSEQ = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
"""Numbers of XLM-R's special tokens; every other number is that of its SentencePiece file plus one."""


class Encoder(Protocol):
    """Splits texts into pieces of a vocabulary, without tokens for their start and end.

    >>> encoder: Encoder = ClipEncoder()
    >>> encoder.vocab_size, encoder.id_of("<end_of_text>")
    (49408, 49407)
    """

    vocab_size: int

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of the pieces of each text."""

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text."""

    def id_of(self, token: str) -> int | None:
        """Number of a special token; None if the vocabulary does not have it."""


class ClipEncoder:
    """CLIP's byte-pair vocabulary, which is part of the open_clip package.

    >>> ClipEncoder().ids(["a dog runs"])
    [[320, 1929, 5586]]
    """

    def __init__(self) -> None:
        self._tokenizer: Any = SimpleTokenizer()
        self._tokenizer.clean_fn = str  # texts are clean already
        self.vocab_size: int = self._tokenizer.vocab_size

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of the pieces of each text."""
        return [self._tokenizer.encode(text) for text in texts]

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text that is clean already."""
        tokenizer = self._tokenizer
        starts = list(accumulate((len(letter.encode()) for letter in text), initial=0))
        spans: list[tuple[int, int, int, bool]] = []
        for match in tokenizer.pat.finditer(text):
            letters = "".join(tokenizer.byte_encoder[byte] for byte in match.group().encode())
            byte = starts[match.start()]
            for part in tokenizer.bpe(letters).split(" "):
                size = len(part.removesuffix("</w>"))
                spans.append((tokenizer.encoder[part], byte, byte + size, True))
                byte += size
        return pieces_from_bytes(text, spans)

    def id_of(self, token: str) -> int | None:
        """Number of a special token; None if the vocabulary does not have it."""
        return self._tokenizer.encoder.get(token)


class TokenizersEncoder:
    """A tokenizer.json file, read by the `tokenizers` library.

    Raises:
        ValueError: the file is not a tokenizer.json.

    >>> from tokenizers import Tokenizer, models
    >>> Tokenizer(models.WordLevel({"dog": 0, "?": 1}, unk_token="?")).save("tokenizer.json")
    >>> TokenizersEncoder(Path("tokenizer.json")).ids(["dog", "cat"])
    [[0], [1]]
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare exceptions
            raise ValueError(
                f"{path} is not a tokenizer.json of the tokenizers library: {str(error)[:300]}. A model's repository "
                "on the hub has it next to tokenizer_config.json."
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocab_size: int = self._tokenizer.get_vocab_size()
        self._unknown = {self.id_of(token) for token in UNKNOWN_TOKENS}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of the pieces of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text. A piece that is only a space is empty: the library gives it the next letter."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            Piece(
                number,
                start,
                start if not token.strip(_SPACE) else end,
                number not in self._unknown and not _BYTE.fullmatch(token),
            )
            for number, token, (start, end) in zip(found.ids, found.tokens, found.offsets, strict=True)
        ]

    def id_of(self, token: str) -> int | None:
        """Number of a special token; None if the vocabulary does not have it."""
        return self._tokenizer.token_to_id(token)


class SentencePieceEncoder:
    """A SentencePiece model file, such as spiece.model or sentencepiece.bpe.model.

    Args:
        path: the file.
        fairseq: number the pieces as XLM-R does.

    Raises:
        ValueError: the file is not a SentencePiece model.

    >>> from sentencepiece import SentencePieceTrainer
    >>> sentences = {"sentence_iterator": iter(["a dog"] * 9), "minloglevel": 2}
    >>> SentencePieceTrainer.train(**sentences, model_prefix="spiece", vocab_size=8, model_type="char")
    >>> SentencePieceEncoder(Path("spiece.model")).vocab_size
    8
    """

    def __init__(self, path: Path, *, fairseq: bool = False) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor: Any = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(path.read_bytes())
        except RuntimeError as error:
            raise ValueError(f"{path} is not a SentencePiece model: {str(error)[:300]}.") from error
        self._fairseq = fairseq
        self.vocab_size: int = self._processor.get_piece_size() + fairseq

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of the pieces of each text."""
        return [[self._number(piece) for piece in found] for found in self._processor.encode(list(texts))]

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text. All bytes of a character cover it: the library gives the character to the last one."""
        spans: list[tuple[int, int, int, bool]] = []
        for piece in reversed(self._processor.encode(text, return_type="proto").pieces):
            is_byte = self._processor.is_byte(piece.id)
            end = spans[-1][2] if is_byte and piece.begin == piece.end and spans else piece.end
            known = not is_byte and not self._processor.is_unknown(piece.id)
            spans.append((self._number(piece.id), piece.begin, end, known))
        return pieces_from_bytes(text, spans[::-1])

    def id_of(self, token: str) -> int | None:
        """Number of a special token; None if the vocabulary does not have it."""
        if self._fairseq and token in _FAIRSEQ:
            return _FAIRSEQ[token]
        number = self._processor.piece_to_id(token)
        return self._number(number) if self._processor.id_to_piece(number) == token else None

    def _number(self, piece: int) -> int:
        if not self._fairseq:
            return piece
        return _FAIRSEQ["<unk>"] if piece == self._processor.unk_id() else piece + 1


def read_encoder(path: Path, *, fairseq: bool = False) -> Encoder:
    """Read a tokeniser file: a tokenizer.json, or a SentencePiece model. Its first bytes decide which.

    Args:
        path: the file.
        fairseq: a SentencePiece model is XLM-R's.

    Raises:
        ValueError: the file is neither.
    """
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if not head:
        raise ValueError(f"{path} is empty. Copy the tokeniser file again.")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a pointer of Git LFS, not the file itself. Fetch it with git lfs pull.")
    if head.startswith(b"<"):
        raise ValueError(f"{path} is a web page, not a tokeniser file. Download the file itself.")
    if not head.startswith(b"{"):
        return SentencePieceEncoder(path, fairseq=fairseq)
    return TokenizersEncoder(path)
