"""Bands: how much a median over seeds would vary with other seeds and other problems."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

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
    digits, seeds = cells[0].digits, len(cells)
    drawn = Stream(seed=seeds, split="test", block=digits, purpose=PURPOSE).halves((2, RESAMPLES, seeds))
    which, uniform = (drawn[0] * np.uint64(seeds) >> np.uint64(32)).astype(int), drawn[1] / 2.0**32
    accuracy = np.empty((RESAMPLES, seeds))
    for place, cell in enumerate(cells):
        mine = which == place
        # A problem drawn anew is right with the share that was, so that their number is binomial.
        accuracy[mine] = np.searchsorted(_cumulated(cell.correct, cell.n), uniform[mine], side="right") / cell.n
    medians = np.sort(np.median(accuracy, axis=1))
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
