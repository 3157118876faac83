"""Training curves: loss, accuracy, and accuracy at watched lengths, by step."""

import statistics
from collections.abc import Sequence

from arith.figures.quantities import Line, Panel
from arith.figures.training import NAMES, Training
from arith.report.chart import PERCENT, Axis, linear_axis, log_axis
from arith.report.lines import DrawnLine, Spot, draw_key, draw_plot
from arith.report.markup import Markup, element, join

FEW = 40  # points up to which a line has markers


def panels_of(runs: Sequence[Training]) -> list[Panel]:
    """A panel for each quantity that runs log, the watched lengths behind the others, in rising order."""
    names = {name for run in runs for name in run.series}
    watched = sorted((name for name in names if name not in NAMES), key=_length)
    found = []
    for name in [*(name for name in NAMES if name in names), *watched]:
        share = name.startswith("accuracy")
        lines = tuple(
            Line(run.label, {step: [100 * value if share else value] for step, value in run.series[name]})
            for run in runs
            if run.series.get(name)
        )
        title = NAMES.get(name) or f"{name} (%)"
        found.append(Panel("training step", title, lines, level=1.0 if name == "edge" else None))
    return found


def _length(name: str) -> int:
    """The digits of a watched length.

    >>> _length("accuracy at 12 digits")
    12
    """
    return next((int(word) for word in name.split() if word.isdecimal()), 0)


def training_part(panels: Sequence[Panel]) -> Markup:
    """A plot for each quantity, two beside each other where the page is wide, and one key for all."""
    numbers = {label: place for place, label in enumerate(dict.fromkeys(n.label for p in panels for n in p.lines))}
    drawn = [[_line(line, numbers[line.label], panel) for line in panel.lines] for panel in panels]
    plots = [_plot(panel, lines) for panel, lines in zip(panels, drawn, strict=True)]
    named = {line.label: line for lines in drawn for line in lines}
    key = draw_key(sorted(named.values(), key=lambda line: line.number), "Show")
    several = any(len(values) > 1 for panel in panels for line in panel.lines for values in line.values.values())
    note = "Line: median of the seeds." if several else ""
    watched = "Watched lengths have problems of their own, and nothing is chosen by them."
    return join(
        element("figure", element("div", *plots, class_="pair"), key, class_="lines"),
        element("p", f"{note} {watched}".strip(), class_="note"),
    )


def _plot(panel: Panel, lines: Sequence[DrawnLine]) -> Markup:
    share = panel.y.endswith("(%)")
    x = linear_axis(0, max(spot.x for line in lines for spot in line.spots) or 1, panel.x)
    y = PERCENT if share else _open_axis([spot.y for line in lines for spot in line.spots], panel)
    level = [] if panel.level is None else [_level(panel.level, y)]
    return draw_plot(lines, x, Axis(y.scale, y.ticks, panel.y), panel.y, behind=level, kind="low")


def _open_axis(values: Sequence[float], panel: Panel) -> Axis:
    low, high = min(values), max(values)
    if panel.high is not None:
        return linear_axis(min(low, 0), min(high, panel.high), panel.y)
    # A loss of exactly 0, as float32 can give, has no place on a logarithmic axis.
    return log_axis(low, high, panel.y) if low > 0 else linear_axis(low, high if high > low else low + 1, panel.y)


def _level(level: float, y: Axis) -> Markup:
    at = f"{100 - y.scale.at(level):.2f}%"
    inside = 0 <= y.scale.at(level) <= 100
    return element("line", class_="level", x1="0", x2="100%", y1=at, y2=at) if inside else Markup()


def _line(line: Line, place: int, panel: Panel) -> DrawnLine:
    spots = []
    for step in sorted(line.values):
        value = statistics.median(line.values[step])
        # Spikes beyond the axis are drawn at its edge, and say what they are.
        shown = value if panel.high is None else min(value, panel.high)
        spots.append(Spot(step, shown, f"{line.label}, {panel.x} {step:g}: {panel.y} {value:.4g}"))
    most = max(map(len, line.values.values()))
    return DrawnLine(line.label, f"{most} seeds" if most > 1 else "", place, spots, marked=len(spots) <= FEW)
