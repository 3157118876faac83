"""Cells of several seeds as one curve: what figures draw and tables print."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from arith.intervals import wilson
from arith.results import Cell

FITTED = 0.99


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
        """95% Wilson interval of all seeds' problems together."""
        return wilson(sum(cell.correct for cell in self.cells), sum(cell.n for cell in self.cells))


@dataclass(frozen=True)
class Curve:
    """One label on one suite, by digit length."""

    label: str
    suite: str
    points: tuple[Point, ...]

    @property
    def first(self) -> Cell:
        return self.points[0].cells[0]

    @property
    def seeds(self) -> int:
        return len({(cell.model_seed, cell.data_seed) for point in self.points for cell in point.cells})

    @property
    def in_distribution(self) -> float:
        """Accuracy at the worst trained length and seed. Without any test at a trained length: 0."""
        low, high = self.first.train_lengths
        return min((point.worst for point in self.points if low <= point.digits <= high), default=0.0)

    @property
    def fitted(self) -> bool:
        """Whether it has learned its training lengths, without which extrapolation says nothing."""
        return self.in_distribution >= FITTED

    @property
    def reaches(self) -> int:
        """Largest digit length such that the worst seed's interval begins at 99% or more at every tested length to it.

        By the interval's lower end that takes 400 problems or more a test set.
        """
        reached = 0
        for point in self.points:
            if min(cell.low for cell in point.cells) < FITTED:
                break
            reached = point.digits
        return reached

    def at(self, digits: int) -> Point | None:
        return next((point for point in self.points if point.digits == digits), None)


def curves(cells: Iterable[Cell], suite: str) -> list[Curve]:
    """One curve a label, in the order in which labels come."""
    by_label: dict[str, dict[int, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        if cell.suite == suite:
            by_label[cell.label][cell.digits].append(cell)
    return [
        Curve(label, suite, tuple(Point(digits, tuple(found)) for digits, found in sorted(points.items())))
        for label, points in by_label.items()
    ]
