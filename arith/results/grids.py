"""Grids: accuracy by the lengths of both operands, the median over seeds."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from arith.errors import UsageError
from arith.results.schema import GRID, Cell
from arith.results.uncertainty import percent


@dataclass(frozen=True)
class Grid:
    """The grid of one label.

    Args:
        first, second: the tested lengths of the first and of the second operand, ascending.
        accuracy: the median over seeds; NaN where nothing was measured.
        cells: the cells of all seeds, by the two lengths.
        train_lengths: the shortest and the longest operand in training.
        seeds: the number of pairs of model seed and data seed.
    """

    label: str
    first: tuple[int, ...]
    second: tuple[int, ...]
    accuracy: Float[np.ndarray, "a b"]
    cells: dict[tuple[int, int], list[Cell]]
    train_lengths: tuple[int, int]
    seeds: int


def grids(cells: Sequence[Cell]) -> list[Grid]:
    """Gather the grid cells among some cells into one grid for each label.

    Raises:
        UsageError: no cell is of a grid, or a label stands for different experiments.
    """
    found = []
    for label in dict.fromkeys(cell.label for cell in cells if cell.suite == GRID):
        labelled = [cell for cell in cells if cell.suite == GRID and cell.label == label]
        # Medians over seeds mean something only if nothing but the seeds differs.
        alike = {
            (c.task, c.format, c.train_lengths, c.step, c.parameters, c.sharpen, c.loops, c.wording) for c in labelled
        }
        if len(alike) > 1:
            raise UsageError(f"'{label}' stands for different experiments, which are no seeds of one grid")
        by_lengths: dict[tuple[int, int], list[Cell]] = defaultdict(list)
        for cell in labelled:
            if cell.operand_lengths is None or len(cell.operand_lengths) != 2:
                raise UsageError(f"a cell of the grid of '{label}' has no two operand_lengths: {cell.operand_lengths}")
            by_lengths[cell.operand_lengths[0], cell.operand_lengths[1]].append(cell)
        for lengths, there in by_lengths.items():
            if len({(cell.model_seed, cell.data_seed) for cell in there}) < len(there):
                raise UsageError(f"two results of '{label}' at {lengths} are of the same seeds. Leave one file out")
        first, second = (tuple(sorted({lengths[side] for lengths in by_lengths})) for side in (0, 1))
        # NaN, not 0: a pair of lengths that nobody measured must not be drawn as a failure.
        accuracy = np.full((len(first), len(second)), np.nan)
        for (a, b), there in by_lengths.items():
            accuracy[first.index(a), second.index(b)] = statistics.median(cell.accuracy for cell in there)
        seeds = len({(cell.model_seed, cell.data_seed) for cell in labelled})
        found.append(Grid(label, first, second, accuracy, dict(by_lengths), labelled[0].train_lengths, seeds))
    if not found:
        raise UsageError("no cell is of a grid of operand lengths. One is measured by arith evaluate RUN --grid 1-15")
    return found


def summary(grid: Grid) -> str:
    """Describe a grid in one line: accuracy where both operands have trained lengths, and beyond."""
    low, high = grid.train_lengths
    inside: list[float] = []
    outside: list[float] = []
    for lengths, cells in grid.cells.items():
        share = statistics.median(cell.accuracy for cell in cells)
        (inside if all(low <= length <= high for length in lengths) else outside).append(share)
    parts = [
        f"{name} {len(shares)} cells, median {percent(statistics.median(shares))}%, worst {percent(min(shares))}%"
        for name, shares in ((f"trained {low}-{high}:", inside), ("beyond:", outside))
        if shares
    ]
    return f"{grid.label}  {'; '.join(parts)}"
