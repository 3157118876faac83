"""Leads: by how much one curve is ahead of another, seed by seed, as figures draw them against scale."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arith.errors import UsageError
from arith.results.figure_plan import Contest
from arith.results.schema import GRID, Cell
from arith.results.uncertainty import difference_band

Key = tuple[int, int]  # model seed, data seed
Counts = tuple[int, int]  # problems solved, problems asked


@dataclass(frozen=True)
class Lead:
    """The outcome of one contest on one kind of test.

    Args:
        lengths: the tested lengths in words, with N for the longest trained operand: "N + 1 digits".
        differences: one accuracy minus the other, for each seed that both curves have.
        low, high: the 95% bootstrap interval of the median difference, over seeds and problems.
        n: the number of problems for each seed.
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
    """Measure the leads of each contest, on the tests and with the seeds that both curves have.

    Raises:
        UsageError: the two curves were trained on different lengths.
    """
    by_label: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_label[cell.label].append(cell)
    found: list[Lead] = []
    for contest in contests:
        one, other = by_label[contest.of], by_label[contest.over]
        # Runs of equal seeds share training data and test problems: what those do to both cancels in the difference.
        # Without such a pair a contest is left out, not refused: its runs may not be finished yet.
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
                # len(found) as the key: leads have independent random numbers, and the same in every run.
                found.append(Lead(contest, lengths, differences, *difference_band(pairs, len(found)), pairs[0][0][1]))
    return found


def _seeds(cells: Iterable[Cell]) -> set[Key]:
    return {(cell.model_seed, cell.data_seed) for cell in cells}


def _count_by_test(cells: Sequence[Cell]) -> dict[str, dict[Key, Counts]]:
    """Sum up solved and asked problems of each seed, by the kind of test."""
    found: dict[str, dict[Key, Counts]] = defaultdict(dict)
    for cell in cells:
        key = (cell.model_seed, cell.data_seed)
        for lengths in _kinds(cell):
            correct, n = found[lengths].get(key, (0, 0))
            found[lengths][key] = correct + cell.correct, n + cell.n
    return dict(found)


def _kinds(cell: Cell) -> list[str]:
    """The kinds of test that a cell counts for, named by the longest trained length N; none if it says nothing here."""
    low, longest = cell.train_lengths
    # Names in N, not in digits: contests at several scales share an axis, and may be trained on different lengths.
    if cell.suite == "random":
        return {0: ["N digits"], 1: ["N + 1 digits"]}.get(cell.digits - longest, [])
    if cell.suite != GRID or cell.operand_lengths is None or not all(low <= n <= longest for n in cell.operand_lengths):
        return []
    named = {(longest, low): f"N x {low}", (low, longest): f"{low} x N"}
    if low + 1 < longest:
        named[low + 1, low + 1] = f"{low + 1} x {low + 1}"
    first, second = cell.operand_lengths[:2]
    return ["all pairs of lengths", *([named[first, second]] if (first, second) in named else [])]
