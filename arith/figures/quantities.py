"""Figures of any quantities against steps or settings: a line for each curve, over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from arith.figures import labels, style
from arith.figures.labels import Label
from arith.figures.style import COLOURS, DASHES, MARKERS
from arith.results.measurement import Measurement
from arith.results.schema import Series, label_of

# Inches around a panel, and its least height; labels stand at its right where it has several lines.
LEFT, RIGHT, TOP, UNDER, NOTE, LABELS, HEIGHT = 0.5, 0.1, 0.26, 0.42, 0.24, 1.28, 1.45
ACROSS = 2  # panels in a row
FEW = 30  # places up to which a line has markers, and each seed its dots


@dataclass(frozen=True)
class Line:
    """One curve: at each place of the horizontal axis the values of its seeds."""

    label: str
    values: Mapping[float, Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """Lines that share axes.

    Args:
        x, y: the texts at the axes.
        lines: the curves.
        vertical, level: where dashed lines mark what theory says, if anywhere.
        right: where the horizontal axis ends, if not at the last place.
        high: where the vertical axis ends at most; medians beyond are not shown.
        log: whether the horizontal axis is logarithmic, with a tick at each place.
    """

    x: str
    y: str
    lines: tuple[Line, ...]
    vertical: float | None = None
    level: float | None = None
    right: float | None = None
    high: float | None = None
    log: bool = False


def measured_lines(rows: Sequence[Measurement], measure: str, scale: float = 1.0) -> tuple[Line, ...]:
    """One measure of a study, a line for each label.

    >>> measured_lines([Measurement("a", seed, 0.5, 10, {"share": seed / 4}) for seed in (1, 2)], "share")
    (Line(label='a', values={0.5: [0.25, 0.5]}),)
    """
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        if measure in row.measures:
            found.setdefault(row.label, {}).setdefault(row.at, []).append(scale * row.measures[measure])
    return tuple(Line(label, values) for label, values in found.items())


def tracked_lines(rows: Sequence[Series], name: str, scale: float = 1.0) -> tuple[Line, ...]:
    """One quantity tracked through training, a line for each label; a run is called `LABEL-SEED`.

    >>> tracked_lines([Series("a-1", "loss", (0, 10), (2.0, 1.0)), Series("a-2", "loss", (0,), (3.0,))], "loss")
    (Line(label='a', values={0: [2.0, 3.0], 10: [1.0]}),)
    """
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        if row.name == name:
            line = found.setdefault(label_of(row.run), {})
            for step, value in zip(row.steps, row.values, strict=True):
                line.setdefault(step, []).append(scale * value)
    return tuple(Line(label, values) for label, values in found.items())


def draw_quantities(panels: Sequence[Panel], path: Path, title: str = "") -> list[Path]:
    """Draw panels, two in a row, as png, pdf and svg, and write their numbers as csv.

    Args:
        panels: at least one.
        path: the figure's, without an ending.
        title: above all panels.
    """
    heights = [labels.total_height([line.label for line in panel.lines]) for panel in panels if len(panel.lines) > 1]
    height = max(HEIGHT, *heights, 0)
    across = min(len(panels), ACROSS)
    rows = -(-len(panels) // across)
    full_width = style.COLUMN if across == 1 else style.PAGE
    row_height, each = UNDER + height + TOP, full_width / across
    with style.canvas(full_width, rows * row_height + NOTE, title) as page:
        for place, panel in enumerate(panels):
            row, column = divmod(place, across)
            # A single line needs no name beside it: the axis says what it is.
            width = each - LEFT - (LABELS if len(panel.lines) > 1 else RIGHT)
            axes = page.panel(column * each + LEFT, NOTE + UNDER + (rows - 1 - row) * row_height, width, height)
            written = _draw_panel(axes, panel)
            if len(panel.lines) > 1:
                labels.write(axes, written, width, height)
        page.note(f"Line: median of {_count_seeds(panels)}. Band: lowest to highest. Dots: a seed each.")
        files = page.save(path)
    numbers = (
        [panel.y, line.label, place, len(values), statistics.median(values), min(values), max(values)]
        for panel in panels
        for line in panel.lines
        for place, values in sorted(line.values.items())
    )
    header = ["quantity", "label", "at", "seeds", "median", "lowest", "highest"]
    return [*files, style.write_table(path, header, numbers)]


def _draw_panel(axes: Axes, panel: Panel) -> list[Label]:
    """Draw the lines of one panel, and return the labels of their ends."""
    places = [place for line in panel.lines for place in line.values]
    last = panel.right or max(places)
    if panel.log:
        axes.set_xscale("log")
        axes.set_xticks(sorted(set(places)), [f"{place:g}" for place in sorted(set(places))])
        axes.minorticks_off()
    axes.margins(x=0.03)  # or the axes would cut the markers at both ends
    if panel.right is not None:
        axes.set_xlim(min(places), last)
    for value, draw in ((panel.vertical, axes.axvline), (panel.level, axes.axhline)):
        if value is not None:
            draw(value, color="0.45", lw=0.7, ls="--", zorder=1)
    written = []
    for number, line in enumerate(panel.lines):
        # Beyond the axis nothing is drawn, so that a label stands at the last point that is seen.
        shown = {place: line.values[place] for place in sorted(line.values) if place <= last}
        medians = [statistics.median(values) for values in shown.values()]
        colour, few = COLOURS[number % len(COLOURS)], len(shown) <= FEW
        (drawn,) = axes.plot(
            list(shown),
            medians,
            color=colour,
            ls=DASHES[number % len(DASHES)],
            lw=1.0,
            marker=MARKERS[number % len(MARKERS)] if few else "",
            ms=3,
        )
        axes.fill_between(
            list(shown),
            [min(v) for v in shown.values()],
            [max(v) for v in shown.values()],
            color=colour,
            alpha=0.15,
            lw=0,
        )
        if few:
            dots = [(place, value) for place, values in shown.items() for value in values]
            axes.plot(*zip(*dots, strict=True), ls="", marker=".", ms=2, mew=0, color=colour, alpha=0.6)
        written.append((line.label, (list(shown)[-1], medians[-1]), drawn))
    if panel.high is not None:
        axes.set_ylim(top=min(panel.high, axes.get_ylim()[1]))
    axes.set_xlabel(panel.x, labelpad=2)
    axes.set_ylabel(panel.y, labelpad=2)
    low, high = axes.get_ylim()
    return [Label(text, (x, min(max(y, low), high)), drawn) for text, (x, y), drawn in written]


def _count_seeds(panels: Sequence[Panel]) -> str:
    """The seeds behind the points, in words.

    >>> _count_seeds([Panel("width", "loss", (Line("a", {4: [0.2, 0.1], 8: [0.1]}),))])
    '1 to 2 seeds'
    """
    counts = [[len(values) for line in panel.lines for values in line.values.values()] for panel in panels]
    # A share of the seeds is one value a point: its panel says nothing of how many they are.
    several = [count for panel in counts if max(panel) > 1 for count in panel]
    if not several:
        return "1 seed"
    fewest, most = min(several), max(several)
    return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
