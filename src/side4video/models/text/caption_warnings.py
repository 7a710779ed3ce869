"""Warnings about captions that a text tower cannot read as they are: too long, or in a language it does not know."""

from collections.abc import Sequence
from statistics import fmean

from side4video.models.text.tokeniser import Tokeniser, clip_tokeniser
from side4video.models.text.tokeniser_kinds import CLIP

MOSTLY = 0.5
"""A caption is mostly unknown if the tokeniser does not know this share of its letters, or more."""


def describe_truncated(captions: Sequence[str], *, max_words: int, tokeniser: Tokeniser | None = None) -> list[str]:
    """A sentence that says how many captions the tokeniser truncates, and the remedy; empty if it truncates none.

    Args:
        captions: the captions.
        max_words: the largest number of tokens, with start and end.
        tokeniser: Default: CLIP's.

    >>> describe_truncated(["a dog", "a dog runs"], max_words=4)[0]
    "1 of 2 captions are longer than --text.max-words 4 (CLIP's tokens, with start and end) and are cut: 'a dog runs'. The longest has 5."
    """  # noqa: E501
    tokeniser = tokeniser or clip_tokeniser()
    counts = tokeniser.count(captions)
    cut = [caption for caption, count in zip(captions, counts, strict=True) if count > max_words]
    if not cut:
        return []
    return [
        f"{len(cut)} of {len(captions)} captions are longer than --text.max-words {max_words} ({tokeniser.kind.title} "
        f"tokens, with start and end) and are cut: {_shortened(cut[0])!r}. The longest has {max(counts)}."
    ]


def describe_unknown(
    captions: Sequence[str], *, tokeniser: Tokeniser | None = None, what: str = "captions"
) -> list[str]:
    """A sentence that says how many captions are mostly unknown to the tokeniser; empty if none is.

    Args:
        captions: the captions.
        tokeniser: Default: CLIP's.
        what: what the texts are, for the sentence.

    >>> describe_unknown(["a dog runs", "一只狗在跑"])[0][:86]
    "1 of 2 captions are mostly unknown to CLIP's tokeniser: it has no token for 100% of th"
    """
    tokeniser = tokeniser or clip_tokeniser()
    has_ascii = tokeniser.kind is CLIP  # its vocabulary has every letter of English
    shares = [0.0 if has_ascii and caption.isascii() else tokeniser.unknown_share(caption) for caption in captions]
    unknown = {caption: share for caption, share in zip(captions, shares, strict=True) if share >= MOSTLY}
    if not unknown:
        return []
    return [
        f"{sum(share >= MOSTLY for share in shares)} of {len(captions)} {what} are mostly unknown to "
        f"{tokeniser.kind.title} tokeniser: it has no token for {fmean(unknown.values()):.0%} of their letters, such "
        f"as {_shortened(next(iter(unknown)))!r}. The text tower was not trained on their language. Use a multilingual "
        f"model, such as siglip2-b16, or translate the {what}."
    ]


def describe_unread(captions: Sequence[str], *, max_words: int, tokeniser: Tokeniser) -> list[str]:
    """The sentences of `describe_truncated` and `describe_unknown`."""
    return [
        *describe_truncated(captions, max_words=max_words, tokeniser=tokeniser),
        *describe_unknown(captions, tokeniser=tokeniser),
    ]


def _shortened(caption: str) -> str:
    return caption if len(caption) <= 80 else f"{caption[:77]}..."
