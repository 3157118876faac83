"""Lines of any quantity over seeds."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from arith.figures.quantities import Line, Panel, draw_quantities
from tests.arith.figures.layout import check_layout

LINES = (Line("plain", {1.0: (3.0, 1.0, 2.0), 2.0: (5.0,)}), Line("augmented", {1.0: (2.0, 2.0), 2.0: (4.0, 6.0)}))


def test_a_figure_is_whole_and_its_texts_are_apart(kept: list[Figure], tmp_path: Path) -> None:
    one = Panel("step", "sharpness", LINES[:1], level=4.0)
    two = Panel("step size", "bias", LINES, vertical=1.5, right=1.7, high=3.0)
    draw_quantities([one, two, one], tmp_path / "figure", "Three panels")
    (figure,) = kept
    check_layout(figure)
    assert len(figure.axes) == 3
    assert figure.axes[1].get_ylim()[1] <= 3
    # Beyond the axis a line has no points, and its label no end.
    assert list(figure.axes[1].lines[1].get_xdata()) == [1.0]


def test_the_table_has_the_medians(tmp_path: Path) -> None:
    draw_quantities([Panel("step", "bias", LINES)], tmp_path / "figure")
    rows = list(csv.reader((tmp_path / "figure.csv").open()))
    assert rows[0] == ["quantity", "label", "at", "seeds", "median", "lowest", "highest"]
    assert rows[1] == ["bias", "plain", "1", "3", "2", "1", "3"]
    assert rows[4] == ["bias", "augmented", "2", "2", "5", "4", "6"]
