"""Builds a search index of the retrieval demonstration's test videos with metadata, and runs one query."""

import importlib.util
import shutil
from pathlib import Path

from side4video.atomic_files import write_rows
from side4video.demo.captioned_videos import CaptionedVideos
from side4video.demo.moving_captions import MotionCaption
from side4video.system.console import shell_words

METADATA_CSV = "facts.csv"
"""Metadata of the test videos: form, colour and motion."""
SHOWN = 3
"""Number of videos printed for the query."""


def index_test_videos(folder: Path, *, run: Path, videos: Path, settings: CaptionedVideos) -> bool:
    """Build an index of the test videos with the run's adapter, and print the results of one query.

    Args:
        folder: folder of the index; an earlier index is replaced.
        run: run folder with the adapter.
        videos: folder of the videos; the CSV is written there.
        settings: settings of the videos.

    Returns:
        Whether the index was built. Without LanceDB, which is optional, the function prints a message instead.

    Raises:
        ValueError: the folder contains something other than an index.
    """
    if importlib.util.find_spec("lancedb") is None:
        print("index        none, because LanceDB is not installed: pip install 'side4video[search]'")
        return False
    from side4video.search.index_model import load_index_model
    from side4video.search.indexing import update_index
    from side4video.search.metadata import read_metadata
    from side4video.search.stores.open_store import open_store
    from side4video.search.video_index import VideoIndex

    captions = settings.splits["test"]
    _write_metadata(videos / METADATA_CSV, captions)
    open_store(folder, create=True).close()  # raises an error if the folder is not an index
    shutil.rmtree(folder, ignore_errors=True)  # an earlier index belongs to another adapter
    store, model = open_store(folder, create=True), load_index_model(run)
    inputs, metadata = [str(videos / "test")], read_metadata(videos / METADATA_CSV)
    update_index(store, model, inputs, address=folder, metadata=metadata, workers=0)
    query = str(captions[0])
    print(f"\nsearch: {query}")
    for video in VideoIndex(store, model, model.describe(window_seconds=10, overlap_seconds=5), folder).search(
        query, top_k=SHOWN
    ):
        known = " ".join(str(video.file.metadata[name]) for name in ("colour", "form", "motion"))
        print(f"  {video.score:6.3f}  {Path(video.file.path).name}  {known}")
    store.close()
    print(f"index        {folder}")
    question = ["side4video", "search", str(folder), query, "--where", f"colour={captions[0].colour}"]
    print(f"search it    {shell_words(question)}")
    print(f"open it      {shell_words(['side4video', 'serve', str(folder)])}")
    return True


def _write_metadata(path: Path, captions: list[MotionCaption]) -> None:
    rows = [
        (f"test/{number:04d}.mp4", caption.form, caption.colour, caption.motion)
        for number, caption in enumerate(captions, start=1)
    ]
    write_rows(path, ("path", "form", "colour", "motion"), rows)
