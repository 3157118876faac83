"""Figures as text, for a terminal."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from arith.results.curves import Curve
from arith.results.grids import Grid

WIDTH, HEIGHT = 64, 17  # characters of a panel
MARKS = "ox+*#@%&abcdefgh"
SHADES = " .:-=+*#%@"  # from 0% to 100%


def accuracy_text(drawn: Sequence[Curve]) -> str:
    """Accuracy against digit length; the training range is underlined."""
    lengths = sorted({point.digits for curve in drawn for point in curve.points})
    wide = lengths[-1] > 10 * lengths[0]
    place = math.log if wide else float
    low, span = place(lengths[0]), (place(lengths[-1]) - place(lengths[0])) or 1.0

    def column(digits: float) -> int:
        return min(max(round((place(digits) - low) / span * (WIDTH - 1)), 0), WIDTH - 1)

    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    for number, curve in reversed(list(enumerate(drawn))):
        marks = [(column(p.digits), round((1 - p.median) * (HEIGHT - 1))) for p in curve.points]
        for (x, y), (to, down) in itertools.pairwise(marks):
            for between in range(x + 1, to):
                row = round(y + (down - y) * (between - x) / (to - x))
                if canvas[row][between] == " ":
                    canvas[row][between] = "."
        for x, y in marks:
            canvas[y][x] = MARKS[number % len(MARKS)]
    ticks = {0: "100%", HEIGHT // 2: " 50%", HEIGHT - 1: "  0%"}
    lines = [f"{ticks.get(row, ''):>5} |{''.join(cells).rstrip()}" for row, cells in enumerate(canvas)]
    first, last = drawn[0].first.train_lengths
    trained = [column(max(first, lengths[0])), column(min(last, lengths[-1]))]
    shown = first <= lengths[-1] and last >= lengths[0]
    axis = "".join("=" if shown and trained[0] <= x <= trained[1] else "-" for x in range(WIDTH))
    numbers = [" "] * (WIDTH + 8)
    end = -1
    for digits in lengths:
        text, x = str(digits), column(digits)
        if x > end:
            numbers[x : x + len(text)] = text
            end = x + len(text)
    lines += [f"{'':>5} +{axis}", f"{'':>7}{''.join(numbers).rstrip()}  digits{' (= trained)' * shown}"]
    for number, curve in enumerate(drawn):
        unfitted = "" if curve.fitted else f", {curve.fit}"
        seeds = "1 seed" if curve.seeds == 1 else f"median of {curve.seeds} seeds"
        lines.append(f"{MARKS[number % len(MARKS)]:>7} {curve.label} ({seeds}{unfitted})")
    return "\n".join(lines)


def grid_text(grid: Grid, most: int = 60) -> str:
    """A character a cell, darker where more is right; of large grids every so many lengths."""
    steps = [-(-len(own) // most) for own in (grid.first, grid.second)]
    rows, columns = range(0, len(grid.first), steps[0]), range(0, len(grid.second), steps[1])
    low, high = grid.train_lengths
    lines = [f"{grid.label}: first operand down, second across; [ ] the training region"]
    for row in reversed(rows):
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
