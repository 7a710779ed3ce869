"""Seconds, bytes and recall of searching 1,000 to 100,000 videos of 12 x 512, and a million mean vectors.

python benchmarks/video_search.py --out docs/figures/search.json

The videos are synthetic. All share a direction, as CLIP's embeddings do; each belongs to one of `TOPICS` topics, has a
direction of its own, consists of three scenes, and its frames differ a little more. A question has eight words for one
of the first 1,000 videos: some are near the whole video or its topic, some near one of its frames, some are words that
all questions have. All questions are asked of every size.

* ours: the shortlist by mean vectors, in the real store, then the exact scores of weighted token-wise interaction;
  everything but the text tower, which takes the same time for any index.
* LanceDB's own multivector search, by the sum over words of the best frame: all one by one, or with its index.
* FAISS in its usual form: mean vectors, one by one (IndexFlatIP) and in parts (IndexIVFFlat), without re-ranking.

Recall counts the ten best videos by exact scores of all. Of a million, only mean vectors are kept, and the truth is the
product with these. One question at a time; the operating system may cache the files in memory, as it does for repeated
questions. Keep the machine free: it takes some minutes.
"""

import datetime
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import lancedb
import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
import tyro
from lancedb.index import IvfPq
from tqdm import tqdm

from side4video.atomic_files import write_json
from side4video.models.similarity import Similarity, TextFeatures, VideoFeatures
from side4video.search.reranking import query_vectors, score_windows
from side4video.search.stores.filters import Filter
from side4video.search.stores.lance_store import LanceStore
from side4video.search.stores.records import IndexedFile, IndexInfo, Window
from side4video.tasks.retrieval.score_matrix import score_matrix

NUM_FRAMES, WIDTH, NUM_WORDS = 12, 512, 8
TOPICS, SCENES, CHUNK, TOP_K = 200, 3, 1000, 10
SHARED, TOPIC, OWN, SCENE, NOISE = 1.0, 0.7, 0.8, 0.5, 0.35
"""Lengths of what frames are added up from."""
WORD_NOISE = 1.6
MEANS_AT_ONCE = 10_000
FEW_QUESTIONS = 5
"""Of a search that takes seconds; of more than 10,000 videos, two."""


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/search.json")
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Videos."""
    means: tuple[int, ...] = (1_000_000,)
    """Mean vectors."""
    shortlists: tuple[int, ...] = (200, 500, 1000, 2000)
    questions: int = 100
    rounds: int = 3
    """How often each question is asked."""
    folder: Path | None = None
    """For the indexes, which are removed again; by default the system's temporary folder."""
    others: bool = True
    """Also measure LanceDB's multivector search and FAISS."""
    multivector_index: bool = False
    """Also give LanceDB's multivector search its index, which takes long to build."""


def directions(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Random directions of length 1."""
    numbers = generator.standard_normal((*shape, WIDTH), np.float32)
    return numbers / np.linalg.norm(numbers, axis=-1, keepdims=True)


def normalised(numbers: np.ndarray) -> np.ndarray:
    return numbers / np.linalg.norm(numbers, axis=-1, keepdims=True)


class Videos:
    """Made-up videos, in chunks; equal for equal numbers."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.shared, self.topics = directions(generator), directions(generator, TOPICS)

    def chunk(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames (V, T, E) float16 of length 1, weights (V, T) and means (V, E) of `CHUNK` videos."""
        generator = np.random.default_rng((1, number))
        topics = self.topics[generator.integers(0, TOPICS, CHUNK)]
        base = SHARED * self.shared + TOPIC * topics + OWN * directions(generator, CHUNK)
        scenes = SCENE * directions(generator, CHUNK, SCENES)
        frames = base[:, None] + scenes.repeat(NUM_FRAMES // SCENES, axis=1)
        frames += NOISE * directions(generator, CHUNK, NUM_FRAMES)
        weights = np.exp(0.3 * generator.standard_normal((CHUNK, NUM_FRAMES), np.float32))
        means = normalised(frames.mean(axis=1))
        return normalised(frames).astype(np.float16), weights / weights.sum(axis=1, keepdims=True), means

    def means(self, start: int, end: int) -> np.ndarray:
        """(V, E), means of length 1 of some videos, distributed like those of `chunk`; `start` is whole chunks."""
        means = np.empty((end - start, WIDTH), np.float32)
        for first in range(start, end, CHUNK):
            generator = np.random.default_rng((2, first // CHUNK))
            topics = self.topics[generator.integers(0, TOPICS, CHUNK)]
            own = SHARED * self.shared + TOPIC * topics + OWN * directions(generator, CHUNK)
            own += SCENE / SCENES**0.5 * directions(generator, CHUNK)
            own = normalised(own + NOISE / NUM_FRAMES**0.5 * directions(generator, CHUNK))
            means[first - start : first - start + CHUNK] = own[: end - first]
        return means

    def questions(self, count: int) -> TextFeatures:
        """Texts for some of the first `CHUNK` videos."""
        generator = np.random.default_rng(3)
        frames, _, means = self.chunk(0)
        everyday = directions(generator, 2)
        targets = generator.permutation(CHUNK)[:count]
        words = np.empty((count, NUM_WORDS, WIDTH), np.float32)
        for row, target in enumerate(targets):
            of_frames = frames[target, generator.integers(0, NUM_FRAMES, 3)].astype(np.float32)
            words[row] = np.concatenate([everyday, means[target].repeat(3).reshape(WIDTH, 3).T, of_frames])
        words[:, 2:] += WORD_NOISE * directions(generator, count, NUM_WORDS - 2)
        weights = np.exp(0.5 * generator.standard_normal((count, NUM_WORDS), np.float32))
        weights /= weights.sum(axis=1, keepdims=True)
        tensors = map(torch.from_numpy, (words, np.ones((count, NUM_WORDS), bool), weights, words.mean(axis=1)))
        return TextFeatures(*tensors)


class Best:
    """The best so far of each question, in one pass over all videos."""

    def __init__(self, count: int) -> None:
        self._scores, self._places = np.full((count, 0), 0.0, np.float32), np.zeros((count, 0), np.int64)

    def add(self, scores: np.ndarray, start: int) -> None:
        """Take (questions, videos) scores in, of the videos from `start` on."""
        places = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        scores = np.concatenate([self._scores, scores], axis=1)
        places = np.concatenate([self._places, places], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :TOP_K]
        self._scores, self._places = (np.take_along_axis(x, order, axis=1) for x in (scores, places))

    def recall(self, found: Sequence[Sequence[int]]) -> float:
        """Share of the best that was found."""
        shares = [len({*own} & {*best.tolist()}) / TOP_K for own, best in zip(found, self._places, strict=False)]
        return round(float(np.mean(shares)), 4)


def path_of(place: int) -> str:
    return f"/videos/{place // 1000:04d}/{place:08d}.mp4"


def windows_of(start: int, frames: np.ndarray, weights: np.ndarray, means: np.ndarray) -> list[Window]:
    seconds = np.linspace(0.4, 9.6, frames.shape[1], dtype=np.float32)
    return [
        Window(
            IndexedFile(path_of(place), f"{place:064x}", 1_000_000, 1_700_000_000_000_000_000 + place, 10.0),
            0,
            0.0,
            10.0,
            *arrays[:1],
            arrays[1],
            seconds,
            arrays[2],
        )
        for place, arrays in enumerate(zip(frames, weights, means, strict=True), start)
    ]


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def ask_all(answer: Callable[[int], Sequence[int]], count: int, rounds: int, truth: Best, what: str) -> dict[str, Any]:
    """Ask each question some times, in another order each time, and one of them once before."""
    answer(0)
    seconds, found = [], {}
    for number in range(rounds):
        for question in np.random.default_rng(number).permutation(count).tolist():
            begin = time.perf_counter()
            found[question] = answer(question)
            seconds.append(time.perf_counter() - begin)
    p50, p95 = np.percentile(seconds, (50, 95)).tolist()
    row = {
        "recall_at_10": truth.recall([found[question] for question in range(count)]),
        "p50_ms": round(p50 * 1e3, 2),
        "p95_ms": round(p95 * 1e3, 2),
    }
    print(f"  {what}: {row}", flush=True)
    return row | {"questions": count, "times": rounds}


def ask_store(store: LanceStore, texts: TextFeatures, question: int, kind: Similarity, shortlist: int) -> list[int]:
    """Both stages: the places of the ten best videos."""
    text = texts.map(lambda tensor: tensor[question : question + 1])
    windows = store.nearest(query_vectors(text, kind)[0], limit=shortlist, filter=Filter())
    scores = score_windows(text, windows, kind)
    return [int(windows[place].file.path[-12:-4]) for place in np.argsort(-scores, kind="stable")[:TOP_K]]


def build_store(folder: Path, chunks: Iterator[list[Window]], kind: Similarity, num_frames: int) -> dict[str, Any]:
    """An index of some windows; seconds of the store alone."""
    store = LanceStore(str(folder))
    seconds = 0.0
    for number, windows in enumerate(chunks):
        begin = time.perf_counter()
        if not number:
            store.write_info(IndexInfo("made up", "", kind, num_frames, WIDTH, 10.0, 2.0, version("side4video")))
        store.replace([window.file.path for window in windows], windows)
        seconds += time.perf_counter() - begin
    begin = time.perf_counter()
    store.optimise()
    optimising = time.perf_counter() - begin
    return {"build_seconds": round(seconds, 2), "optimise_seconds": round(optimising, 2), "bytes": bytes_of(folder)}


def measure_videos(size: int, arguments: Arguments, folder: Path) -> dict[str, Any]:
    """Videos with all frames."""
    videos, texts, truth = Videos(), Videos().questions(arguments.questions), Best(arguments.questions)
    means = np.empty((size, WIDTH), np.float32)

    def chunks() -> Iterator[list[Window]]:
        for start in tqdm(range(0, size, CHUNK), desc=f"{size} videos", leave=False):
            frames, weights, own = (array[: size - start] for array in videos.chunk(start // CHUNK))
            features = VideoFeatures(torch.from_numpy(frames.astype(np.float32)), torch.from_numpy(weights))
            truth.add(score_matrix(texts, features), start)
            means[start : start + len(own)] = own
            yield windows_of(start, frames, weights, own)

    row: dict[str, Any] = {"videos": size} | build_store(folder / "index", chunks(), "wti", NUM_FRAMES)
    print(row, flush=True)
    store = LanceStore(str(folder / "index"))
    begin = time.perf_counter()
    ask_store(store, texts, 0, "wti", arguments.shortlists[0])
    row["first_question_seconds"] = round(time.perf_counter() - begin, 3)
    row["ours"] = {
        str(shortlist): ask_all(
            lambda question, shortlist=shortlist: ask_store(store, texts, question, "wti", shortlist),
            arguments.questions,
            arguments.rounds,
            truth,
            f"ours, shortlist {shortlist}",
        )
        for shortlist in arguments.shortlists
    }
    store.close()
    if arguments.others:
        row |= measure_faiss(means, query_vectors(texts, "wti"), arguments, truth)
        row["lancedb_multivector"] = measure_multivector(size, videos, texts, arguments, truth, folder / "multivector")
    return row


def measure_means(size: int, arguments: Arguments, folder: Path) -> dict[str, Any]:
    """Mean vectors alone; each is its video's only frame."""
    videos, texts, truth = Videos(), Videos().questions(arguments.questions), Best(arguments.questions)
    vectors = query_vectors(texts, "mean-pool")

    def chunks() -> Iterator[list[Window]]:
        for start in tqdm(range(0, size, MEANS_AT_ONCE), desc=f"{size} means", leave=False):
            own = videos.means(start, min(start + MEANS_AT_ONCE, size))
            truth.add(vectors @ own.T, start)
            weights = np.ones((len(own), 1), np.float32)
            yield windows_of(start, own[:, None].astype(np.float16), weights, own)

    row: dict[str, Any] = {"mean_vectors": size} | build_store(folder / "index", chunks(), "mean-pool", 1)
    print(row, flush=True)
    store = LanceStore(str(folder / "index"))
    row["ours"] = ask_all(
        lambda question: ask_store(store, texts, question, "mean-pool", 500),
        arguments.questions,
        arguments.rounds,
        truth,
        "ours, shortlist 500",
    )
    store.close()
    if arguments.others:
        row |= measure_faiss(videos.means(0, size), vectors, arguments, truth)
    return row


def measure_faiss(means: np.ndarray, vectors: np.ndarray, arguments: Arguments, truth: Best) -> dict[str, Any]:
    """Mean vectors without re-ranking."""
    rows = {}
    parts = int(len(means) ** 0.5)
    flat = faiss.IndexFlatIP(WIDTH)
    ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(WIDTH), WIDTH, parts, faiss.METRIC_INNER_PRODUCT)
    ivf.nprobe, ivf.cp.min_points_per_centroid, ivf.cp.max_points_per_centroid = 16, 1, 64
    for name, index in (("faiss_flat", flat), ("faiss_ivf", ivf)):
        begin = time.perf_counter()
        index.train(means)
        index.add(means)
        row = {"build_seconds": round(time.perf_counter() - begin, 2)}
        rows[name] = row | ask_all(
            lambda question, index=index: index.search(vectors[question : question + 1], TOP_K)[1][0].tolist(),
            arguments.questions,
            arguments.rounds,
            truth,
            name,
        )
        index.reset()
    return rows | {"faiss_ivf_settings": {"parts": parts, "nprobe": 16}}


def measure_multivector(
    size: int, videos: Videos, texts: TextFeatures, arguments: Arguments, truth: Best, folder: Path
) -> dict[str, Any]:
    """LanceDB's own search in a column of several vectors a row."""
    kind = pa.list_(pa.list_(pa.float16(), WIDTH))
    schema = pa.schema([("place", pa.int64()), ("frames", kind)])
    table = lancedb.connect(str(folder)).create_table("videos", schema=schema)
    seconds = 0.0
    for start in range(0, size, CHUNK):
        frames = videos.chunk(start // CHUNK)[0][: size - start]
        begin = time.perf_counter()
        numbers = pa.FixedSizeListArray.from_arrays(pa.array(frames.reshape(-1)), WIDTH)
        offsets = pa.array(np.arange(0, NUM_FRAMES * (len(frames) + 1), NUM_FRAMES, dtype=np.int32))
        column = pa.ListArray.from_arrays(offsets, numbers)
        table.add(pa.table([pa.array(range(start, start + len(frames))), column], schema=schema))
        seconds += time.perf_counter() - begin
    words = F.normalize(texts.words, dim=-1).numpy()

    def answer(question: int) -> list[int]:
        query = table.search(words[question], vector_column_name="frames").distance_type("cosine").limit(TOP_K)
        return query.select(["place", "_distance"]).to_arrow()["place"].to_pylist()

    few = min(FEW_QUESTIONS if size <= 10_000 else 2, arguments.questions)
    row: dict[str, Any] = {"build_seconds": round(seconds, 2), "bytes": bytes_of(folder)}
    row["one_by_one"] = ask_all(answer, few, 1, truth, "LanceDB multivector, one by one")
    if arguments.multivector_index:
        begin = time.perf_counter()
        table.create_index("frames", config=IvfPq(distance_type="cosine"), wait_timeout=timedelta(minutes=10))
        row["index_seconds"] = round(time.perf_counter() - begin, 2)
        row["index"] = ask_all(answer, arguments.questions, 1, truth, "LanceDB multivector, its index")
        row["bytes_with_index"] = bytes_of(folder)
    return row


def main(command: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__, args=command)
    faiss.omp_set_num_threads(torch.get_num_threads())
    begin, rows = time.perf_counter(), []
    for measure, sizes in ((measure_videos, arguments.sizes), (measure_means, arguments.means)):
        for size in sizes:
            folder = Path(tempfile.mkdtemp(prefix="side4video-search-", dir=arguments.folder))
            try:
                rows.append(measure(size, arguments, folder))
            finally:
                shutil.rmtree(folder)
    generator = {
        name.lower(): globals()[name]
        for name in (
            "NUM_FRAMES",
            "WIDTH",
            "NUM_WORDS",
            "TOPICS",
            "SCENES",
            "SHARED",
            "TOPIC",
            "OWN",
            "SCENE",
            "NOISE",
            "WORD_NOISE",
        )
    }
    written = {
        "date": str(datetime.date.today()),
        "command": shlex.join(["python", *(sys.argv if command is None else ["benchmarks/video_search.py", *command])]),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "versions": {name: version(name) for name in ("lancedb", "faiss-cpu", "torch", "numpy")},
        "seconds": round(time.perf_counter() - begin),
        "generator": generator,
        "results": rows,
    }
    write_json(arguments.out, written)


if __name__ == "__main__":
    main()
