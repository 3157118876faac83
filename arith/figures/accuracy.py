"""The figure: accuracy against digit length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import pyplot, ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from arith.figures import labels, style
from arith.figures.labels import Label
from arith.figures.style import COLOURS, DASHES, MARKERS
from arith.results.curves import Curve
from arith.results.figure_plan import PLAIN, Claim, FigurePlan

LEFT, BOTTOM, TOP, RIGHT = 0.48, 0.62, 0.26, 0.05  # inches around a panel
UNDER = 0.42  # inches for an axis, of the lowest ones apart from the key
LABELS = 1.28  # inches for the labels beside it
LOWEST = 1.65  # inches of a panel; it grows with its labels
ACROSS = 2  # panels of a page's width
GROUPS = ("structure-free", "structure-aware", "algorithm-supervised")  # in this order
KEY = (
    "Line: median of {seeds}. Band: 95% bootstrap over seeds and problems.\n"
    "Bars: 95% Wilson, worst to best seed. Hollow: unfitted (below 99% in training lengths)."
)


def draw_accuracy(
    drawn: Sequence[Curve],
    path: Path,
    title: str = "",
    notes: dict[str, str] | None = None,
    plan: FigurePlan = PLAIN,
) -> list[Path]:
    """Draw curves into `path` with the endings png, pdf, svg, and write their numbers as csv.

    Encodings that know which digits belong together are drawn apart from those that do not, and models that were told
    an algorithm, by the format or loop by loop, apart from both.

    Args:
        drawn: one curve a label.
        path: of the figure, without ending.
        title: above all.
        notes: what is said of a label beside its curve.
        plan: panels, and what is marked in them.
    """
    shown = panels(drawn, plan.by_format)
    texts = {curve.label: _label(curve, notes or {}, drawn) for curve in drawn}
    height = max(LOWEST, *(labels.total_height([texts[c.label] for c in panel.curves]) for panel in shown))
    above = 0.22 if title else 0.0
    across = min(len(shown), ACROSS)
    rows = -(-len(shown) // across)
    full_width = style.COLUMN if across == 1 else style.PAGE
    row_height = UNDER + height + TOP
    full_height = rows * row_height + BOTTOM - UNDER + above
    each = full_width / across
    width = each - LEFT - LABELS - RIGHT
    lengths = sorted({point.digits for curve in drawn for point in curve.points})
    styles = _styles(drawn, shown, plan.by_format)
    seeds = {curve.seeds for curve in drawn}
    key = KEY.format(seeds="the seeds" if len(seeds) > 1 or 1 in seeds else f"{max(seeds)} seeds")
    with pyplot.rc_context(style.STYLE):
        figure = pyplot.figure(figsize=(full_width, full_height))
        for place, own in enumerate(shown):
            row, column = divmod(place, across)
            left, bottom = column * each + LEFT, BOTTOM + (rows - 1 - row) * row_height
            box = (left / full_width, bottom / full_height, width / full_width, height / full_height)
            axes = figure.add_axes(box)
            axes.set_title(own.name, loc="left", parse_math=False)
            ends = _panel(axes, own.curves, lengths, styles)
            _mark(axes, [claim for claim in plan.claims if claim.format in (None, own.curves[0].first.format)])
            if column == 0:
                axes.set_ylabel("exact match (%)")
            written = [Label(texts[c.label], end, line) for c, (end, line) in zip(own.curves, ends, strict=True)]
            labels.write(axes, written, width, height)
        figure.text(0.05 / full_width, 0.05 / full_height, key, fontsize=5, color="0.35", va="bottom", linespacing=1.3)
        if title:
            style.headline(figure, title)
        files = style.save_figure(figure, path)
    return [*files, write_csv(drawn, path)]


@dataclass(frozen=True)
class Panel:
    """Curves that are drawn together."""

    name: str
    curves: list[Curve]


def panels(drawn: Sequence[Curve], by_format: bool = False) -> list[Panel]:
    """What may be compared together: curves of one group and, if asked for, of one format."""
    found: dict[tuple[str, str], list[Curve]] = {}
    for curve in drawn:
        found.setdefault((curve.first.format if by_format else "", curve.group), []).append(curve)
    order = list(dict.fromkeys(name for name, _ in found))
    keys = sorted(found, key=lambda key: (GROUPS.index(key[1].partition(":")[0]), order.index(key[0])))
    return [Panel(f"{name}, {group.partition(':')[0]}" if name else group, found[name, group]) for name, group in keys]


def _styles(drawn: Sequence[Curve], shown: Sequence[Panel], by_format: bool) -> dict[str, int]:
    """Which colour, marker and dashes each curve has; where panels are of formats, each encoding has its own."""
    if not by_format:
        return {curve.label: place for place, curve in enumerate(drawn)}
    encodings = list(dict.fromkeys(curve.encoding for own in shown for curve in own.curves))
    return {curve.label: encodings.index(curve.encoding) for curve in drawn}


def _mark(panel: Axes, claims: Sequence[Claim]) -> None:
    """Say up to which length others report success, along a line; those beyond the tested lengths are left out."""
    low, high = panel.get_xlim()
    for claim in claims:
        if not low < claim.digits < high:
            continue
        panel.axvline(claim.digits, color="0.3", lw=0.7, ls=":", zorder=1)
        panel.annotate(
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


def _label(curve: Curve, notes: dict[str, str], drawn: Sequence[Curve]) -> str:
    """What is said beside a curve; the number of seeds where it is not that of all."""
    said = [notes[curve.label]] if curve.label in notes else []
    if len({other.seeds for other in drawn}) > 1 or len(drawn) == 1:
        said.append("1 seed" if curve.seeds == 1 else f"{curve.seeds} seeds")
    if not curve.fitted:
        said.append(curve.fit)
    return curve.label + (f"\n({', '.join(said)})" if said else "")


def _panel(
    panel: Axes, drawn: Sequence[Curve], lengths: Sequence[int], styles: dict[str, int]
) -> list[tuple[tuple[float, float], Line2D]]:
    """Where each curve ends, and its line."""
    wide = lengths[-1] > 10 * lengths[0]
    if wide:
        panel.set_xscale("log")
    low, high = drawn[0].first.train_lengths
    limits = (lengths[0] / 1.2, lengths[-1] * 1.2) if wide else (lengths[0] - 0.6, lengths[-1] + 0.6)
    panel.set_xlim(*limits)
    trained = (low / 1.06, high * 1.06) if wide else (low - 0.3, high + 0.3)
    alike = all(curve.first.train_lengths == (low, high) for curve in drawn)
    if alike and trained[0] < limits[1] and limits[0] < trained[1]:
        left, right = max(trained[0], limits[0]), min(trained[1], limits[1])
        panel.axvspan(left, right, color="0.92", lw=0, zorder=0)
        middle = math.sqrt(left * right) if wide else (left + right) / 2
        panel.text(middle, 50, "trained", rotation=90, va="center", ha="center", color="0.55", zorder=0.5)
    ends = []
    for place, curve in enumerate(drawn):
        # Curves that coincide stay visible when each stands a little beside the other.
        shift = (place - (len(drawn) - 1) / 2) / len(drawn)
        x = [p.digits * 1.1**shift if wide else p.digits + 0.3 * shift for p in curve.points]
        number = styles[curve.label]
        colour = COLOURS[number % len(COLOURS)]
        median = [100 * point.median for point in curve.points]
        if curve.seeds > 1:
            band = [point.band for point in curve.points]
            lower, upper = [100 * own[0] for own in band], [100 * own[1] for own in band]
            panel.fill_between(x, lower, upper, color=colour, alpha=0.2, lw=0)
        bounds = [[100 * bound for bound in point.interval] for point in curve.points]
        below = [max(m - b[0], 0) for m, b in zip(median, bounds, strict=True)]
        above = [max(b[1] - m, 0) for m, b in zip(median, bounds, strict=True)]
        panel.errorbar(
            x, median, [below, above], fmt="none", ecolor=colour, elinewidth=0.6, capsize=1.2, capthick=0.6, alpha=0.7
        )
        (line,) = panel.plot(
            x,
            median,
            color=colour,
            # Of more curves than colours, those of one colour still have another marker.
            marker=MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
            ls=DASHES[number % len(DASHES)],
            ms=3.2,
            mew=0.7,
            lw=1.1,
            mfc=colour if curve.fitted else "white",
            clip_on=False,
            zorder=3,
        )
        ends.append(((x[-1], median[-1]), line))
    panel.set_xlabel("digits of the longer operand", labelpad=2)
    panel.set_ylim(0, 100)
    panel.xaxis.set_major_locator(ticker.FixedLocator(readable_ticks(lengths, wide, (high, low))))
    panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%d"))
    panel.xaxis.set_minor_locator(ticker.NullLocator())
    return ends


def readable_ticks(lengths: Sequence[int], wide: bool, first: Sequence[int] = (), inches: float = 1.55) -> list[int]:
    """Lengths whose labels do not touch each other on an axis of so many inches.

    Args:
        first: those that are more important than others, after the shortest and the longest.

    >>> readable_ticks([1, 2, 3, 4, 5, 6, 8, 10, 20, 50, 100], wide=True, first=[4])
    [1, 2, 4, 6, 10, 20, 50, 100]
    """
    place = math.log if wide else float
    letter = 0.06 * (place(lengths[-1]) - place(lengths[0])) / inches  # a digit takes 0.06 inches
    kept: list[int] = []
    for length in (lengths[0], lengths[-1], *(own for own in first if own in lengths), *lengths):
        apart = [letter * (len(str(length)) / 2 + len(str(other)) / 2 + 0.8) for other in kept]
        if length not in kept and all(
            abs(place(other) - place(length)) >= gap for other, gap in zip(kept, apart, strict=True)
        ):
            kept.append(length)
    return sorted(kept)


def write_csv(drawn: Sequence[Curve], path: Path) -> Path:
    """The numbers of a figure, a line a point."""
    header = ["label", "suite", "digits", "seeds", "n", "median", "worst", "best", "low", "high"]
    header += ["band_low", "band_high", "fitted", "reaches", "seeds_succeeded", "accuracy_by_seed"]
    rows = []
    for curve in drawn:
        for point in curve.points:
            n = sum(cell.n for cell in point.cells)
            own = " ".join(f"{cell.model_seed}:{cell.accuracy:.6g}" for cell in point.cells)
            numbers = [float(v) for v in (point.median, point.worst, point.best, *point.interval, *point.band)]
            facts = [curve.fitted, curve.reaches, curve.succeeded, own]
            rows.append([curve.label, curve.suite, point.digits, len(point.cells), n, *numbers, *facts])
    return style.write_table(path, header, rows)
