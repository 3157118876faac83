"""Figures as they are drawn, before they are saved."""

from collections.abc import Iterator

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from arith.figures import style


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that are drawn, still open, and not saved."""
    figures: list[Figure] = []
    close = pyplot.close
    monkeypatch.setattr(pyplot, "close", figures.append)
    monkeypatch.setattr(style, "FORMATS", ())
    yield figures
    for figure in figures:
        close(figure)
