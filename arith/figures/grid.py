"""Heat-maps: accuracy at each pair of operand lengths, the training region outlined."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from arith.figures import style
from arith.figures.accuracy import readable_ticks
from arith.results.grids import Grid

LEFT, BOTTOM, TOP, BETWEEN, BAR = 0.45, 0.42, 0.24, 0.28, 0.6  # inches around the maps, and for the colour bar
LARGEST = 2.35  # inches of a map
ACROSS = 3  # maps in a row


def draw_grids(grids: Sequence[Grid], path: Path, title: str = "") -> list[Path]:
    """Draw a map for each label as png, pdf and svg, and write the numbers as csv.

    Args:
        grids: one per label.
        path: the figure's, without an ending.
        title: above all maps.
    """
    across = min(len(grids), ACROSS)
    rows = -(-len(grids) // across)
    most = style.COLUMN if len(grids) == 1 else style.PAGE
    side = min(LARGEST, (most - LEFT - BAR - BETWEEN * (across - 1)) / across)
    maps_width = across * (side + BETWEEN) - BETWEEN
    each = TOP + side + BOTTOM
    with style.canvas(
        LEFT + maps_width + BAR, rows * each, title, {"axes.spines.top": True, "axes.spines.right": True}
    ) as page:
        for place, grid in enumerate(grids):
            row, column = divmod(place, across)
            panel = page.panel(LEFT + column * (side + BETWEEN), (rows - 1 - row) * each + BOTTOM, side, side)
            _draw_map(panel, grid, side)
            if column == 0:
                panel.set_ylabel("digits of the first operand", labelpad=2)
            # The lowest of its column, which in an incomplete last row is one row higher.
            if place + across >= len(grids):
                panel.set_xlabel("digits of the second operand", labelpad=2)
        bar = page.panel(LEFT + maps_width + 0.1, (rows - 1) * each + BOTTOM, 0.08, side)
        scale = ScalarMappable(Normalize(0, 100), style.MAP)
        page.figure.colorbar(scale, cax=bar, ticks=[0, 50, 100]).set_label("exact match (%)", labelpad=1)
        files = page.save(path)
    return [*files, _write_csv(grids, path)]


def _draw_map(panel: Axes, grid: Grid, side: float) -> None:
    """Draw one grid on a panel of `side` inches: the second operand across, the first upwards."""
    panel.set_facecolor("white")
    # NaN, a pair of lengths without a measurement, is masked: the map's lowest colour would claim 0%.
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
    inside = [
        [at for at, length in enumerate(lengths) if low <= length <= high] for lengths in (grid.first, grid.second)
    ]
    if all(inside):
        (bottom, *_), (left, *_) = inside
        corner, size = (left - 0.5, bottom - 0.5), (len(inside[1]), len(inside[0]))
        # Black dashes on a wider white line: seen on dark cells and on bright ones.
        for colour, width, dashes in (("white", 1.6, "-"), ("black", 0.8, (0, (3, 1.5)))):
            panel.add_patch(Rectangle(corner, *size, fill=False, ec=colour, lw=width, ls=dashes, clip_on=False))
    for axis, lengths in ((panel.yaxis, grid.first), (panel.xaxis, grid.second)):
        # Cells are spaced evenly whatever their lengths, so ticks are chosen among places 1, 2, 3, ...
        places = range(1, len(lengths) + 1)
        shown = readable_ticks(list(places), wide=False, inches=side / 1.6)
        axis.set_ticks([place - 1 for place in shown], [str(lengths[place - 1]) for place in shown])
    panel.tick_params(length=1.5, pad=1.5)
    panel.set_title(grid.title, parse_math=False, fontsize=6.5 if len(grid.label) < 24 else 5)


def _write_csv(grids: Sequence[Grid], path: Path) -> Path:
    """Write the numbers of the figure, a line per cell."""
    header = ["label", "first_digits", "second_digits", "seeds", "n", "median", "worst", "low", "high"]
    rows = []
    for grid in grids:
        for (a, b), cells in sorted(grid.cells.items()):
            shares = [cell.accuracy for cell in cells]
            bounds = min(cell.low for cell in cells), max(cell.high for cell in cells)
            numbers = [float(value) for value in (statistics.median(shares), min(shares), *bounds)]
            rows.append([grid.label, a, b, len(cells), sum(cell.n for cell in cells), *numbers])
        if grid.note:
            lengths = [(a, b) for a in range(len(grid.first)) for b in range(len(grid.second))]
            for a, b in lengths:
                rows.append([grid.name, grid.first[a], grid.second[b], 0, 0, float(grid.accuracy[a, b]), "", "", ""])
    return style.write_table(path, header, rows)
