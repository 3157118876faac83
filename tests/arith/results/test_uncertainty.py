"""Intervals and tests of counts, against SciPy and published values."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from arith.results.uncertainty import Pairs, band, difference_interval, holm, mcnemar, wilson
from tests.arith.examples import cell


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 3), (2, 9), (40, 71), (1000, 1100), (0, 5000)])
def test_mcnemar_is_scipys_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(Pairs(100, first, second, 50)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


# Newcombe 1998, table III, method 10: both, first, second, neither, interval. The last has answers that agree, whose
# correlation is corrected for continuity: counts of Altman et al., "Statistics with Confidence", 2000, table 6.2, and
# the interval by the paper's formula, computed apart from ours.
@pytest.mark.parametrize(
    ("pairs", "low", "high"),
    [
        (Pairs(36, 2, 12, 0), 0.0569, 0.3404),
        (Pairs(36, 0, 14, 0), 0.1528, 0.4167),
        (Pairs(14, 0, 5, 22), 0.0115, 0.2265),
    ],
)
def test_intervals_are_the_published_ones(pairs: Pairs, low: float, high: float) -> None:
    found = difference_interval(pairs)
    assert found == pytest.approx((low, high), abs=1e-4)
    swapped = difference_interval(Pairs(pairs.both, pairs.second, pairs.first, pairs.neither))
    assert swapped == pytest.approx((-found[1], -found[0]), abs=1e-12)


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.2, 0.2), (0.9, 0.05, 0.05, 0.0), (0.0, 0.02, 0.3, 0.68)])
def test_intervals_cover_the_truth_as_often_as_they_say(shares: tuple[float, ...]) -> None:
    """Every table of 40 problems, weighted by its probability."""
    n, truth = 40, shares[2] - shares[1]
    covered = total = 0.0
    logs = [math.log(share) if share else -math.inf for share in shares]
    for both in range(n + 1):
        for first in range(n + 1 - both):
            for second in range(n + 1 - both - first):
                counts = (both, first, second, n - both - first - second)
                if any(c and not s for c, s in zip(counts, shares, strict=True)):
                    continue
                weight = math.lgamma(n + 1) + sum(
                    (c * log if c else 0.0) - math.lgamma(c + 1) for c, log in zip(counts, logs, strict=True)
                )
                low, high = difference_interval(Pairs(*counts))
                total += math.exp(weight)
                covered += math.exp(weight) * (low <= truth <= high)
    assert total == pytest.approx(1)
    assert covered > 0.93


def test_intervals_of_extremes_stay_inside() -> None:
    for counts in ((9, 0, 0, 0), (0, 9, 0, 0), (0, 0, 9, 0), (0, 0, 0, 9), (1, 0, 0, 0)):
        low, high = difference_interval(Pairs(*counts))
        assert -1 <= low <= Pairs(*counts).difference <= high <= 1
        assert low < high


def test_corrections_hold_together() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(20).tolist()
    raised = holm(values)
    assert all(r >= v for r, v in zip(raised, values, strict=True))
    assert np.argsort(raised, kind="stable").tolist() == np.argsort(values, kind="stable").tolist() or max(raised) == 1
    assert holm([0.02]) == [0.02]


@pytest.mark.parametrize("n", [1, 7, 400, 10_000])
def test_wilson_is_scipys(n: int) -> None:
    for correct in {0, 1, n // 3, n - 1, n}:
        expected = binomtest(correct, n).proportion_ci(method="wilson")
        assert wilson(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_refuses_what_is_no_share() -> None:
    for correct, n in ((1, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="between 0 and n"):
            wilson(correct, n)


def test_bands_are_those_of_the_binomial_and_of_seeds() -> None:
    alone = band([cell(correct=200)])
    assert alone == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.01)
    assert band([cell(correct=400)]) == (1.0, 1.0)
    assert band([cell(correct=0)]) == (0.0, 0.0)
    apart = band([cell(correct=correct, seed=seed) for seed, correct in enumerate((0, 200, 400))])
    assert apart == (0.0, 1.0)
    near = band([cell(correct=200, seed=seed) for seed in range(5)])
    assert near[1] - near[0] < alone[1] - alone[0]
    assert band([cell(correct=200)]) == alone
