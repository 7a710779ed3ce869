"""The command `embed`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from side4video.commands.engine import EngineName, RayOptions, check_started_once, choose_engine
from side4video.commands.inputs import is_one_file

if TYPE_CHECKING:
    from side4video.config import BackboneConfig


@dataclass(frozen=True)
class EmbedArguments:
    """Write embeddings of videos to a file: with sentences by a retrieval adapter, features by a recognition adapter.

    Examples:
        >>> tyro.cli(EmbedArguments, args=["adapter", "clip.mp4", "--out", "videos.npz"]).videos
        ('clip.mp4',)
    """

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is used), or name on the Hugging Face hub: user/name."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders and glob patterns, also at addresses such as s3://bucket/clips, and lists of videos: .csv,
    .tsv, .txt, .jsonl."""
    out: Path
    """The .npz or .safetensors file to write."""
    root: str | None = None
    """Base folder or address of the names in lists of videos; names outside of it are an error. Default: the folder of
    the list, and names may be absolute paths and addresses."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths, or names of files and folders, to leave out: "*/drafts/*" "*.part.mp4"."""
    text: tuple[str, ...] = ()
    """Sentences to embed."""
    part: Literal["side", "frozen", "both"] = "side"
    """Features of a recognition adapter. side: what its classifier reads; frozen: of the image model alone. Ignored for
    retrieval."""
    normalise: bool = False
    """Scale all vectors to length 1, so that dot products are cosines. Default: as the model gives them."""
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    engine: EngineName = "local"
    """local: this process with its loader processes; ray: several GPUs and machines of a Ray cluster, the one at
    RAY_ADDRESS or this machine (extra `ray`)."""
    ray: RayOptions = field(default_factory=RayOptions)


def embed(arguments: list[str]) -> int:
    """Run `side4video embed`; returns the exit code."""
    given = tyro.cli(EmbedArguments, prog="side4video embed", args=arguments)

    from side4video.data.loading.worker_processes import prestart_workers

    reads_here = given.videos and given.engine == "local" and not is_one_file(given.videos)
    prestart_workers(workers=None if reads_here else 0)
    check_started_once()

    from side4video.adapters.adapter import read_adapter
    from side4video.inference.embedder import Embedder, write_embeddings
    from side4video.inference.embedding_file import check_embedding_file
    from side4video.inference.inputs import expand_inputs

    check_embedding_file(given.out)
    if not given.videos and not given.text:
        raise ValueError("Nothing to embed: give videos, --text, or both.")
    paths = list(expand_inputs(given.videos, exclude=given.exclude, root=given.root))
    config = read_adapter(given.adapter).config
    if config.task == "recognition":
        return _write_features(given, paths, config.backbone)
    with choose_engine(given.engine, given.ray, device=given.device) as engine:
        embedder = Embedder(
            given.adapter,
            backbone_weights=given.backbone_weights,
            device=engine.device,
            dtype=engine.dtype(lambda: config.backbone),
        )
        videos = embedder.embed_videos(paths, engine=engine.ray) if paths else None
    unread = () if videos is None else videos.unread
    texts = embedder.embed_texts(given.text) if given.text else None
    write_embeddings(given.out, videos=videos, texts=texts, normalise=given.normalise)
    for failure in unread:
        print(f"{failure.name}: {failure.reason}", file=sys.stderr)
    print(f"{len(paths) - len(unread)} videos and {len(given.text)} sentences: {given.out}")
    return 1 if unread else 0


def _write_features(given: EmbedArguments, paths: list[Path], backbone: "BackboneConfig") -> int:
    """Write the features of videos by a recognition adapter."""
    from side4video.inference.clip_features import write_features
    from side4video.inference.predictor import Predictor

    if given.text or not paths:
        raise ValueError(f"{given.adapter} was trained for recognition: give videos, and leave out --text.")
    with choose_engine(given.engine, given.ray, device=given.device) as engine:
        predictor = Predictor(
            given.adapter,
            backbone_weights=given.backbone_weights,
            device=engine.device,
            dtype=engine.dtype(lambda: backbone),
        )
        features = predictor.features(paths, part=given.part, engine=engine.ray)
    write_features(given.out, features, normalise=given.normalise)
    for failure in features.unread:
        print(f"{failure.name}: {failure.reason}", file=sys.stderr)
    print(f"{len(features.paths)} videos: {given.out}")
    return 1 if features.unread else 0
