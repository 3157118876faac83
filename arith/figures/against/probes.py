"""What answers depend on, curve by curve: exact match after each change of a probe, as a table of coloured cells."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from arith.errors import UsageError
from arith.figures import style
from arith.figures.against.loops import shorten
from arith.results.measurement import Measurement

LEFT, RIGHT, TOP, BOTTOM, CELL, ROW = 1.25, 0.7, 1.05, 0.22, 0.52, 0.2  # inches around the table, and of its cells
BRIGHT = 60  # percent from which the map's colours need black text


def draw_probes(rows: Sequence[Measurement], path: Path, title: str = "") -> list[Path]:
    """Draw a row for each label and a column for each change as png, pdf and svg, and write the numbers as csv.

    Args:
        rows: their measures are shares of right answers, by change.
        path: the figure's, without an ending.
        title: above the table.

    Raises:
        UsageError: there is nothing to draw.
    """
    if not rows:
        raise UsageError("no probes to draw. arith probe RUN --out probes.json writes some")
    shares: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for change, share in row.measures.items():
            shares.setdefault(row.label, {}).setdefault(change, []).append(100 * share)
    changes = list(dict.fromkeys(change for row in rows for change in row.measures))
    width, height = CELL * len(changes), ROW * len(shares)
    with style.canvas(LEFT + width + RIGHT, TOP + height + BOTTOM, title) as page:
        panel = page.panel(LEFT, BOTTOM, width, height)
        medians = [
            [statistics.median(own.get(change, [float("nan")])) for change in changes] for own in shares.values()
        ]
        panel.imshow(medians, cmap=style.MAP, vmin=0, vmax=100, aspect="auto", interpolation="none")
        for y, own in enumerate(shares.values()):
            for x, change in enumerate(changes):
                found = own.get(change)
                text = "beyond" if found is None else _summarise(found)
                colour = "black" if found is None or statistics.median(found) >= BRIGHT else "white"
                panel.text(x, y, text, ha="center", va="center", fontsize=5, color=colour)
        panel.set_yticks(range(len(shares)), [shorten(label) for label in shares])
        panel.set_xticks(range(len(changes)), changes, rotation=40, ha="left", rotation_mode="anchor")
        panel.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        panel.spines[:].set_visible(False)
        seeds = max(len(found) for own in shares.values() for found in own.values())
        page.note(f"Exact match (%): median of {seeds} seeds and n = {rows[0].n:,} each, (worst). Beyond: no such ids.")
        files = page.save(path)
    table = [
        [label, change, len(found), statistics.median(found), min(found), max(found)]
        for label, own in shares.items()
        for change, found in own.items()
    ]
    return [*files, style.write_table(path, ["label", "changed", "seeds", "median", "worst", "best"], table)]


def _summarise(shares: Sequence[float]) -> str:
    """The median, and the worst where that is another.

    >>> _summarise([99.5, 100, 20]), _summarise([100])
    ('99.5 (20)', '100')
    """
    median, worst = statistics.median(shares), min(shares)
    return f"{median:.4g}" if worst == median else f"{median:.3g} ({worst:.3g})"
