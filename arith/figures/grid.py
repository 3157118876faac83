"""Heat-maps: accuracy at each pair of operand lengths, the training region outlined."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from arith.figures import style
from arith.figures.accuracy import readable_ticks
from arith.results.grids import Grid

LEFT, BOTTOM, TOP, BETWEEN, BAR = 0.45, 0.42, 0.24, 0.28, 0.6  # inches around the maps
LARGEST = 2.35  # inches of a map


def draw_grids(drawn: Sequence[Grid], path: Path, title: str = "") -> list[Path]:
    """Draw a map for each label into png, pdf, svg, and write the numbers as csv."""
    across = min(len(drawn), 3)
    rows = -(-len(drawn) // across)
    most = style.COLUMN if len(drawn) == 1 else style.PAGE
    side = min(LARGEST, (most - LEFT - BAR - BETWEEN * (across - 1)) / across)
    full_width = LEFT + across * (side + BETWEEN) - BETWEEN + BAR
    top = 0.22 if title else 0.0
    each = TOP + side + BOTTOM
    height = rows * each + top
    with pyplot.rc_context(style.STYLE | {"axes.spines.top": True, "axes.spines.right": True}):
        figure = pyplot.figure(figsize=(full_width, height))
        for place, grid in enumerate(drawn):
            row, column = divmod(place, across)
            left, down = LEFT + column * (side + BETWEEN), top + TOP + row * each
            box = (left / full_width, 1 - (down + side) / height, side / full_width, side / height)
            panel = figure.add_axes(box)
            _map(panel, grid, side)
            if column == 0:
                panel.set_ylabel("digits of the first operand", labelpad=2)
            if row == rows - 1 or place + across >= len(drawn):
                panel.set_xlabel("digits of the second operand", labelpad=2)
        left, down = LEFT + across * (side + BETWEEN) - BETWEEN + 0.1, top + TOP
        bar = figure.add_axes((left / full_width, 1 - (down + side) / height, 0.08 / full_width, side / height))
        scale = ScalarMappable(Normalize(0, 100), style.MAP)
        figure.colorbar(scale, cax=bar, ticks=[0, 50, 100]).set_label("exact match (%)", labelpad=1)
        if title:
            style.headline(figure, title)
        files = style.save_figure(figure, path)
    return [*files, _write_csv(drawn, path)]


def _map(panel: Axes, grid: Grid, side: float) -> None:
    panel.set_facecolor("white")
    panel.imshow(
        100 * np.ma.masked_invalid(grid.accuracy),
        cmap=style.MAP,
        vmin=0,
        vmax=100,
        origin="lower",
        interpolation="none",
        aspect="auto",
    )
    low, high = grid.train_lengths
    inside = [[at for at, length in enumerate(own) if low <= length <= high] for own in (grid.first, grid.second)]
    if all(inside):
        (bottom, *_), (left, *_) = inside
        size = len(inside[1]), len(inside[0])
        for colour, width, dashes in (("white", 1.6, "-"), ("black", 0.8, (0, (3, 1.5)))):
            corner = (left - 0.5, bottom - 0.5)
            panel.add_patch(Rectangle(corner, *size, fill=False, ec=colour, lw=width, ls=dashes, clip_on=False))
    for axis, lengths in ((panel.yaxis, grid.first), (panel.xaxis, grid.second)):
        places = range(1, len(lengths) + 1)
        shown = readable_ticks(list(places), wide=False, inches=side / 1.6)
        axis.set_ticks([place - 1 for place in shown], [str(lengths[place - 1]) for place in shown])
    panel.tick_params(length=1.5, pad=1.5)
    seeds = "1 seed" if grid.seeds == 1 else f"median of {grid.seeds} seeds"
    panel.set_title(f"{grid.label}, {seeds}", parse_math=False, fontsize=6.5 if len(grid.label) < 24 else 5)


def _write_csv(drawn: Sequence[Grid], path: Path) -> Path:
    header = ["label", "first_digits", "second_digits", "seeds", "n", "median", "worst", "low", "high"]
    rows = []
    for grid in drawn:
        for (a, b), cells in sorted(grid.cells.items()):
            shares = [cell.accuracy for cell in cells]
            bounds = min(cell.low for cell in cells), max(cell.high for cell in cells)
            numbers = [float(value) for value in (statistics.median(shares), min(shares), *bounds)]
            rows.append([grid.label, a, b, len(cells), sum(cell.n for cell in cells), *numbers])
    return style.write_table(path, header, rows)
