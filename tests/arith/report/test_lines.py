"""Curves and their key."""

from arith.report.chart import PERCENT, linear_axis
from arith.report.lines import MOST_DRAWN, MOST_POINTS, DrawnLine, Spot, draw_lines
from tests.arith.report.pages import NASTY, Reader

X = linear_axis(0, 1000, "step")


def test_each_curve_has_a_box_that_names_it() -> None:
    lines = [
        DrawnLine(label, "5 seeds", n, [Spot(1, 50, "half")], hollow=n == 1) for n, label in enumerate(("a", NASTY))
    ]
    read = Reader(draw_lines(lines, X, PERCENT, "two"))
    boxes = [values for name, values in read.elements if name == "input"]
    assert (
        [box["data-toggles"] for box in boxes]
        == [curve["data-curve"] for curve in read.of_class("curve")]
        == ["0", "1"]
    )
    assert all("checked" in box for box in boxes)
    assert [values for name, values in read.elements if name == "script"] == []
    # In the plot and in the key: one that has not fitted is hollow.
    assert len(read.of_class("hollow")) == 2
    assert len(read.of_class("marker")) == 4


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    spots = [Spot(step, step / 10, f"step {step}") for step in range(1001)]
    read = Reader(draw_lines([DrawnLine("loss", "", 0, spots, marked=False)], X, PERCENT, "one"))
    assert len(read.of_class("point")) == MOST_POINTS
    assert read.texts["title"][0] == "step 0"
    assert read.texts["title"][-1] == "step 1000"
    (drawn,) = [values["d"] for name, values in read.elements if name == "path"]
    assert drawn is not None
    assert drawn.count("L") == MOST_DRAWN - 1


def test_bars_and_bands_stand_where_their_values_do() -> None:
    spots = [Spot(x, 50, "half", (25, 75), (40, 60)) for x in (0, 1000)]
    read = Reader(draw_lines([DrawnLine("a", "", 0, spots)], X, PERCENT, "one"))
    bar, other = read.of_class("bar")
    assert (bar["x1"], bar["y1"], bar["y2"]) == ("0%", "75%", "25%")
    assert other["x1"] == "100%"
    (band,) = read.of_class("band")
    assert band["d"] == "M0 40L100 40L100 60L0 60z"
