"""The built site in a real browser, as a reader meets it. Needs `make html` and an installed Chromium; else skipped."""

import functools
import http.server
import json
import os
import shutil
import threading

import pytest

from advsmooth import pages, scoreboard
from advsmooth.places import ROOT

SITE = ROOT / "_build" / "html"
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FILES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if path.relative_to(SITE).parts[0] != "_static" and path != SITE / "index.html"  # which only leads on
)
TYPES = [
    "book/index.html",
    "book/scoreboard.html",
    "book/verdicts.html",
    "book/papers/liu2020.html",
    "notebooks/kanai2021/loss_surfaces.html",
    "notebooks/zhu2022/width_depth_initialisation.html",
    "book/api/attacks.html",
]
"""One or two of each type of page."""
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}

pytestmark = [
    pytest.mark.book,
    pytest.mark.skipif(not FILES, reason="no site in _build/html; run make html"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; install one or name it in CHROMIUM"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing: requests are no news."""


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


class Visit:
    """A page in the browser, and what went wrong while it was open."""

    def __init__(self, context, address):
        self.page, self.address, self.troubles = context.new_page(), address, []
        self.page.on("console", lambda m: self.troubles.append(f"console: {m.text}") if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        self.page.on("requestfailed", lambda request: self.troubles.append(f"failed: {request.url}"))
        self.page.on("request", self.asked)

    def asked(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.troubles.append(f"asks another host: {request.url}")

    def open(self, file):
        self.page.goto(self.address + file)
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        # Colours that are still changing from light to dark have no contrast worth measuring.
        self.page.add_style_tag(
            content="*, *::before, *::after { transition: none !important; animation: none !important }"
        )
        return self.page


@pytest.fixture
def visit(browser, address):
    opened = []

    def make(size=DESK, scheme="light"):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        opened.append(context)
        return Visit(context, address)

    yield make
    for context in opened:
        context.close()


@pytest.mark.parametrize("file", FILES)
def test_every_page_is_whole_and_fits_a_phone(visit, file):
    visitor = visit(PHONE)
    page = visitor.open(file)
    state = page.evaluate(
        """() => ({
            wide: document.scrollingElement.scrollWidth,
            broken: [...document.images].filter((i) => i.complete && !i.naturalWidth).map((i) => i.src),
            raw: [...document.querySelectorAll(".math")].filter((m) => !m.querySelector("mjx-container")).length,
            wrong: document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
        })"""
    )
    assert visitor.troubles == []
    assert state == {"wide": 360, "broken": [], "raw": 0, "wrong": 0}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("file", TYPES)
def test_nothing_serious_stands_in_the_way_of_a_reader_with_other_senses(visit, file, scheme):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(visit(DESK, scheme).open(file)).response["violations"]
    serious = {
        v["id"]: [node["html"][:120] for node in v["nodes"]][:3]
        for v in found
        if v["impact"] in ("serious", "critical")
    }
    assert serious == {}


def test_the_axe_run_would_notice(visit):
    from axe_playwright_python.sync_playwright import Axe

    page = visit().open("book/index.html")
    page.evaluate("() => document.querySelectorAll('img').forEach((i) => i.removeAttribute('alt'))")
    assert "image-alt" in {v["id"] for v in Axe().run(page).response["violations"]}


def test_the_scoreboard_filters_sorts_and_remembers(visit):
    visitor = visit()
    page = visitor.open("book/scoreboard.html")
    shown = (
        "() => [...document.querySelectorAll('table.scoreboard tbody tr')].filter((r) => !r.hidden).map((r) => r.id)"
    )
    rows = scoreboard.rows()
    assert len(page.evaluate(shown)) == len(rows)
    page.select_option("select[name=paper]", "liu2020")
    assert set(page.evaluate(shown)) == {r.claim.id for r in rows if r.claim.paper == "liu2020"}
    page.fill("input[name=text]", "Theorem 2")
    assert "liu2020-thm2" in page.evaluate(shown)
    assert len(page.evaluate(shown)) < 10
    link = page.url
    page.fill("input[name=text]", "")
    page.click("table.scoreboard th button:text('verdict')")
    verdicts = (
        "() => [...document.querySelectorAll('table.scoreboard tbody tr:not([hidden])')].map((r) => r.dataset.verdict)"
    )
    assert page.evaluate(verdicts) == sorted(r.verdict for r in rows if r.claim.paper == "liu2020")
    page.click("table.scoreboard th button:text('verdict')")
    assert page.evaluate(verdicts) == sorted((r.verdict for r in rows if r.claim.paper == "liu2020"), reverse=True)
    again = visit().open(link.removeprefix(visitor.address))
    assert again.input_value("input[name=text]") == "theorem 2"
    assert visitor.troubles == []


def test_a_claim_has_a_permanent_link(visit):
    page = visit().open("book/scoreboard.html#liu2020-thm2")
    assert page.evaluate("() => document.querySelector(':target').id") == "liu2020-thm2"
    assert page.get_attribute("#liu2020-thm2 a.claim-id", "href") == "#liu2020-thm2"


def test_the_exports_hold_what_the_page_says(visit):
    page = visit().open("book/scoreboard.html")
    exported = json.loads((SITE / "_static" / "scoreboard.json").read_text())
    on_page = page.evaluate(
        "() => [...document.querySelectorAll('table.scoreboard tbody tr')].map((r) => [r.id, r.dataset.verdict])"
    )
    assert sorted((row["id"], row["verdict"]) for row in exported) == sorted(map(tuple, on_page))


@pytest.mark.parametrize("words", ["Theorem 2 of Liu", "Lemma 5", "perturbation stability"])
def test_the_search_finds_claims_by_their_own_numbering(visit, words):
    page = visit().open(f"search.html?q={words.replace(' ', '+')}")
    page.wait_for_selector("ul.search li a", timeout=20_000)
    hrefs = page.eval_on_selector_all("ul.search li a", "links => links.map((a) => a.getAttribute('href'))")
    assert any("notebooks/" in href for href in hrefs)


def test_interactive_figures_answer_to_the_keyboard(visit):
    ranges = 0
    for file in FILES:
        text = (SITE / file).read_text(encoding="utf-8")
        if 'type="range"' not in text:
            continue
        visitor = visit()
        page = visitor.open(file)
        for control in page.query_selector_all("input[type=range]"):
            figure = control.evaluate_handle("(input) => input.closest('figure, section, div.interactive, .output')")
            before = figure.evaluate("(f) => f.innerHTML + [...f.querySelectorAll('canvas')].map((c) => c.toDataURL())")
            value = control.input_value()
            control.focus()
            key = "ArrowLeft" if value == control.get_attribute("max") else "ArrowRight"
            page.keyboard.press(key)
            page.wait_for_timeout(100)
            assert control.input_value() != value, file
            after = figure.evaluate("(f) => f.innerHTML + [...f.querySelectorAll('canvas')].map((c) => c.toDataURL())")
            assert after != before, f"{file}: the slider moves, the picture does not"
            ranges += 1
        assert visitor.troubles == []
    assert ranges >= 3


def test_pages_stay_small():
    heavy = {file: (SITE / file).stat().st_size for file in FILES if (SITE / file).stat().st_size > 3_000_000}
    assert heavy == {}


@pytest.mark.parametrize("page", pages.every(), ids=lambda p: p.key)
def test_the_first_screen_of_a_page_has_its_question_and_its_verdicts(visit, page):
    opened = visit().open(f"notebooks/{page.key}.html")
    box = opened.query_selector(".page-box")
    assert box.bounding_box()["y"] < DESK["height"]
    badges = box.eval_on_selector_all(".badge", "found => found.map((b) => b.textContent)")
    said = [v["verdict"] for v in page.verdicts()] + [f.get("outcome", "findings") for f in page.findings()]
    assert badges == said
    for link in box.eval_on_selector_all("a[download]", "found => found.map((a) => a.getAttribute('href'))"):
        assert (SITE / "notebooks" / page.key).parent.joinpath(link).resolve().exists()
