"""Time and memory of training and evaluation against digits, parameters and batch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot, ticker
from matplotlib.axes import Axes

from arith.figures import style

AXES = {"digits": "digits of each operand", "parameters": "parameters", "batch": "samples a step"}
HEIGHT = 3.3  # inches


def draw_scaling(rows: Sequence[dict[str, Any]], path: Path) -> list[Path]:
    """Draw measured points and fitted lines, one column per axis, as png, pdf and svg, and write the numbers as csv.

    Args:
        rows: one per size, with what was measured, fitted (`fitted_seconds`) and expected.
    """
    with pyplot.rc_context(style.STYLE):
        figure, panels = pyplot.subplots(
            2, 3, figsize=(style.PAGE, HEIGHT), sharex="col", sharey="row", layout="constrained"
        )
        for column, (axis, name) in enumerate(AXES.items()):
            sizes = sorted((row for row in rows if row["axis"] == axis), key=lambda row: row[axis])
            _times(panels[0][column], sizes, axis)
            _memory(panels[1][column], sizes, axis)
            values = [row[axis] for row in sizes]
            panels[1][column].set_xlabel(name, labelpad=2)
            panels[1][column].set_xticks(values, _labels(values))
            panels[1][column].xaxis.set_minor_locator(ticker.NullLocator())
        panels[0][0].set_ylabel("seconds")
        panels[1][0].set_ylabel("memory (MiB)")
        for line in (0, 1):
            # Every column shows all that its row's first one does.
            named = panels[line][0].get_legend_handles_labels()
            panels[line][2].legend(*named, frameon=False, fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
        files = style.save_figure(figure, path)
    header = ["axis", "digits", "model", "parameters", "batch", "tokens", "flops", "moved_bytes", "seconds"]
    header += [
        "seconds_low",
        "seconds_high",
        "fitted_seconds",
        "peak_bytes",
        "expected_bytes",
        "tested",
        "test_seconds",
    ]
    return [*files, style.write_table(path, header, [[row[name] for name in header] for row in rows])]


def _labels(values: Sequence[float]) -> list[str]:
    """Of ticks on a logarithmic axis; none where it would touch the one before."""
    apart = 0.12 * math.log(values[-1] / values[0])
    labels, last = [_short(values[0])], values[0]
    for value in values[1:]:
        room = math.log(value / last) >= apart
        labels.append(_short(value) if room else "")
        last = value if room else last
    return labels


def _short(value: float) -> str:
    """
    >>> _short(136_000), _short(1_060_000), _short(64)
    ('136k', '1.1M', '64')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{0 if value >= 10 * size else 1}f}{letter}"
    return f"{value:g}"


def _times(panel: Axes, rows: Sequence[dict[str, Any]], axis: str) -> None:
    x = [row[axis] for row in rows]
    seconds = [row["seconds"] for row in rows]
    spread = [
        [row["seconds"] - row["seconds_low"] for row in rows],
        [row["seconds_high"] - row["seconds"] for row in rows],
    ]
    first, second = style.COLOURS[:2]
    panel.errorbar(
        x,
        seconds,
        spread,
        fmt="o",
        ms=3,
        color=first,
        elinewidth=0.6,
        capsize=1.2,
        label="a training step,\nmedian, least and most",
    )
    panel.plot(x, [row["fitted_seconds"] for row in rows], "-", lw=1, color=first, label="its fit")
    if axis == "batch":  # tests choose their own
        panel.set(xscale="log", yscale="log")
        return
    each = [1000 * row["test_seconds"] / row["tested"] for row in rows]
    panel.plot(x, each, "s--", ms=3, lw=0.8, color=second, mfc="white", label="1,000 problems\ntested")
    panel.set(xscale="log", yscale="log")


def _memory(panel: Axes, rows: Sequence[dict[str, Any]], axis: str) -> None:
    x = [row[axis] for row in rows]
    third = style.COLOURS[2]
    panel.plot(
        x, [row["peak_bytes"] / 2**20 for row in rows], "^", ms=3, color=third, label="the process\nhas grown by"
    )
    panel.plot(
        x, [row["expected_bytes"] / 2**20 for row in rows], ":", lw=1, color=third, label="counted from\nthe shapes"
    )
    panel.set(xscale="log", yscale="log")
