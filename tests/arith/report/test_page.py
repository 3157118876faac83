"""The page as a whole: by itself, small, and in a browser."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arith.report import page
from arith.report.markup import Markup
from arith.report.page import Missing, Part, render_page
from arith.report.sources import Source
from arith.results.schema import Results
from tests.arith.examples import cell, grid_cells
from tests.arith.report.pages import NASTY, Reader, full_page, write_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_the_page_needs_no_network_and_a_label_can_do_nothing() -> None:
    text = full_page()
    read = Reader(text)
    # The one script and the one style are ours, nothing is loaded, and links lead into the page.
    assert [name for name, _ in read.elements if name in ("script", "style", "link", "img", "iframe")] == [
        "style",
        "script",
    ]
    assert all(str(values["href"]).startswith("#") for _, values in read.elements if "href" in values)
    assert not re.search(r"https?:|@import|url\((?!#p-)", text)
    assert not [values for _, values in read.elements if any(key.startswith("on") for key in values)]
    policy = next(values["content"] for _, values in read.elements if values.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'")


def test_the_page_has_every_part_and_every_link_leads_to_one() -> None:
    read = Reader(full_page())
    ids = {values["id"] for _, values in read.elements if "id" in values}
    assert {"accuracy", "grid", "training", "anatomy", "failures", "attention", "provenance", "again"} <= ids
    assert {str(values["href"])[1:] for _, values in read.elements if "href" in values} <= ids
    assert {"arith train", "arith report x.json"} <= set(read.texts["pre"])


def test_the_same_results_make_the_same_page() -> None:
    assert full_page() == full_page()


def test_a_large_grid_of_five_curves_stays_under_3_mb() -> None:
    cells = [cell(label, digits, 200, seed=seed) for label in "abcde" for digits in range(1, 16) for seed in range(5)]
    cells += [one for label in "abcde" for one in grid_cells(label, 15, lambda a, b: 1 / max(a, b))]
    text = full_page(Source("large", None, Results(tuple(cells))))
    assert len(text.encode()) < page.LARGEST
    read = Reader(text)
    assert sum("\u00d7" in title for title in read.texts["title"]) == 5 * 15 * 15


def test_parts_beyond_the_limit_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LARGEST", 2**15)
    parts = [Part(key, f"The {key}", Markup("x" * 2**14)) for key in ("accuracy", "grid", "attention")]
    text, shown, missing = render_page("t", "l", parts, [Missing("Gone", "why", "arith x")], [], "arith report")
    assert shown == ["accuracy"]
    assert [one.title for one in missing] == ["Gone", "The grid", "The attention"]
    assert "larger than" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_runs_the_page(tmp_path: Path) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [str(BROWSER), *options, write_page(tmp_path).as_uri()]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
    read = Reader(ran.stdout.partition("<!DOCTYPE html>")[2])
    assert read.elements[0][1]["class"] == "scripted", ran.stderr
    # A stop of the Tab key for each plot, and no more.
    plots = [values for _, values in read.elements if "data-roving" in values]
    assert len([one for one in read.of_class("point") if one["tabindex"] == "0"]) == len(plots) == 8


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """The page in a browser of 400 pixels, and all that it asked for or complained of."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright is installed, which steers a browser")
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 400, "height": 800})
        noise: list[str] = []
        tab.on("request", lambda request: noise.append(request.url))
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        path = write_page(tmp_path)
        tab.goto(path.as_uri())
        yield tab
        assert noise == [path.as_uri()]
        browser.close()


def test_a_page_of_400_pixels_does_not_scroll_sideways(opened: Any) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400


def test_hovering_says_the_numbers_of_a_point(opened: Any) -> None:
    opened.locator("#accuracy .curve .point").nth(1).hover(force=True)
    told = opened.locator("#accuracy .readout").first.text_content()
    assert "4 digits: 100%, 95% interval 99 to 100, n = 400 a seed" in told
    assert NASTY[:8] in told


def test_boxes_hide_and_show_curves(opened: Any) -> None:
    curve, box = opened.locator("#training [data-curve='0']"), opened.locator("#training input").first
    assert curve.is_visible()
    box.uncheck()
    assert not curve.is_visible()
    box.check()
    assert curve.is_visible()


def test_the_keyboard_reaches_every_cell(opened: Any) -> None:
    opened.locator("#grid .point").first.focus()
    readout = opened.locator("#grid .readout").first
    assert "1 \u00d7 1 digits" in readout.text_content()
    for key, lengths in (
        ("ArrowRight", "1 \u00d7 2"),
        ("ArrowUp", "2 \u00d7 2"),
        ("ArrowLeft", "2 \u00d7 1"),
        ("ArrowLeft", "2 \u00d7 1"),
    ):
        opened.keyboard.press(key)
        assert f"{lengths} digits" in readout.text_content()
    # One Tab leaves the plot.
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.closest('#grid .plot')") is None
