"""Cells of several seeds as one curve: what figures draw and tables print."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from arith.errors import UsageError
from arith.results.schema import Cell
from arith.results.uncertainty import band, percent

FITTED = 0.99
PUBLISHED_SEEDS = 5  # a claim is published on that many or more


@dataclass(frozen=True)
class Point:
    """One digit length: a cell for each seed."""

    digits: int
    cells: tuple[Cell, ...]

    @property
    def median(self) -> float:
        return statistics.median(cell.accuracy for cell in self.cells)

    @property
    def worst(self) -> float:
        return min(cell.accuracy for cell in self.cells)

    @property
    def best(self) -> float:
        return max(cell.accuracy for cell in self.cells)

    @property
    def interval(self) -> tuple[float, float]:
        """From the lower end of the worst seed's 95% Wilson interval to the upper end of the best seed's.

        Seeds are not pooled: they are tested on the same problems, which would make the interval too narrow.
        """
        return min(cell.low for cell in self.cells), max(cell.high for cell in self.cells)

    @property
    def band(self) -> tuple[float, float]:
        """95% bootstrap interval of the median over seeds and problems."""
        return band(self.cells)


@dataclass(frozen=True)
class Curve:
    """One label on one suite, by digit length.

    Args:
        in_distribution: accuracy at the worst trained length and seed, random and unequal problems; None if untested.
    """

    label: str
    suite: str
    points: tuple[Point, ...]
    in_distribution: float | None

    @property
    def first(self) -> Cell:
        return self.points[0].cells[0]

    @property
    def seeds(self) -> int:
        return len({(cell.model_seed, cell.data_seed) for point in self.points for cell in point.cells})

    @property
    def fitted(self) -> bool:
        """Whether it has learned its training lengths, without which extrapolation says nothing."""
        return self.in_distribution is not None and self.in_distribution >= FITTED

    @property
    def fit(self) -> str:
        """How well it knows its training lengths, in words."""
        if self.in_distribution is None:
            return "trained lengths untested"
        return percent(self.in_distribution) + "%" if self.fitted else f"unfitted, {percent(self.in_distribution)}%"

    @property
    def succeeded(self) -> int:
        """Seeds at 99% or more at every tested length."""
        cells = [cell for point in self.points for cell in point.cells]
        failed = {(cell.model_seed, cell.data_seed) for cell in cells if cell.accuracy < FITTED}
        return self.seeds - len(failed)

    @property
    def encoding(self) -> str:
        return self.first.encoding

    @property
    def group(self) -> str:
        """What it is told beyond answers; accuracies of two groups are not ranked together."""
        if self.first.supervision == "algorithm":
            return "algorithm-supervised: the steps are given in training"
        return "structure-aware: digit alignment built in" if self.first.structure_aware else "structure-free"

    @property
    def reaches(self) -> int:
        """The longest tested length up to which the worst seed's interval begins at 99% or more; 0 if none."""
        reached = 0
        for point in self.points:
            if point.interval[0] < FITTED:
                break
            reached = point.digits
        return reached

    def at(self, digits: int) -> Point | None:
        return next((point for point in self.points if point.digits == digits), None)


def curves(cells: Iterable[Cell], suite: str) -> list[Curve]:
    """One curve a label, in the order in which labels come.

    Raises:
        UsageError: cells of one label are of different experiments, or one is there twice.
    """
    by_label: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_label[cell.label].append(cell)
    found = []
    for label, own in by_label.items():
        _check_one_experiment(label, own)
        low, high = own[0].train_lengths
        trained = [c for c in own if c.suite in ("random", "unequal") and low <= c.digits <= high]
        points: dict[int, list[Cell]] = defaultdict(list)
        for cell in own:
            if cell.suite == suite:
                points[cell.digits].append(cell)
        if points:
            drawn = tuple(Point(digits, tuple(there)) for digits, there in sorted(points.items()))
            found.append(Curve(label, suite, drawn, min((c.accuracy for c in trained), default=None)))
    return found


def _check_one_experiment(label: str, cells: list[Cell]) -> None:
    experiments = {(c.task, c.format, c.encoding, c.train_lengths, c.step, c.samples, c.parameters) for c in cells}
    if len(experiments) > 1:
        listed = "\n  ".join(" ".join(map(str, experiment)) for experiment in sorted(experiments))
        raise UsageError(f"'{label}' stands for different experiments, which are no seeds of one curve:\n  {listed}")
    keys = Counter((c.suite, c.digits, c.model_seed, c.data_seed, c.operand_lengths) for c in cells)
    twice = next((key for key, count in keys.items() if count > 1), None)
    if twice is not None:
        suite, digits, seed, _, _ = twice
        raise UsageError(f"'{label}' has two results on suite '{suite}' at {digits} digits for seed {seed}. Give one")
