"""Grids: accuracy by the lengths of both operands, the median over seeds."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from arith.errors import UsageError, did_you_mean
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
        seeds: the number of pairs of model seed and data seed; 0 for numbers that nobody here measured.
        note: what is to be known of such numbers.
    """

    label: str
    first: tuple[int, ...]
    second: tuple[int, ...]
    accuracy: Float[np.ndarray, "a b"]
    cells: dict[tuple[int, int], list[Cell]]
    train_lengths: tuple[int, int]
    seeds: int
    note: str = ""

    @property
    def name(self) -> str:
        """The label, with what is to be known wherever the numbers stand."""
        return f"{self.label}, {self.note}" if self.note else self.label

    @property
    def title(self) -> str:
        """The name, with the number of seeds."""
        return self.name if self.note else f"{self.name}, {_count_seeds(self.seeds)}"


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


def _count_seeds(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"median of {seeds} seeds"


@dataclass(frozen=True)
class Claim:
    """A table that somebody else published.

    Args:
        label: the model.
        task: the task of the problems.
        shares: accuracy by the digits of the first operand, down, and of the second, from 1.
        note: how far the numbers can be trusted.
    """

    label: str
    task: str
    shares: tuple[tuple[float, ...], ...]
    note: str


# From memory of the papers, with no page at hand to check them by, which every figure of them says.
CLAIMS = {
    # Shen et al., "Positional Description Matters for Transformers Arithmetic", 2023: "What is $a * $b?", no examples.
    "gpt4-2023": Claim(
        "GPT-4 of 2023",
        "multiplication",
        (
            (1.00, 1.00, 1.00, 0.99, 1.00),
            (1.00, 0.98, 0.96, 0.75, 0.58),
            (1.00, 0.93, 0.59, 0.24, 0.18),
            (0.98, 0.80, 0.28, 0.05, 0.01),
            (0.96, 0.60, 0.12, 0.00, 0.00),
        ),
        "recalled, unchecked",
    )
}


def claimed_grid(name: str, cells: Sequence[Cell]) -> Grid:
    """The grid of a published table, to be drawn beside those of some cells.

    Raises:
        UsageError: there is no such table, or the cells are of another task.
    """
    if name not in CLAIMS:
        raise UsageError(f"no table is called '{name}'.{did_you_mean(name, CLAIMS)} Tables: {', '.join(CLAIMS)}")
    claim = CLAIMS[name]
    if others := sorted({cell.task for cell in cells if cell.suite == GRID} - {claim.task}):
        raise UsageError(f"'{name}' is a table of {claim.task}, and these results are of {', '.join(others)}")
    accuracy = np.array(claim.shares)
    first, second = (tuple(range(1, length + 1)) for length in accuracy.shape)
    return Grid(claim.label, first, second, accuracy, {}, (0, 0), 0, claim.note)


def summary(grid: Grid) -> str:
    """Describe a grid in one line: accuracy where both operands have trained lengths, and beyond."""
    if grid.note:
        shares = grid.accuracy
        return f"{grid.label}  {grid.note}: {shares.size} cells, median {percent(np.median(shares))}%"
    low, high = grid.train_lengths
    inside: list[float] = []
    outside: list[float] = []
    for lengths, cells in grid.cells.items():
        share = statistics.median(cell.accuracy for cell in cells)
        (inside if all(low <= length <= high for length in lengths) else outside).append(share)
    parts = [
        f"{name} {len(shares)} cells, median {percent(statistics.median(shares))}%, worst {percent(min(shares))}%"
        for name, shares in ((f"trained {low}-{high}:", inside), ("beyond:" if high else "all:", outside))
        if shares
    ]
    return f"{grid.label}  {'; '.join(parts)}"
