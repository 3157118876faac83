"""How sure an accuracy is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt64

from arith.results.schema import Cell
from arith.tasks.stream import Stream

RESAMPLES = 2000
PURPOSE = 2**29  # of its random numbers, which no data set has


Z95 = 1.959963984540054  # the normal distribution's 97.5% quantile


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share, sound at 0% and 100% too.

        (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Wilson, "Probable Inference", 1927.

    >>> [round(bound, 3) for bound in wilson(400, 400)]
    [0.99, 1.0]
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"correct is between 0 and n, and n above 0: got {correct} of {n}")
    share, weight = correct / n, Z95**2 / n
    centre = share + weight / 2
    spread = Z95 * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    low, high = (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)
    # Rounding must not push a bound past the share itself.
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def percent(share: float) -> str:
    """A share in percent; 100 only if nothing is missing.

    >>> percent(1.0), percent(0.9975), percent(0.0)
    ('100', '99.8', '0')
    """
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        return "99.9+"
    return text.removesuffix(".0")


def band(cells: Sequence[Cell]) -> tuple[float, float]:
    """The 95% bootstrap interval of the median accuracy: seeds drawn anew with replacement, and problems for each.

    Seeds are tested on the same problems, and results hold counts only: what their answers share is not looked at,
    which makes the band wider where hard problems are hard for all.
    Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.

    Args:
        cells: of one test set, one for each seed.
    """
    seeds = len(cells)
    drawn = _halves(2, seeds, cells[0].digits)
    return _middle(_resample([(cell.correct, cell.n) for cell in cells], _which(drawn[0], seeds), drawn[1]))


def difference_band(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]], key: int) -> tuple[float, float]:
    """The same for the median over seeds of the second accuracy less the first; a seed's two models stay together.

    Args:
        pairs: for each seed, problems that are right and their number, of the first and of the second.
        key: of the random numbers.
    """
    seeds = len(pairs)
    drawn = _halves(3, seeds, key)
    which = _which(drawn[0], seeds)
    first, second = (_resample([own[side] for own in pairs], which, drawn[1 + side]) for side in (0, 1))
    return _middle(second - first)


def _halves(rows: int, seeds: int, key: int) -> UInt64[np.ndarray, "rows resamples seeds"]:
    return Stream(seed=seeds, split="test", block=key, purpose=PURPOSE).halves((rows, RESAMPLES, seeds))


def _which(drawn: UInt64[np.ndarray, "resamples seeds"], seeds: int) -> Int[np.ndarray, "resamples seeds"]:
    """Which seed stands at each place of a resample."""
    found: np.ndarray = (drawn * np.uint64(seeds) >> np.uint64(32)).astype(int)
    return found


def _resample(
    counts: Sequence[tuple[int, int]],
    which: Int[np.ndarray, "resamples seeds"],
    drawn: UInt64[np.ndarray, "resamples seeds"],
) -> Float[np.ndarray, "resamples seeds"]:
    """Accuracies with problems drawn anew: each right with the share that was, so that their number is binomial."""
    uniform, accuracy = drawn / 2.0**32, np.empty(which.shape)
    for place, (correct, n) in enumerate(counts):
        mine = which == place
        accuracy[mine] = np.searchsorted(_binomial_cdf(correct, n), uniform[mine], side="right") / n
    return accuracy


def _middle(values: Float[np.ndarray, "resamples seeds"]) -> tuple[float, float]:
    """The middle 95% of the medians over seeds."""
    medians = np.sort(np.median(values, axis=1))
    return float(medians[round(0.025 * (RESAMPLES - 1))]), float(medians[round(0.975 * (RESAMPLES - 1))])


def _binomial_cdf(correct: int, n: int) -> Float[np.ndarray, " n"]:
    """P(k or fewer of n) for k from 0 to n - 1, of a binomial distribution with mean `correct`."""
    if correct in (0, n):
        return np.full(n, 1.0 if correct == 0 else 0.0)
    k = np.arange(1, n + 1)
    odds = np.log(correct / (n - correct))
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k) + odds)])
    weights = np.exp(logs - logs.max())
    cumulated: np.ndarray = np.cumsum(weights)[:-1] / weights.sum()
    return cumulated


@dataclass(frozen=True)
class Pairs:
    """How two models answered the same problems.

    Args:
        both, first, second, neither: problems that both, only the first, only the second and none got right.
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
        """
        >>> Pairs.of([True, True, False], [True, False, False])
        Pairs(both=1, first=1, second=0, neither=1)
        """
        pairs = list(zip(first, second, strict=True))
        return Pairs(*(pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first."""
        return (self.second - self.first) / self.n


def mcnemar(pairs: Pairs) -> float:
    """The probability, were the models equally good, that the problems on which they differ lie as far to one side.

    Exact and two-sided: with m = first + second, min(1, 2 sum_(i <= min(first, second)) C(m, i) / 2^m).
    McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.

    >>> round(mcnemar(Pairs(both=50, first=0, second=6, neither=0)), 9)
    0.03125
    """
    m, fewer = pairs.first + pairs.second, min(pairs.first, pairs.second)
    # In logarithms: C(m, i) and 2^m leave the range of floats at a thousand problems.
    logs = [_log_choose(m, i) - m * math.log(2) for i in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def _log_choose(m: int, i: int) -> float:
    return math.lgamma(m + 1) - math.lgamma(i + 1) - math.lgamma(m - i + 1)


def difference_interval(pairs: Pairs) -> tuple[float, float]:
    """The 95% interval of the difference of two accuracies on the same problems, second less first.

    Wilson's intervals of both, put together with their correlation phi; p1, p2 are the accuracies, l, u their bounds:

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
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))


def _correlation(pairs: Pairs) -> float:
    """Of the two models' right answers; a positive one is corrected for continuity, as Newcombe does."""
    margins = (
        (pairs.both + pairs.first)
        * (pairs.second + pairs.neither)
        * (pairs.both + pairs.second)
        * (pairs.first + pairs.neither)
    )
    if not margins:
        return 0.0
    excess = pairs.both * pairs.neither - pairs.first * pairs.second
    if excess > 0:
        excess = max(excess - pairs.n / 2, 0.0)  # type: ignore[assignment]
    return excess / math.sqrt(margins)


def holm(values: Sequence[float]) -> list[float]:
    """Probabilities of several tests, raised so that all hold together: the k-th smallest of m times m - k + 1.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=lambda place: values[place])
    raised, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        raised[place] = highest
    return raised
