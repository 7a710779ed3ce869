"""The command `embed`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from side4video.commands.inputs import is_one_file


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
    timeout_minutes: float = 60.0
    """Timeout for distributed runs (torchrun or SLURM): how long a process waits for the others."""


def embed(arguments: list[str]) -> int:
    """Run `side4video embed`; returns the exit code."""
    given = tyro.cli(EmbedArguments, prog="side4video embed", args=arguments)

    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=0 if not given.videos or is_one_file(given.videos) else None)

    from side4video.adapters.adapter import read_adapter
    from side4video.distributed.processes import is_main_process, joined_processes
    from side4video.inference.embedder import Embedder, write_embeddings
    from side4video.inference.embedding_file import check_embedding_file
    from side4video.inference.inputs import expand_inputs
    from side4video.models.video_model import choose_device

    check_embedding_file(given.out)
    if not given.videos and not given.text:
        raise ValueError("Nothing to embed: give videos, --text, or both.")
    paths = list(expand_inputs(given.videos, exclude=given.exclude, root=given.root))
    if read_adapter(given.adapter).config.task == "recognition":
        return _write_features(given, paths)
    with joined_processes(choose_device(given.device), timeout_minutes=given.timeout_minutes):
        embedder = Embedder(given.adapter, backbone_weights=given.backbone_weights, device=given.device)
        videos = embedder.embed_videos(paths, shared=True) if paths else None
    unread = () if videos is None else videos.unread
    if not is_main_process():
        return 1 if unread else 0
    texts = embedder.embed_texts(given.text) if given.text else None
    write_embeddings(given.out, videos=videos, texts=texts, normalise=given.normalise)
    for failure in unread:
        print(f"{failure.name}: {failure.reason}", file=sys.stderr)
    print(f"{len(paths) - len(unread)} videos and {len(given.text)} sentences: {given.out}")
    return 1 if unread else 0


def _write_features(given: EmbedArguments, paths: list[Path]) -> int:
    """Write the features of videos by a recognition adapter."""
    from side4video.distributed.processes import is_main_process, joined_processes
    from side4video.inference.clip_features import write_features
    from side4video.inference.predictor import Predictor
    from side4video.models.video_model import choose_device

    if given.text or not paths:
        raise ValueError(f"{given.adapter} was trained for recognition: give videos, and leave out --text.")
    with joined_processes(choose_device(given.device), timeout_minutes=given.timeout_minutes):
        predictor = Predictor(given.adapter, backbone_weights=given.backbone_weights, device=given.device)
        features = predictor.features(paths, part=given.part, shared=True)
    if is_main_process():
        write_features(given.out, features, normalise=given.normalise)
        for failure in features.unread:
            print(f"{failure.name}: {failure.reason}", file=sys.stderr)
        print(f"{len(features.paths)} videos: {given.out}")
    return 1 if features.unread else 0
