"""Error anatomy as bars: what wrong answers are, and where and after how many carries they go wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot, ticker
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from arith.figures import style
from arith.figures.accuracy import readable_ticks
from arith.results.error_classes import PooledAnatomy
from arith.results.schema import CLASSES, Anatomy
from arith.results.uncertainty import wilson

LEFT, BOTTOM, TOP, BETWEEN, KEY = 0.45, 0.36, 0.34, 0.42, 0.26  # inches around the panels
WIDTHS, HEIGHT = (2.3, 1.75, 1.55), 1.25  # inches of the panels of a row
SHOWN = 4  # lengths of which places and carries are drawn
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


def draw_anatomy(drawn: Sequence[PooledAnatomy], path: Path, title: str = "") -> list[Path]:
    """A row a label: bars of classes, accuracy by place in the answer, by carry chain; png, pdf, svg and csv."""
    each = TOP + HEIGHT + BOTTOM
    top = 0.22 if title else 0.0
    width, height = style.PAGE, top + len(drawn) * each + KEY
    with pyplot.rc_context(style.STYLE | {"hatch.linewidth": 0.4}):
        figure = pyplot.figure(figsize=(width, height))
        for row, own in enumerate(drawn):
            down, left, panels = top + row * each + TOP, LEFT, []
            for wide in WIDTHS:
                box = (left / width, 1 - (down + HEIGHT) / height, wide / width, HEIGHT / height)
                panels.append(figure.add_axes(box))
                left += wide + BETWEEN
            _bars(panels[0], own)
            _places(panels[1], own)
            _chains(panels[2], own)
            seeds = "" if own.seeds == 1 else f", {own.seeds} seeds together"
            panels[0].set_title(f"{own.label}, {own.suite}{seeds}", loc="left", parse_math=False)
        key = [Rectangle((0, 0), 1, 1, ec="white", lw=0, **look) for look in LOOKS.values()]
        names = [NAMES.get(name, name) for name in LOOKS]
        place = (LEFT / width, 0.04 / height)
        figure.legend(
            key,
            names,
            loc="lower left",
            bbox_to_anchor=place,
            ncols=len(key),
            frameon=False,
            fontsize=6,
            handlelength=1.4,
            columnspacing=1.2,
            borderpad=0,
        )
        if title:
            figure.text(0.5, 1 - 0.06 / height, title, fontsize=8, va="top", ha="center", parse_math=False)
        files = style.save_figure(figure, path)
    return [*files, _write_csv(drawn, path)]


def _bars(panel: Axes, own: PooledAnatomy) -> None:
    """What answers are, a bar a length."""
    places = range(len(own.lengths))
    bottom = [0.0] * len(own.lengths)
    for name, look in LOOKS.items():
        counts = [part.n - sum(part.wrong.values()) if name == "right" else part.wrong[name] for part in own.lengths]
        shares = [100 * count / part.n for count, part in zip(counts, own.lengths, strict=True)]
        panel.bar(places, shares, bottom=bottom, width=0.8, ec="white", lw=0.3, **look)
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
    shown = readable_ticks([place + 1 for place in places], wide=False, inches=WIDTHS[0] / 1.7)
    panel.set_xticks([at - 1 for at in shown], [str(own.lengths[at - 1].digits) for at in shown])
    panel.set_ylim(0, 100)
    panel.set_xlim(-0.6, len(own.lengths) - 0.4)
    panel.set_xlabel("digits of the longer operand", labelpad=2)
    panel.set_ylabel("answers (%)", labelpad=2)


def _chosen(own: PooledAnatomy) -> list[Anatomy]:
    """The lengths at which there are right and wrong answers, or all; a few, spread."""
    mixed = [part for part in own.lengths if 0 < sum(part.wrong.values()) < part.n] or list(own.lengths)
    if len(mixed) <= SHOWN:
        return mixed
    return [mixed[round(place * (len(mixed) - 1) / (SHOWN - 1))] for place in range(SHOWN)]


def _places(panel: Axes, own: PooledAnatomy) -> None:
    for number, part in enumerate(_chosen(own)):
        shares = [100 * right / n for right, n in part.positions]
        _line(panel, number, list(range(1, len(shares) + 1)), shares, f"{part.digits} digits")
    panel.set_xlabel("place in the written answer", labelpad=2)
    panel.set_title("tokens right (%)", loc="left", fontsize=6)
    _finished(panel)


def _chains(panel: Axes, own: PooledAnatomy) -> None:
    for number, part in enumerate(_chosen(own)):
        if not part.chains:
            continue
        lengths = [length for length, _, _ in part.chains]
        shares = [100 * right / n for _, right, n in part.chains]
        _line(panel, number, lengths, shares, "")
        bounds = [[100 * bound for bound in wilson(right, n)] for _, right, n in part.chains]
        panel.vlines(lengths, *zip(*bounds, strict=True), color=style.COLOURS[number], lw=0.5, alpha=0.7)
    panel.set_xlabel("longest carry chain", labelpad=2)
    panel.set_title("answers right (%)", loc="left", fontsize=6)
    _finished(panel)


def _line(panel: Axes, number: int, x: Sequence[int], y: Sequence[float], label: str) -> None:
    marker = style.MARKERS[number] if len(x) <= 40 else ""
    colour, dashes = style.COLOURS[number], style.DASHES[number]
    panel.plot(x, y, color=colour, ls=dashes, lw=0.9, marker=marker, ms=2.2, label=label, clip_on=False)


def _finished(panel: Axes) -> None:
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


def _write_csv(drawn: Sequence[PooledAnatomy], path: Path) -> Path:
    header = ["label", "suite", "digits", "seeds", "of", "which", "count", "n"]
    rows: list[tuple[object, ...]] = []
    for own in drawn:
        for part in own.lengths:
            about = (own.label, own.suite, part.digits, own.seeds)
            rows += [(*about, "class", name, part.wrong[name], part.n) for name in CLASSES]
            rows += [(*about, "place right", place, *counts) for place, counts in enumerate(part.positions, 1)]
            rows += [(*about, "chain right", *counts) for counts in part.chains]
    return style.write_table(path, header, rows)
