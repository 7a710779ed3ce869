"""The retrieval model: a frozen backbone, a side network and a text tower embed videos and captions in one space."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from side4video.config import RunConfig
from side4video.models.backbones.autocast import without_autocast
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.initial_values import init_retrieval_weights
from side4video.models.side.side_network import SideNetwork
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.similarity import TextFeatures, VideoFeatures
from side4video.models.stored_clips import StoredClips
from side4video.models.text.text_settings import check_pair
from side4video.models.text.text_tower import TextTower, load_configured_tower
from side4video.models.video_model import build_backbone, build_side_network, seeded_weights


class FrameHead(nn.Module):
    """Embeds frames: adds a learned change from the side tokens to the frozen pooled token, normalises and projects.

    The change starts at zero, so an untrained model returns the image embeddings of the frozen model.

    Args:
        width: d, channels of the side tokens.
        pooled_width: D, channels of the pooled token.
        final_norm: the frozen model's norm after its pooling, or the identity. The head trains a copy.
        projection: the frozen model's last linear layer, D -> E, or the identity. The head trains a copy.

    >>> head = FrameHead(width=8, pooled_width=16, final_norm=nn.LayerNorm(16), projection=nn.Linear(16, 4))
    >>> head(torch.zeros(2, 3, 9, 8), pooled=torch.zeros(2, 3, 16)).shape  # (B, T, E)
    torch.Size([2, 3, 4])
    """

    def __init__(self, *, width: int, pooled_width: int, final_norm: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.norm = TokenBatchNorm(width)
        self.side_projection = nn.Linear(width, pooled_width, bias=False)
        nn.init.zeros_(self.side_projection.weight)
        self.final_norm = deepcopy(final_norm).float().requires_grad_(True)
        self.projection = deepcopy(projection).float().requires_grad_(True)

    def forward(self, x: Float[Tensor, "B T N d"], pooled: Float[Tensor, "B T D"]) -> Float[Tensor, "B T E"]:
        """One embedding for each frame, not normalised."""
        change = self.side_projection(self.norm(x).mean(dim=2))
        return self.projection(self.final_norm(pooled.to(self.side_projection.weight.dtype) + change))


class TokenWeights(nn.Module):
    """Weights of the words of a caption or the frames of a video (arXiv 2203.07111, equation 4).

    >>> TokenWeights(embed_dim=8)(torch.zeros(1, 4, 8)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.ReLU(), nn.Linear(embed_dim, 1))

    def forward(self, tokens: Float[Tensor, "B M E"], mask: Bool[Tensor, "B M"] | None = None) -> Float[Tensor, "B M"]:
        """Weights that sum to 1 over the tokens; 0 where `mask` is False. Computes in 32 bits, even in autocast."""
        with without_autocast(tokens.device.type):
            scores = self.layers(tokens.float()).squeeze(-1)
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1)


class RetrievalModel(SideTunedModel):
    """Computes features of videos and captions that can be compared (arXiv 2311.15769, section 3.3).

    Trained parts: the side network, the weights of words and frames, copies of the frozen model's last norm and
    projection, and the text tower.

    Args:
        backbone: the frozen image model, loaded with its projection.
        side: the side network.
        text: the text tower of the same CLIP model.
        max_words: W, maximum number of words in a caption, including start and end of the text.

    Raises:
        ValueError: the backbone has no projection or no class token, image and text embeddings differ in width, or
            `max_words` is out of range.

    >>> from pathlib import Path
    >>> from side4video import load_adapter
    >>> model, _ = load_adapter(Path("retrieval"), device=torch.device("cpu"))
    >>> model.embed_videos(torch.zeros(2, 4, 3, 32, 32)).frames.shape  # (B, T, E)
    torch.Size([2, 4, 8])
    >>> model.embed_texts(*model.tokenise(["a shape moves"])).words.shape  # (C, W, E)
    torch.Size([1, 12, 8])
    """

    def __init__(self, *, backbone: FrozenBackbone, side: SideNetwork, text: TextTower, max_words: int = 32) -> None:
        super().__init__()
        if backbone.projection is None or backbone.embed_dim != text.embed_dim:
            raise ValueError(
                f"{backbone.name} must share a space of {text.embed_dim} dimensions with the text tower. Load it with "
                f"projection_width={text.embed_dim}."
            )
        if not text.kind.num_special < max_words <= text.context_length:
            limits = f"{text.kind.num_special + 1}..{text.context_length}"
            raise ValueError(f"{max_words = } must be in {limits}, the limits of the text tower. Set text.max_words.")
        self.backbone = backbone
        self.side = side
        self.text = text
        self.max_words = max_words
        self.head = FrameHead(
            width=side.width,
            pooled_width=backbone.width,
            final_norm=backbone.final_norm,
            projection=backbone.projection,
        )
        self.word_weights = TokenWeights(text.embed_dim)
        self.frame_weights = TokenWeights(text.embed_dim)
        self.read_blocks = tuple(sorted({*side.taps, backbone.num_blocks - 1}))

    def embed_videos(self, clips: Float[Tensor, "B T 3 H W"] | StoredClips) -> VideoFeatures:
        """Features of normalised clips. The backbone does not run for stored clips."""
        if isinstance(clips, StoredClips):
            x, blocks = self.side.begin(clips.frames()), clips.iterate(self.backbone.dtype)
        else:
            self.check_clips(clips)
            x, blocks = self.side.begin(clips), self.backbone.iterate(clips, self.read_blocks)
        for tokens in blocks:
            x = self.side.advance(x, block=tokens.block, patches=tokens.patches, summary=tokens.summary)
        frames = self.head(x, self.backbone.pool_tokens(tokens)).float()
        return VideoFeatures(frames=frames, weights=self.frame_weights(frames))

    def tokenise(self, captions: str | Sequence[str]) -> tuple[Int[Tensor, "C W"], Bool[Tensor, "C W"]]:
        """Token ids and mask of captions, on the CPU, for `embed_texts`; see `Tokeniser`."""
        return self.text.tokeniser(captions, max_words=self.max_words)

    def embed_texts(self, ids: Int[Tensor, "C W"], mask: Bool[Tensor, "C W"], *, padded: bool = False) -> TextFeatures:
        """Features of captions that `tokenise` has prepared.

        Args:
            ids: numbers of the words.
            mask: True where there is a word.
            padded: also run the tower on the padding. By default the features of padding are 0, at no cost.
        """
        longest = ids.shape[1] if padded or not len(ids) else int(mask.sum(dim=1).max())
        words, sentence = self.text(ids[:, :longest])
        words = nn.functional.pad(words.float(), (0, 0, 0, ids.shape[1] - longest))
        return TextFeatures(words=words, mask=mask, weights=self.word_weights(words, mask), sentence=sentence.float())

    def text_files(self) -> dict[str, bytes]:
        """The tokeniser's file, and the settings of a tower of `transformers`."""
        return self.text.files()

    def finetuned_parameters(self) -> list[nn.Parameter]:
        """Parameters of the text tower, its logit scale, and the image tower's last norm and projection."""
        return [
            *(weight for weight in self.text.parameters() if weight.requires_grad),
            *self.head.final_norm.parameters(),
            *self.head.projection.parameters(),
        ]

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """Natural logarithm of the factor on similarities."""
        return self.text.logit_scale

    @property
    def logit_bias(self) -> Float[Tensor, ""] | None:
        """What the sigmoid loss adds to scaled similarities; None for models without it."""
        return self.text.logit_bias


def build_retrieval_model(config: RunConfig, *, device: torch.device) -> RetrievalModel:
    """Load the backbone and the text tower, and add a new side network on `device`, seeded by `config.seed`.

    Raises:
        ValueError: taps, width or weights do not suit the backbone, or the two towers do not match.
    """
    check_pair(config.backbone, config.text)
    text = load_configured_tower(config)
    text.set_recompute(config.train.memory != "plain")
    backbone = build_backbone(config, device=device, projection_width=text.embed_dim)
    with seeded_weights(config):
        pre_norm = config.side.variant == "pre-norm"
        side = build_side_network(config, backbone, summary_position=pre_norm)
        model = RetrievalModel(backbone=backbone, side=side, text=text, max_words=config.text.max_words)
        if pre_norm and config.side.initial_values == "paper":
            init_retrieval_weights(side, model.word_weights, model.frame_weights)
    return model.to(device)
