import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from side4video.reports.retrieval_report import FoundVideo, Query, write_retrieval_report

HOSTILE = '<script>alert("1")</script>'


def found(name, *, right=False, caption="a disc moves up", brightness=0):
    frames = np.full((8, 16, 16, 3), brightness, dtype=np.uint8)
    return FoundVideo(name=name, caption=caption, frames=frames, similarity=0.25, right=right)


def query(**changes):
    answers = {"before": [found("1.mp4"), found("2.mp4")], "after": [found("2.mp4", right=True, brightness=200)]}
    return Query(**{"caption": "a disc moves up", "rank": {"before": 7, "after": 1}, "found": answers, **changes})


SCORES = {"R@1": {"before": 0.25, "after": 0.9876}}


def write(folder, **changes):
    arguments = {"title": "Demo", "summary": "What it is.", "scores": SCORES, "queries": [query()], **changes}
    write_retrieval_report(folder / "new" / "report.html", **arguments)
    return (folder / "new" / "report.html").read_text(encoding="utf-8")


def test_page_shows_scores_and_results_of_each_model(tmp_path):
    page = write(tmp_path)
    text = " ".join(re.sub("<[^>]+>", " ", page).split())
    for part in (
        "Demo",
        "What it is.",
        "25.0 %",
        "98.8 %",
        "before: correct video at rank 7",
        "after: correct video at",
    ):
        assert part in text
    assert page.count('<figure class="right">') == 1
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 3
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[2]))).convert("RGBA"))
    assert strip[8, 8].tolist() == [200, 200, 200, 255]


def test_page_makes_no_requests_and_has_no_scripts(tmp_path):
    hostile = query(caption=HOSTILE, found={"before": [found(HOSTILE, caption=HOSTILE)], "after": []})
    page = write(tmp_path, title=HOSTILE, summary=HOSTILE, queries=[hostile])
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "default-src 'none'" in page


def test_same_content_gives_the_same_bytes(tmp_path):
    assert write(tmp_path) == write(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": {"R@1": {"before": 25.0, "after": 90.0}}}, "Divide percentages by 100"),
        ({"scores": SCORES | {"R@5": {"after": 1.0}}}, "Give a score of each"),
        ({"queries": [query(found={"after": []})]}, "Give results of each"),
        ({"queries": [query(rank={"before": 1})]}, "Give results of each"),
    ],
)
def test_inconsistent_content_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **changes)
    assert not (tmp_path / "new").exists()
