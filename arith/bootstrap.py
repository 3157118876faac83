"""Bands: how much a median over seeds would vary with other seeds and other problems."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt64

from arith.results import Cell
from arith.tasks.stream import Stream

RESAMPLES = 2000
PURPOSE = 2**29  # of its random numbers, which no data set has


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
    return _middle(_redrawn([(cell.correct, cell.n) for cell in cells], _which(drawn[0], seeds), drawn[1]))


def difference_band(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]], key: int) -> tuple[float, float]:
    """The same for the median over seeds of the second accuracy less the first; a seed's two models stay together.

    Args:
        pairs: for each seed, problems that are right and their number, of the first and of the second.
        key: of the random numbers.
    """
    seeds = len(pairs)
    drawn = _halves(3, seeds, key)
    which = _which(drawn[0], seeds)
    first, second = (_redrawn([own[side] for own in pairs], which, drawn[1 + side]) for side in (0, 1))
    return _middle(second - first)


def _halves(rows: int, seeds: int, key: int) -> UInt64[np.ndarray, "rows resamples seeds"]:
    return Stream(seed=seeds, split="test", block=key, purpose=PURPOSE).halves((rows, RESAMPLES, seeds))


def _which(drawn: UInt64[np.ndarray, "resamples seeds"], seeds: int) -> Int[np.ndarray, "resamples seeds"]:
    """Which seed stands at each place of a resample."""
    found: np.ndarray = (drawn * np.uint64(seeds) >> np.uint64(32)).astype(int)
    return found


def _redrawn(
    counts: Sequence[tuple[int, int]],
    which: Int[np.ndarray, "resamples seeds"],
    drawn: UInt64[np.ndarray, "resamples seeds"],
) -> Float[np.ndarray, "resamples seeds"]:
    """Accuracies with problems drawn anew: each right with the share that was, so that their number is binomial."""
    uniform, accuracy = drawn / 2.0**32, np.empty(which.shape)
    for place, (correct, n) in enumerate(counts):
        mine = which == place
        accuracy[mine] = np.searchsorted(_cumulated(correct, n), uniform[mine], side="right") / n
    return accuracy


def _middle(values: Float[np.ndarray, "resamples seeds"]) -> tuple[float, float]:
    """The middle 95% of the medians over seeds."""
    medians = np.sort(np.median(values, axis=1))
    return float(medians[round(0.025 * (RESAMPLES - 1))]), float(medians[round(0.975 * (RESAMPLES - 1))])


def _cumulated(correct: int, n: int) -> Float[np.ndarray, " n"]:
    """P(k or fewer of n) for k from 0 to n - 1, of a binomial distribution with mean `correct`."""
    if correct in (0, n):
        return np.full(n, 1.0 if correct == 0 else 0.0)
    k = np.arange(1, n + 1)
    odds = np.log(correct / (n - correct))
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k) + odds)])
    weights = np.exp(logs - logs.max())
    cumulated: np.ndarray = np.cumsum(weights)[:-1] / weights.sum()
    return cumulated
