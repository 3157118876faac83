"""Labels beside the curves they name: spread so that none covers another, each tied to its curve by a thin line."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

FONT = 6.5  # points
LINE = 1.25 * FONT / 72  # inches: the height of a line of text, with 72 points to the inch
ROOM = 0.96  # inches: the width of a line of text
SAMPLE = 0.16  # inches of the curve's own line and marker before its label
AWAY = 0.1  # inches from the panel


@dataclass(frozen=True)
class Label:
    """The text about a curve, to be written at the height where the curve ends.

    Args:
        text: may have several lines; long ones are broken.
        end: the curve's last point, in data coordinates.
        line: the curve, whose look a sample before the text repeats.
    """

    text: str
    end: tuple[float, float]
    line: Line2D

    @property
    def lines(self) -> list[str]:
        """The text, broken into lines that fit."""
        return [part for line in self.text.split("\n") for part in wrap(line, ROOM)]

    @property
    def height(self) -> float:
        """Inches, with a gap to the next label."""
        return LINE * len(self.lines) + 0.03


def wrap(text: str, inches: float) -> list[str]:
    """Break a text into lines of at most this width, after signs and spaces where possible.

    >>> wrap("randomized-rope@coupled:origin=random", 1)
    ['randomized-rope@', 'coupled:', 'origin=random']
    """
    lines = [""]
    # Each piece ends with the sign after which a line may be broken.
    for piece in re.findall(r"[^-@+,: ]*[-@+,: ]?", text):
        if lines[-1] and _width(lines[-1] + piece.rstrip()) > inches:
            lines.append("")
        # A piece that is wider than a whole line is broken between any two letters.
        for letter in piece:
            if lines[-1] and _width(lines[-1] + letter) > inches:
                lines.append("")
            lines[-1] += letter
    return [line.rstrip() for line in lines]


@functools.cache
def _width(text: str) -> float:
    """Inches that a text takes in a line."""
    # The outlines of the letters: needs no figure and no renderer, so labels are measured before a page has a size.
    visible = text.rstrip()
    return float(TextPath((0, 0), visible, size=FONT).get_extents().width) / 72 if visible else 0.0


def total_height(texts: Sequence[str]) -> float:
    """Inches that labels take one above the other."""
    return sum(Label(text, (0, 0), Line2D([], [])).height for text in texts)


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Centres close to where they are wanted, without overlap, and between two bounds if there is room.

    Args:
        wanted: the best centres, in rising order.
        heights: of the labels, in the same order.
        low, high: the bounds.

    >>> spread([0, 0, 5], [1, 1, 1], 0, 10)
    [0.5, 1.5, 5.0]
    >>> spread([9.9, 10], [1, 1], 0, 10)
    [8.5, 9.5]
    """
    # Upwards each label is pushed off the one below; then downwards off the upper bound and the one above.
    centres: list[float] = []
    below = low
    for centre, height in zip(wanted, heights, strict=True):
        centres.append(max(centre, below + height / 2))
        below = centres[-1] + height / 2
    above = high
    for place in reversed(range(len(centres))):
        centres[place] = min(centres[place], above - heights[place] / 2)
        above = centres[place] - heights[place] / 2
    return [float(centre) for centre in centres]


def write(panel: Axes, labels: Sequence[Label], width: float, height: float) -> None:
    """Write labels at the right of a panel.

    Args:
        width, height: the panel's, in inches.
    """
    ends = [panel.transData.transform(label.end)[1] for label in labels]
    box = panel.get_window_extent()
    wanted = [(end - box.y0) / box.height * height for end in ends]
    # Of curves that end alike, equal but for rounding, the first stands on top.
    order = sorted(range(len(labels)), key=lambda place: (round(wanted[place], 6), -place))
    # Labels taller than the panel stand out above and below it alike.
    room = max(total_height([label.text for label in labels]) - height, 0.0) / 2
    centres = spread(
        [wanted[place] for place in order],
        [labels[place].height for place in order],
        -room - 0.06,
        height + room + 0.06,
    )
    for place, centre in zip(order, centres, strict=True):
        _write_one(panel, labels[place], centre / height, width)


def _write_one(panel: Axes, label: Label, y: float, width: float) -> None:
    """Write one label at a height given as a share of the panel's, with its tie to the curve and its sample."""
    start, colour = 1 + AWAY / width, label.line.get_color()
    panel.annotate(
        "",
        xy=label.end,
        xytext=(start, y),
        textcoords="axes fraction",
        arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.4, "alpha": 0.6, "shrinkA": 0, "shrinkB": 2},
        annotation_clip=False,
    )
    # Three points, so that the marker stands in the middle of the line.
    sample = Line2D(
        [start, start + SAMPLE / 2 / width, start + SAMPLE / width],
        [y] * 3,
        transform=panel.transAxes,
        clip_on=False,
        color=colour,
        ls=label.line.get_linestyle(),
        lw=label.line.get_linewidth(),
        marker=label.line.get_marker(),
        ms=3,
        markevery=[1],
        mfc=label.line.get_markerfacecolor(),
        mew=0.7,
    )
    panel.add_line(sample)
    panel.text(
        start + (SAMPLE + 0.04) / width,
        y,
        "\n".join(label.lines),
        transform=panel.transAxes,
        fontsize=FONT,
        va="center",
        linespacing=1.1,
        parse_math=False,
    )
