"""CLIP's text tower and tokeniser: embeds each word of a caption and the whole sentence."""

import difflib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from jaxtyping import Bool, Float, Int
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer
from torch import Tensor, nn

from side4video.models.backbones.text_weights import read_text_weights
from side4video.models.backbones.weight_files import check_state_dict
from side4video.models.backbones.weight_kinds import describe_weights, is_openai_clip
from side4video.parameters import as_list

INITIAL_LOGIT_SCALE = 2.6592600  # ln(1 / 0.07), CLIP's own initial value (arXiv 2103.00020, section 2.5)
_LAYER_SETTINGS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}


class TextTower(nn.Module):
    """A causal text transformer; retrieval training fine-tunes it at a very low learning rate.

    Args:
        model: open_clip's `TextTransformer` with a text projection.
        logit_scale: natural logarithm of the factor on similarities; becomes a parameter.

    Attributes:
        embed_dim: E, width of the embeddings.
        context_length: maximum number of words in a caption, including start and end of the text.

    >>> tower = load_text_tower("ViT-B-16-quickgelu", weights="random", model_args={"layers": 1, "width": 64})
    >>> ids, mask = tokenise(["a dog runs", "a dog"], max_words=6)
    >>> words, sentences = tower(ids)
    >>> words.shape, sentences.shape
    (torch.Size([2, 6, 512]), torch.Size([2, 512]))
    """

    def __init__(self, model: TextTransformer, *, logit_scale: float = INITIAL_LOGIT_SCALE) -> None:
        super().__init__()
        self.model = model
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale))
        self.embed_dim: int = model.text_projection.shape[1]
        self.context_length: int = model.context_length

    def forward(self, ids: Int[Tensor, "C W"]) -> tuple[Float[Tensor, "C W E"], Float[Tensor, "C E"]]:
        """Embeddings of all words and of the end of the text, in the space of the frame embeddings, not normalised."""
        model, W = self.model, ids.shape[1]  # noqa: N806
        x = model.token_embedding(ids) + model.positional_embedding[:W]
        x = model.transformer(x, attn_mask=model.attn_mask[:W, :W])  # open_clip's own forward takes only full rows
        x = model.ln_final(x)
        ends = x[torch.arange(len(ids), device=ids.device), ids.argmax(dim=1)]
        return x @ model.text_projection, ends @ model.text_projection

    def set_recompute(self, on: bool) -> None:
        """Turn activation checkpointing on or off: keep one tensor per layer and recompute the rest, or keep all."""
        self.model.set_grad_checkpointing(on)


@lru_cache(maxsize=1)
def _tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()  # its vocabulary is part of the open_clip package


def tokenise(captions: str | Sequence[str], *, max_words: int) -> tuple[Int[Tensor, "C W"], Bool[Tensor, "C W"]]:
    """CLIP's byte-pair token ids of captions, and a mask of the words.

    Each row is start, words, end, then zeros. Longer captions are truncated and keep their end token. W = `max_words`.

    >>> ids, mask = tokenise(["a dog runs", "a dog"], max_words=6)
    >>> ids.tolist()
    [[49406, 320, 1929, 5586, 49407, 0], [49406, 320, 1929, 49407, 0, 0]]
    >>> mask.sum(dim=1).tolist()
    [5, 4]

    Raises:
        ValueError: `max_words` is below 3.
    """
    if max_words < 3:
        raise ValueError(f"{max_words = } leaves no room between start and end of the text. Use 3 or more.")
    ids = _tokenizer()(as_list(captions), context_length=max_words)
    return ids, word_mask(ids)


def count_words(captions: Sequence[str]) -> list[int]:
    """The number of CLIP's tokens of each caption, with start and end; `tokenise` truncates captions with more.

    >>> count_words(["a dog runs", "a dog jumps, backflipping"])
    [5, 8]
    """
    return [len(_tokenizer().encode(caption)) + 2 for caption in captions]


def read_part(caption: str, *, max_words: int) -> str:
    """The part of a caption that `tokenise` keeps, in lower case.

    >>> read_part("A dog jumps, backflipping", max_words=5)
    'a dog jumps'
    """
    tokenizer = _tokenizer()
    return tokenizer.decode(tokenizer.encode(caption)[: max_words - 2]).strip()


def describe_truncated(captions: Sequence[str], *, max_words: int) -> list[str]:
    """A sentence that says how many captions `tokenise` truncates, and the remedy; empty if it truncates none.

    >>> describe_truncated(["a dog", "a dog runs"], max_words=4)[0]
    "1 of 2 captions are longer than --text.max-words 4 (CLIP's tokens, with start and end) and are cut: 'a dog runs'. The longest has 5."
    """  # noqa: E501
    counts = count_words(captions)
    cut = [caption for caption, count in zip(captions, counts, strict=True) if count > max_words]
    if not cut:
        return []
    first = cut[0] if len(cut[0]) <= 80 else f"{cut[0][:77]}..."
    return [
        f"{len(cut)} of {len(captions)} captions are longer than --text.max-words {max_words} (CLIP's tokens, with "
        f"start and end) and are cut: {first!r}. The longest has {max(counts)}."
    ]


def word_mask(ids: Int[Tensor, "C W"]) -> Bool[Tensor, "C W"]:
    """True up to the end of the text, which has the highest id. (Id 0 is not only padding: it is also "!".)"""
    return torch.arange(ids.shape[1], device=ids.device) <= ids.argmax(dim=1, keepdim=True)


def split_words(caption: str, *, max_words: int) -> list[tuple[str, range]]:
    """The words of a caption with the positions of their tokens in the row that `tokenise` returns.

    Words that `tokenise` truncates are left out, and so is punctuation.

    >>> split_words("A dog jumps, backflipping", max_words=9)
    [('a', range(1, 2)), ('dog', range(2, 3)), ('jumps', range(3, 4)), ('backflipping', range(5, 7))]
    """
    tokenizer = _tokenizer()
    pieces = [tokenizer.decoder[number] for number in tokenizer.encode(caption)[: max_words - 2]]
    words, start = [], 0
    for end, piece in enumerate(pieces, start=1):
        if piece.endswith("</w>") or end == len(pieces):
            letters = "".join(pieces[start:end]).removesuffix("</w>")
            word = bytes(tokenizer.byte_decoder[letter] for letter in letters).decode("utf-8", "replace")
            if any(letter.isalnum() for letter in word):
                words.append((word, range(start + 1, end + 1)))
            start = end
    return words


def load_text_tower(
    name: str,
    *,
    weights: str | Path = "hub",
    tag: str = "openai",
    model_args: dict[str, Any] | None = None,
    seed: int = 0,
) -> TextTower:
    """Build the text tower of an open_clip model by name and load its weights.

    Args:
        name: open_clip's name, such as "ViT-B-16-quickgelu" or "EVA02-E-14". OpenAI's weights need a "-quickgelu" name.
        weights: "hub" (downloaded once and cached), "random", or the path of a file or folder with a whole CLIP model
            or only its text tower, see `read_text_weights`. Nothing in a file is executed.
        tag: tag of the hub's weights, such as "openai" or "laion2b_s4b_b115k".
        model_args: changes to the named model: embed_dim, context_length, vocab_size, width, heads, layers.
        seed: seed of random weights; the global random state is not changed.

    Raises:
        ValueError: unknown name or tag, a text tower that is not CLIP's, or a file that does not match.
        FileNotFoundError: there is no such file.
        OSError: the weights cannot be downloaded.
    """
    settings = _settings(name, model_args or {})
    if weights == "hub":
        weights = _download(name, tag)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = TextTransformer(
            **{key: value for key, value in settings.items() if key not in {"embed_dim", "quick_gelu"}},
            output_dim=settings["embed_dim"],
            act_layer=QuickGELU if settings["quick_gelu"] else nn.GELU,
            norm_layer=LayerNorm,
        )
    if weights == "random":
        return TextTower(model)
    state = read_text_weights(Path(weights))
    if is_openai_clip(state) and not settings["quick_gelu"]:
        raise ValueError(
            f"{weights} contains OpenAI's CLIP weights, which need the name with -quickgelu, not {name!r}."
        )
    text = text_tower_state(state)
    check_state_dict(
        text, model.state_dict(), ignored=(), what=f"{weights}, {describe_weights(state)}, as the text tower of {name}"
    )
    model.load_state_dict({key: value.float() for key, value in text.items()})
    scale = state.get("logit_scale")
    return TextTower(model, logit_scale=INITIAL_LOGIT_SCALE if scale is None else float(scale))


def text_embed_dim(name: str, model_args: dict[str, Any] | None = None) -> int:
    """E, the embedding width of a text tower, without building it; see `load_text_tower`.

    >>> text_embed_dim("ViT-B-16-quickgelu")
    512
    """
    return int(_settings(name, model_args or {})["embed_dim"])


def _settings(name: str, model_args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the tower: open_clip's model table, updated with `model_args`."""
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=3)
        hint = f"Did you mean {', '.join(close)}?" if close else "open_clip.list_models() lists them."
        raise ValueError(f"open_clip has no model {name!r}. {hint}")
    if unsupported := sorted(config["text_cfg"].keys() - _LAYER_SETTINGS):
        raise ValueError(
            f"The text tower of {name} is not CLIP's ({', '.join(unsupported)}) and not supported. Use one with CLIP's "
            "tokeniser and a causal transformer, such as ViT-B-16-quickgelu, ViT-L-14-quickgelu or EVA02-L-14."
        )
    known = {
        **config["text_cfg"],
        "embed_dim": config["embed_dim"],
        "quick_gelu": config.get("quick_gelu", False),
    }
    if unknown := sorted(model_args.keys() - known.keys()):
        raise ValueError(
            f"model_args of the text tower: unknown {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    return known | model_args


def text_tower_state(state: dict[str, Any]) -> dict[str, Tensor]:
    """The text tower's tensors of a whole CLIP model: those below `text.`, or those at the top level."""
    if any(name.startswith("text.") for name in state):
        return {name.removeprefix("text."): value for name, value in state.items() if name.startswith("text.")}
    own = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
    return {name: value for name, value in state.items() if name.startswith(own)}


def _download(name: str, tag: str) -> str:
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise ValueError(f"{tag = }: open_clip has {', '.join(tags) or 'no weights'} for {name}. Use one of them.")
    if open_clip.get_pretrained_cfg(name, tag).get("quick_gelu") and not name.endswith("-quickgelu"):
        raise ValueError(f"The weights {tag!r} of {name} were trained with QuickGELU: use the name {name}-quickgelu.")
    try:
        return open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, tag))
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"The weights of {name} ({tag}) cannot be loaded from the hub ({type(error).__name__}: {error}). Without a "
            "connection, download the file elsewhere and give its path: --text.weights FILE, or for a CLIP model "
            "without an adapter --backbone-weights FILE."
        ) from error
