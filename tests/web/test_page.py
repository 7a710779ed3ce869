"""The page in a real browser without a window: Chromium, driven by Playwright.

Pictures of the page are left in build/screenshots.
"""

import os
import shutil
from pathlib import Path

import pytest

from side4video.search.stores.filters import Filter
from side4video.web.served_files import identify
from web.small_server import TIMEOUT_SECONDS, running_server

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
expect = sync_api.expect
expect.set_options(timeout=1000 * TIMEOUT_SECONDS)

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: apt-get install chromium, or name one in CHROMIUM"
)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        arguments = [
            "--no-sandbox",
            "--autoplay-policy=no-user-gesture-required",
        ]  # CI runs as root; tests press nothing
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, address):
    """`open_page(width=1280, ...)` opens the page; at the end no request may have left, and no error been reported.

    A browser also reports what the server refuses: `open_page.refusals` are the statuses that a test expects.
    """
    contexts, requests, errors = [], [], []

    def open_(path="/", width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, base_url=address, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * TIMEOUT_SECONDS)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(path)
        return page

    open_.refusals = {413, 422}
    yield open_
    for context in contexts:
        context.close()
    assert requests
    assert all(url.startswith(f"{address}/") for url in requests), requests
    assert [error for error in errors if not any(f"status of {one}" in error for one in open_.refusals)] == []


def shoot(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_load_state("networkidle")  # the pictures of videos say nothing when they have come
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def wait_for(video, condition):
    """Until a condition on a `video`, a locator, holds."""
    # Playwright's own way is eval, which the page forbids.
    video.evaluate(
        f"""(video, seconds) => new Promise((done, fail) => {{
            const look = () => {condition} ? done() : setTimeout(look, 50);
            look();
            setTimeout(() => fail(new Error("not within " + seconds + " seconds")), 1000 * seconds);
        }})""",
        TIMEOUT_SECONDS,
    )


def search(page, text):
    page.get_by_role("searchbox").fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"“{text}”")
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")


def card_of(page, path):
    return page.locator(f".card:has([title='{path}'])")


def test_search_and_go_back(open_page, indexed, address):
    page = open_page()
    expect(page.locator(".card")).to_have_count(8)  # a few of the index before anything is asked
    search(page, "a star moves clockwise")
    expect(page.locator(".card")).to_have_count(10)
    index = indexed.open()
    best = index.search("a star moves clockwise", top_k=1)[0]
    index.close()
    first = page.locator(".card").first
    expect(first.locator("[title]").first).to_have_attribute("title", best.file.path)
    expect(first.locator(".score")).to_have_text(f"{best.score:.3f}")
    expect(page).to_have_title("a star moves clockwise · side4video")
    expect(page).to_have_url(f"{address}/?q=a+star+moves+clockwise")
    search(page, "a ring")
    shoot(page, "search-light")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a star moves clockwise”")
    expect(page.get_by_role("searchbox")).to_have_value("a star moves clockwise")


def test_texts_from_right_to_left(open_page):
    page = open_page("/?q=\u0643\u0644\u0628&n=2")
    for place, direction in (("#q", "rtl"), ("h1", "rtl"), (".word", "rtl"), (".title", "ltr"), ("#path", "ltr")):
        found = page.locator(place).first.evaluate("element => getComputedStyle(element).direction")
        assert found == direction, place


def test_new_results_are_announced_and_keep_the_place_of_the_keyboard(open_page):
    page = open_page("/?q=a+star&n=2")
    search(page, "a ring")
    expect(page.locator("#news")).to_contain_text("“a ring” 10 of 10 videos")
    page.goto("/?q=a+ring&n=2")
    page.get_by_role("link", name="Show more").press("Enter")
    expect(page.locator(".card")).to_have_count(4)
    expect(page.locator(".card .open").nth(2)).to_be_focused()


QUESTIONS = ["a ring", "a star", "something else", "a shape moves clockwise", "red", "up", "a dog", "slow", "left", "b"]


@pytest.mark.parametrize("name", [pytest.param("long.mp4", marks=pytest.mark.slow), "old.avi"])
def test_videos_play_from_the_best_window(open_page, indexed, name):
    path = indexed.videos / name
    index = indexed.open()
    found = [index.search(text, filter=Filter(path=str(path)))[0] for text in QUESTIONS]
    index.close()
    question, best = next(pair for pair in zip(QUESTIONS, found, strict=True) if pair[1].start_seconds > 0)
    page = open_page(f"/?q={question.replace(' ', '+')}")
    card = card_of(page, path)
    video = card.locator("video")
    begins = 0 if name == "long.mp4" else best.start_seconds  # of old.avi this part alone is made for the browser
    assert float(video.get_attribute("data-begins")) == pytest.approx(begins, abs=1e-3)
    video.evaluate("video => video.play()")
    start = best.start_seconds - begins
    wait_for(video, f"video.currentTime > {start + 0.3}")
    assert start < video.evaluate("video => video.currentTime") < best.end_seconds - begins
    assert not video.evaluate("video => video.muted")
    if name == "old.avi":
        wait_for(video, "video.webkitAudioDecodedByteCount > 0")


@pytest.mark.slow
def test_muting_one_video_mutes_all(open_page, indexed):
    page = open_page("/?q=a+ring")
    first, second = (card_of(page, indexed.videos / name).locator("video") for name in ("long.mp4", "old.avi"))
    first.evaluate("video => { video.play(); video.muted = true; }")
    wait_for(first, "video.currentTime > 0")
    second.evaluate("video => video.play()")
    wait_for(second, "video.muted && video.currentTime > 0")
    assert first.evaluate("video => video.paused")  # one at a time
    search(page, "a star")
    assert page.locator("video").evaluate_all("videos => videos.map(video => video.muted)") == [True] * 10


def test_unplayable_video_shows_the_reason(open_page, indexed):
    path = indexed.videos / "old.avi"
    page = open_page("/?q=a+ring")
    card, before = card_of(page, path), path.stat()
    os.utime(path, (0, 0))
    try:
        open_page.refusals |= {404}
        card.locator(".word").first.click()
        expect(card.locator(".gone")).to_contain_text("changed since it was indexed")
        card.locator(".word").first.click()  # which does nothing more
    finally:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_click_on_a_word_seeks(open_page, indexed):
    path = indexed.videos / "long.mp4"
    page = open_page("/?q=a+ring+moves")
    card = card_of(page, path)
    words = card.locator(".word")
    expect(words.first).to_be_visible()
    word = words.last
    seconds = float(word.get_attribute("data-seconds"))
    word.click()
    wait_for(card.locator("video"), f"!video.paused && Math.abs(video.currentTime - {seconds}) < 2")


@pytest.mark.parametrize("kind", ["question", "upload"])
def test_a_server_with_another_token_asks_for_it(browser, indexed, kind):
    index = indexed.open()
    with running_server(index, token="abcdefgh1") as (address, _):
        context = browser.new_context(base_url=address)
        page = context.new_page()
        page.set_default_timeout(1000 * TIMEOUT_SECONDS)
        page.goto("/?token=abcdefgh1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Videos in this index")
        context.clear_cookies()  # as after a restart with another token
        if kind == "question":
            page.get_by_role("searchbox").fill("a ring")
            page.keyboard.press("Enter")
        else:
            page.get_by_label("Search by clip").set_input_files(sorted(indexed.videos.glob("*/*.mp4"))[2])
        page.get_by_label("Token").fill("abcdefgh1")
        page.get_by_role("button", name="Open").click()
        expected = "“a ring”" if kind == "question" else "Videos in this index"
        expect(page.get_by_role("heading", level=1)).to_have_text(expected)
        context.close()
    index.close()


def test_pages_of_a_proxy_are_no_results(open_page):
    open_page.refusals.add(502)
    page = open_page()
    page.route("**/?q=*", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    page.get_by_role("searchbox").fill("a ring")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server returned status 502.")
    page.unroute("**/?q=*")
    search(page, "a ring")  # and all goes on


def test_filters(open_page):
    page = open_page()
    page.locator(".filters summary").click()
    page.get_by_label("camera", exact=True).select_option("north")
    page.get_by_label("year, at least").fill("2019")
    search(page, "a ring")
    expect(page.locator(".card")).to_have_count(3)
    for text in page.locator(".metadata").all_inner_texts():
        assert "camera north" in text
    expect(page.locator(".filters .count")).to_have_text("2")
    expect(page.get_by_role("status")).to_contain_text("3 of 10 videos")
    shoot(page, "filters")
    page.get_by_label("Path").fill("*/nowhere/*")
    page.keyboard.press("Enter")
    expect(page.locator(".message")).to_contain_text("No video matches these filters")
    expect(page.get_by_role("status")).to_contain_text("0 of 10 videos")
    shoot(page, "empty")
    page.get_by_role("link", name="Search without filters").click()
    expect(page.locator(".card")).to_have_count(10)
    expect(page.get_by_label("Path")).to_have_value("")
    expect(page.get_by_label("year, at least")).to_have_value("")
    expect(page.get_by_label("camera", exact=True)).to_have_value("")
    expect(page.locator(".count")).to_have_count(0)


@pytest.mark.slow
def test_search_without_filters_link(open_page, address):
    page = open_page("/?q=a+ring&where=camera%3Dnorth")
    expect(page.locator(".card")).to_have_count(4)
    page.get_by_role("link", name="search without filters").click()
    expect(page.locator(".card")).to_have_count(10)
    expect(page.get_by_role("searchbox")).to_have_value("a ring")
    expect(page).to_have_url(f"{address}/?q=a+ring")


def test_more_like_this(open_page):
    page = open_page("/?q=a+ring")
    first = page.locator(".card").first
    path = first.locator("[title]").first.get_attribute("title")
    first.get_by_role("link", name="More like this").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Similar to ")
    expect(page.locator(".card")).to_have_count(9)
    expect(card_of(page, path)).to_have_count(0)
    assert page.url.endswith(f"/like/{identify(path)}")


def test_upload(open_page, indexed):
    clip = sorted(indexed.videos.glob("*/*.mp4"))[2]
    page = open_page(color_scheme="dark")
    page.get_by_label("Search by clip").set_input_files(clip)
    expect(page.get_by_role("heading", level=1)).to_have_text("Similar to 0001.mp4")
    assert page.locator(".card [title]").first.get_attribute("title") == str(clip)
    expect(page.locator(".classes dt")).to_have_count(5)
    shares = [float(text.removesuffix(" %")) for text in page.locator(".classes dd").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    shoot(page, "upload-dark")


@pytest.mark.slow
def test_drag_and_drop_upload(open_page, indexed):
    page = open_page()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["no video"], "dropped.mp4", { type: "video/mp4" }));
            for (const kind of ["dragover", "drop"]) {
                const options = { dataTransfer: data, bubbles: true, cancelable: true };
                document.body.dispatchEvent(new DragEvent(kind, options));
            }
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text("not a supported video")


def test_invalid_uploads_show_an_error(open_page):
    page = open_page()
    field = page.get_by_label("Search by clip")
    field.set_input_files({"name": "letter.mp4", "mimeType": "video/mp4", "buffer": b"no video"})
    expect(page.get_by_role("alert")).to_contain_text("This file is not a supported video or photo.")
    shoot(page, "broken-upload")
    field.set_input_files({"name": "large.mp4", "mimeType": "video/mp4", "buffer": bytes(2**20 + 1)})
    expect(page.get_by_role("alert")).to_contain_text("larger than the maximum of 1 MB")
    search(page, "a ring")  # and all goes on
    expect(page.locator(".card")).to_have_count(10)


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_narrow_window(open_page, scheme):
    page = open_page("/?q=a+ring&min:year=2018", width=360, height=780, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for kind in ("video", "button", "input:not([type=file])", "select", ".card"):
        for box in (one.bounding_box() for one in page.locator(kind).all() if one.is_visible()):
            assert box["x"] >= 0, kind
            assert box["x"] + box["width"] <= 360, kind
    shoot(page, f"narrow-{scheme}")


def test_skipping_to_the_results_loads_nothing(open_page, address):
    page = open_page("/?q=a+ring")
    loaded = []
    page.on("request", lambda request: loaded.append(request.url) if request.resource_type == "fetch" else None)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()
    page.get_by_role("searchbox").fill("a star")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("“a star”")
    assert loaded == [f"{address}/?q=a+star"]


def test_keyboard_only(open_page):
    page = open_page()
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("a ring")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring”")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
        if reached[-1] == "VIDEO":
            break
    assert reached[-1] == "VIDEO", reached
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shoot(page, "focus")
    page.keyboard.press("Space")
    video = page.locator("video:focus")
    wait_for(video, "!video.paused && video.currentTime > 0.1")
    page.keyboard.press("Space")
    wait_for(video, "video.paused")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "word":
            break
    page.keyboard.press("Enter")
    wait_for(page.locator(".card:has(.word:focus) video"), "!video.paused")


def test_works_without_scripts(open_page, indexed):
    page = open_page(java_script_enabled=False)
    page.get_by_role("searchbox").fill("a ring")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring”")
    expect(page.locator("video[controls]")).to_have_count(10)
    page.locator("#clip").set_input_files(sorted(indexed.videos.glob("*/*.mp4"))[0])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Similar to 0001.mp4")


@pytest.mark.slow
def test_api_documentation(open_page):
    page = open_page("/docs")
    expect(page.get_by_role("heading", name="GET /api/search", exact=True)).to_be_visible()
    shoot(page, "docs")


def test_names_are_escaped(open_page):
    page = open_page("/?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E")
    expect(page.get_by_role("heading", level=1)).to_have_text("“<img src=x onerror=alert(1)>”")
    expect(page.locator("main img")).to_have_count(0)


def test_filters_are_chips_that_can_be_removed(open_page):
    page = open_page("/?q=a+ring&where=camera%3Dnorth&min:year=2018")
    chips = page.locator(".chips a")
    names = [chip.get_attribute("aria-label") for chip in chips.all()]
    assert names == ["Remove the filter camera=north", "Remove the filter year ≥ 2018"]
    assert page.locator("details.filters").get_attribute("open") is None
    shown = page.locator(".card").count()
    chips.first.click()
    expect(chips).to_have_count(1)
    assert page.locator(".card").count() > shown
    assert "camera" not in page.url


@pytest.mark.slow
def test_back_after_an_upload_returns_to_the_query(open_page, indexed):
    page = open_page()
    search(page, "a ring")
    page.get_by_label("Search by clip").set_input_files(min(indexed.videos.glob("*/*.mp4")))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Similar to")
    expect(page.get_by_role("searchbox")).to_have_value("")
    assert "a+ring" not in page.url
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring”")
    expect(page.get_by_role("searchbox")).to_have_value("a ring")


@pytest.mark.slow
def test_fingers_have_targets_of_40_pixels(open_page):
    page = open_page("/?q=a+ring&where=camera%3Dnorth", width=360, height=740, has_touch=True, is_mobile=True)
    for target in page.locator(
        ".word, .actions a, .actions button, .chips a, .options summary, .ask button, .more a, .open, .copies summary"
    ).all():
        if target.is_visible():
            assert target.bounding_box()["height"] >= 39.5, target.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (360, "light"),
        *(
            pytest.param(width, scheme, marks=pytest.mark.slow)
            for width, scheme in ((2560, "light"), (360, "dark"), (1280, "light"), (1280, "dark"), (2560, "dark"))
        ),
    ],
)
def test_axe_finds_no_accessibility_error(open_page, width, scheme):
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    for name, path in (
        ("home", "/"),
        ("query", "/?q=a+ring&where=camera%3Dnorth"),
        ("docs", "/docs"),
        ("error", "/?q=a&n=x"),
    ):
        page = open_page(path, width=width, color_scheme=scheme)
        found = axe_playwright.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        shoot(page, f"axe-{name}-{width}-{scheme}")


def test_a_link_to_a_moment_opens_the_player_there(open_page, indexed, address):
    path = indexed.videos / "long.mp4"
    page = open_page("/?q=zebra+lion&path=*long.mp4", permissions=["clipboard-read", "clipboard-write"])
    card = card_of(page, path)
    expect(card.locator("mark")).to_have_text(["zebra", "lion"])
    card.locator(".cue").click()
    wait_for(card.locator("video"), "!video.paused && Math.abs(video.currentTime - 31.5) < 2")
    card.locator("video").evaluate("video => video.pause()")
    card.get_by_role("button", name="Copy the link").click()
    expect(card.locator(".copy")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    seconds = float(link.removeprefix(f"{address}/watch/{identify(str(path))}?t="))
    assert 31 < seconds < 34
    page = open_page(link.removeprefix(address))
    video = page.locator(".watch video")
    wait_for(video, f"Math.abs(video.currentTime - {seconds}) < 0.5")
    expect(page.locator(".transcript li")).to_have_count(2)
    page.locator(".transcript a").first.click()
    wait_for(video, "!video.paused && Math.abs(video.currentTime - 2) < 2")
    expect(page.locator(".transcript .now")).to_have_count(1)
    assert video.evaluate("video => [...video.textTracks].map(track => track.language)") == ["en"]
    shoot(page, "watch")


def test_the_timeline_of_a_recognition_model(open_page, indexed):
    page = open_page(f"/watch/{identify(str(sorted(indexed.videos.glob('*/*.mp4'))[0]))}")
    page.get_by_role("link", name="Find classes over time").click()
    expect(page.get_by_role("heading", name="Classes over time")).to_be_visible()
    expect(page.locator(".timeline")).to_contain_text("Windows of")
    expect(page.get_by_role("link", name="Find classes over time")).to_have_count(0)


@pytest.mark.slow
def test_texts_and_a_clip_together(open_page, indexed):
    page = open_page()
    page.get_by_role("searchbox").fill("a ring")
    page.locator(".combine summary").click()
    page.get_by_label("and also").fill("a star")
    page.get_by_label("but not").fill("a disc")
    page.get_by_role("button", name="Search together").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring” + “a star” \u2212 “a disc”")
    expect(page.locator(".computed")).to_contain_text("the mean of the scores of 2 texts, minus")
    assert page.url.endswith("/?q=a+ring&q=a+star&not=a+disc")
    page.get_by_label("with this clip or photo").set_input_files(min(indexed.videos.glob("*/*.mp4")))
    page.get_by_role("button", name="Search together").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring” + “a star” + like 0001.mp4 \u2212 “a disc”")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring” + “a star” \u2212 “a disc”")
    expect(page.get_by_label("and also")).to_have_value("a star")
    shoot(page, "combined")


@pytest.mark.slow
def test_combining_works_without_scripts(open_page, indexed):
    page = open_page(java_script_enabled=False)
    page.get_by_role("searchbox").fill("a ring")
    page.locator(".combine summary").click()
    page.get_by_label("and also").fill("a star")
    page.get_by_role("button", name="Search together").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring” + “a star”")
    page.get_by_label("with this clip or photo").set_input_files(min(indexed.videos.glob("*/*.mp4")))
    page.get_by_role("button", name="Search together").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("“a ring” + “a star” + like 0001.mp4")


@pytest.mark.slow
def test_a_video_of_the_index_and_a_text(open_page):
    page = open_page("/?q=a+ring")
    page.locator(".card").first.get_by_role("link", name="More like this").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Similar to ")
    page.locator(".combine summary").click()
    page.locator("#like").check()
    search_box = page.get_by_role("searchbox")
    search_box.fill("a star")
    search_box.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("“a star” + like ")
    expect(page.locator(".computed")).to_contain_text("the text and the example")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        pytest.param(360, "dark", marks=pytest.mark.slow),
        pytest.param(1280, "light", marks=pytest.mark.slow),
        (768, "light"),
        pytest.param(2560, "dark", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_accessibility_error_in_players_and_combined_queries(open_page, indexed, width, scheme):
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    watch = f"/watch/{identify(str(indexed.videos / 'long.mp4'))}?t=31.5&timeline=1"
    for name, path in (("combined", "/?q=zebra&q=a+ring&not=a+star"), ("watch", watch)):
        page = open_page(path, width=width, color_scheme=scheme)
        found = axe_playwright.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shoot(page, f"axe-{name}-{width}-{scheme}")


def test_a_link_has_the_place_of_a_video_that_never_played(open_page, indexed, address):
    path = indexed.videos / "long.mp4"
    page = open_page("/?q=zebra+lion&path=*long.mp4", permissions=["clipboard-read", "clipboard-write"])
    card = card_of(page, path)
    video = card.locator("video")
    video.evaluate("video => { video.onloadedmetadata = () => { video.currentTime = 29; }; video.load(); }")
    wait_for(video, "!video.seeking && Math.abs(video.currentTime - 29) < 0.1")
    card.get_by_role("button", name="Copy the link").click()
    expect(card.locator(".copy")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{address}/watch/{identify(str(path))}?t=29.000"
