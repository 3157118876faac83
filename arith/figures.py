"""The figure: accuracy against digit length."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker
from matplotlib.axes import Axes

from arith.curves import Curve
from arith.tables import percent

# Okabe and Ito's colours, told apart by colour-blind readers; markers and dashes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
STYLE: dict[Any, Any] = {"svg.hashsalt": "arith", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
PANEL_WIDTH, PANEL_HEIGHT = 3.5, 2.2  # inches: a column of a paper
FORMATS = ("png", "pdf", "svg")


def draw_accuracy(
    drawn: Sequence[Curve], path: Path, title: str = "", notes: dict[str, str] | None = None
) -> list[Path]:
    """Draw curves into `path` with the endings png, pdf, svg, and write their numbers as csv.

    Encodings that know which digits belong together are drawn apart from those that do not.

    Args:
        drawn: one curve a label.
        path: of the figure, without ending.
        title: above all.
        notes: what is said of a label in the legend.
    """
    groups = [
        ("structure-free", [curve for curve in drawn if not curve.first.structure_aware]),
        ("structure-aware: digit alignment built in", [curve for curve in drawn if curve.first.structure_aware]),
    ]
    shown = [(name, members) for name, members in groups if members]
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyplot.rc_context(STYLE):
        labels = {curve.label: _label(curve, notes or {}) for curve in drawn}
        legend = max(sum(0.19 + 0.14 * labels[c.label].count("\n") for c in members) for _, members in shown)
        below = 0.55 + legend  # inches, for the axis and the legend
        width, height = PANEL_WIDTH * len(shown), PANEL_HEIGHT + 0.5 + below
        size = (width, height)
        figure, axes = pyplot.subplots(1, len(shown), figsize=size, sharex=True, sharey=True, squeeze=False)
        figure.subplots_adjust(
            left=0.5 / width, right=1 - 0.15 / width, bottom=below / height, top=1 - 0.5 / height, wspace=0.12
        )
        lengths = sorted({point.digits for curve in drawn for point in curve.points})
        styles = {curve.label: style for style, curve in enumerate(drawn)}
        for panel, (name, members) in zip(axes[0], shown, strict=True):
            _panel(panel, name, members, lengths, styles, labels)
        axes[0][0].set_ylabel("exact match (%)")
        if title:
            figure.suptitle(title, fontsize=9, y=1 - 0.08 / height, va="top")
        files = [path.with_name(f"{path.name}.{ending}") for ending in FORMATS]
        for file in files:
            dateless = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[file.suffix[1:]]
            figure.savefig(file, dpi=200, metadata=dateless)
        pyplot.close(figure)
    table = path.with_name(f"{path.name}.csv")
    write_csv(drawn, table)
    return [*files, table]


def _label(curve: Curve, notes: dict[str, str]) -> str:
    """What the legend says of a curve."""
    seeds = "1 seed" if curve.seeds == 1 else f"{curve.seeds} seeds"
    note = f" ({notes[curve.label]}, {seeds})" if curve.label in notes else f" ({seeds})"
    unfitted = "" if curve.fitted else f"\nunfitted: {percent(curve.in_distribution)}% in distribution"
    return curve.label + note + unfitted


def _panel(
    panel: Axes,
    name: str,
    drawn: Sequence[Curve],
    lengths: Sequence[int],
    styles: dict[str, int],
    labels: dict[str, str],
) -> None:
    wide = lengths[-1] > 10 * lengths[0]
    if wide:
        panel.set_xscale("log")
    low, high = drawn[0].first.train_lengths
    panel.axvspan(low, high, color="0.92", lw=0)
    panel.annotate(
        "trained",
        (low, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(3, 0),
        textcoords="offset points",
        rotation=90,
        va="center",
        color="0.45",
    )
    for place, curve in enumerate(drawn):
        # Curves that coincide stay visible when each stands a little beside the other.
        shift = (place - (len(drawn) - 1) / 2) / len(drawn)
        x = [p.digits * 1.1**shift if wide else p.digits + 0.3 * shift for p in curve.points]
        style = styles[curve.label]
        colour = COLOURS[style % len(COLOURS)]
        median = [100 * point.median for point in curve.points]
        if curve.seeds > 1:
            band = [100 * p.worst for p in curve.points], [100 * p.best for p in curve.points]
            panel.fill_between(x, *band, color=colour, alpha=0.15, lw=0)
        else:
            bounds = [[100 * bound for bound in point.interval] for point in curve.points]
            below = [max(m - b[0], 0) for m, b in zip(median, bounds, strict=True)]
            above = [max(b[1] - m, 0) for m, b in zip(median, bounds, strict=True)]
            panel.errorbar(x, median, [below, above], fmt="none", ecolor=colour, elinewidth=0.8, capsize=1.5)
        panel.plot(
            x,
            median,
            color=colour,
            # Of more curves than colours, those of one colour still have another marker.
            marker=MARKERS[(style + style // len(COLOURS)) % len(MARKERS)],
            ls=DASHES[style % len(DASHES)],
            ms=4,
            lw=1.3,
            mfc=colour if curve.fitted else "white",
            label=labels[curve.label],
            clip_on=False,
        )
    panel.set_title(name, fontsize=8)
    panel.set_xlabel("digits of the longer operand")
    panel.set_ylim(0, 100)
    panel.margins(x=0.03)
    panel.xaxis.set_major_locator(ticker.FixedLocator(_readable_ticks(lengths, wide)))
    panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    panel.legend(
        loc="upper left", bbox_to_anchor=(0, -0.5 / PANEL_HEIGHT), frameon=False, handlelength=3.5, borderpad=0
    )


def _readable_ticks(lengths: Sequence[int], wide: bool) -> list[int]:
    """Lengths whose labels do not touch each other on a panel's axis."""
    place = math.log if wide else float
    gap = (place(lengths[-1]) - place(lengths[0])) * 0.3 / PANEL_WIDTH  # a label takes 0.3 inches
    kept = [lengths[0]]
    for length in lengths[1:]:
        if place(length) - place(kept[-1]) >= gap:
            kept.append(length)
    return kept


def write_csv(drawn: Sequence[Curve], path: Path) -> None:
    """The numbers of a figure, a line a point."""
    header = ["label", "suite", "digits", "seeds", "n", "median", "worst", "low", "high", "fitted"]
    with path.open("w", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(header)
        for curve in drawn:
            for point in curve.points:
                n = sum(cell.n for cell in point.cells)
                numbers = [f"{value:.6g}" for value in (point.median, point.worst, *point.interval)]
                writer.writerow([curve.label, curve.suite, point.digits, len(point.cells), n, *numbers, curve.fitted])
