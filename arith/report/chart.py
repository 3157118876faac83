"""The ground of every chart: scales, ticks, axes, markers. Drawn as SVG whose text and markers keep their size.

Why SVG of our own and no plotting library: a point is an element, so a keyboard can reach it and a screen reader can
say it; it prints, and it is there without script. plotly.js alone is larger than a whole page may be, and bokeh and
vega draw on a canvas or bind what a point says to the mouse. What is needed of them here is a hundred lines.
"""

# Positions are percent of the plot, so that a chart is as wide as the page, 400 pixels or 800, while text, markers and
# lines keep their size. A viewBox would shrink the text with the chart. Paths know no percent: they stand in an inner
# SVG of 100 x 100 that is stretched over the plot, whose strokes are told not to stretch.

import math
from collections.abc import Sequence
from dataclasses import dataclass

from arith.figures.accuracy import readable_ticks
from arith.figures.style import COLOURS, DASHES, MARKERS
from arith.report.markup import Markup, element, join, number

# By matplotlib's letter, as `arith.figures.style` names them, around (0, 0), some 9 pixels wide.
SHAPES = {
    "o": "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0z",
    "s": "M-3.8 -3.8h7.6v7.6h-7.6z",
    "^": "M0 -4.8L4.6 3.6H-4.6z",
    "D": "M0 -5.2L5.2 0L0 5.2L-5.2 0z",
    "v": "M0 4.8L4.6 -3.6H-4.6z",
    "P": "M-1.7 -4.8h3.4v3.1h3.1v3.4h-3.1v3.1h-3.4v-3.1h-3.1v-3.4h3.1z",
    "X": "M-4.6 -2.4L-2.4 -4.6L0 -2.2L2.4 -4.6L4.6 -2.4L2.2 0L4.6 2.4L2.4 4.6L0 2.2L-2.4 4.6L-4.6 2.4L-2.2 0z",
    "<": "M-4.8 0L3.6 -4.6V4.6z",
}
NAMED_DASHES = {"-": None, "--": "7 4", "-.": "7 3 2 3", ":": "2 3"}
WIDE, NARROW = 5.5, 2.4  # inches of an axis on a wide page and on one of 400 pixels, in which ticks have to fit


@dataclass(frozen=True)
class Scale:
    """From values to percent of an axis.

    >>> Scale(1, 100, log=True).at(10), Scale(0, 4).at(1)
    (50.0, 25.0)
    """

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, place = (
            (math.log(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        # A scale of one value has no width; its value stands in the middle.
        return 100 * (place - low) / (high - low) if high > low else 50.0


@dataclass(frozen=True)
class Axis:
    """A scale with its ticks.

    Args:
        scale: where values stand.
        ticks: the values that are written, each with its text, and whether a narrow page has room for it.
        title: what is counted.
    """

    scale: Scale
    ticks: Sequence[tuple[float, str, bool]]
    title: str


PERCENT = Axis(Scale(0, 100), [(share, str(share), True) for share in (0, 25, 50, 75, 100)], "exact match (%)")


def lengths_axis(lengths: Sequence[int], title: str, first: Sequence[int] = ()) -> Axis:
    """The axis of digit lengths, logarithmic where they span more than a factor of ten, as in `draw_accuracy`.

    Args:
        lengths: the lengths, in rising order.
        title: what is counted.
        first: lengths that are written if any are.
    """
    wide = lengths[-1] > 10 * lengths[0]
    scale = (
        Scale(lengths[0] / 1.15, lengths[-1] * 1.15, log=True) if wide else Scale(lengths[0] - 0.6, lengths[-1] + 0.6)
    )
    narrow = readable_ticks(lengths, wide, first, NARROW)
    return Axis(scale, [(at, str(at), at in narrow) for at in readable_ticks(lengths, wide, first, WIDE)], title)


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values from `low` to `high`, about `count` of them.

    >>> round_ticks(0, 2400), round_ticks(0.1, 0.31)
    ([0.0, 500.0, 1000.0, 1500.0, 2000.0], [0.1, 0.15, 0.2, 0.25, 0.3])
    """
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def linear_axis(low: float, high: float, title: str, whole: bool = False) -> Axis:
    """An axis of any quantity, from a value to another; if `whole`, of what is counted."""
    ticks = [at for at in round_ticks(low, high) if not whole or at == int(at)]
    few = len(ticks) <= 4
    return Axis(Scale(low, high), [(at, f"{at:g}", few or place % 2 == 0) for place, at in enumerate(ticks)], title)


def log_axis(low: float, high: float, title: str) -> Axis:
    """A logarithmic axis, a little beyond its values at both ends, with ticks at 1, 2 and 5 of each power of ten."""
    low, high = low / 1.1, high * 1.1
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    found = [factor * 10.0**power for power in powers for factor in factors]
    ticks = [(at, f"{at:g}", True) for at in found if low <= at <= high]
    return Axis(Scale(low, high, log=True), ticks or [(high, f"{high:.2g}", True)], title)


def marker_of(curve: int) -> str:
    """The outline of a curve's marker, by the curve's number."""
    # As in the figures: with more curves than colours, those of one colour still have another marker.
    return SHAPES[MARKERS[(curve + curve // len(COLOURS)) % len(MARKERS)]]


def dashes_of(curve: int) -> str | None:
    """The dashes of a curve, by the curve's number."""
    dashes = DASHES[curve % len(DASHES)]
    if isinstance(dashes, str):
        return NAMED_DASHES[dashes]
    return " ".join(number(1.6 * length) for length in dashes[1])


def colour_class(curve: int) -> str:
    """The class that gives a curve its colour; `page.css` has the colours, lighter ones for a dark page."""
    return f"c{curve % len(COLOURS)}"


def stretched(*shapes: str) -> Markup:
    """Paths in coordinates of 0 to 100, stretched over the plot."""
    return element("svg", *shapes, class_="stretched", viewBox="0 0 100 100", preserveAspectRatio="none")


def trace(points: Sequence[tuple[float, float]]) -> str:
    """The path through points, in percent of the plot from its upper left."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def plot(x: Axis, y: Axis, *content: str, name: str, kind: str = "") -> Markup:
    """A plot with its axes.

    Args:
        x, y: the axes.
        content: what is drawn, from the back to the front.
        name: what a screen reader calls it.
        kind: a class that sets its height.
    """
    grid = [
        element("line", class_="rule", x1="0", x2="100%", **_both("y", 100 - y.scale.at(at))) for at, _, _ in y.ticks
    ]
    below = [
        element(
            "text", text, class_="tick" if narrow else "tick wide", x=_percent(x.scale.at(at)), y="100%", dy="1.5em"
        )
        for at, text, narrow in x.ticks
    ]
    beside = [
        element("text", text, class_="tick end", x="-8", y=_percent(100 - y.scale.at(at)), dy="0.35em")
        for at, text, _ in y.ticks
    ]
    axis = element("line", class_="axis", x1="0", x2="100%", y1="100%", y2="100%")
    titles = [
        element("text", x.title, class_="title", x="50%", y="100%", dy="3.2em"),
        # Above the axis, not beside it and turned: it is read without turning one's head, and takes no width.
        element("text", y.title, class_="title start", x="-36", y="-12"),
    ]
    drawn = join(*grid, axis, *below, *beside, *titles, *content)
    # A group, not an image: an image would hide its points from a screen reader.
    svg = element("svg", drawn, class_=f"plot {kind}".strip(), role="group", aria_label=name, data_roving=True)
    return element("div", svg, element("p", class_="readout", aria_live="polite"), class_="charted")


def point(x: float, y: float, text: str, column: int, row: int, *shapes: str) -> Markup:
    """A point that can be hovered, and reached by the arrow keys.

    Args:
        x, y: percent of the plot, from its upper left.
        text: what it says.
        column, row: its place among the points, by which the arrow keys find it.
        shapes: what is seen of it, around (0, 0).
    """
    halo = element("circle", class_="halo", r="10")
    inside = element(
        "g",
        element("title", text),
        halo,
        *shapes,
        class_="point",
        role="img",
        tabindex="-1",
        data_x=str(column),
        data_y=str(row),
    )
    return element("svg", inside, x=_percent(x), y=_percent(y), overflow="visible", width="1", height="1")


def _percent(value: float) -> str:
    return f"{number(value)}%"


def _both(axis: str, value: float) -> dict[str, str]:
    return {f"{axis}1": _percent(value), f"{axis}2": _percent(value)}
