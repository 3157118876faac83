"""Error anatomy: what wrong answers are, at which place in the answer they fail, and after how many carries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from arith.figures import style
from arith.figures.accuracy import readable_ticks
from arith.results.error_classes import PooledAnatomy
from arith.results.schema import CLASSES, Anatomy
from arith.results.uncertainty import wilson

LEFT, BOTTOM, TOP, BETWEEN, KEY = 0.45, 0.36, 0.34, 0.42, 0.26  # inches around the panels, and for the legend
WIDTHS, HEIGHT = (2.3, 1.75, 1.55), 1.25  # inches of the three panels in a row
SHOWN = 4  # lengths that the panels of places and carry chains show: more lines could not be read
# From the bottom of a bar to its top. Hatches distinguish classes in print without colour.
LOOKS: dict[str, dict[str, Any]] = {
    "right": {"color": "0.88"},
    "dropped": {"color": style.COLOURS[0]},
    "spurious": {"color": style.COLOURS[5], "hatch": "////"},
    "misaligned": {"color": style.COLOURS[1]},
    "copied": {"color": style.COLOURS[4], "hatch": "...."},
    "length": {"color": style.COLOURS[2], "hatch": "\\\\\\\\"},
    "other": {"color": style.COLOURS[6]},
}
NAMES = {"dropped": "dropped carry", "spurious": "spurious carry", "misaligned": "misaligned operand"}
NAMES |= {"copied": "copied digit", "length": "wrong length"}


def draw_anatomy(anatomies: Sequence[PooledAnatomy], path: Path, title: str = "") -> list[Path]:
    """Draw a row of three panels for each label as png, pdf and svg, and write the numbers as csv.

    The panels: error classes by length, accuracy by place in the answer, accuracy by longest carry chain.

    Args:
        anatomies: one per label.
        path: the figure's, without an ending.
        title: above all panels.
    """
    each = TOP + HEIGHT + BOTTOM
    rows = len(anatomies)
    with style.canvas(style.PAGE, rows * each + KEY, title, {"hatch.linewidth": 0.4}) as page:
        for row, anatomy in enumerate(anatomies):
            bottom, left, panels = KEY + (rows - 1 - row) * each + BOTTOM, LEFT, []
            for width in WIDTHS:
                panels.append(page.panel(left, bottom, width, HEIGHT))
                left += width + BETWEEN
            _draw_classes(panels[0], anatomy)
            _draw_places(panels[1], anatomy)
            _draw_chains(panels[2], anatomy)
            seeds = "" if anatomy.seeds == 1 else f", {anatomy.seeds} seeds together"
            panels[0].set_title(f"{anatomy.label}, {anatomy.suite}{seeds}", loc="left", parse_math=False)
        page.figure.legend(
            [Rectangle((0, 0), 1, 1, ec="white", lw=0, **look) for look in LOOKS.values()],
            [NAMES.get(name, name) for name in LOOKS],
            loc="lower left",
            bbox_to_anchor=(LEFT / page.width, 0.04 / page.height),
            ncols=len(LOOKS),
            frameon=False,
            fontsize=6,
            handlelength=1.4,
            columnspacing=1.2,
            borderpad=0,
        )
        files = page.save(path)
    return [*files, _write_csv(anatomies, path)]


def _draw_classes(panel: Axes, anatomy: PooledAnatomy) -> None:
    """Draw a bar for each length, divided by what its answers are."""
    places = range(len(anatomy.lengths))
    bottom = [0.0] * len(anatomy.lengths)
    for name, look in LOOKS.items():
        counts = [
            part.n - sum(part.wrong.values()) if name == "right" else part.wrong[name] for part in anatomy.lengths
        ]
        shares = [100 * count / part.n for count, part in zip(counts, anatomy.lengths, strict=True)]
        panel.bar(places, shares, bottom=bottom, width=0.8, ec="white", lw=0.3, **look)
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
    # Bars are spaced evenly whatever their lengths, so ticks are chosen among places 1, 2, 3, ...
    shown = readable_ticks([place + 1 for place in places], wide=False, inches=WIDTHS[0] / 1.7)
    panel.set_xticks([at - 1 for at in shown], [str(anatomy.lengths[at - 1].digits) for at in shown])
    panel.set_ylim(0, 100)
    panel.set_xlim(-0.6, len(anatomy.lengths) - 0.4)
    panel.set_xlabel("digits of the longer operand", labelpad=2)
    panel.set_ylabel("answers (%)", labelpad=2)


def choose_lengths(anatomy: PooledAnatomy) -> list[Anatomy]:
    """At most `SHOWN` lengths, evenly spread over those at which some answers are right and some wrong, or over all."""
    mixed = [part for part in anatomy.lengths if 0 < sum(part.wrong.values()) < part.n] or list(anatomy.lengths)
    if len(mixed) <= SHOWN:
        return mixed
    return [mixed[round(place * (len(mixed) - 1) / (SHOWN - 1))] for place in range(SHOWN)]


def _draw_places(panel: Axes, anatomy: PooledAnatomy) -> None:
    """Draw, for a few lengths, how often each token of the written answer is right."""
    for number, part in enumerate(choose_lengths(anatomy)):
        shares = [100 * right / n for right, n in part.positions]
        _draw_line(panel, number, list(range(1, len(shares) + 1)), shares, f"{part.digits} digits")
    panel.set_xlabel("place in the written answer", labelpad=2)
    panel.set_title("tokens right (%)", loc="left", fontsize=6)
    _finish(panel)


def _draw_chains(panel: Axes, anatomy: PooledAnatomy) -> None:
    """Draw, for the same lengths, how often answers are right by the problem's longest carry chain."""
    for number, part in enumerate(choose_lengths(anatomy)):
        if not part.chains:  # a task without carries
            continue
        lengths = [length for length, _, _ in part.chains]
        shares = [100 * right / n for _, right, n in part.chains]
        _draw_line(panel, number, lengths, shares, "")  # the panel of places names the lines
        # Long chains are rare: only the interval tells how little a few answers say.
        bounds = [[100 * bound for bound in wilson(right, n)] for _, right, n in part.chains]
        panel.vlines(lengths, *zip(*bounds, strict=True), color=style.COLOURS[number], lw=0.5, alpha=0.7)
    panel.set_xlabel("longest carry chain", labelpad=2)
    panel.set_title("answers right (%)", loc="left", fontsize=6)
    _finish(panel)


def _draw_line(panel: Axes, number: int, x: Sequence[int], y: Sequence[float], label: str) -> None:
    marker = style.MARKERS[number] if len(x) <= 40 else ""  # more would merge into a thick line
    colour, dashes = style.COLOURS[number], style.DASHES[number]
    panel.plot(x, y, color=colour, ls=dashes, lw=0.9, marker=marker, ms=2.2, label=label, clip_on=False)


def _finish(panel: Axes) -> None:
    """Set the axes of a panel of lines, and name the lines if they have names."""
    panel.set_ylim(0, 100)
    panel.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    panel.yaxis.set_major_locator(ticker.FixedLocator([0, 50, 100]))
    if panel.get_legend_handles_labels()[0]:
        panel.legend(
            loc="lower right",
            bbox_to_anchor=(1.06, 1.0),
            ncols=2,
            frameon=False,
            fontsize=5,
            handlelength=2,
            borderpad=0,
            columnspacing=0.8,
            handletextpad=0.4,
            labelspacing=0.2,
        )


def _write_csv(anatomies: Sequence[PooledAnatomy], path: Path) -> Path:
    """Write the numbers of all three panels in one table: what is counted, of which class, place or chain."""
    header = ["label", "suite", "digits", "seeds", "of", "which", "count", "n"]
    rows: list[tuple[object, ...]] = []
    for anatomy in anatomies:
        for part in anatomy.lengths:
            about = (anatomy.label, anatomy.suite, part.digits, anatomy.seeds)
            rows += [(*about, "class", name, part.wrong[name], part.n) for name in CLASSES]
            rows += [(*about, "place right", place, *counts) for place, counts in enumerate(part.positions, 1)]
            rows += [(*about, "chain right", *counts) for counts in part.chains]
    return style.write_table(path, header, rows)
