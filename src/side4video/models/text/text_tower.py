"""Text towers of open_clip's models: embed each word of a caption and the whole sentence."""

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import TextTransformer, text_global_pool
from torch import Tensor, nn

from side4video.config import RunConfig, TextConfig
from side4video.models.backbones.text_weights import check_text_activation, read_text_weights
from side4video.models.backbones.weight_files import check_state_dict
from side4video.models.backbones.weight_kinds import describe_weights, is_openai_clip
from side4video.models.text.text_settings import TextSettings, text_settings
from side4video.models.text.tokeniser import Tokeniser
from side4video.models.text.tokeniser_files import LOCAL_FILES, load_tokeniser
from side4video.models.text.tokeniser_kinds import TokeniserKind, tokeniser_kind
from side4video.models.text.transformers import build_transformer, download_weights, vocabulary_size

INITIAL_LOGIT_SCALE = 2.6592600  # ln(1 / 0.07), CLIP's own initial value (arXiv 2103.00020, section 2.5)
INITIAL_LOGIT_BIAS = -10.0
"""SigLIP's own initial value (arXiv 2303.15343, section 3.2)."""
_TEXT_TENSORS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection", "cls_emb")
_IGNORED = ("transformer.embeddings.position_ids", "transformer.pooler.")  # what transformers saved and never reads


class TextTower(nn.Module):
    """A text transformer; retrieval training fine-tunes it at a very low learning rate.

    Args:
        model: open_clip's `TextTransformer` or `HFTextEncoder`, with the projection to the shared space.
        kind: special tokens of its input.
        load_tokeniser: loads the tokeniser, on its first use: a model can be built and measured without one.
        embed_dim: E, width of the embeddings.
        context_length: maximum number of tokens of a caption, start and end included.
        logit_scale: natural logarithm of the factor on similarities; becomes a parameter.
        logit_bias: sum of the logits' bias, for models of the sigmoid loss; becomes a parameter that is trained only
            with this loss. None: there is no bias.

    Attributes:
        causal: the embedding of a word depends only on the words before it, so captions with a common prefix share
            embeddings.

    >>> tower = load_text_tower("ViT-B-16-quickgelu", weights="random", model_args={"layers": 1, "width": 64})
    >>> ids, mask = tower.tokeniser(["a dog runs", "a dog"], max_words=6)
    >>> words, sentences = tower(ids)
    >>> words.shape, sentences.shape
    (torch.Size([2, 6, 512]), torch.Size([2, 512]))
    """

    def __init__(
        self,
        model: TextTransformer | HFTextEncoder,
        *,
        kind: TokeniserKind,
        load_tokeniser: Callable[[], Tokeniser],
        embed_dim: int,
        context_length: int,
        logit_scale: float = INITIAL_LOGIT_SCALE,
        logit_bias: float | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.kind = kind
        self._load_tokeniser = load_tokeniser
        self.embed_dim = embed_dim
        self.context_length = context_length
        self.causal = isinstance(model, TextTransformer) and model.attn_mask is not None
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale))
        self.logit_bias = (
            None if logit_bias is None else nn.Parameter(torch.tensor(float(logit_bias)), requires_grad=False)
        )

    @cached_property
    def tokeniser(self) -> Tokeniser:
        """Makes the input of the tower.

        Raises:
            ValueError, OSError: see `load_tokeniser`.
        """
        return self._load_tokeniser()

    def forward(self, ids: Int[Tensor, "C W"]) -> tuple[Float[Tensor, "C W E"], Float[Tensor, "C E"]]:
        """Embeddings of all tokens and of the whole text, in the space of the frame embeddings, not normalised.

        The embedding of a token is its last hidden state after the final norm and the tower's projection. The text is
        pooled as the tower pools: at the end token, the first or the last position, by a class token, or the mean.

        Raises:
            ValueError: there are more tokens than the context length.
        """
        if ids.shape[1] > self.context_length:
            raise ValueError(
                f"Rows of {ids.shape[1]} tokens are longer than {self.context_length}, the context length of the text "
                "tower. Give the tokeniser fewer max_words."
            )
        if isinstance(self.model, HFTextEncoder):
            return self._embed_with_transformers(ids)
        return self._embed(ids)

    def set_recompute(self, on: bool) -> None:
        """Turn activation checkpointing on or off: keep one tensor per layer and recompute the rest, or keep all."""
        if not isinstance(self.model, HFTextEncoder):
            self.model.set_grad_checkpointing(on)
        elif on:
            self.model.transformer.activation_checkpointing_enable()
        else:
            self.model.transformer.activation_checkpointing_disable()

    def files(self) -> dict[str, bytes]:
        """The files that `load_text_tower` needs in the folder `tokenizer` to build this tower without the hub."""
        file = self.tokeniser.file
        if file is None:
            return {}
        content = file.read_bytes()
        files = {LOCAL_FILES[0] if content.lstrip().startswith(b"{") else LOCAL_FILES[-1]: content}
        if isinstance(self.model, HFTextEncoder):
            files["config.json"] = self.model.config.to_json_string().encode()
        return files

    def train_logit_bias(self) -> None:
        """Train the bias on the logits too, for the sigmoid loss; a tower without one gets SigLIP's initial value."""
        if self.logit_bias is None:
            self.logit_bias = nn.Parameter(torch.tensor(INITIAL_LOGIT_BIAS))
        self.logit_bias.requires_grad_(True)

    @property
    def _reads_padding(self) -> bool:
        """Whether padding changes the embeddings: open_clip trains these towers with rows of the full length."""
        return not self.causal or self.model.pool_type == "last" or self.model.cls_emb is not None

    def _embed(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        model, W = self.model, ids.shape[1]  # noqa: N806
        if self._reads_padding:
            ids = F.pad(ids, (0, self.context_length - W), value=self.kind.pad)
        x, mask = model._embeds(ids)
        if mask is not None and mask.ndim == 2:
            mask = mask[: ids.shape[1], : ids.shape[1]]  # open_clip's own forward takes only full rows
        x = model.ln_final(model.transformer(x, attn_mask=mask))
        if model.cls_emb is not None:  # the class token comes last
            x, pooled = x[:, :-1], x[:, -1]
        else:
            pooled = text_global_pool(x, ids, pool_type=model.pool_type, eos_token_id=model.eos_id)
        return self._project(x[:, :W]), self._project(pooled)

    def _project(self, x: Tensor) -> Tensor:
        projection: Any = self.model.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def _embed_with_transformers(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        model = self.model
        mask = (ids != model.config.pad_token_id).long()
        out = model.transformer(input_ids=ids, attention_mask=mask)
        return model.proj(out.last_hidden_state), model.proj(model.pooler(out, mask))


def load_text_tower(
    name: str,
    *,
    weights: str | Path = "hub",
    tag: str = "openai",
    model_args: dict[str, Any] | None = None,
    tokenizer: Path | None = None,
    weights_key: str = "auto",
    seed: int = 0,
) -> TextTower:
    """Build the text tower of an open_clip model by name and load its weights.

    Args:
        name: open_clip's name, such as "ViT-B-16-quickgelu", "PE-Core-B-16" or "ViT-B-16-SigLIP2". OpenAI's weights
            need a "-quickgelu" name.
        weights: "hub" (downloaded once and cached), "random", or the path of a file or folder with a whole model or
            only its text tower, see `read_text_weights`. Nothing in a file is executed.
        tag: tag of the hub's weights, such as "openai" or "webli".
        model_args: changes to the named model, such as embed_dim, context_length, vocab_size, width, heads, layers.
        tokenizer: local file or folder of the tokeniser; see `load_tokeniser`. For a tower of `transformers`, such as
            XLM-R, the folder may also have the config.json of that model.
        weights_key: which weights of a file that has several: "auto" (averaged ones, EMA, if any), "ema", "raw".
        seed: seed of random weights; the global random state is not changed.

    Raises:
        ValueError: unknown name or tag, a file or tokeniser that does not belong to the tower, or a config file next to
            the weights that states another activation.
        FileNotFoundError: there is no such file.
        OSError: the weights or the tokeniser cannot be downloaded.
        ModuleNotFoundError: the tower needs `transformers`, which is not installed.
    """
    settings = text_settings(name, model_args)
    if weights == "hub":
        weights = download_weights(name, tag)
    model = build_transformer(settings, tokenizer, seed)
    parts: dict[str, Any] = {
        "kind": tokeniser_kind(settings.text),
        "load_tokeniser": partial(_load_tokeniser, settings, tokenizer),
        "embed_dim": settings.embed_dim,
        "context_length": settings.context_length,
    }
    if weights == "random":
        return TextTower(model, **parts, logit_bias=settings.logit_bias)
    state = read_text_weights(Path(weights), key=weights_key)
    if not settings.hugging_face:
        check_text_activation(Path(weights), name=name, quick_gelu=settings.quick_gelu)
    if is_openai_clip(state) and not settings.quick_gelu:
        raise ValueError(
            f"{weights} contains OpenAI's CLIP weights, which need the name with -quickgelu, not {name!r}."
        )
    text = text_tower_state(state)
    what = f"{weights}, {describe_weights(state)}, as the text tower of {name}"
    check_state_dict(text, model.state_dict(), ignored=_IGNORED, what=what)
    model.load_state_dict({key: text[key].float() for key in model.state_dict()})
    scale, bias = state.get("logit_scale"), state.get("logit_bias")
    return TextTower(
        model,
        **parts,
        logit_scale=INITIAL_LOGIT_SCALE if scale is None else float(scale),
        logit_bias=settings.logit_bias if bias is None else float(bias),
    )


def load_configured_tower(config: RunConfig) -> TextTower:
    """Load the text tower of the settings, in eval mode; see `load_text_tower`.

    `backbone.weights_key` ema or raw also chooses the weights of the text tower, if both towers are in one file.
    """
    text, backbone = config.text, config.backbone
    same_file = text.weights == backbone.weights and backbone.weights_key in {"ema", "raw"}
    tower = load_text_tower(
        text.name,
        weights=text.weights,
        tag=text.tag,
        model_args=dict(text.model_args),
        tokenizer=None if text.tokenizer is None else Path(text.tokenizer),
        weights_key=backbone.weights_key if same_file else "auto",
    )
    if text.loss == "sigmoid":
        tower.train_logit_bias()
    return tower.eval()


def load_configured_tokeniser(config: TextConfig) -> Tokeniser:
    """Load only the tokeniser of the settings; see `load_tokeniser`."""
    file = None if config.tokenizer is None else Path(config.tokenizer)
    return _load_tokeniser(text_settings(config.name, dict(config.model_args)), file)


def _load_tokeniser(settings: TextSettings, file: Path | None) -> Tokeniser:
    return load_tokeniser(settings, file=file, vocab_size=vocabulary_size(settings, file))


def text_tower_state(state: dict[str, Any]) -> dict[str, Tensor]:
    """The text tower's tensors of a whole CLIP model: those below `text.`, or those at the top level."""
    if any(name.startswith("text.") for name in state):
        return {name.removeprefix("text."): value for name, value in state.items() if name.startswith("text.")}
    return {name: value for name, value in state.items() if name.startswith((*_TEXT_TENSORS, "proj."))}
