"""The page in a browser."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex

from arith.figures.style import MAP
from arith.play.server import PlayServer
from arith.play.session import Session, collect_places

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60_000  # milliseconds that a browser may take on a busy machine


@pytest.fixture(scope="module")
def server() -> Iterator[PlayServer]:
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    session = Session(collect_places(()))
    session.warm()
    with PlayServer(session) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def opened(server: PlayServer) -> Iterator[Any]:
    """The page in a browser of 400 pixels; nothing else is asked for, and nothing is complained of."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright is installed, which steers a browser")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 400, "height": 800})
        tab.set_default_timeout(SECONDS)
        noise: list[str] = []
        tab.on("request", lambda one: noise.append(one.url) if not one.url.startswith((server.url, "data:")) else None)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.goto(server.url)
        tab.locator("#heads canvas").first.wait_for()
        yield tab
        assert noise == []
        browser.close()


def test_colours_are_those_of_figures() -> None:
    texts = {name: files("arith.play").joinpath(name).read_text(encoding="utf-8") for name in ("page.js", "page.css")}
    stops = [to_hex(MAP(share / 8)) for share in range(9)]
    assert re.search(r"const MAP = \[(.*)\]", texts["page.js"])[1].replace('"', "").split(", ") == stops  # type: ignore[index]
    assert f"linear-gradient(to right, {', '.join(stops)})" in texts["page.css"]


def test_nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() -> None:
    for name in ("page.html", "page.css", "page.js", "heads.js"):
        text = files("arith.play").joinpath(name).read_text(encoding="utf-8")
        assert not re.search(r"https?:|@import|url\(|innerHTML|insertAdjacentHTML|\beval\b|\sstyle=|\son[a-z]+=", text)


@pytest.mark.slow
def test_a_browser_runs_the_page(server: PlayServer, tmp_path: Path) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [str(BROWSER), *options, "--virtual-time-budget=20000", server.url]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=200)
    text = re.sub("<[^>]+>", "", ran.stdout)
    assert "123+456 = 579right" in text, ran.stderr
    assert len(re.findall("<canvas", ran.stdout)) == 2


@pytest.mark.slow
def test_an_edited_digit_marks_what_it_changes(opened: Any) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
    assert opened.locator("#verdict").text_content() == "123+456 = 579right"
    # From the keyboard alone: the second digit of the problem, up by one, six times.
    opened.locator(".wheel-digit").nth(1).focus()
    for digit in "345678":
        opened.keyboard.press("ArrowUp")
        opened.locator("#verdict", has_text=f"1{digit}3+456").wait_for()
    opened.keyboard.press("9")
    opened.locator("#verdict", has_text="193+456 = 649right").wait_for()
    opened.locator("#compared", has_text="Compared with 183+456: 1 of 5 tokens differ").wait_for()
    assert opened.locator("#reply .changed").all_text_contents() == ["4>99.9%was 3"]
    assert opened.locator("#ids td.changed").all_text_contents() == ["9", "4"]
    assert opened.evaluate("document.activeElement.getAttribute('aria-label')") == "digit 9, place 2"


@pytest.mark.slow
def test_maps_are_read_from_the_keyboard(opened: Any) -> None:
    readout = opened.locator("#readout")
    assert "layer 1, head 1: '=' (9) attends to" in readout.text_content()
    opened.locator("canvas").nth(1).focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight"):
        opened.keyboard.press(key)
    assert "layer 1, head 2: '6' (8) attends to" in readout.text_content()
    assert "Key '1' (2): 0.0%, hidden by the encoding" in readout.text_content()
    opened.locator("[name=view][value=bias]").check()
    assert "added to a score" in opened.locator("#told").text_content()


@pytest.mark.slow
def test_mistakes_and_other_tasks_lead_on(opened: Any) -> None:
    opened.locator("#problem").fill("12+")
    opened.locator("#status.wrong", has_text="ask addition for problems such as 12+34; got '12+'").wait_for()
    opened.locator("#status button", has_text="try 12+34").click()
    opened.locator("#verdict", has_text="12+34 = 46right").wait_for()
    # A model of another task brings a problem of its own.
    opened.locator("#model").select_option("multiplication")
    opened.locator("#verdict", has_text="12*34 = 408right").wait_for()
    # Its columns are worked out in their own places: the first behind ^12*34=.
    opened.locator("#readout", has_text="loop 1, layer 1, head 1: '8' (8) attends to").wait_for()
    assert opened.locator("#pass option").all_text_contents() == [f"loop {loop}, layer 1" for loop in (1, 2, 3)]


@pytest.mark.slow
def test_every_digit_is_tried(opened: Any) -> None:
    opened.locator("#try").click()
    opened.locator("#digits td").first.wait_for()
    # Of 123+456 = 579, written 9750$: the first operand's units carry when they are 4 and more, as 6 + 4 is 10.
    rows = [row.locator("td").all_text_contents() for row in opened.locator("#digits tbody tr").all()]
    assert rows[2] == ["9", "6", "", "", ""]
    assert "The right answers change with as many, everywhere." in opened.locator("#digits-note").text_content()
    # Another problem has not been tried.
    opened.locator("#problem").fill("124+456")
    opened.locator("#verdict", has_text="124+456").wait_for()
    assert opened.locator("#digits").is_hidden()
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
