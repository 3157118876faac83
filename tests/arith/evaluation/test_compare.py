"""Two models on the same problems."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from scipy.stats import binomtest

from arith.errors import UsageError
from arith.evaluation.compare import compared
from arith.results.schema import Condition
from arith.results.uncertainty import Pairs, difference_interval, holm, mcnemar

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 3), (2, 9), (40, 71), (1000, 1100), (0, 5000)])
def test_mcnemar_is_scipys_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(Pairs(100, first, second, 50)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


# Newcombe 1998, table III, method 10: both, first, second, neither, interval.
@pytest.mark.parametrize(
    ("pairs", "low", "high"),
    [
        (Pairs(36, 2, 12, 0), 0.0569, 0.3404),
        (Pairs(36, 0, 14, 0), 0.1528, 0.4167),
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


def test_the_better_is_called_better() -> None:
    test = Condition("random", 3, 100), "addition"
    weak, strong = [n < 50 for n in range(100)], [n < 80 for n in range(100)]
    better, same = compared(["a", "b", "c"], [{test: weak}, {test: strong}, {test: weak[::-1]}])
    assert (better.verdict, same.verdict) == ("better", "unclear")
    assert better.difference == pytest.approx(0.3)
    assert (better.only_first, better.only_second, same.only_first) == (0, 30, 50)
    (worse,) = compared(["b", "a"], [{test: strong}, {test: weak}])
    assert worse.verdict == "worse"
    with pytest.raises(UsageError, match="not tested on the same problems"):
        compared(["a", "b"], [{test: weak}, {(Condition("random", 4, 100), "addition"): strong}])


def test_runs_and_their_predictions_compare_alike(arith: Arith, tmp_path: Path) -> None:
    asked = ["--test-digits", "1,2", "--suites", "random,chain", "--samples", "60"]
    for name, form in (("one", "padded-reversed"), ("two", "plain")):
        trained = arith("train", *SMALL, "--encoding", "rope", "--format", form, "--steps", "60", "--out", name)
        assert trained.exit_code == 0, trained.output
        asked = [
            "--test-digits",
            "1,2",
            "--suites",
            "random,chain",
            "--samples",
            "60",
            "--predictions",
            f"{name}.jsonl",
        ]
        arith("evaluate", name, *asked)
    live = arith(
        "compare", "one", "two", "--test-digits", "1,2", "--suites", "random,chain", "--samples", "60", "--json"
    )
    assert live.exit_code == 0, live.output
    rows, files = json.loads(live.stdout), json.loads(arith("compare", "one.jsonl", "two.jsonl", "--json").stdout)
    assert len(rows) == 5
    assert rows[-1]["n"] == 240
    assert [{**row, "first": "", "second": ""} for row in rows] == [{**row, "first": "", "second": ""} for row in files]
    table = arith("compare", "one", "two").stdout
    assert "against one" in table
    assert "seeds matter" in table
    for arguments, message in (
        (["one"], "two runs or more"),
        (["one", "one"], "is there twice"),
        (["one.jsonl", "two.jsonl", "--samples", "3"], "leave out --samples"),
        (["one", "one.jsonl"], "not both at once"),
        (["one", "two", "--test-digits", "x"], "digits are a range"),
    ):
        refused = arith("compare", *arguments)
        assert refused.exit_code == 2, refused.output
        assert message in " ".join(refused.stderr.split())
