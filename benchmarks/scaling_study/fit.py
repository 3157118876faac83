"""Seconds as a sum of what the shapes count.

    seconds = a + b * depth + c * FLOPs + d * bytes moved         each 0 or more, by least squares of relative errors

a is what any step takes, b what a layer costs before it computes anything (calls, small tensors), 1 / c the rate of
matrix products, 1 / d that of memory. FLOPs and bytes are counted from the shapes (`arith.model.cost`).
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

FEATURES = ("constant", "depth", "flops", "moved_bytes")
RESAMPLES = 500  # bootstrap samples of the points, for the intervals of the coefficients
ROUNDING = 1e-9  # a coefficient may be so far below 0, where its feature is at most 1


@dataclass(frozen=True)
class Fit:
    """Seconds as a sum of shares.

    Args:
        coefficients: seconds for one unit of each feature.
        low, high: 95% intervals of the coefficients, by bootstrap over the points.
        error: median and largest relative error at the points held out, or at those fitted if none was.
    """

    coefficients: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    error: tuple[float, float]

    def seconds(self, row: dict[str, Any]) -> float:
        """What the fit foretells for a row's depth, FLOPs and bytes."""
        return sum(value * _feature(row, name) for name, value in self.coefficients.items())


def fit(rows: Sequence[dict[str, Any]], features: Sequence[str] = FEATURES) -> Fit:
    """Fit the seconds of the rows that are not held out.

    >>> rows = [{"axis": "", "flops": 10.0**k, "seconds": 2 + 3 * 10.0**k} for k in range(5)]
    >>> {name: round(value, 6) for name, value in fit(rows, ("constant", "flops")).coefficients.items()}
    {'constant': 2.0, 'flops': 3.0}
    """
    used = [row for row in rows if row["axis"] != "held out"]
    table = np.array([[_feature(row, name) for name in features] for row in used])
    seconds = np.array([row["seconds"] for row in used])
    best = _relative_least_squares(table, seconds)
    random = np.random.default_rng(0)
    drawn = np.array(
        [
            _relative_least_squares(table[again], seconds[again])
            for again in (random.integers(0, len(used), len(used)) for _ in range(RESAMPLES))
        ]
    )
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)

    def named(values: Float[np.ndarray, " features"]) -> dict[str, float]:
        return dict(zip(features, map(float, values), strict=True))

    found = Fit(named(best), named(low), named(high), error=(0.0, 0.0))
    tested = [row for row in rows if row["axis"] == "held out"] or used
    errors = [abs(found.seconds(row) / row["seconds"] - 1) for row in tested]
    return replace(found, error=(statistics.median(errors), max(errors)))


def _feature(row: dict[str, Any], name: str) -> float:
    return 1.0 if name == "constant" else float(row[name])


def _relative_least_squares(
    table: Float[np.ndarray, "points features"], seconds: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " features"]:
    """The coefficients of least squared relative error among those that are 0 or more.

    With four features all sets of those that are not 0 can be tried.
    """
    relative = table / seconds[:, None]
    scale = relative.max(0)  # FLOPs are large numbers beside 1
    best, least = np.zeros(table.shape[1]), np.inf
    for size in range(1, table.shape[1] + 1):
        for chosen in map(list, itertools.combinations(range(table.shape[1]), size)):
            values = np.linalg.lstsq(relative[:, chosen] / scale[chosen], np.ones(len(seconds)), rcond=None)[0]
            error = ((relative[:, chosen] / scale[chosen] @ values - 1) ** 2).sum()
            if (values > -ROUNDING).all() and error < least:
                best, least = np.zeros(table.shape[1]), error
                best[chosen] = values.clip(min=0) / scale[chosen]
    return best
