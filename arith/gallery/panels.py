"""The panels of which pictures of encodings are made: maps, curves, ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colors, ticker
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from torch import Tensor

from arith.catalogue.examples import SHOWN, TRAINED
from arith.figures.style import COLOURS, DASHES, MAP, STYLE

FEW_COLOURS = MAP.resampled(48)  # the images inside an svg compress well, and all pictures stay below 60 kB
STRIP = 0.065  # inches: the width of a map's colours beside curves
HATCH: dict[str, Any] = {"hatch": "//////", "edgecolor": "0.6", "facecolor": "white", "linewidth": 0}
PICTURE_STYLE: dict[Any, Any] = STYLE | {
    "font.size": 6,
    "axes.titlesize": 6,
    "axes.titlepad": 3,
    "axes.labelpad": 1.5,
    "axes.linewidth": 0.6,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "xtick.major.pad": 1.5,
    "ytick.major.pad": 1.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "hatch.linewidth": 0.5,
    # Letters as outlines: a page that shows the picture need not have the font.
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Line:
    """A curve.

    Args:
        values: NaN where keys are hidden.
        colour, dashes: places in the lists of `arith.figures.style`.
    """

    values: Float[Tensor, " n"]
    colour: int
    dashes: int


def draw_map(panel: Axes, values: Float[Tensor, "q k"], limits: tuple[float, float], causal: bool) -> None:
    """Draw values as colours, hatched where they are NaN.

    Args:
        panel: the axes; positions count from 1, queries run downwards.
        values: a row for each query.
        limits: the values of the first and the last colour.
        causal: leave keys ahead of the query empty.
    """
    numbers, n = values.numpy(), len(values)
    pixels = FEW_COLOURS(colors.Normalize(*limits)(np.nan_to_num(numbers)))
    none, ahead = np.isnan(numbers), np.triu(np.full(numbers.shape, causal), 1)
    # An image has no hatching of its own: where there is no value it is transparent, over a hatched polygon; the
    # future is painted white, all four channels.
    pixels[none, 3] = 0
    pixels[ahead] = 1
    finer = -(-SHOWN // n)  # a viewer that smooths what it enlarges must not blur few pixels
    pixels = pixels.repeat(finer, 0).repeat(finer, 1)
    if (none & ~ahead).any():
        # A triangle under the diagonal, or the square; cells are from 0.5 to n + 0.5.
        corners = [(0.5, 0.5), (0.5, n + 0.5), (n + 0.5, n + 0.5)] + ([] if causal else [(n + 0.5, 0.5)])
        panel.add_patch(Polygon(corners, zorder=0, **HATCH))
    panel.imshow(pixels, extent=(0.5, n + 0.5, n + 0.5, 0.5), interpolation="none", aspect="auto", zorder=1)


def label_positions(panel: Axes, shown: int, across: str, down: str) -> None:
    """Label the axes of a map over positions, and mark where training would end.

    Args:
        panel: the map's axes.
        shown: positions on either axis.
        across, down: what the axes are called.
    """
    ticks = [1, TRAINED, SHOWN] if shown == SHOWN else [1, shown // 2, shown]
    panel.set_xticks(ticks)
    panel.set_yticks(ticks)
    panel.set_xlabel(across)
    panel.set_ylabel(down)
    if shown == SHOWN:
        # Black dashes on a wider white line: seen on dark cells and on bright ones.
        for colour, width, dashes in (("white", 1.1, "-"), ("black", 0.6, "--")):
            panel.axvline(TRAINED + 0.5, color=colour, lw=width, ls=dashes, zorder=2)
            panel.axhline(TRAINED + 0.5, color=colour, lw=width, ls=dashes, zorder=2)


def draw_curves(panel: Axes, lines: Sequence[Line], limits: tuple[float, float], first: int, across: str) -> None:
    """Draw values along positions or distances; hidden ones lie in a hatched band below all others.

    Args:
        panel: the axes.
        lines: the curves, of one length.
        limits: the least and the largest value; the axis is a little longer.
        first: the first position or distance.
        across: what the horizontal axis is called.
    """
    low, high = limits
    gap, n = (high - low) / 12, len(lines[0].values)
    hidden = any(bool(line.values.isnan().any()) for line in lines)
    # The band for hidden keys is two gaps high, from `bottom` to a gap below the least value.
    bottom = low - (3 if hidden else 0.5) * gap
    panel.set_ylim(bottom, high + gap / 2)
    panel.set_xlim(first, first + n - 1)
    panel.set_xlabel(across)
    if n < SHOWN // 2:
        # Only a few positions are drawn, as nothing changes beyond them.
        panel.set_xticks([first, first + n // 2, first + n - 1])
        panel.set_title(f"same to {SHOWN}")
    else:
        panel.set_xticks([first, TRAINED, first + n - 1])
        panel.axvspan(first, TRAINED, color="0.92", lw=0, zorder=0)
        for place, word in ((0.25, "trained"), (0.75, "beyond")):
            panel.text(place, 1.03, word, color="0.4", ha="center", transform=panel.transAxes)
    if hidden:
        panel.axhspan(bottom, low - gap, zorder=0.5, **HATCH)
    for line in lines:
        y = line.values.nan_to_num(nan=low - 2 * gap).numpy()
        colour, dashes = COLOURS[line.colour % len(COLOURS)], DASHES[line.dashes % len(DASHES)]
        panel.plot(
            first + np.arange(len(y)),
            y,
            color=colour,
            ls=dashes,
            lw=0.9,
            # A key is visible or hidden: a slope between the two would claim something in between.
            drawstyle="steps-mid" if hidden else "default",
            zorder=3 - line.colour / 9,  # the first on top, all above the shading and the band
        )
    values = np.concatenate([line.values.numpy() for line in lines])
    _set_ticks(panel, (float(np.nanmin(values)), float(np.nanmax(values))), low - 2 * gap if hidden else None)


def _set_ticks(panel: Axes, limits: tuple[float, float], hidden: float | None) -> None:
    """Write numbers on the axis of curves.

    Args:
        panel: the axes.
        limits: the least and the largest value that is drawn; no number stands beyond.
        hidden: the height at which hidden keys lie, if there are any.
    """
    low, high = limits
    values = list(ticker.MaxNLocator(4).tick_values(low, high)) if high > low else [low]
    inside = [value for value in values if low - 1e-9 <= value <= high + 1e-9]
    words = [_write_number(value) for value in inside]
    if hidden is None:
        panel.set_yticks(inside, words)
    else:
        panel.set_yticks([hidden, *inside], ["hidden", *words])


def _write_number(value: float) -> str:
    """A number without the noise of its last digits, with a real minus sign as matplotlib's own numbers have it."""
    return f"{round(value, 9):g}".replace("-", "\N{MINUS SIGN}")


def add_colour_strip(panel: Axes, limits: tuple[float, float]) -> None:
    """Show a map's colours along the vertical axis of the curves beside it, whose numbers serve both."""
    panel.tick_params(axis="y", length=0, pad=6.5)
    # As wide in every picture, whatever the panel: narrower than the gap to the numbers.
    wide = STRIP * panel.figure.dpi / panel.bbox.width
    strip = panel.inset_axes((-wide, 0, wide, 1))
    strip.set_axis_off()
    strip.imshow(FEW_COLOURS(np.linspace(1, 0, 64))[:, None], extent=(0, 1, *limits), aspect="auto")
    # The curves' axis is longer than the map's range of values; colours stand at their own values.
    strip.set_ylim(*panel.get_ylim())


def add_colour_bar(panel: Axes, limits: tuple[float, float]) -> None:
    """Show a map's colours and their numbers at its right."""
    strip = panel.inset_axes((1.05, 0, 0.06, 1))
    strip.imshow(FEW_COLOURS(np.linspace(1, 0, 64))[:, None], extent=(0, 1, *limits), aspect="auto")
    strip.set_xticks([])
    strip.yaxis.tick_right()
    strip.yaxis.set_major_locator(ticker.MaxNLocator(4))
    strip.yaxis.set_major_formatter(lambda value, _: _write_number(value))


def label_tokens(panel: Axes, symbols: str, down: bool = True) -> None:
    """Write the tokens of a problem on the axes.

    Args:
        panel: the axes.
        symbols: a letter for each token.
        down: on the vertical axis as well, as for a map.
    """
    places = range(1, len(symbols) + 1)
    panel.set_xticks(places, list(symbols), parse_math=False, fontsize=5.5)
    panel.tick_params(length=0)
    panel.set_xlabel("key" if down else "token")
    if down:
        panel.set_yticks(places, list(symbols), parse_math=False, fontsize=5.5, ha="center")
        panel.tick_params(axis="y", pad=5)
        panel.set_ylabel("query", labelpad=4)


def draw_dots(panel: Axes, samples: Sequence[Sequence[int]]) -> None:
    """Draw the ids of each token in several samples, those of one joined by a line."""
    for number, ids in enumerate(samples):
        # Later samples have smaller dots: where ids coincide, the earlier ones show as rings.
        places, size = range(1, len(ids) + 1), 3.6 - number
        panel.plot(places, ids, color=COLOURS[number], lw=0.6, zorder=2 + number)
        panel.plot(places, ids, "o", ms=size, color=COLOURS[number], mew=0, zorder=3 + number, clip_on=False)
    panel.set_xlim(0.4, len(samples[0]) + 0.6)
    panel.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    # Random tags go up to billions, for whose digits there is no room.
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}" if abs(value) < 1e6 else f"{value:.0e}")


def draw_stems(panel: Axes, ids: Sequence[int]) -> None:
    """Draw the id of each token as a dot on a stem; hollow where the id is 0, which means no position."""
    for place, token_id in enumerate(ids, start=1):
        panel.plot([place, place], [0, token_id], color="0.75", lw=0.8, zorder=1)
        face = COLOURS[0] if token_id else "white"
        panel.plot(place, token_id, "o", ms=3, color=COLOURS[0], mfc=face, mew=0.7, zorder=2, clip_on=False)
    panel.set_ylim(-0.12 * max(*ids, 1), 1.08 * max(*ids, 1))
    panel.set_xlim(0.4, len(ids) + 0.6)
    panel.yaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    panel.set_title("position id")
