"""The page of a timeline in a real browser: it plays the film, and a click on a bar seeks."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from side4video.demo.videos import write_video
from side4video.moments.moment import Moment
from side4video.timeline import page
from side4video.timeline.page import write_timeline_page
from side4video.timeline.timeline import Timeline

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "a film #1.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (120, 32, 32, 3), dtype=np.uint8)
    write_video(path, frames, frames_per_second=12)
    return path


def timeline(film, moments):
    return Timeline(
        path=film,
        duration_seconds=10.0,
        window_seconds=2.0,
        stride_seconds=0.5,
        min_score=0.5,
        min_seconds=0.5,
        num_windows=17,
        num_frames=40,
        moments=tuple(Moment(film, *moment) for moment in moments),
    )


def test_names_are_escaped(tmp_path):
    write_timeline_page(tmp_path / "page.html", timeline(Path("<i>.mp4"), [(0, 1, "<script>alert(1)</script>", 0.9)]))
    text = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "<i>" not in text


def test_a_film_on_another_drive_has_an_absolute_address(tmp_path, film, monkeypatch):
    monkeypatch.setattr(page, "relative_path", lambda *_: None)
    write_timeline_page(tmp_path / "page.html", timeline(film, []))
    assert f'src="{film.as_uri()}' in (tmp_path / "page.html").read_text()


def test_a_timeline_without_moments_gives_the_remedy(tmp_path, film):
    write_timeline_page(tmp_path / "page.html", timeline(film, []))
    assert "Lower --min-score" in (tmp_path / "page.html").read_text()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium, or name one in CHROMIUM")
def test_a_click_on_a_bar_seeks(tmp_path, film):
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    page_path = film.parent / "out" / "page.html"
    moments = [(0.0, 3.0, "run", 0.9), (4.0, 6.0, "jump", 0.6), (7.0, 10.0, "run", 0.8)]
    write_timeline_page(page_path, timeline(film, moments))
    write_timeline_page(tmp_path / "gone.html", timeline(film.with_name("gone.mp4"), moments))
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(page_path.as_uri())
        page.wait_for_function("document.getElementById('video').readyState >= 1")
        assert page.evaluate("document.getElementById('video').duration") == pytest.approx(10.0, abs=0.1)
        assert page.locator(".row > span").all_inner_texts() == ["run", "jump"]
        colours = page.evaluate("[...document.querySelectorAll('.track button')].map((b) => b.style.background)")
        assert len(set(colours)) == 3, "a hue per class, lightness by score"
        page.evaluate("document.getElementById('video').play = () => Promise.resolve()")  # so that the time stands
        page.get_by_label("jump at 0:04.0").click()
        page.wait_for_function("document.getElementById('video').currentTime === 4")
        page.wait_for_selector("tr.on >> text=jump")
        page.locator("td button").last.click()
        page.wait_for_function("document.getElementById('video').currentTime === 7")
        page.locator(".track").first.click(position={"x": 1, "y": 5})
        page.wait_for_function("document.getElementById('video').currentTime < 0.1")
        assert page.locator("#error").is_hidden()
        page.goto((tmp_path / "gone.html").as_uri())
        page.wait_for_selector("#error", state="visible")
        assert not errors
        browser.close()
