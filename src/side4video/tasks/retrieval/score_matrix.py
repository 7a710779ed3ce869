"""Similarity of all captions and all videos of a set, as in `models/similarity.py`, fast and in bounded memory.

A block is the product of the words of some captions and the frames of some videos. Three things make it fast:

* One matrix product per block; the following operations work on rows of neighbouring videos.
* Padding is skipped. Padding has similarity 0, which counts in the maximum over words: for a caption with padding this
  maximum is at least 0, and for a caption without padding it is not.
* Captions with a common prefix share its work (`prefix_trie.py`): the product, the best frame of each word, and the
  best word so far for each frame.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from tqdm import tqdm

from side4video.models.similarity import Similarity, TextFeatures, VideoFeatures
from side4video.system.devices import is_gpu
from side4video.tasks.retrieval.prefix_trie import PrefixTrie, prefix_tries
from side4video.tasks.retrieval.score_storage import IN_MEMORY_BYTES, empty_scores

CPU_WORKING_BYTES = 32 * 2**20
"""Small enough for a block to stay in the CPU's caches, large enough for an efficient matrix product."""
GPU_WORKING_BYTES = 2**30
VIDEO_BLOCK_MULTIPLE = 32
"""Blocks have a multiple of this many videos if they can: one iteration of PyTorch's vectorised kernels."""
SECONDS_BEFORE_PROGRESS = 2.0

BlockScores = Callable[[slice], Float[Tensor, "c v"]]
"""Maps a slice of videos to the scores of some captions with them."""
ScoreBlocks = Iterator[tuple[slice | Int[ndarray, " c"], BlockScores]]
"""Some captions at a time, and their scores."""


def _block_shape(texts: TextFeatures, videos: VideoFeatures, working_bytes: int) -> tuple[int, int]:
    """Number of words and of videos in a block.

    In numbers of 4 bytes, a block of n words and k frames, E wide, takes 2 n E for the words before and after
    normalisation, 48 n for the paths, 3 k E for the frames, 2 n k for the similarities and the values gathered from
    them, and less than n k for the rest. Four times as many words as frames are balanced: the words of a block are
    prepared once for all videos, but its frames again for each block.
    """
    numbers, width, num_frames = working_bytes / 4, texts.words.shape[2], videos.frames.shape[1]
    per_word, places = 2 * width + 48, texts.words.shape[1]
    linear = 4 * per_word + 3 * width  # 12 k^2 + linear k = numbers, where n = 4 k
    balanced = (np.sqrt(linear**2 + 48 * numbers) - linear) / 24
    max_frames = (numbers - per_word * places) / (3 * width + 3 * places)
    if max_frames < num_frames:
        need = 4 * (per_word * places + 3 * num_frames * (width + places))
        raise ValueError(f"{working_bytes = } is too little for one caption and one video, which need {need}.")
    num_videos = int(min(max(balanced, num_frames), max_frames) // num_frames)
    if num_videos > VIDEO_BLOCK_MULTIPLE:
        num_videos -= num_videos % VIDEO_BLOCK_MULTIPLE
    num_videos = min(num_videos, len(videos))
    frames = num_videos * num_frames
    return int((numbers - 3 * frames * width) // (per_word + 3 * frames)), num_videos


def _wti_blocks(
    texts: TextFeatures, videos: VideoFeatures, max_words: int, device: torch.device, working_bytes: int
) -> ScoreBlocks:
    for trie in prefix_tries(texts.words, texts.mask, max_nodes=max_words, working_bytes=working_bytes):
        words = F.normalize(texts.words[trie.word_captions, trie.word_places].to(device, torch.float32), dim=-1)
        weights = texts.weights[trie.path_captions, trie.path_places].to(device, torch.float32)
        yield trie.captions, _TrieScores(trie, words, weights, videos)


class _TrieScores:
    """Weighted token-wise interaction of the captions of a trie."""

    def __init__(
        self, trie: PrefixTrie, words: Float[Tensor, "n E"], weights: Float[Tensor, " p"], videos: VideoFeatures
    ) -> None:
        self._trie, self._words, self._weights, self._videos = trie, words, weights, videos
        self._parents, self._nodes, self._starts, self._leaves = (
            torch.from_numpy(index).to(words.device)
            for index in (trie.parents, trie.path_nodes, trie.path_starts, trie.leaves)
        )

    def __call__(self, chunk: slice) -> Float[Tensor, "c v"]:
        frames = self._videos.frames[chunk].to(self._words.device, torch.float32)
        frames = F.normalize(frames, dim=-1).transpose(0, 1)  # (T, v, E)
        frame_weights = self._videos.weights[chunk].to(self._words.device, torch.float32).T  # (T, v)
        similarities = (self._words @ frames.flatten(0, 1).T).unflatten(1, frame_weights.shape)  # (n, T, v)
        of_words = F.embedding_bag(
            self._nodes, similarities.amax(dim=1), self._starts, mode="sum", per_sample_weights=self._weights
        )
        if self._trie.padded:
            similarities.clamp_(min=0)
        for level in self._trie.levels[1:]:  # now the best word so far
            own, before = similarities[level], similarities.index_select(0, self._parents[level])
            torch.maximum(own, before, out=own)
        of_frames = similarities.index_select(0, self._leaves).mul_(frame_weights).sum(dim=1)
        return of_words.add_(of_frames).div_(2)


def _mean_pool_blocks(
    texts: TextFeatures, videos: VideoFeatures, max_captions: int, device: torch.device, _working_bytes: int
) -> ScoreBlocks:
    for start in range(0, len(texts), max_captions):
        captions = slice(start, min(start + max_captions, len(texts)))
        sentences = F.normalize(texts.sentence[captions].to(device, torch.float32), dim=-1)

        def block_scores(chunk: slice, sentences: Tensor = sentences) -> Float[Tensor, "c v"]:
            frames = videos.frames[chunk].to(device, torch.float32)
            return sentences @ F.normalize(frames.mean(dim=1), dim=-1).T  # not normalised before the mean

        yield captions, block_scores


_SCORE_BLOCKS: dict[str, Callable[[TextFeatures, VideoFeatures, int, torch.device, int], ScoreBlocks]] = {
    "wti": _wti_blocks,
    "mean-pool": _mean_pool_blocks,
}


@torch.inference_mode()
def score_matrix(
    texts: TextFeatures,
    videos: VideoFeatures,
    *,
    similarity: Similarity = "wti",
    device: torch.device | str | None = None,
    working_bytes: int | None = None,
    in_memory_bytes: int = IN_MEMORY_BYTES,
    folder: Path | None = None,
) -> Float[ndarray, "C V"]:
    """Similarity of each caption and each video, float32, -1 to 1.

    Equal to `models.similarity.similarity` up to rounding. Shows a progress bar after two seconds.

    Args:
        texts: features of C captions, on any device.
        videos: features of V videos, on any device.
        similarity: `wti` or `mean-pool`.
        device: device of the computation; by default the device of the words.
        working_bytes: memory for the computation, without features and result; by default 32 MiB on a CPU, so that a
            block stays in its caches, and 1 GiB elsewhere. `wti` needs up to 100 more bytes per position of the mask.
        in_memory_bytes: a larger result is stored in a temporary file, which is deleted with the array.
        folder: folder of the temporary file; by default the system's folder for temporary files.

    Raises:
        ValueError: no captions or no videos, embeddings of different widths, captions without a word, or too few
            working bytes for one caption and one video.
        OSError: too little space for the temporary file.
    """
    width, other = texts.words.shape[2], videos.frames.shape[2]
    if width != other:
        raise ValueError(f"Words have {width} channels and frames {other}: embed both with the same model.")
    if not len(texts) or not len(videos):
        raise ValueError(f"There are {len(texts)} captions and {len(videos)} videos; both are needed for scores.")
    if similarity not in _SCORE_BLOCKS:
        raise ValueError(f"{similarity = } is not known. Use {' or '.join(_SCORE_BLOCKS)}.")
    device = torch.device(texts.words.device if device is None else device)
    if working_bytes is None:
        working_bytes = GPU_WORKING_BYTES if is_gpu(device) else CPU_WORKING_BYTES
    num_rows, num_videos = _block_shape(texts, videos, working_bytes)
    scores = empty_scores(len(texts), len(videos), in_memory_bytes=in_memory_bytes, folder=folder)
    progress = tqdm(
        total=scores.size,
        desc="scores",
        unit="pair",
        unit_scale=True,
        dynamic_ncols=True,
        leave=False,
        delay=SECONDS_BEFORE_PROGRESS,
    )
    with progress, torch.autocast(device.type, enabled=False):
        for captions, block_scores in _SCORE_BLOCKS[similarity](texts, videos, num_rows, device, working_bytes):
            for start in range(0, len(videos), num_videos):
                chunk = slice(start, min(start + num_videos, len(videos)))
                block = block_scores(chunk)
                scores[captions, chunk] = block.cpu().numpy()
                progress.update(block.numel())
    return scores
