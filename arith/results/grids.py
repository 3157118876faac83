"""Accuracy by the lengths of both operands: the cells of a grid, pooled over seeds."""

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
    """One label.

    Args:
        first, second: lengths of the two operands.
        accuracy: the median over seeds; NaN where nothing was measured.
        cells: of all seeds, by the two lengths.
        train_lengths: of either operand.
    """

    label: str
    first: tuple[int, ...]
    second: tuple[int, ...]
    accuracy: Float[np.ndarray, "a b"]
    cells: dict[tuple[int, int], list[Cell]]
    train_lengths: tuple[int, int]
    seeds: int


def grids(cells: Sequence[Cell]) -> list[Grid]:
    """The grids among some cells, one a label.

    Raises:
        UsageError: there is none, or a label stands for different experiments.
    """
    found = []
    for label in dict.fromkeys(cell.label for cell in cells if cell.suite == GRID):
        own = [cell for cell in cells if cell.suite == GRID and cell.label == label]
        if len({(c.task, c.format, c.train_lengths, c.step, c.parameters) for c in own}) > 1:
            raise UsageError(f"'{label}' stands for different experiments, which are no seeds of one grid")
        by_lengths: dict[tuple[int, int], list[Cell]] = defaultdict(list)
        for cell in own:
            if cell.operand_lengths is None or len(cell.operand_lengths) != 2:
                raise UsageError(f"a cell of the grid of '{label}' has no two operand_lengths: {cell.operand_lengths}")
            by_lengths[cell.operand_lengths[0], cell.operand_lengths[1]].append(cell)
        for lengths, there in by_lengths.items():
            if len({(cell.model_seed, cell.data_seed) for cell in there}) < len(there):
                raise UsageError(f"two results of '{label}' at {lengths} are of the same seeds. Leave one file out")
        first, second = (tuple(sorted({lengths[side] for lengths in by_lengths})) for side in (0, 1))
        accuracy = np.full((len(first), len(second)), np.nan)
        for (a, b), there in by_lengths.items():
            accuracy[first.index(a), second.index(b)] = statistics.median(cell.accuracy for cell in there)
        seeds = len({(cell.model_seed, cell.data_seed) for cell in own})
        found.append(Grid(label, first, second, accuracy, dict(by_lengths), own[0].train_lengths, seeds))
    if not found:
        raise UsageError("no cell is of a grid of operand lengths. One is measured by arith evaluate RUN --grid 1-15")
    return found


def summary(grid: Grid) -> str:
    """What a grid says in a line: inside and outside of the training region."""
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
