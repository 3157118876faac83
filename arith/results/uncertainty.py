"""Intervals and tests for accuracies: Wilson, bootstrap over seeds, and paired comparisons of two models."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt64

from arith.results.schema import Cell
from arith.tasks.stream import Stream

# Enough for a figure: 50 medians lie beyond either end of an interval, and the end varies by some 2% of its width.
RESAMPLES = 2000
PURPOSE = 2**29  # a key of random numbers that no data set uses
Z95 = 1.959963984540054  # the normal distribution's 97.5% quantile


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95% confidence interval of a share.

        (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.

    Args:
        correct: the number of successes.
        n: the number of trials, at least 1.

    Raises:
        ValueError: `correct` is not between 0 and n, or n is 0.

    >>> [round(bound, 3) for bound in wilson(400, 400)]
    [0.99, 1.0]
    """
    # The textbook interval, p +- z sqrt(p(1-p)/n), has no width at 0% and 100%, where most of our accuracies are.
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"correct is between 0 and n, and n above 0: got {correct} of {n}")
    share, weight = correct / n, Z95**2 / n
    centre = share + weight / 2
    spread = Z95 * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    low, high = (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)
    # At 0% and 100% one bound equals the share. Rounding must not push it past, or results.json would not load.
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def percent(share: float) -> str:
    """Format a share in percent, with one decimal; only a share of exactly 1 becomes 100.

    >>> percent(1.0), percent(0.9975), percent(0.0)
    ('100', '99.8', '0')
    """
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        return "99.9+"
    return text.removesuffix(".0")


def band(cells: Sequence[Cell]) -> tuple[float, float]:
    """The 95% bootstrap interval of the median accuracy over seeds.

    Each resample draws seeds with replacement, and new problems for each of them. All seeds are tested on the same
    problems, but results hold only counts, so correlation between their answers is ignored: the interval is wider
    than need be where the same problems are hard for every seed.
    Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.

    Args:
        cells: the cells of one test set, one for each seed.
    """
    # A bootstrap, as no formula gives the interval of a median of five. It draws problems too: seeds that all answer
    # 398 of 400 would have an interval without width otherwise, and a single seed always.
    seeds = len(cells)
    drawn = _halves(2, seeds, cells[0].digits)
    return _middle(_resample([(cell.correct, cell.n) for cell in cells], _which(drawn[0], seeds), drawn[1]))


def difference_band(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]], key: int) -> tuple[float, float]:
    """The 95% bootstrap interval of a lead: the median over seeds of the second accuracy minus the first.

    Args:
        pairs: for each seed, the first model's correct answers and problems, then the second's.
        key: the key of the random numbers; leads with different keys use independent ones.
    """
    # Both models of a seed are resampled together: what a seed's data have in common cancels in the difference.
    seeds = len(pairs)
    drawn = _halves(3, seeds, key)
    which = _which(drawn[0], seeds)
    first, second = (_resample([pair[side] for pair in pairs], which, drawn[1 + side]) for side in (0, 1))
    return _middle(second - first)


def _halves(rows: int, seeds: int, key: int) -> UInt64[np.ndarray, "rows resamples seeds"]:
    """Uniform random integers of 32 bits."""
    # The project's own stream, not NumPy's generator: a figure drawn again must be the same figure, to the last byte.
    return Stream(seed=seeds, split="test", block=key, purpose=PURPOSE).halves((rows, RESAMPLES, seeds))


def _which(drawn: UInt64[np.ndarray, "resamples seeds"], seeds: int) -> Int[np.ndarray, "resamples seeds"]:
    """Turn random integers into the index of the seed at each place of a resample."""
    # Multiply and shift maps 32 bits to 0..seeds-1 without a division; its bias, seeds / 2^32, is far below notice.
    found: np.ndarray = (drawn * np.uint64(seeds) >> np.uint64(32)).astype(int)
    return found


def _resample(
    counts: Sequence[tuple[int, int]],
    which: Int[np.ndarray, "resamples seeds"],
    drawn: UInt64[np.ndarray, "resamples seeds"],
) -> Float[np.ndarray, "resamples seeds"]:
    """Draw accuracies anew: resampling n answers with replacement makes the number of right ones binomial."""
    uniform, accuracy = drawn / 2.0**32, np.empty(which.shape)
    for place, (correct, n) in enumerate(counts):
        mine = which == place
        # Inverse sampling: the first k whose cumulative probability exceeds the uniform number.
        accuracy[mine] = np.searchsorted(_binomial_cdf(correct, n), uniform[mine], side="right") / n
    return accuracy


def _middle(values: Float[np.ndarray, "resamples seeds"]) -> tuple[float, float]:
    """The middle 95% of the resamples' medians over seeds."""
    medians = np.sort(np.median(values, axis=1))
    return float(medians[round(0.025 * (RESAMPLES - 1))]), float(medians[round(0.975 * (RESAMPLES - 1))])


def _binomial_cdf(correct: int, n: int) -> Float[np.ndarray, " n"]:
    """P(k or fewer of n) for k from 0 to n - 1, for a binomial distribution with mean `correct`."""
    # Without a mistake, or without a right answer, every resample is the same, and the odds below are 0 or infinite.
    if correct in (0, n):
        return np.full(n, 1.0 if correct == 0 else 0.0)
    k = np.arange(1, n + 1)
    odds = np.log(correct / (n - correct))
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k) + odds)])
    # The ratio of neighbours, C(n, k) / C(n, k - 1) = (n - k + 1) / k, is summed in logarithms; the largest becomes 1,
    # so that nothing overflows, and what underflows has no weight anyway.
    weights = np.exp(logs - logs.max())
    cumulated: np.ndarray = np.cumsum(weights)[:-1] / weights.sum()
    return cumulated


@dataclass(frozen=True)
class Pairs:
    """How two models answered the same problems.

    Args:
        both, first, second, neither: the number of problems solved by both models, only the first, only the second,
            and neither.
    """

    both: int
    first: int
    second: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.first + self.second + self.neither

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            self.both + other.both,
            self.first + other.first,
            self.second + other.second,
            self.neither + other.neither,
        )

    @staticmethod
    def of(first: Sequence[bool], second: Sequence[bool]) -> "Pairs":
        """Count pairs of outcomes on the same problems, in the same order.

        >>> Pairs.of([True, True, False], [True, False, False])
        Pairs(both=1, first=1, second=0, neither=1)
        """
        pairs = list(zip(first, second, strict=True))
        return Pairs(*(pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def difference(self) -> float:
        """The second model's accuracy minus the first's."""
        return (self.second - self.first) / self.n


def mcnemar(pairs: Pairs) -> float:
    """The p-value of McNemar's test: could two equally good models differ this unevenly on the same problems?

    Exact and two-sided: with m = first + second, min(1, 2 sum_(i <= min(first, second)) C(m, i) / 2^m).
    McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.

    >>> round(mcnemar(Pairs(both=50, first=0, second=6, neither=0)), 9)
    0.03125
    """
    m, fewer = pairs.first + pairs.second, min(pairs.first, pairs.second)
    # Problems that both or neither solved say nothing about which is better. The exact binomial sum, not the usual
    # chi-squared approximation: that one fails for m below some 25, which is common where both models are near 100%.
    # In logarithms, as C(m, i) and 2^m leave the range of floats at a thousand problems.
    logs = [_log_choose(m, i) - m * math.log(2) for i in range(fewer + 1)]
    # Doubling counts the middle term twice if the two sides are equal, m = 0 included: p is 1 then.
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def _log_choose(m: int, i: int) -> float:
    """ln C(m, i)."""
    return math.lgamma(m + 1) - math.lgamma(i + 1) - math.lgamma(m - i + 1)


def difference_interval(pairs: Pairs) -> tuple[float, float]:
    """The 95% interval of the difference between two accuracies on the same problems, second minus first.

    It combines the Wilson intervals of both with their correlation phi; p1, p2 are the accuracies, l, u their bounds:

        d - sqrt((p2 - l2)^2 - 2 phi (p2 - l2) (u1 - p1) + (u1 - p1)^2), and likewise upwards

    Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
    1998, method 10.

    >>> [round(bound, 4) for bound in difference_interval(Pairs(both=36, first=2, second=12, neither=0))]
    [0.0569, 0.3404]
    """
    n = pairs.n
    first, second = pairs.both + pairs.first, pairs.both + pairs.second
    low1, high1 = wilson(first, n)
    low2, high2 = wilson(second, n)
    p1, p2 = first / n, second / n
    phi = _correlation(pairs)
    below = _apart(p2 - low2, high1 - p1, phi)
    above = _apart(high2 - p2, p1 - low1, phi)
    return max(pairs.difference - below, -1.0), min(pairs.difference + above, 1.0)


def _apart(a: float, b: float, phi: float) -> float:
    """The distance of a bound from the difference."""
    # For phi = 1 this is (a - b)^2, which rounding can make negative.
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))


def _correlation(pairs: Pairs) -> float:
    """The correlation phi of the two models' right answers; a positive one is corrected for continuity (Newcombe)."""
    margins = (
        (pairs.both + pairs.first)
        * (pairs.second + pairs.neither)
        * (pairs.both + pairs.second)
        * (pairs.first + pairs.neither)
    )
    # A model that solves all or nothing does not vary, and correlates with nothing.
    if not margins:
        return 0.0
    excess = pairs.both * pairs.neither - pairs.first * pairs.second
    if excess > 0:
        excess = max(excess - pairs.n / 2, 0.0)  # type: ignore[assignment]
    return excess / math.sqrt(margins)


def holm(values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests for their number: the k-th smallest of m is multiplied by m - k + 1.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Args:
        values: the p-values, in any order; the adjusted ones come back in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=lambda place: values[place])
    raised, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        # The running maximum keeps the order: a larger p-value has the smaller factor, and must not end up below.
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        raised[place] = highest
    return raised


def spread_of(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile of the seconds that queries took.

    >>> spread_of([3.0, 1.0, 2.0])
    {'seconds_median': 2.0, 'seconds_p95': 3.0}
    """
    in_order = sorted(seconds)
    # The smallest time that 95% of the queries keep to, and so one that was measured.
    return {"seconds_median": statistics.median(seconds), "seconds_p95": in_order[-(-95 * len(in_order) // 100) - 1]}
