"""Reach against loops: how far a model goes along a chain, by how often its layers run in the test."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import ticker

from arith.errors import UsageError
from arith.figures import style
from arith.figures.style import COLOURS, DASHES, MARKERS
from arith.results.schema import Cell

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 0.45, 0.08, 0.42, 0.52, 1.7  # inches around the panel, and its height
ENOUGH = 0.9  # the accuracy up to which a length counts as reached


@dataclass(frozen=True)
class Reach:
    """How far the seeds of one label go with so many loops.

    Args:
        by_seed: the longest tested length up to which accuracy is 90% or more, 0 if none is; one for each seed.
        trained: the longest trained length.
    """

    label: str
    loops: int
    by_seed: tuple[int, ...]
    trained: int

    @property
    def median(self) -> float:
        return statistics.median(self.by_seed)


def find_reaches(cells: Iterable[Cell], suite: str) -> list[Reach]:
    """How far each label goes, by loops in ascending order.

    Cells of tests with as many loops as in training do not say how many those are, and are left out.

    Raises:
        UsageError: there is no other cell.
    """
    found: dict[tuple[str, int], dict[tuple[int, int], list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        if cell.loops is not None and cell.suite == suite:
            found[cell.label, cell.loops][cell.model_seed, cell.data_seed].append(cell)
    if not found:
        raise UsageError(
            "no cell says with how many loops it was tested. arith evaluate RUN --loops 8 --out loops-8.json measures "
            "some, with another number than in training"
        )
    return [
        Reach(label, loops, tuple(map(_reach, seeds.values())), next(iter(seeds.values()))[0].train_lengths[1])
        for (label, loops), seeds in sorted(found.items(), key=lambda item: item[0][1])
    ]


def _reach(cells: Iterable[Cell]) -> int:
    reached = 0
    for cell in sorted(cells, key=lambda own: own.digits):
        if cell.accuracy < ENOUGH:
            break
        reached = cell.digits
    return reached


def shorten(label: str) -> str:
    """The beginning of a label that is too long for a legend.

    >>> shorten("relative:radius=8@symbols+relative:radius=8")
    'relative:radius=8@symbols+r...'
    """
    return label if len(label) <= 30 else f"{label[:27]}..."


def draw_loops(reaches: Sequence[Reach], path: Path, title: str = "") -> list[Path]:
    """Draw reach against loops as png, pdf and svg, and write the numbers as csv.

    Args:
        reaches: of any number of labels.
        path: the figure's, without an ending.
        title: above the panel.
    """
    with style.canvas(style.COLUMN, TOP + HEIGHT + BOTTOM, title) as page:
        panel = page.panel(LEFT, BOTTOM, style.COLUMN - LEFT - RIGHT, HEIGHT)
        for trained in {reach.trained for reach in reaches}:
            panel.axhline(trained, color="0.6", lw=0.6, ls="--", zorder=1)
        for number, label in enumerate(dict.fromkeys(reach.label for reach in reaches)):
            own = [reach for reach in reaches if reach.label == label]
            loops, look = [reach.loops for reach in own], number % len(COLOURS)
            colour = COLOURS[look]
            spread = [min(reach.by_seed) for reach in own], [max(reach.by_seed) for reach in own]
            panel.fill_between(loops, *spread, color=colour, alpha=0.15, lw=0)
            shape: dict[str, Any] = {"color": colour, "marker": MARKERS[look], "ls": DASHES[look], "ms": 3, "lw": 0.9}
            # An encoding's whole text, which labels a run, may be longer than the figure is wide.
            panel.plot(loops, [reach.median for reach in own], label=shorten(label), **shape)
        panel.set_xlabel("loops in the test")
        panel.set_ylabel("digits reached at 90%")
        panel.set_ylim(bottom=0)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(integer=True))
        if len({reach.label for reach in reaches}) > 1:
            panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=6)
        seeds = max(len(reach.by_seed) for reach in reaches)
        page.note(f"Line: median of {seeds} seeds. Band: worst to best seed. Dashed: longest trained.")
        files = page.save(path)
    rows = (
        [reach.label, reach.loops, len(reach.by_seed), reach.median, " ".join(map(str, reach.by_seed))]
        for reach in reaches
    )
    return [*files, style.write_table(path, ["label", "loops", "seeds", "median", "reach_by_seed"], rows)]
