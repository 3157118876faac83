"""Two models on the same problems: McNemar's test, and how far apart they are with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from arith.intervals import wilson


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
