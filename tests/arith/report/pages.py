"""What tests of the page begin from: a page read as a browser reads it, and results that fill every part."""

from html.parser import HTMLParser
from pathlib import Path

from arith.report.build import Extras, build_parts, describe
from arith.report.page import render_page
from arith.report.parts.attention import Heads
from arith.report.parts.failures import Failure
from arith.report.sources import Source
from arith.results.predictions import Prediction
from arith.results.schema import Results, Series
from tests.arith.examples import anatomy, cell, grid_cells

NASTY = "<script>alert(1)</script>\" onload='x' & \x00\ud800"  # a label may hold anything
VOID = {"meta", "input", "br"}


class Reader(HTMLParser):
    """Elements with their attributes, and the text of each; refuses what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [values for _, values in self.elements if name in (values.get("class") or "").split()]


def failure(expected: str = "975$", written: str = "965$", first_wrong: int = 2, **changes: object) -> Prediction:
    values = {"suite": "random", "digits": 3, "operand_lengths": None, "index": 0, "operands": ("123", "456")}
    values |= {"result": "579", "prompt": "321+654=", "answer": "569", "margin": 0.25}
    shown = {"expected": expected, "written": written, "first_wrong": first_wrong}
    return Prediction(**{**values, **shown, **changes})  # type: ignore[arg-type]


def full_source() -> Source:
    """Results with something for every part: two labels, two seeds, a grid, an anatomy, a training."""
    cells = [
        cell(name, digits, 400 if digits < 6 else 40 * seed, seed=seed)
        for name in (NASTY, "coupled")
        for seed in (0, 1)
        for digits in (1, 4, 9)
    ]
    cells += grid_cells(NASTY, 3, lambda a, b: 1 / max(a, b))
    series = (Series("a-0", "accuracy at 6 digits", (0, 10, 20), (0.0, 0.5, 1.0)),)
    return Source(
        "full", None, Results(tuple(cells), {"command": "arith reproduce x"}, (anatomy(NASTY, 9, 60),), (), series)
    )


def full_page(source: Source | None = None) -> str:
    """A page of everything."""
    import numpy as np

    heads = Heads(NASTY, "1+1", "^1+1=2$", [np.eye(7)[None]], [(0, 0)], 1, False, True)
    extras = Extras([Failure(NASTY, failure(), "dropped")], heads=[heads])
    sources = [source or full_source()]
    parts, missing = build_parts(sources, extras)
    return render_page(NASTY, describe(sources), parts, missing, ["arith train"], "arith report x.json")[0]


def write_page(folder: Path, source: Source | None = None) -> Path:
    path = folder / "report.html"
    path.write_text(full_page(source), encoding="utf-8")
    return path
