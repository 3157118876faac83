"""Curves: the cells of several seeds by digit length, as figures draw and tables print them."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from arith.errors import UsageError
from arith.results.schema import Cell
from arith.results.uncertainty import band, percent

# The share of problems of the training lengths that a model must solve before its extrapolation means anything. It is
# also what "reaches" and "succeeded" ask for: one threshold, so that no table can choose a kinder one.
FITTED = 0.99
# A published claim rests on at least this many seeds: of three, two lucky ones make the median. Length generalisation
# varies widely between seeds: Zhou et al., "Transformers Can Achieve Length Generalization But Not Robustly", 2024.
PUBLISHED_SEEDS = 5


@dataclass(frozen=True)
class Point:
    """The cells of one digit length, one for each seed."""

    digits: int
    cells: tuple[Cell, ...]

    @property
    def median(self) -> float:
        # Seeds tend to succeed or fail as a whole: a mean of 60% would describe none of them.
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

        Seeds are not pooled. All are tested on the same problems, so that five times n answers are not five times as
        many independent ones, and the pooled interval would be too narrow.
        """
        return min(cell.low for cell in self.cells), max(cell.high for cell in self.cells)

    @property
    def band(self) -> tuple[float, float]:
        """The 95% bootstrap interval of the median, over seeds and problems."""
        return band(self.cells)


@dataclass(frozen=True)
class Curve:
    """The accuracy of one label on one suite, by digit length.

    Args:
        points: the tested lengths, in ascending order.
        in_distribution: the lowest accuracy of any seed at any trained length, on random and unequal problems; None if
            no trained length was tested.
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
        """Whether every seed has learned the training lengths; without that, extrapolation says nothing."""
        return self.in_distribution is not None and self.in_distribution >= FITTED

    @property
    def fit(self) -> str:
        """How well the training lengths were learned, as figures and tables say it."""
        if self.in_distribution is None:
            return "trained lengths untested"
        return percent(self.in_distribution) + "%" if self.fitted else f"unfitted, {percent(self.in_distribution)}%"

    @property
    def succeeded(self) -> int:
        """The number of seeds that reach 99% at every tested length."""
        cells = [cell for point in self.points for cell in point.cells]
        failed = {(cell.model_seed, cell.data_seed) for cell in cells if cell.accuracy < FITTED}
        return self.seeds - len(failed)

    @property
    def encoding(self) -> str:
        return self.first.encoding

    @property
    def group(self) -> str:
        """What the model is given beyond answers. Accuracies of different groups are not ranked together."""
        if self.first.supervision == "algorithm":
            return "algorithm-supervised: the steps are given in training"
        return "structure-aware: digit alignment built in" if self.first.structure_aware else "structure-free"

    @property
    def reaches(self) -> int:
        """The longest tested length up to which the worst seed's interval begins at 99% or more; 0 if none."""
        # The interval's lower end, not the accuracy: 10 right answers of 10 are no evidence of 99%. And up to the first
        # failure: a length solved beyond it is luck, or a test set that is too small.
        reached = 0
        for point in self.points:
            if point.interval[0] < FITTED:
                break
            reached = point.digits
        return reached


def curves(cells: Iterable[Cell], suite: str) -> list[Curve]:
    """Group cells into one curve for each label, in the order in which the labels first appear.

    Args:
        cells: the cells of any number of results files, of all suites.
        suite: the suite that is drawn; cells of other suites only tell how well the training lengths were learned.

    Raises:
        UsageError: a label stands for different experiments, or a seed is there twice.
    """
    by_label: dict[str, list[Cell]] = defaultdict(list)
    for cell in _name_loops(list(cells)):
        by_label[cell.label].append(cell)
    found = []
    for label, labelled in by_label.items():
        _check_one_experiment(label, labelled)
        low, high = labelled[0].train_lengths
        # Other suites are made to be hard, such as long carry chains: a model may fail them and still have fitted.
        trained = [c for c in labelled if c.suite in ("random", "unequal") and low <= c.digits <= high]
        points: dict[int, list[Cell]] = defaultdict(list)
        for cell in labelled:
            if cell.suite == suite:
                points[cell.digits].append(cell)
        if points:
            in_order = tuple(Point(digits, tuple(there)) for digits, there in sorted(points.items()))
            found.append(Curve(label, suite, in_order, min((c.accuracy for c in trained), default=None)))
    return found


def _name_loops(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, with the loops of the test behind their label where it was tested with several numbers of them."""
    loops: dict[str, set[int | None]] = defaultdict(set)
    for cell in cells:
        loops[cell.label].add(cell.loops)
    named = []
    for cell in cells:
        told = f"{cell.loops} loops" if cell.loops else "loops as in training"
        several = len(loops[cell.label]) > 1
        named.append(replace(cell, label=f"{cell.label}, {told}") if several else cell)
    return named


def _changed_in_tests(cell: Cell) -> tuple[str, str]:
    return f"sharpen {cell.sharpen}", f"loops {cell.loops or 'as in training'}"


def _check_one_experiment(label: str, cells: list[Cell]) -> None:
    # Seeds may differ and nothing else: two encodings under one label would be drawn as the spread of one.
    experiments = {
        (c.task, c.format, c.encoding, c.train_lengths, c.step, c.samples, c.parameters, *_changed_in_tests(c))
        for c in cells
    }
    if len(experiments) > 1:
        listed = "\n  ".join(" ".join(map(str, experiment)) for experiment in sorted(experiments))
        raise UsageError(f"'{label}' stands for different experiments, which are no seeds of one curve:\n  {listed}")
    keys = Counter((c.suite, c.digits, c.model_seed, c.data_seed, c.operand_lengths) for c in cells)
    twice = next((key for key, count in keys.items() if count > 1), None)
    if twice is not None:
        suite, digits, seed, _, _ = twice
        raise UsageError(f"'{label}' has two results on suite '{suite}' at {digits} digits for seed {seed}. Give one")
