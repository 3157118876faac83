"""How far one curve is ahead of another, seed by seed: the advantage that is drawn against scale."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arith.errors import UsageError
from arith.results.figure_plan import Contest
from arith.results.schema import GRID, Cell
from arith.results.uncertainty import difference_band

Key = tuple[int, int]  # seeds of model and data
Counts = tuple[int, int]  # problems that are right, and all


@dataclass(frozen=True)
class Lead:
    """One contest on one kind of test.

    Args:
        lengths: of the tests, N the longest trained operand.
        differences: accuracy of the one less that of the other, for each seed.
        low, high: 95% bootstrap interval of the median over seeds and problems.
        n: problems a seed.
    """

    contest: Contest
    lengths: str
    differences: tuple[float, ...]
    low: float
    high: float
    n: int

    @property
    def median(self) -> float:
        return statistics.median(self.differences)


def measure_leads(cells: Iterable[Cell], contests: Sequence[Contest]) -> list[Lead]:
    """Of each contest, on the tests and with the seeds that both curves have.

    Raises:
        UsageError: the two were trained on other lengths.
    """
    by_label: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_label[cell.label].append(cell)
    found: list[Lead] = []
    for contest in contests:
        one, other = by_label[contest.of], by_label[contest.over]
        seeds = sorted(_seeds(one) & _seeds(other))
        if not seeds:
            continue
        if one[0].train_lengths != other[0].train_lengths:
            raise UsageError(f"'{contest.of}' and '{contest.over}' were trained on other lengths, which is no contest")
        first, second = _count_by_test(other), _count_by_test(one)
        for lengths in first:
            if lengths in second:
                pairs = [(first[lengths][key], second[lengths][key]) for key in seeds]
                differences = tuple(right / n - before / m for (before, m), (right, n) in pairs)
                found.append(Lead(contest, lengths, differences, *difference_band(pairs, len(found)), pairs[0][0][1]))
    return found


def _seeds(cells: Iterable[Cell]) -> set[Key]:
    return {(cell.model_seed, cell.data_seed) for cell in cells}


def _count_by_test(cells: Sequence[Cell]) -> dict[str, dict[Key, Counts]]:
    """Right answers and problems of each seed, by the kind of test."""
    found: dict[str, dict[Key, Counts]] = defaultdict(dict)
    for cell in cells:
        key = (cell.model_seed, cell.data_seed)
        for lengths in _kinds(cell):
            correct, n = found[lengths].get(key, (0, 0))
            found[lengths][key] = correct + cell.correct, n + cell.n
    return dict(found)


def _kinds(cell: Cell) -> list[str]:
    """What a test is beside the longest trained length N; none for one that says nothing."""
    low, longest = cell.train_lengths
    if cell.suite == "random":
        return {0: ["N digits"], 1: ["N + 1 digits"]}.get(cell.digits - longest, [])
    if cell.suite != GRID or cell.operand_lengths is None or not all(low <= n <= longest for n in cell.operand_lengths):
        return []
    named = {(longest, low): f"N x {low}", (low, longest): f"{low} x N"}
    if low + 1 < longest:
        named[low + 1, low + 1] = f"{low + 1} x {low + 1}"
    first, second = cell.operand_lengths[:2]
    return ["all pairs of lengths", *([named[first, second]] if (first, second) in named else [])]
