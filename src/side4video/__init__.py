"""Side4Video: train a light spatial-temporal side network for video on a frozen image model (arXiv 2311.15769)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from side4video.adapters.adapter import load_adapter as load_adapter
    from side4video.config import MODEL_PRESETS as MODEL_PRESETS
    from side4video.config import RunConfig as RunConfig
    from side4video.config import load_config as load_config
    from side4video.inference.embedder import Embedder as Embedder
    from side4video.inference.predictor import Predictor as Predictor
    from side4video.models.backbones.loading import FrozenBackbone as FrozenBackbone
    from side4video.models.backbones.loading import load_backbone as load_backbone
    from side4video.models.heads import ClassificationHead as ClassificationHead
    from side4video.models.retrieval_model import RetrievalModel as RetrievalModel
    from side4video.models.side.side_network import SideNetwork as SideNetwork
    from side4video.models.video_model import VideoModel as VideoModel
    from side4video.search.video_index import VideoIndex as VideoIndex
    from side4video.selection.run import train as train
    from side4video.sharing.share import from_pretrained as from_pretrained
    from side4video.sharing.share import push_to_hub as push_to_hub

_MODULES = {
    "ClassificationHead": "models.heads",
    "Embedder": "inference.embedder",
    "FrozenBackbone": "models.backbones.loading",
    "MODEL_PRESETS": "config",
    "Predictor": "inference.predictor",
    "RetrievalModel": "models.retrieval_model",
    "RunConfig": "config",
    "SideNetwork": "models.side.side_network",
    "VideoIndex": "search.video_index",
    "VideoModel": "models.video_model",
    "load_adapter": "adapters.adapter",
    "load_backbone": "models.backbones.loading",
    "from_pretrained": "sharing.share",
    "load_config": "config",
    "push_to_hub": "sharing.share",
    "train": "selection.run",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts without torch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'side4video' has no attribute {name!r}")
    return getattr(import_module(f"side4video.{_MODULES[name]}"), name)
