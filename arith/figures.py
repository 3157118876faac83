"""The figure: accuracy against digit length."""

import csv
from collections.abc import Sequence
from itertools import cycle
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
        legend_rows = max((len(members) + 1) // 2 for _, members in shown)
        size = (3.5 * len(shown), 2.7 + 0.2 * legend_rows)
        figure, axes = pyplot.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False, layout="constrained")
        styles = {curve.label: style for curve, style in zip(drawn, cycle(range(len(COLOURS))), strict=False)}
        for panel, (name, members) in zip(axes[0], shown, strict=True):
            _panel(panel, name, members, styles, notes or {})
        axes[0][0].set_ylabel("exact match (%)")
        if title:
            figure.suptitle(title, fontsize=9)
        files = [path.with_suffix(f".{ending}") for ending in FORMATS]
        for file in files:
            dateless = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[file.suffix[1:]]
            figure.savefig(file, dpi=200, metadata=dateless)
        pyplot.close(figure)
    write_csv(drawn, path.with_suffix(".csv"))
    return [*files, path.with_suffix(".csv")]


def _panel(panel: Axes, name: str, drawn: Sequence[Curve], styles: dict[str, int], notes: dict[str, str]) -> None:
    lengths = sorted({point.digits for curve in drawn for point in curve.points})
    wide = lengths[-1] > 20 * max(lengths[0], 1)
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
        shift = place - (len(drawn) - 1) / 2
        x = [p.digits * 1.02**shift if wide else p.digits + 0.04 * shift for p in curve.points]
        style = styles[curve.label]
        colour = COLOURS[style]
        median = [100 * point.median for point in curve.points]
        bounds = [[100 * bound for bound in point.interval] for point in curve.points]
        if curve.seeds > 1:
            low_high = [100 * p.worst for p in curve.points], [100 * p.best for p in curve.points]
            panel.fill_between(x, *low_high, color=colour, alpha=0.15, lw=0)
        else:
            below = [max(m - b[0], 0) for m, b in zip(median, bounds, strict=True)]
            above = [max(b[1] - m, 0) for m, b in zip(median, bounds, strict=True)]
            panel.errorbar(x, median, [below, above], fmt="none", ecolor=colour, elinewidth=0.8, capsize=1.5)
        label = curve.label + (f" ({notes[curve.label]})" if curve.label in notes else "")
        if not curve.fitted:
            label += f"\nunfitted: {percent(curve.in_distribution)}% in distribution"
        panel.plot(
            x,
            median,
            color=colour,
            marker=MARKERS[style],
            ls=DASHES[style],
            ms=4,
            lw=1.3,
            mfc=colour if curve.fitted else "white",
            label=label,
            clip_on=False,
        )
    panel.set_title(name, fontsize=8)
    panel.set_xlabel("digits of the longer operand")
    panel.set_ylim(0, 100)
    panel.margins(x=0.03)
    ticks = [length for length in lengths if not wide or length in _round_lengths(lengths)]
    panel.xaxis.set_major_locator(ticker.FixedLocator(ticks))
    panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, ncols=2, handlelength=3)


def _round_lengths(lengths: Sequence[int]) -> list[int]:
    """Lengths that stand far enough from each other on a logarithmic axis to be written out."""
    kept = [lengths[0]]
    for length in lengths[1:]:
        if length >= 1.6 * kept[-1]:
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
