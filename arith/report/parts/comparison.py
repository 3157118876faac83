"""One model against another: the difference of their accuracies by digit length."""

import statistics
from collections.abc import Sequence

from arith.report.chart import Axis, Scale, lengths_axis
from arith.report.lines import DrawnLine, Spot, draw_lines
from arith.report.markup import Markup, element, folded, join, table
from arith.results.curves import Curve, Point
from arith.results.uncertainty import difference_band, percent

HEADER = ["suite", "digits", "first %", "second %", "difference", "95% interval", "seeds of both"]


def comparison_part(pairs: Sequence[tuple[Curve, Curve]], paired: Sequence[Sequence[str]] = ()) -> Markup:
    """Second less first, for each pair of curves on one suite.

    Args:
        pairs: the first and the second curve of each, on the same suite.
        paired: a table, head first, of tests on the same problems, where there are predictions of both.
    """
    parts = [_pair(first, second, place) for place, (first, second) in enumerate(pairs)]
    if paired:
        head, *rows = paired
        caption = "McNemar's exact test on the same problems, corrected for all lines (Holm)."
        shown = table(head, rows, "On the same problems")
        parts.append(join(element("h3", "On the same problems"), shown, element("p", caption, class_="note")))
    note = (
        "Above zero the second is ahead. Bars: 95% bootstrap interval of the median difference, over the seeds that "
        "both have and their problems. Without a seed in common there is no interval."
    )
    return join(*parts, element("p", note, class_="note"))


def _pair(first: Curve, second: Curve, place: int) -> Markup:
    spots, rows = [], []
    theirs = {point.digits: point for point in second.points}
    for point in first.points:
        if point.digits in theirs:
            spot, row = _difference(first, point, theirs[point.digits])
            spots.append(spot)
            rows.append(row)
    name = f"{second.label} against {first.label}, {first.suite} problems"
    if not spots:
        return element("p", f"{name}: no length in common.")
    lengths = sorted(int(spot.x) for spot in spots)
    reach = max(5.0, *(abs(end) for spot in spots for end in (spot.y, *(spot.bar or ()))))
    most = min(100, 10 * -(-reach // 10))
    ticks = [(at, f"{at:+g}" if at else "0", True) for at in (-most, -most / 2, 0, most / 2, most)]
    y = Axis(Scale(-most, most), ticks, "difference of exact match (percentage points)")
    zero = element("line", class_="level", x1="0", x2="100%", y1="50%", y2="50%")
    hollow = not (first.fitted and second.fitted)
    facts = "one of them is unfitted" if hollow else ""
    line = DrawnLine(f"{second.label} less {first.label}", facts, place, spots, hollow)
    x = lengths_axis(lengths, "digits of the longer operand")
    drawn = draw_lines([line], x, y, name, behind=[zero], legend="Show", kind="low")
    return join(element("h3", name), drawn, folded("As a table", table(HEADER, rows, name)))


def _difference(curve: Curve, first: Point, second: Point) -> tuple[Spot, list[str]]:
    ours, theirs = ({(c.model_seed, c.data_seed): c for c in point.cells} for point in (first, second))
    common = [key for key in ours if key in theirs]
    middle, bar = 100 * (second.median - first.median), None
    if common:
        counts = [((ours[key].correct, ours[key].n), (theirs[key].correct, theirs[key].n)) for key in common]
        middle = 100 * statistics.median(theirs[key].accuracy - ours[key].accuracy for key in common)
        low, high = (100 * end for end in difference_band(counts, first.digits))
        bar = (min(low, middle), max(high, middle))
    interval = f"{bar[0]:+.1f} to {bar[1]:+.1f}" if bar else "none"
    shares = [percent(first.median), percent(second.median)]
    text = f"{first.digits} digits: {shares[0]}% and {shares[1]}%, difference {middle:+.1f}, 95% interval {interval}"
    row = [curve.suite, str(first.digits), *shares, f"{middle:+.1f}", interval, str(len(common))]
    return Spot(first.digits, middle, f"{text}, {len(common)} seeds of both", bar), row
