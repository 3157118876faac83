"""Accuracy against the ratio of gradients with which fine-tuning begins: what freezing gains, and where.

After Kumar et al., "How to fine-tune vision models with SGD", arXiv 2211.09359.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import ticker

from arith.figures import style
from arith.figures.style import COLOURS, MARKERS
from arith.results.figure_plan import Contest
from arith.results.schema import Cell, Results

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 0.45, 0.08, 0.42, 0.55, 1.9  # inches around the panel, and its height
RATIO = "gradient_ratio"  # the series, see `arith.training.gradients`


@dataclass(frozen=True)
class Pair:
    """Two runs of a seed with the same start, one of a contest's curves each.

    Args:
        ratio: the gradient of the embedding to that of the median block, per root parameter, at the first step of
            `over`. A frozen embedding has no gradient: the ratio is that of the run which trains it.
        of, over: exact match at the longest trained length, on random problems.
    """

    contest: Contest
    seed: int
    ratio: float
    of: float
    over: float


def pair_runs(results: Results, contests: Sequence[Contest]) -> list[Pair]:
    """The pairs of each contest whose `over` has tracked its ratio of gradients."""
    first = {row.run: row.values[0] for row in results.series if row.name == RATIO}
    cells: dict[tuple[str, int], Cell] = {
        (cell.label, cell.model_seed): cell
        for cell in results.cells
        if cell.suite == "random" and cell.digits == cell.train_lengths[1]
    }
    return [
        Pair(contest, seed, first[f"{label}-{seed}"], cells[contest.of, seed].accuracy, cell.accuracy)
        for contest in contests
        for (label, seed), cell in cells.items()
        if label == contest.over and (contest.of, seed) in cells and f"{label}-{seed}" in first
    ]


def draw_ratios(pairs: Sequence[Pair], path: Path, title: str = "") -> list[Path]:
    """Draw both accuracies of each pair above its ratio as png, pdf and svg, and write the numbers as csv.

    Args:
        pairs: of all contests.
        path: the figure's, without an ending.
        title: above the panel.
    """
    with style.canvas(style.COLUMN, TOP + HEIGHT + BOTTOM, title) as page:
        panel = page.panel(LEFT, BOTTOM, style.COLUMN - LEFT - RIGHT, HEIGHT)
        for number, contest in enumerate(dict.fromkeys(pair.contest for pair in pairs)):
            own = [pair for pair in pairs if pair.contest == contest]
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            ratios, lower, upper = ([getattr(pair, name) for pair in own] for name in ("ratio", "over", "of"))
            lower, upper = [100 * value for value in lower], [100 * value for value in upper]
            panel.vlines(ratios, lower, upper, color=colour, lw=0.6)
            panel.plot(ratios, lower, ls="", marker=marker, ms=3, mfc="white", mec=colour, mew=0.7)
            name = contest.scale.replace("\n", " ")
            panel.plot(ratios, upper, ls="", marker=marker, ms=3, color=colour, mew=0.7, label=name)
        panel.set_xscale("log")
        # Plain numbers: ratios span one or two powers of ten, whose ticks alone would be too few.
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        panel.set_xlabel("gradient ratio at the first step (embedding / block)")
        panel.set_ylabel("exact match (%)")
        panel.set_ylim(-3, 103)
        panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=6, handletextpad=0.3)
        # What the first label of a contest has beyond the second, such as `frozen`.
        more = {pair.contest.of.removeprefix(pair.contest.over).strip("-") for pair in pairs}
        name = more.pop() if len(more) == 1 else "the first of a contest"
        page.note(f"Filled: {name}. Open: the other, from the same start; a pair for each seed.")
        files = page.save(path)
    header = ["scale", "of", "over", "seed", "gradient_ratio", "accuracy_of", "accuracy_over"]
    rows = (
        [p.contest.scale.replace("\n", " "), p.contest.of, p.contest.over, p.seed, p.ratio, p.of, p.over] for p in pairs
    )
    return [*files, style.write_table(path, header, rows)]
