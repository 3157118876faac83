"""Accuracy by digit length: a chart for each group of models that may be compared, and the same numbers as a table."""

from collections.abc import Sequence

from arith.figures.accuracy import split_into_panels
from arith.report.chart import PERCENT, Axis, lengths_axis
from arith.report.lines import DrawnLine, Spot, draw_lines
from arith.report.markup import Markup, element, folded, join, number, table
from arith.results.curves import PUBLISHED_SEEDS, Curve, Point
from arith.results.figure_plan import PLAIN
from arith.results.uncertainty import percent

KEY = (
    "Line: median of the seeds. Band: 95% bootstrap interval over seeds and problems. Bars: from the lower end of the "
    "worst seed's 95% Wilson interval to the upper end of the best seed's. Hollow markers: unfitted, below 99% in the "
    "lengths of training, so that what follows them says nothing about extrapolation."
)
SHARED = 0.8  # percent of the plot over which curves of equal accuracy stand beside each other
HEADER = ["encoding", "group", "trained on", "seeds", "in distribution", "99% sure to", "seeds ≥ 99% everywhere"]


def summary_table(curves: Sequence[Curve]) -> Markup:
    """A line for each curve: whether it fits, how far it is sure to reach, and for how many seeds."""
    rows = []
    for curve in curves:
        low, high = curve.first.train_lengths
        reach = f"{curve.reaches} digits" if curve.reaches else "none"
        succeeded = f"{curve.succeeded} of {curve.seeds}"
        group = curve.group.partition(":")[0]
        rows.append([curve.label, group, f"{span(low, high)} digits", str(curve.seeds), curve.fit, reach, succeeded])
    sure = "99% sure to: the longest tested length up to which the worst seed's 95% interval begins at 99% or more."
    return join(table(HEADER, rows, "Summary"), element("p", sure, class_="note"))


def span(low: int, high: int) -> str:
    """Lengths in words.

    >>> span(1, 4), span(2, 2)
    ('1-4', '2')
    """
    return f"{low}-{high}" if low < high else str(low)


def accuracy_part(by_suite: dict[str, list[Curve]], axis: str = PLAIN.axis) -> Markup:
    """The charts of all suites: the first one open, the others folded.

    Args:
        by_suite: the curves of each suite.
        axis: what is counted along the axis of digits.
    """
    (first, curves), *others = by_suite.items()
    parts = [element("p", f"Suite: {first} problems."), _suite(curves, axis)]
    parts += [folded(f"Suite: {suite} problems", _suite(other, axis)) for suite, other in others]
    return join(*parts, element("p", KEY, class_="note"))


def _suite(curves: Sequence[Curve], axis: str) -> Markup:
    numbers = {curve.label: place for place, curve in enumerate(curves)}
    lengths = sorted({point.digits for curve in curves for point in curve.points})
    panels = [_panel(panel.name, panel.curves, numbers, lengths, axis) for panel in split_into_panels(curves)]
    few = min(curve.seeds for curve in curves) < PUBLISHED_SEEDS
    development = f"Curves of fewer than {PUBLISHED_SEEDS} seeds are development figures." if few else ""
    return join(*panels, element("p", development, class_="note"), folded("As a table", points_table(curves)))


def _panel(name: str, curves: Sequence[Curve], numbers: dict[str, int], lengths: list[int], title: str) -> Markup:
    trained = curves[0].first.train_lengths
    x = lengths_axis(lengths, title, (trained[1], trained[0]))
    alike = all(curve.first.train_lengths == trained for curve in curves)
    behind = [shade_training(trained, x)] if alike else []
    lines = [_line(curve, numbers[curve.label]) for curve in curves]
    heading = element("h3", name)
    return join(heading, draw_lines(lines, x, PERCENT, name, behind=behind, legend="Show", shift=SHARED * len(lines)))


def shade_training(lengths: tuple[int, int], x: Axis) -> Markup:
    """The trained lengths as a shaded part of the plot; nothing where they are beyond it."""
    low, high = lengths
    ends = (low / 1.06, high * 1.06) if x.scale.log else (low - 0.3, high + 0.3)
    if not (low and ends[0] < x.scale.high and x.scale.low < ends[1]):
        return Markup()
    left, right = (x.scale.at(min(max(end, x.scale.low), x.scale.high)) for end in ends)
    middle = f"{number((left + right) / 2)}%"
    return join(
        element("rect", class_="trained", x=f"{number(left)}%", width=f"{number(right - left)}%", height="100%"),
        element("text", "trained", class_="within", x=middle, y="60%"),
    )


def _line(curve: Curve, place: int) -> DrawnLine:
    seeds = "1 seed" if curve.seeds == 1 else f"{curve.seeds} seeds"
    fit = f"in distribution {curve.fit}" if curve.fitted else curve.fit
    reach = f"99% sure to {curve.reaches} digits" if curve.reaches else "99% sure to no length"
    spots = [_spot(curve, point) for point in curve.points]
    return DrawnLine(curve.label, f"{seeds}; {fit}; {reach}", place, spots, hollow=not curve.fitted)


def _spot(curve: Curve, point: Point) -> Spot:
    low, high = (100 * end for end in point.interval)
    several = len(point.cells) > 1
    band = (100 * point.band[0], 100 * point.band[1]) if several else None
    return Spot(point.digits, 100 * point.median, describe_point(curve, point), (low, high), band)


def describe_point(curve: Curve, point: Point) -> str:
    """What a point says: accuracy, interval, number of problems, seeds."""
    low, high = map(percent, point.interval)
    told = f"{curve.label}, {point.digits} digits: {percent(point.median)}%, 95% interval {low} to {high}"
    told += f", n = {_count(point)}"
    if len(point.cells) > 1:
        each = ", ".join(percent(cell.accuracy) for cell in point.cells)
        told += f" a seed, {len(point.cells)} seeds: {each}"
    return told + ("" if curve.fitted else f" ({curve.fit})")


def _count(point: Point) -> str:
    counts = sorted({cell.n for cell in point.cells})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def points_table(curves: Sequence[Curve]) -> Markup:
    """All points of some curves, a row each."""
    rows = [
        [
            curve.label,
            str(point.digits),
            percent(point.median),
            percent(point.worst),
            " to ".join(map(percent, point.interval)),
            _count(point),
            str(len(point.cells)),
            "yes" if curve.fitted else "no",
        ]
        for curve in curves
        for point in curve.points
    ]
    header = ["encoding", "digits", "median %", "worst %", "95% interval", "n a seed", "seeds", "fitted"]
    return table(header, rows, "All points")
