"""Seconds to score 10,000 captions with 10,000 videos, compared with a loop over small padded batches.

python benchmarks/retrieval_scoring.py --captions captions_msvd.json --videos test_list.txt

Captions are real and tokenised as CLIP does; their embeddings are synthetic: functions of the words up to a word,
as in a causal text tower. Three ways are timed in turn, portion by portion of the videos:

* ours: `score_matrix`, everything included;
* ours without shared beginnings: the same captions with embeddings that are all different;
* the loop: the arrangement of the paper's released evaluation in our own words. For each 16 captions and 16 videos
  the similarities of all 32 places and 12 frames, times the mask, both maxima, both weighted sums, and the result
  brought to the CPU. Normalised features are given to it for free. A sample of its batches, spread evenly at random
  over captions and videos, is timed, and the time for all follows by their number; `--loop-batches 0` times all.

Keep the machine free: it takes some minutes.
"""

import datetime
import os
import platform
import shlex
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from tqdm import tqdm

from side4video.atomic_files import write_json
from side4video.data.lists.captions import read_caption_list
from side4video.memory.tracking import AllocationTracker
from side4video.models.similarity import TextFeatures, VideoFeatures
from side4video.models.text.tokeniser import clip_tokeniser
from side4video.tasks.retrieval.score_matrix import score_matrix

BATCH = 16
"""Captions, and videos, in a batch of the loop."""


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    captions: Path
    """File of captions, in any format that this package reads."""
    videos: Path | None = None
    """List of the videos whose captions are taken; by default all of the file."""
    num_captions: int = 10_000
    """Drawn without replacement, or all of them over and over where there are fewer."""
    num_videos: int = 10_000
    num_frames: int = 12
    max_words: int = 32
    width: int = 512
    """Of the embeddings."""
    rounds: int = 10
    """Portions of the videos."""
    loop_batches: int = 2_000
    """Batches of the loop that are timed in each round; 0 for all."""
    device: str = "cpu"
    out: Path = Path("docs/figures/retrieval-scoring.json")


def draw_captions(arguments: Arguments) -> list[str]:
    """Real captions, in random order."""
    source = arguments.videos or arguments.captions
    listed = read_caption_list(source, captions=arguments.captions)
    known = np.array([caption for captions in listed.captions for caption in captions])
    order = np.random.default_rng(0).permutation(len(known))
    return known[np.resize(order, arguments.num_captions)].tolist()


def number_beginnings(ids: Tensor, mask: Tensor) -> Tensor:
    """(C, W) for each word, which of all different beginnings of captions ends with it; 0 where there is no word."""
    numbers, known = torch.zeros_like(ids), {(): 0}
    for row, (tokens, length) in enumerate(zip(ids.tolist(), mask.sum(dim=1).tolist(), strict=True)):
        for place in range(length):
            numbers[row, place] = known.setdefault(tuple(tokens[: place + 1]), len(known))
    return numbers


def make_texts(beginnings: Tensor, mask: Tensor, *, width: int) -> TextFeatures:
    """Random features with one embedding for each beginning."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(int(beginnings.max()) + 1, width, generator=generator)
    weights = torch.randn(mask.shape, generator=generator).masked_fill(~mask, -torch.inf).softmax(dim=1)
    return TextFeatures(table[beginnings], mask, weights, torch.randn(len(mask), width, generator=generator))


def make_videos(count: int, *, num_frames: int, width: int) -> VideoFeatures:
    """Random features."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(count, num_frames, generator=generator).softmax(dim=1)
    return VideoFeatures(torch.randn(count, num_frames, width, generator=generator), weights)


class BatchLoop:
    """Weighted token-wise interaction, 16 captions and 16 videos at a time."""

    def __init__(self, texts: TextFeatures, videos: VideoFeatures) -> None:
        self.words = F.normalize(texts.words, dim=-1)
        self.mask, self.word_weights = texts.mask.float(), texts.weights
        self.frames, self.frame_weights = F.normalize(videos.frames, dim=-1), videos.weights

    @torch.inference_mode()
    def scores(self, captions: int, videos: int) -> np.ndarray:
        """Those of the batch that begins with these."""
        rows, columns = slice(captions, captions + BATCH), slice(videos, videos + BATCH)
        similarities = torch.einsum("cwe,vte->cvwt", self.words[rows], self.frames[columns])
        similarities = torch.einsum("cvwt,cw->cvwt", similarities, self.mask[rows])
        of_words = torch.einsum("cvw,cw->cv", similarities.amax(dim=3), self.word_weights[rows])
        of_frames = torch.einsum("cvt,vt->cv", similarities.amax(dim=2), self.frame_weights[columns])
        return ((of_words + of_frames) / 2).cpu().numpy()


def measure(
    texts: TextFeatures, unshared: TextFeatures, videos: VideoFeatures, *, rounds: int, loop_batches: int
) -> dict[str, Any]:
    """Seconds of the three ways for all pairs, and how far the loop's scores are from ours."""
    loop, rng = BatchLoop(texts, videos), np.random.default_rng(0)
    seconds = {"ours": 0.0, "ours_without_sharing": 0.0, "loop_as_timed": 0.0}
    timed, total, difference = 0, 0, 0.0
    batches = np.arange(0, len(videos), BATCH)
    portions = np.array_split(batches, min(rounds, len(batches)))
    loop.scores(0, 0)
    score_matrix(texts.map(lambda x: x[:BATCH]), videos.map(lambda x: x[:BATCH]))  # both have run once
    for starts in tqdm(portions, desc="rounds"):
        first = int(starts[0])
        part = videos.map(lambda x, first=first, end=int(starts[-1]) + BATCH: x[first:end])
        pairs = [(caption, int(video)) for video in starts for caption in range(0, len(texts), BATCH)]
        total += len(pairs)
        if loop_batches:
            pairs = [pairs[index] for index in rng.choice(len(pairs), min(loop_batches, len(pairs)), replace=False)]
        begin = time.perf_counter()
        scores = score_matrix(texts, part)
        seconds["ours"] += time.perf_counter() - begin
        begin = time.perf_counter()
        results = [loop.scores(*pair) for pair in pairs]
        seconds["loop_as_timed"] += time.perf_counter() - begin
        timed += len(pairs)
        begin = time.perf_counter()
        score_matrix(unshared, part)
        seconds["ours_without_sharing"] += time.perf_counter() - begin
        for (caption, video), result in zip(pairs, results, strict=True):
            own = scores[caption : caption + BATCH, video - first : video - first + BATCH]
            difference = max(difference, float(np.abs(own - result).max()))
    seconds["loop"] = seconds["loop_as_timed"] * total / timed
    return {
        "seconds": seconds,
        "loop_batches": {"timed": timed, "all": total},
        "times_faster": seconds["loop"] / seconds["ours"],
        "times_faster_without_sharing": seconds["loop"] / seconds["ours_without_sharing"],
        "largest_difference": difference,
    }


def count_bytes(texts: TextFeatures, videos: VideoFeatures) -> dict[str, int]:
    """Peak of what our scoring allocates in addition to the features, for the given number of videos."""
    with AllocationTracker() as tracker:
        tracker.count([*vars(texts).values(), *vars(videos).values()], "features")
        score_matrix(texts, videos)
    tracemalloc.start()
    scores = score_matrix(texts, videos)
    in_python = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"tensors": tracker.highest["workspace"], "arrays": in_python - scores.nbytes}


def describe(ids: Tensor, mask: Tensor, beginnings: Tensor) -> dict[str, Any]:
    """How long the captions are and how much they share."""
    words, different = int(mask.sum()), int(beginnings.max())
    return {
        "captions": len(ids),
        "different_captions": len(set(map(tuple, ids.tolist()))),
        "words": words,
        "places": mask.numel(),
        "different_beginnings": different,
    }


def main(command: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=command)
    ids, mask = clip_tokeniser()(draw_captions(arguments), max_words=arguments.max_words)
    beginnings = number_beginnings(ids, mask)
    about = describe(ids, mask, beginnings)
    print(about)
    each_its_own = torch.zeros_like(ids)
    each_its_own[mask] = torch.arange(1, about["words"] + 1)
    device = torch.device(arguments.device)
    texts, unshared = (
        make_texts(numbers, mask, width=arguments.width).map(lambda x: x.to(device))
        for numbers in (beginnings, each_its_own)
    )
    videos = make_videos(arguments.num_videos, num_frames=arguments.num_frames, width=arguments.width)
    videos = videos.map(lambda x: x.to(device))
    found = measure(texts, unshared, videos, rounds=arguments.rounds, loop_batches=arguments.loop_batches)
    found["bytes_beside_features_and_result"] = count_bytes(texts, videos.map(lambda x: x[: len(videos) // 10]))
    found["bytes_of_result"] = 4 * len(texts) * len(videos)
    on_gpu = device.type == "cuda"
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
    }
    for name, taken in found["seconds"].items():
        print(f"{name}: {taken:.1f} s")
    print(
        f"{found['times_faster']:.1f} times faster than the loop ({found['loop_batches']}), "
        f"{found['times_faster_without_sharing']:.1f} without sharing; largest difference "
        f"{found['largest_difference']:.1e}; {found['bytes_beside_features_and_result']} bytes at most"
    )
    settings = {name: getattr(arguments, name) for name in ("num_videos", "num_frames", "max_words", "width", "rounds")}
    written = {
        "date": str(datetime.date.today()),
        "command": shlex.join(
            ["python", *(sys.argv if command is None else ["benchmarks/retrieval_scoring.py", *command])]
        ),
        "machine": machine,
        "versions": {"torch": torch.__version__},
        "settings": settings,
        "captions": about,
    }
    write_json(arguments.out, written | found)


if __name__ == "__main__":
    main()
