"""CLIP4Clip, mean pooling (Luo et al. 2021, arXiv 2104.08860): fine-tunes CLIP's two towers for retrieval.

Frames are averaged after normalisation; there are no further parameters. The text tower is open_clip's.
"""

import copy
import math

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.trunk import embed
from side4video.models.backbones.loading import FrozenBackbone

NUM_WORDS = 32
LARGEST_LOGIT_SCALE = math.log(100)
TEXT_TOWERS = {
    (768, 32): "ViT-B-32-quickgelu",
    (768, 16): "ViT-B-16-quickgelu",
    (1024, 14): "ViT-L-14-quickgelu",
}
"""open_clip's model, by width and patch side of the image tower."""


class ImageTower(nn.Module):
    """The image model, its final norm on the class token and CLIP's projection."""

    def __init__(self, vit: nn.Module, embedding_width: int) -> None:
        super().__init__()
        self.vit = vit
        self.project = nn.Parameter(torch.randn(vit.embed_dim, embedding_width) * vit.embed_dim**-0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, H, W) to embeddings (n, E)."""
        x = embed(self.vit, images)
        for block in self.vit.blocks:
            x = block(x)
        return self.vit.norm(x[:, 0]) @ self.project


class CLIP4Clip(nn.Module):
    """Both towers and the temperature; what is trained is in float32.

    Args:
        backbone: copied where it is trained.
        freeze: "embeddings": patch, class, position and word embeddings and the first norm, as its README advises;
            "image tower": all of the image tower; "nothing".
    """

    def __init__(self, backbone: FrozenBackbone, *, freeze: str = "embeddings") -> None:
        super().__init__()
        config = open_clip.get_model_config(TEXT_TOWERS[backbone.width, backbone.patch_size])
        self.clip = text = open_clip.CLIP(**config)
        vit = backbone.model
        if freeze != "image tower":
            vit = copy.deepcopy(vit).to(torch.float32).requires_grad_(True)
        text.visual = tower = ImageTower(vit, config["embed_dim"])
        embeddings = [vit.patch_embed, vit.norm_pre, text.token_embedding]
        positions = [vit.cls_token, vit.pos_embed, text.positional_embedding]
        frozen = {
            "nothing": [],
            "embeddings": [*positions, *(parameter for part in embeddings for parameter in part.parameters())],
            "image tower": [*tower.parameters()],
        }
        for parameter in frozen[freeze]:
            parameter.requires_grad_(False)

    def forward(self, clips: Tensor, words: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) and word numbers (B, W), zeros after the end token, to logits (B, B), a row a text."""
        frames = F.normalize(self.clip.visual(clips.flatten(0, 1)), dim=-1)
        videos = F.normalize(frames.unflatten(0, clips.shape[:2]).mean(1), dim=-1)
        scale = self.clip.logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp()
        return scale * self.encode_text(words) @ videos.T

    def encode_text(self, words: Tensor) -> Tensor:
        """Unit vectors (B, E) of word numbers (B, W); W may be less than CLIP's 77."""
        clip, length = self.clip, words.shape[1]
        x = clip.token_embedding(words) + clip.positional_embedding[:length]
        x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
        end = x.gather(1, words.argmax(1).view(-1, 1, 1).expand(-1, 1, x.shape[2])).squeeze(
            1
        )  # its number is the largest
        return F.normalize(end @ clip.text_projection, dim=-1)


build = CLIP4Clip
