"""The command `embed`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from side4video.commands.inputs import is_one_file


@dataclass(frozen=True)
class EmbedArguments:
    """Write the embeddings of videos and sentences by a retrieval adapter to a file.

    Examples:
        >>> tyro.cli(EmbedArguments, args=["adapter", "clip.mp4", "--out", "videos.npz"]).videos
        ('clip.mp4',)
    """

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is used), or name on the Hugging Face hub: user/name."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders and glob patterns."""
    out: Path
    """The .npz or .safetensors file to write."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths, or names of files and folders, to leave out: "*/drafts/*" "*.part.mp4"."""
    text: tuple[str, ...] = ()
    """Sentences to embed."""
    normalise: bool = False
    """Scale all vectors to length 1, so that dot products are cosines. Default: as the model gives them."""
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    timeout_minutes: float = 60.0
    """Timeout for distributed runs (torchrun or SLURM): how long a process waits for the others."""


def embed(arguments: list[str]) -> int:
    """Write embeddings of videos and sentences to a file: embed ADAPTER [VIDEOS...] [--text ...] --out FILE."""
    given = tyro.cli(EmbedArguments, prog="side4video embed", args=arguments)

    from side4video.data.loading.worker_processes import prestart_workers

    prestart_workers(workers=0 if not given.videos or is_one_file(given.videos) else None)

    from side4video.distributed.processes import is_main_process, joined_processes
    from side4video.inference.embedder import Embedder, check_embedding_file, write_embeddings
    from side4video.inference.predictor import expand_inputs
    from side4video.models.video_model import choose_device

    check_embedding_file(given.out)
    if not given.videos and not given.text:
        raise ValueError("Nothing to embed: give videos, --text, or both.")
    paths = list(expand_inputs(given.videos, exclude=given.exclude))
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
