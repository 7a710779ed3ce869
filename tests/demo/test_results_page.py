import numpy as np
import pytest

from side4video.demo.captioned_videos import CaptionedVideos, make_captioned_videos
from side4video.demo.results_page import compare_models, write_results_page
from side4video.demo.retrieval import retrieval_demo_config
from side4video.tasks.retrieval.metrics import retrieval_scores, text_to_video_ranks
from side4video.tasks.retrieval.scores import QueryResult, RetrievalEvaluation
from side4video.video.decoding import VideoError

VIDEOS = CaptionedVideos(train_clips_per_caption=1, forms=("disc",), colours=("red", "blue"), size=32)
CAPTIONS = [
    f"a {colour} disc moves {motion}" for colour in ("red", "blue") for motion in ("left", "right", "up", "down")
]


def evaluation(scores):
    """The task's result if caption i scores video j with scores[i, j]."""
    own = np.arange(len(scores))
    names = [f"test/{number:04d}.mp4" for number in range(1, len(scores) + 1)]
    ranks = text_to_video_ranks(scores, own)
    queries = []
    for row, caption in enumerate(CAPTIONS):
        best = np.argsort(-scores[row], kind="stable")[:3]
        queries.append(
            QueryResult(
                caption=caption,
                video=names[row],
                rank=float(ranks[row]),
                best=tuple(names[index] for index in best),
                best_scores=tuple(float(scores[row, index]) for index in best),
            )
        )
    return RetrievalEvaluation(
        source="test.csv",
        split="",
        similarity="mean-pool",
        num_videos=8,
        num_captions=8,
        scores=retrieval_scores(scores, own),
        dual_softmax=None,
        queries=tuple(queries),
        unread=(),
    )


@pytest.fixture
def evaluations():
    right = np.eye(8)
    # Each caption finds the video of its opposite motion; the last one even that of another colour.
    opposite = [1, 0, 3, 2, 5, 4, 7, 2]
    return {"before": evaluation(np.eye(8)[opposite] + 0.5 * right), "after": evaluation(right)}


def test_shares_equal_counts_by_hand(evaluations):
    scores = compare_models(evaluations)
    assert scores["text to video: R@1"] == {"before": 0.0, "after": 1.0}
    assert scores["… right form and colour"] == {"before": 7 / 8, "after": 1.0}
    assert scores["… right motion"] == {"before": 0.0, "after": 1.0}
    assert scores["text to video: R@5"] == {"before": 1.0, "after": 1.0}


def test_captions_without_a_training_video_are_counted_separately(evaluations):
    # Held out are motion 0 of the red disc and motion 5 mod 4 of the blue one (colour 5): rows 0 and 5.
    wrong = np.eye(8)
    wrong[0] = np.eye(8)[1]
    name = "… of captions without a training video"
    assert compare_models({"after": evaluation(wrong)})[name] == {"after": 0.5}
    wrong = np.eye(8)
    wrong[1] = np.eye(8)[0]
    assert compare_models({"after": evaluation(wrong)})[name] == {"after": 1.0}


def test_page_shows_missed_captions_of_every_motion_with_their_videos(tmp_path, evaluations):
    make_captioned_videos(tmp_path, VIDEOS)
    config = retrieval_demo_config(tmp_path, tmp_path / "no.safetensors", epochs=1)
    write_results_page(
        tmp_path / "page.html", scores=compare_models(evaluations), evaluations=evaluations, config=config
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(f"moves {motion}”</h2>" in page for motion in ("left", "right", "up", "down"))
    assert "test/0001.mp4" in page
    assert page.count('<figure class="right">') == 2 * page.count("</h2>") - 2


def test_missing_videos_are_named(tmp_path, evaluations):
    config = retrieval_demo_config(tmp_path / "gone", tmp_path / "no.safetensors", epochs=1)
    with pytest.raises(VideoError, match="there is no such file"):
        write_results_page(
            tmp_path / "page.html", scores=compare_models(evaluations), evaluations=evaluations, config=config
        )
    assert not (tmp_path / "page.html").exists()
