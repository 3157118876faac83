"""The figure of advantages against scale: a dot a seed, the median with its interval."""

import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot

from arith.figures import style
from arith.figures.style import COLOURS, MARKERS
from arith.results.leads import Lead

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 0.5, 0.08, 0.42, 0.55, 1.7  # inches around the panel, and of it


def draw_leads(leads: Sequence[Lead], path: Path, title: str = "") -> list[Path]:
    """Draw into `path` with the endings png, pdf, svg, and write the numbers as csv."""
    scales = list(dict.fromkeys(lead.contest.scale for lead in leads))
    kinds = list(dict.fromkeys(lead.lengths for lead in leads))
    full = TOP + HEIGHT + BOTTOM + (0.22 if title else 0)
    with pyplot.rc_context(style.STYLE):
        figure = pyplot.figure(figsize=(style.COLUMN, full))
        wide = (style.COLUMN - LEFT - RIGHT) / style.COLUMN
        panel = figure.add_axes((LEFT / style.COLUMN, BOTTOM / full, wide, HEIGHT / full))
        panel.axhline(0, color="0.6", lw=0.6, zorder=1)
        for number, kind in enumerate(kinds):
            colour = COLOURS[number % len(COLOURS)]
            shift = 0.6 * ((number + 0.5) / len(kinds) - 0.5)
            own = [lead for lead in leads if lead.lengths == kind]
            places = [scales.index(lead.contest.scale) + shift for lead in own]
            for x, lead in zip(places, own, strict=True):
                dots = [100 * difference for difference in lead.differences]
                panel.plot([x] * len(dots), dots, ls="", marker=".", ms=2.5, mew=0, color=colour, alpha=0.6)
            middles = [100 * lead.median for lead in own]
            below = [max(middle - 100 * lead.low, 0) for middle, lead in zip(middles, own, strict=True)]
            above = [max(100 * lead.high - middle, 0) for middle, lead in zip(middles, own, strict=True)]
            marker = MARKERS[number % len(MARKERS)]
            panel.errorbar(
                places,
                middles,
                [below, above],
                color=colour,
                marker=marker,
                ms=3.5,
                lw=0.8,
                ls=":",
                capsize=1.5,
                label=kind,
            )
        texts = [scale.replace(", ", "\n") for scale in scales]
        panel.set_xticks(range(len(scales)), texts, parse_math=False)
        panel.set_xlim(-0.5, len(scales) - 0.5)
        panel.set_ylabel(_what(leads))
        panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=6, handletextpad=0.3)
        seeds = {len(lead.differences) for lead in leads}
        note = f"Median of {max(seeds)} seeds, a dot each. Bars: 95% bootstrap (seeds, problems). N: longest trained."
        figure.text(0.05 / style.COLUMN, 0.05 / full, note, fontsize=5, color="0.35", va="bottom")
        if title:
            style.headline(figure, title)
        files = style.save_figure(figure, path)
    header = ["scale", "of", "over", "lengths", "seeds", "n", "median", "low", "high", "difference_by_seed"]
    rows = (
        [
            *(lead.contest.scale, lead.contest.of, lead.contest.over, lead.lengths, len(lead.differences), lead.n),
            *(lead.median, lead.low, lead.high),
            " ".join(f"{difference:.6g}" for difference in lead.differences),
        ]
        for lead in leads
    )
    return [*files, style.write_table(path, header, rows)]


def _what(leads: Sequence[Lead]) -> str:
    """What is ahead of what, if all labels say it before a number: `padded-reversed-2` over `plain-2`."""
    names = {tuple(re.split(r"-\d", text)[0] for text in (own.contest.of, own.contest.over)) for own in leads}
    return f"{' over '.join(names.pop())} (points)" if len(names) == 1 else "advantage (points)"
