"""Heat-maps of operand lengths: accuracy, interval and number of problems of each cell."""

import statistics
from collections.abc import Sequence

from matplotlib.colors import to_hex

from arith.figures.style import MAP
from arith.report.chart import Axis, Scale, plot
from arith.report.markup import Markup, element, folded, join, number, table
from arith.results.grids import Grid, summary
from arith.results.schema import Cell
from arith.results.uncertainty import percent

LARGEST = 18  # lengths along a side up to which each cell has room for its accuracy, on a page of 400 pixels too
SPACIOUS = 10  # lengths along a side up to which it is written as large as the rest
DARK = 0.55  # of the way through the colours: below it they are so dark that text on them is white


def grids_part(grids: Sequence[Grid]) -> Markup:
    """A map for each label, two beside each other where the page is wide."""
    maps = element("div", *map(_figure, grids), class_="pair")
    stops = ", ".join(to_hex(MAP(share / 8)) for share in range(9))
    scale = element("span", class_="ramp", style=f"background: linear-gradient(to right, {stops})")
    key = element("p", "0%", scale, "100% exact match. Dashed: lengths of training.", class_="note scale")
    return join(maps, key, folded("As a table", _table(grids)))


def _figure(grid: Grid) -> Markup:
    return element(
        "figure",
        element("h3", grid.title),
        _map(grid),
        element("figcaption", summary(grid)),
        class_="map",
    )


def _map(grid: Grid) -> Markup:
    """Second operand across, first upwards, cells of one size whatever their lengths."""
    wide, high = 100 / len(grid.second), 100 / len(grid.first)
    written = max(len(grid.first), len(grid.second)) <= LARGEST
    cells = []
    for row, a in enumerate(grid.first):
        for column, b in enumerate(grid.second):
            share = float(grid.accuracy[row, column])
            if share == share:  # not NaN: a pair of lengths that nobody measured stays empty
                corner = column * wide, 100 - (row + 1) * high
                text = describe_cell(grid, a, b, share)
                cells.append(_cell(corner, (wide, high), share, text, (column, len(grid.first) - row), written))
    x, y = (
        _axis(lengths, f"digits of the {name} operand")
        for lengths, name in ((grid.second, "second"), (grid.first, "first"))
    )
    inside = element("g", *cells, class_="dense" if max(len(grid.first), len(grid.second)) > SPACIOUS else None)
    return plot(x, y, inside, _training_region(grid, wide, high), name=grid.title, kind="square")


def _axis(lengths: Sequence[int], title: str) -> Axis:
    """Places 0.5, 1.5, ... for the lengths; every second or third is written where there are many."""
    step = -(-len(lengths) // 16)
    ticks = [(at + 0.5, str(length), at % (2 * step) == 0) for at, length in enumerate(lengths) if at % step == 0]
    return Axis(Scale(0, len(lengths)), ticks, title)


def _cell(
    corner: tuple[float, float],
    size: tuple[float, float],
    share: float,
    text: str,
    place: tuple[int, int],
    written: bool,
) -> Markup:
    (x, y), (wide, high) = corner, size
    box = element(
        "rect", x=_percent(x), y=_percent(y), width=_percent(wide), height=_percent(high), fill=to_hex(MAP(share))
    )
    middle = {"x": _percent(x + wide / 2), "y": _percent(y + high / 2)}
    shade = "on-dark" if share < DARK else "on-light"
    told = [element("text", f"{100 * share:.0f}", class_=f"share {shade}", dy="0.35em", **middle)] if written else []
    across, down = place
    looks = {"class_": "point cell", "role": "img", "tabindex": "-1", "data_x": str(across), "data_y": str(down)}
    return element("g", element("title", text), box, *told, **looks)


def describe_cell(grid: Grid, a: int, b: int, share: float) -> str:
    """What a cell says: its lengths, accuracy, interval, number of problems and seeds."""
    told = f"{grid.label}, {a} × {b} digits: {percent(share)}%"  # noqa: RUF001
    there = grid.cells.get((a, b))
    if not there:
        return f"{told} ({grid.note})" if grid.note else told
    low, high = _interval(there)
    seeds = f" a seed, {len(there)} seeds" if len(there) > 1 else ""
    return f"{told}, 95% interval {low} to {high}, n = {there[0].n}{seeds}"


def _interval(cells: Sequence[Cell]) -> tuple[str, str]:
    return percent(min(cell.low for cell in cells)), percent(max(cell.high for cell in cells))


def _training_region(grid: Grid, wide: float, high: float) -> Markup:
    """The outline of the trained lengths: black dashes on a wider white line, seen on dark cells and on bright ones."""
    low, top = grid.train_lengths
    inside = [[at for at, length in enumerate(side) if low <= length <= top] for side in (grid.first, grid.second)]
    if not all(inside):
        return Markup()
    rows, columns = inside
    box = {
        "x": _percent(columns[0] * wide),
        "y": _percent(100 - (rows[-1] + 1) * high),
        "width": _percent(len(columns) * wide),
        "height": _percent(len(rows) * high),
    }
    return join(element("rect", class_="outline under", **box), element("rect", class_="outline", **box))


def _table(grids: Sequence[Grid]) -> Markup:
    rows = [
        [
            grid.label,
            str(a),
            str(b),
            percent(statistics.median(cell.accuracy for cell in cells)),
            " to ".join(_interval(cells)),
            str(cells[0].n),
            str(len(cells)),
        ]
        for grid in grids
        for (a, b), cells in sorted(grid.cells.items())
    ]
    return table(
        ["encoding", "first digits", "second digits", "median %", "95% interval", "n a seed", "seeds"], rows, "Grids"
    )


def _percent(value: float) -> str:
    return f"{number(value)}%"
