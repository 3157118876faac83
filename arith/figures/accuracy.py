"""The figure: accuracy against digit length."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from arith.figures import labels, style
from arith.figures.labels import Label
from arith.figures.style import COLOURS, DASHES, MARKERS
from arith.results.curves import Curve
from arith.results.figure_plan import PLAIN, Claim, FigurePlan

# Inches. Labels stand at the right of a panel, the key under the lowest row of panels.
LEFT, BOTTOM, TOP, RIGHT = 0.48, 0.62, 0.26, 0.05  # around a panel; BOTTOM has room for the key as well
UNDER = 0.42  # under a panel, for its axis alone
LABELS = 1.28  # beside a panel
LOWEST = 1.65  # the least height of a panel, which grows with its labels
ACROSS = 2  # panels in a row
GROUPS = ("structure-free", "structure-aware", "algorithm-supervised")  # the order of the panels
KEY = (
    "Line: median of {seeds}. Band: 95% bootstrap over seeds and problems.\n"
    "Bars: 95% Wilson, worst to best seed. Hollow: unfitted (below 99% in training lengths)."
)


@dataclass(frozen=True)
class Panel:
    """Curves that share axes, under a name."""

    name: str
    curves: list[Curve]


def draw_accuracy(
    curves: Sequence[Curve],
    path: Path,
    title: str = "",
    notes: Mapping[str, str] | None = None,
    plan: FigurePlan = PLAIN,
) -> list[Path]:
    """Draw accuracy curves as png, pdf and svg, and write their numbers as csv.

    Encodings that know which digits belong together have a panel of their own, and so have models that were given an
    algorithm, by the format or loop by loop: accuracies of such different groups are not to be ranked together.

    Args:
        curves: one per label.
        path: the figure's, without an ending.
        title: above all panels.
        notes: by label, what to add to it in parentheses.
        plan: how curves are split over panels, and which claims of others are marked.
    """
    shown = split_into_panels(curves, plan.by_format)
    texts = {curve.label: _label(curve, notes or {}, curves) for curve in curves}
    height = max(LOWEST, *(labels.total_height([texts[curve.label] for curve in panel.curves]) for panel in shown))
    across = min(len(shown), ACROSS)
    rows = -(-len(shown) // across)
    full_width = style.COLUMN if across == 1 else style.PAGE
    row_height = UNDER + height + TOP
    each = full_width / across
    width = each - LEFT - LABELS - RIGHT
    lengths = sorted({point.digits for curve in curves for point in curve.points})
    styles = _assign_styles(curves, shown, plan.by_format)
    with style.canvas(full_width, rows * row_height + BOTTOM - UNDER, title) as page:
        for place, panel in enumerate(shown):
            row, column = divmod(place, across)
            axes = page.panel(column * each + LEFT, BOTTOM + (rows - 1 - row) * row_height, width, height)
            axes.set_title(panel.name, loc="left", parse_math=False)
            ends = _draw_curves(axes, panel.curves, lengths, styles)
            axes.set_xlabel(plan.axis, labelpad=2, parse_math=False)
            if plan.chance is not None:
                _mark_chance(axes, plan.chance)
            # A claim about one format is marked in the panels of that format alone.
            _mark_claims(axes, [c for c in plan.claims if c.format in (None, panel.curves[0].first.format)])
            if column == 0:
                axes.set_ylabel("exact match (%)")
            written = [Label(texts[c.label], end, line) for c, (end, line) in zip(panel.curves, ends, strict=True)]
            labels.write(axes, written, width, height)
        page.note(KEY.format(seeds=_count_seeds(curves)), spacing=1.3)
        files = page.save(path)
    return [*files, write_csv(curves, path)]


def split_into_panels(curves: Sequence[Curve], by_format: bool = False) -> list[Panel]:
    """Curves that may be compared together: those of one group and, with `by_format`, of one format."""
    found: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        found.setdefault((curve.first.format if by_format else "", curve.group), []).append(curve)
    order = list(dict.fromkeys(form for form, _ in found))
    keys = sorted(found, key=lambda key: (GROUPS.index(key[1].partition(":")[0]), order.index(key[0])))
    # Beside the name of a format there is no room for what a group means, which follows its colon.
    return [Panel(f"{form}, {group.partition(':')[0]}" if form else group, found[form, group]) for form, group in keys]


def _assign_styles(curves: Sequence[Curve], panels: Sequence[Panel], by_format: bool) -> dict[str, int]:
    """For each label the number of its colour, marker and dashes; one per encoding where panels are of formats."""
    if not by_format:
        return {curve.label: place for place, curve in enumerate(curves)}
    encodings = list(dict.fromkeys(curve.encoding for panel in panels for curve in panel.curves))
    return {curve.label: encodings.index(curve.encoding) for curve in curves}


def _count_seeds(curves: Sequence[Curve]) -> str:
    """The seeds that the key names: a number where all curves have it, or have several."""
    seeds = {curve.seeds for curve in curves}
    return "the seeds" if len(seeds) > 1 or 1 in seeds else f"{max(seeds)} seeds"


def _label(curve: Curve, notes: Mapping[str, str], curves: Sequence[Curve]) -> str:
    """The text beside a curve: label, note, fit, and its seeds where not all curves have as many."""
    remarks = [notes[curve.label]] if curve.label in notes else []
    if len({other.seeds for other in curves}) > 1 or len(curves) == 1:
        remarks.append("1 seed" if curve.seeds == 1 else f"{curve.seeds} seeds")
    if not curve.fitted:
        remarks.append(curve.fit)
    return curve.label + (f"\n({', '.join(remarks)})" if remarks else "")


def _draw_curves(
    axes: Axes, curves: Sequence[Curve], lengths: Sequence[int], styles: Mapping[str, int]
) -> list[tuple[tuple[float, float], Line2D]]:
    """Draw the curves of one panel.

    Args:
        lengths: digit lengths of all panels, which share their axis.
        styles: see `_assign_styles`.

    Returns:
        For each curve the point at which it ends, in data coordinates, and its line.
    """
    # Tests such as 1-4 digits and 500: on a linear axis the trained lengths would be a sliver.
    wide = lengths[-1] > 10 * lengths[0]
    _shade_training_region(axes, curves, lengths, wide)
    ends = []
    for place, curve in enumerate(curves):
        # Curves that coincide stay visible when each stands a little beside the other.
        shift = (place - (len(curves) - 1) / 2) / len(curves)
        x = [point.digits * 1.1**shift if wide else point.digits + 0.3 * shift for point in curve.points]
        ends.append(_draw_curve(axes, curve, x, styles[curve.label]))
    axes.set_ylim(0, 100)
    low, high = curves[0].first.train_lengths
    axes.xaxis.set_major_locator(ticker.FixedLocator(readable_ticks(lengths, wide, (high, low))))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))
    # A logarithmic axis would otherwise add ticks at 2, 3, 4, ... times each power of ten.
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    return ends


def _shade_training_region(axes: Axes, curves: Sequence[Curve], lengths: Sequence[int], wide: bool) -> None:
    """Set the limits of the axis, and shade the trained lengths if all curves share them."""
    limits = (lengths[0] / 1.2, lengths[-1] * 1.2) if wide else (lengths[0] - 0.6, lengths[-1] + 0.6)
    if wide:
        axes.set_xscale("log")
    axes.set_xlim(*limits)
    low, high = curves[0].first.train_lengths
    trained = (low / 1.06, high * 1.06) if wide else (low - 0.3, high + 0.3)
    alike = all(curve.first.train_lengths == (low, high) for curve in curves)
    if alike and trained[0] < limits[1] and limits[0] < trained[1]:
        left, right = max(trained[0], limits[0]), min(trained[1], limits[1])
        axes.axvspan(left, right, color="0.92", lw=0, zorder=0)
        middle = math.sqrt(left * right) if wide else (left + right) / 2
        # In the upper half: claims of others are written upwards from the axis.
        axes.text(middle, 78, "trained", rotation=90, va="center", ha="center", color="0.55", zorder=0.5)


def _draw_curve(axes: Axes, curve: Curve, x: Sequence[float], number: int) -> tuple[tuple[float, float], Line2D]:
    """Draw one curve: band, bars, line; and return its end and line."""
    colour = COLOURS[number % len(COLOURS)]
    median = [100 * point.median for point in curve.points]
    if curve.seeds > 1:
        bands = [point.band for point in curve.points]
        lower, upper = ([100 * band[side] for band in bands] for side in (0, 1))
        axes.fill_between(x, lower, upper, color=colour, alpha=0.2, lw=0)
    bounds = [[100 * bound for bound in point.interval] for point in curve.points]
    # Never below 0, which matplotlib refuses: rounding may put a bound a hair past the median.
    below = [max(m - low, 0) for m, (low, _) in zip(median, bounds, strict=True)]
    above = [max(high - m, 0) for m, (_, high) in zip(median, bounds, strict=True)]
    axes.errorbar(
        x, median, [below, above], fmt="none", ecolor=colour, elinewidth=0.6, capsize=1.2, capthick=0.6, alpha=0.7
    )
    (line,) = axes.plot(
        x,
        median,
        color=colour,
        # With more curves than colours, those of one colour still have another marker.
        marker=MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
        ls=DASHES[number % len(DASHES)],
        ms=3.2,
        mew=0.7,
        lw=1.1,
        # Hollow: one that has not learned its training lengths says nothing of extrapolation.
        mfc=colour if curve.fitted else "white",
        clip_on=False,
        zorder=3,
    )
    return (x[-1], median[-1]), line


def _mark_chance(axes: Axes, chance: float) -> None:
    """Mark the accuracy of a guess."""
    axes.axhline(100 * chance, color="0.3", lw=0.6, ls="--", zorder=1)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (2, 1.5), "textcoords": "offset points"}
    axes.annotate("chance", (0, 100 * chance), **place, fontsize=4.5, color="0.3", zorder=4)


def _mark_claims(axes: Axes, claims: Sequence[Claim]) -> None:
    """Mark the lengths up to which others report success; those beyond the tested lengths are left out."""
    low, high = axes.get_xlim()
    for claim in claims:
        if not low < claim.digits < high:
            continue
        axes.axvline(claim.digits, color="0.3", lw=0.7, ls=":", zorder=1)
        axes.annotate(
            claim.text,
            (claim.digits, 3),
            xytext=(-1, 0),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="bottom",
            fontsize=4.5,
            color="0.3",
            parse_math=False,
            zorder=4,
        )


def readable_ticks(lengths: Sequence[int], wide: bool, first: Sequence[int] = (), inches: float = 1.55) -> list[int]:
    """The lengths that can be written along an axis without touching each other, in rising order.

    Args:
        lengths: candidates, in rising order.
        wide: the axis is logarithmic.
        first: lengths that go before all others but the shortest and the longest.
        inches: the axis's length.

    >>> readable_ticks([1, 2, 3, 4, 5, 6, 8, 10, 20, 50, 100], wide=True, first=[4])
    [1, 2, 4, 6, 10, 20, 50, 100]
    """
    place = math.log if wide else float
    letter = 0.06 * (place(lengths[-1]) - place(lengths[0])) / inches  # a digit is 0.06 inches wide
    kept: list[int] = []
    # Greedy, the most important first; each keeps its distance from all that are there.
    for length in (lengths[0], lengths[-1], *(one for one in first if one in lengths), *lengths):
        # Half of either label, and 0.8 of a digit between them.
        gaps = [letter * (len(str(length)) / 2 + len(str(other)) / 2 + 0.8) for other in kept]
        if length not in kept and all(
            abs(place(other) - place(length)) >= gap for other, gap in zip(kept, gaps, strict=True)
        ):
            kept.append(length)
    return sorted(kept)


def write_csv(curves: Sequence[Curve], path: Path) -> Path:
    """Write the numbers of the figure, a line per point."""
    header = ["label", "suite", "digits", "seeds", "n", "median", "worst", "best", "low", "high"]
    header += ["band_low", "band_high", "fitted", "reaches", "seeds_succeeded", "accuracy_by_seed"]
    rows = []
    for curve in curves:
        for point in curve.points:
            n = sum(cell.n for cell in point.cells)
            by_seed = " ".join(f"{cell.model_seed}:{cell.accuracy:.6g}" for cell in point.cells)
            numbers = [float(v) for v in (point.median, point.worst, point.best, *point.interval, *point.band)]
            facts = [curve.fitted, curve.reaches, curve.succeeded, by_seed]
            rows.append([curve.label, curve.suite, point.digits, len(point.cells), n, *numbers, *facts])
    return style.write_table(path, header, rows)
