"""Curves in a plot, with a key whose boxes show and hide them."""

from collections.abc import Sequence
from dataclasses import dataclass

from arith.report.chart import Axis, colour_class, dashes_of, marker_of, plot, point, stretched, trace
from arith.report.markup import Markup, element, join, number

MOST_POINTS = 40  # of a line of points that can be reached one by one; training curves have hundreds
MOST_DRAWN = 400  # of a line of points at all: more than a page has columns of pixels for a curve


@dataclass(frozen=True)
class Spot:
    """A point of a curve.

    Args:
        x, y: the values.
        text: what it says when it is hovered.
        bar: the ends of its interval, if it has one.
        band: the ends of the band around the line, if there is one.
    """

    x: float
    y: float
    text: str
    bar: tuple[float, float] | None = None
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class DrawnLine:
    """A curve.

    Args:
        label: its name, which may be any text.
        facts: what the key says of it beside the name.
        number: of its colour, marker and dashes; in a figure each line has another.
        spots: its points, from left to right.
        hollow: whether its markers are, as those of a model that has not learned its training lengths.
        marked: whether it has markers.
    """

    label: str
    facts: str
    number: int
    spots: Sequence[Spot]
    hollow: bool = False
    marked: bool = True


def draw_lines(
    lines: Sequence[DrawnLine],
    x: Axis,
    y: Axis,
    name: str,
    *,
    behind: Sequence[str] = (),
    legend: str = "Curves",
    shift: float = 0.0,
    kind: str = "",
) -> Markup:
    """Curves that share axes, and their key.

    Args:
        lines: the curves.
        x, y: the axes.
        name: what a screen reader calls the plot.
        behind: what is drawn behind the curves.
        legend: the title of the key.
        shift: percent of the plot over which curves stand beside each other, so that equal ones stay visible.
        kind: a class that sets the plot's height.
    """
    whole = draw_plot(lines, x, y, name, behind=behind, shift=shift, kind=kind)
    return element("figure", whole, draw_key(lines, legend), class_="lines")


def draw_plot(
    lines: Sequence[DrawnLine],
    x: Axis,
    y: Axis,
    name: str,
    *,
    behind: Sequence[str] = (),
    shift: float = 0.0,
    kind: str = "",
) -> Markup:
    """The plot alone, for plots that share a key; see `draw_lines`."""
    drawn = [_draw_line(line, x, y, shift * ((row + 0.5) / len(lines) - 0.5)) for row, line in enumerate(lines)]
    return plot(x, y, *behind, *drawn, name=name, kind=kind)


def draw_key(lines: Sequence[DrawnLine], legend: str) -> Markup:
    """A box for each curve, with what tells it in colour and in grey: line, dashes, marker."""
    boxes = map(_key_entry, lines)
    return element("fieldset", element("legend", legend), *boxes, class_="key")


def _key_entry(line: DrawnLine) -> Markup:
    stroke = element("line", class_="stroke", x1="1", x2="33", y1="7", y2="7", stroke_dasharray=dashes_of(line.number))
    marker = element("path", d=marker_of(line.number), class_="marker", transform="translate(17 7)")
    looks = f"swatch {colour_class(line.number)}{' hollow' * line.hollow}"
    swatch = element(
        "svg", stroke, *([marker] * line.marked), class_=looks, width="34", height="14", aria_hidden="true"
    )
    box = element("input", type="checkbox", checked=True, data_toggles=str(line.number))
    facts = [element("small", line.facts)] if line.facts else []
    return element("label", box, swatch, element("span", element("bdi", line.label), *facts))


def _draw_line(line: DrawnLine, x: Axis, y: Axis, shift: float) -> Markup:
    places = [(x.scale.at(spot.x) + shift, 100 - y.scale.at(spot.y)) for spot in line.spots]
    thin = _spread(len(line.spots), MOST_DRAWN)
    shapes = []
    if line.spots and all(spot.band for spot in line.spots):
        edges = [[100 - y.scale.at(spot.band[side]) for spot in line.spots if spot.band] for side in (0, 1)]
        across = [at for at, _ in places]
        outline = [*zip(across, edges[1], strict=True), *reversed(list(zip(across, edges[0], strict=True)))]
        shapes.append(element("path", class_="band", d=trace(outline) + "z"))
    shapes.append(
        element("path", class_="stroke", d=trace([places[at] for at in thin]), stroke_dasharray=dashes_of(line.number))
    )
    bars = [
        element("line", class_="bar", x1=f"{number(at)}%", x2=f"{number(at)}%", **_ends(spot.bar, y))
        for spot, (at, _) in zip(line.spots, places, strict=True)
        if spot.bar
    ]
    marker = [element("path", class_="marker", d=marker_of(line.number))] if line.marked else []
    points = [
        point(*places[at], line.spots[at].text, column, line.number, *marker)
        for column, at in enumerate(_spread(len(line.spots), MOST_POINTS if not line.marked else len(line.spots)))
    ]
    looks = f"curve {colour_class(line.number)}{' hollow' * line.hollow}"
    return element("g", stretched(*shapes), *bars, join(*points), class_=looks, data_curve=str(line.number))


def _ends(bar: tuple[float, float], y: Axis) -> dict[str, str]:
    low, high = (100 - y.scale.at(end) for end in bar)
    return {"y1": f"{number(low)}%", "y2": f"{number(high)}%"}


def _spread(count: int, most: int) -> list[int]:
    """At most so many places of `count`, evenly, the first and the last among them.

    >>> _spread(3, 10), _spread(101, 3)
    ([0, 1, 2], [0, 50, 100])
    """
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
