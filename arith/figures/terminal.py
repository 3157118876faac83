"""Figures as text, for a terminal."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from arith.results.curves import Curve
from arith.results.grids import Grid

WIDTH, HEIGHT = 64, 17  # characters of a panel; an odd height has a row for 50%
MARKS = "ox+*#@%&abcdefgh"
SHADES = " .:-=+*#%@"  # from 0% to 100%


def accuracy_text(curves: Sequence[Curve]) -> str:
    """Accuracy against digit length, the training range marked under the axis, and a line for each curve's label."""
    lengths = sorted({point.digits for curve in curves for point in curve.points})
    # The same rule as in the figure: a logarithmic axis where lengths differ much.
    place = math.log if lengths[-1] > 10 * lengths[0] else float
    low, span = place(lengths[0]), (place(lengths[-1]) - place(lengths[0])) or 1.0

    def column(digits: float) -> int:
        return min(max(round((place(digits) - low) / span * (WIDTH - 1)), 0), WIDTH - 1)

    cells = _draw_curves(curves, column)
    ticks = {0: "100%", HEIGHT // 2: " 50%", HEIGHT - 1: "  0%"}
    lines = [f"{ticks.get(row, ''):>5} |{''.join(line).rstrip()}" for row, line in enumerate(cells)]
    first, last = curves[0].first.train_lengths
    trained = [column(max(first, lengths[0])), column(min(last, lengths[-1]))]
    shown = first <= lengths[-1] and last >= lengths[0]
    axis = "".join("=" if shown and trained[0] <= x <= trained[1] else "-" for x in range(WIDTH))
    # The last number may stand out to the right of the axis by up to 8 characters.
    numbers, end = [" "] * (WIDTH + 8), -1
    for digits in lengths:
        text, x = str(digits), column(digits)
        if x > end:  # else it would run into the number before
            numbers[x : x + len(text)] = text
            end = x + len(text)
    lines += [f"{'':>5} +{axis}", f"{'':>7}{''.join(numbers).rstrip()}  digits{' (= trained)' * shown}"]
    for number, curve in enumerate(curves):
        unfitted = "" if curve.fitted else f", {curve.fit}"
        seeds = "1 seed" if curve.seeds == 1 else f"median of {curve.seeds} seeds"
        lines.append(f"{MARKS[number % len(MARKS)]:>7} {curve.label} ({seeds}{unfitted})")
    return "\n".join(lines)


def _draw_curves(curves: Sequence[Curve], column: Callable[[float], int]) -> list[list[str]]:
    """The characters of a panel, from its upper row to its lower: a mark for each point, dots between."""
    cells = [[" "] * WIDTH for _ in range(HEIGHT)]
    # Backwards, so that where marks coincide the first curve's is seen.
    for number, curve in reversed(list(enumerate(curves))):
        marks = [(column(point.digits), round((1 - point.median) * (HEIGHT - 1))) for point in curve.points]
        for (x, y), (to, down) in itertools.pairwise(marks):
            for between in range(x + 1, to):
                row = round(y + (down - y) * (between - x) / (to - x))
                if cells[row][between] == " ":
                    cells[row][between] = "."
        for x, y in marks:
            cells[y][x] = MARKS[number % len(MARKS)]
    return cells


def grid_text(grid: Grid, most: int = 60) -> str:
    """A character for each pair of operand lengths, darker where more is right, `?` where nothing was measured.

    Args:
        grid: the map of one label.
        most: rows and columns; of a larger grid every second, third, ... length is shown.
    """
    steps = [-(-len(lengths) // most) for lengths in (grid.first, grid.second)]
    rows, columns = range(0, len(grid.first), steps[0]), range(0, len(grid.second), steps[1])
    low, high = grid.train_lengths
    lines = [f"{grid.name}: first operand down, second across; [ ] the training region"]
    for row in reversed(rows):  # short operands at the bottom, as in the figure
        shown = []
        for column in columns:
            share = grid.accuracy[row, column]
            shade = "?" if np.isnan(share) else SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)]
            inside = all(low <= length <= high for length in (grid.first[row], grid.second[column]))
            shown.append(f"[{shade}]" if inside else f" {shade} ")
        lines.append(f"{grid.first[row]:>5} |{''.join(shown)}")
    lines.append(f"{'':>5} +{'-' * 3 * len(columns)}")
    lines.append(f"{'':>7}{''.join(f'{grid.second[column]:<3}'[:3] for column in columns)}")
    lines.append(f"{'':>7}shades from 0% to 100%: '{SHADES}'")
    return "\n".join(lines)
