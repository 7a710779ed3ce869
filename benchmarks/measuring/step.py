"""One training step of a method: the same clips, loss, optimizer and number types for all."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods import Method, Size
from methods.clip4clip import NUM_WORDS
from side4video.models.backbones.loading import FrozenBackbone

NUM_CLASSES = 174  # of Something-Something
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
"""No kernel that stores N x N numbers. On a GPU the second is for the mask of a text tower, which the first refuses."""


def build_model(method: Method, size: str, backbone: FrozenBackbone, *, num_frames: int) -> nn.Module:
    """The method's model in training mode, on the default device."""
    options = method.options[size]
    if method.retrieval:
        return method.build(backbone, **options).train()
    return method.build(backbone, num_classes=NUM_CLASSES, num_frames=num_frames, **options).train()


class Step:
    """A model with its loss and AdamW on what is trained.

    Args:
        method: what `model` was built from.
        size: the image model and how many frames it sees.
        model: what takes the steps; `move` it to `device` before.
        device: of clips.
        image_size: pixels.
        bf16: autocast around the forward pass.
        foreach: AdamW goes through all tensors at once, PyTorch's default on a GPU.
    """

    def __init__(
        self,
        method: Method,
        size: Size,
        model: nn.Module,
        *,
        device: torch.device,
        image_size: int,
        bf16: bool,
        foreach: bool,
    ) -> None:
        self.method, self.size, self.model = method, size, model
        self.device, self.image_size, self.bf16 = device, image_size, bf16
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5, foreach=foreach)

    def inputs(self, batch: int) -> tuple[Tensor, Tensor]:
        """Clips (B, T, 3, H, W) and labels (B,); for retrieval words (B, W)."""
        frames = self.size.num_frames * self.method.frame_ratio
        clips = torch.randn(batch, frames, 3, self.image_size, self.image_size, device=self.device)
        shape = (batch, NUM_WORDS) if self.method.retrieval else (batch,)
        return clips, torch.randint(NUM_CLASSES, shape, device=self.device)

    def loss(self, clips: Tensor, targets: Tensor) -> Tensor:
        """Forward pass and cross-entropy; for retrieval from texts to videos and back."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16), sdpa_kernel(ATTENTION):
            if not self.method.retrieval:
                return F.cross_entropy(self.model(clips).float(), targets)
            logits = self.model(clips, targets).float()
            pairs = torch.arange(len(clips), device=self.device)
            return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

    def run(self, batch: int) -> None:
        """A whole step on fresh clips."""
        self.passes(batch)
        self.update()

    def passes(self, batch: int) -> None:
        """Forward and backward pass on fresh clips."""
        self.backward(self.loss(*self.inputs(batch)))

    def backward(self, loss: Tensor) -> None:
        """The backward pass of a loss."""
        with sdpa_kernel(ATTENTION):  # for blocks that are run again
            loss.backward()

    def update(self) -> None:
        """The optimizer's part."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def move(self, device: torch.device) -> None:
        """Take the model and the optimizer's state to a device, between turns with other models."""
        self.model.to(device)
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if torch.is_tensor(value) and value.ndim:  # AdamW's step counter stays on the CPU
                    state[name] = value.to(device)

    def optimizer_tensors(self) -> list[Tensor]:
        """What AdamW keeps between steps."""
        return [value for state in self.optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
