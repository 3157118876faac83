"""The figure of leads against scale: how far one curve is ahead of another, a dot for each seed."""

import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from arith.figures import style
from arith.figures.style import COLOURS, MARKERS
from arith.results.leads import Lead

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 0.5, 0.08, 0.42, 0.55, 1.7  # inches around the panel, and its height


def draw_leads(leads: Sequence[Lead], path: Path, title: str = "") -> list[Path]:
    """Draw leads side by side for each scale as png, pdf and svg, and write the numbers as csv.

    Args:
        leads: of all contests and kinds of tests.
        path: the figure's, without an ending.
        title: above the panel.
    """
    scales = list(dict.fromkeys(lead.contest.scale for lead in leads))
    kinds = list(dict.fromkeys(lead.lengths for lead in leads))
    with style.canvas(style.COLUMN, TOP + HEIGHT + BOTTOM, title) as page:
        panel = page.panel(LEFT, BOTTOM, style.COLUMN - LEFT - RIGHT, HEIGHT)
        panel.axhline(0, color="0.6", lw=0.6, zorder=1)
        for number, kind in enumerate(kinds):
            # Kinds share 0.6 of the distance between two scales, so that those of one scale stand together.
            shift = 0.6 * ((number + 0.5) / len(kinds) - 0.5)
            chosen = [lead for lead in leads if lead.lengths == kind]
            places = [scales.index(lead.contest.scale) + shift for lead in chosen]
            _draw_kind(panel, chosen, places, number)
        texts = [scale.replace(", ", "\n") for scale in scales]
        panel.set_xticks(range(len(scales)), texts, parse_math=False)
        panel.set_xlim(-0.5, len(scales) - 0.5)
        panel.set_ylabel(_name_leads(leads))
        panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=6, handletextpad=0.3)
        seeds = max(len(lead.differences) for lead in leads)
        page.note(f"Median of {seeds} seeds, a dot each. Bars: 95% bootstrap (seeds, problems). N: longest trained.")
        files = page.save(path)
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


def _draw_kind(panel: Axes, leads: Sequence[Lead], places: Sequence[float], number: int) -> None:
    """Draw the leads on one kind of test: seeds as dots, medians with their intervals, in percentage points."""
    colour = COLOURS[number % len(COLOURS)]
    for x, lead in zip(places, leads, strict=True):
        dots = [100 * difference for difference in lead.differences]
        panel.plot([x] * len(dots), dots, ls="", marker=".", ms=2.5, mew=0, color=colour, alpha=0.6)
    medians = [100 * lead.median for lead in leads]
    # Never below 0, which matplotlib refuses: of few seeds a bound may lie a hair past the median.
    below = [max(median - 100 * lead.low, 0) for median, lead in zip(medians, leads, strict=True)]
    above = [max(100 * lead.high - median, 0) for median, lead in zip(medians, leads, strict=True)]
    panel.errorbar(
        places,
        medians,
        [below, above],
        color=colour,
        marker=MARKERS[number % len(MARKERS)],
        ms=3.5,
        lw=0.8,
        ls=":",
        capsize=1.5,
        label=leads[0].lengths,
    )


def _name_leads(leads: Sequence[Lead]) -> str:
    """The vertical axis: "padded-reversed over plain" where all labels are these names followed by `-` and a number."""
    names = {tuple(re.split(r"-\d", label)[0] for label in (lead.contest.of, lead.contest.over)) for lead in leads}
    return f"{' over '.join(names.pop())} (points)" if len(names) == 1 else "advantage (points)"
