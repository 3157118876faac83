"""What a training step and an evaluation take, measured against digits, parameters and batch, and fitted.

    seconds = a + b * depth + c * FLOPs + d * bytes moved         each 0 or more, by least squares of relative errors

a is what any step takes, b what a layer costs before it computes anything (calls, small tensors), 1 / c the rate of
matrix products, 1 / d that of memory. FLOPs and bytes are counted from the shapes (arith.model.cost, arith.model.cost).
"""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
from jaxtyping import Float

from arith.config.schema import RunConfig

FEATURES = ("constant", "depth", "flops", "moved_bytes")
RESAMPLES = 500
TESTED_FLOPS = 3e10  # of one evaluation, about
# Where other processes disturb a measurement, the median step is much longer than the fastest, and it is made again.
UNDISTURBED, TRIES = 1.2, 4
ROUNDING = 1e-9  # of a coefficient whose feature is at most 1


@dataclass(frozen=True)
class Point:
    """One size.

    Args:
        digits: of both operands of an addition.
        model: a preset.
        batch: samples a step.
        axis: which of the three is varied; held out: none, it tests what was fitted to the others.
    """

    digits: int
    model: str
    batch: int
    axis: str

    def config(self) -> RunConfig:
        """With learned positions, which add no products of their own."""
        return RunConfig.of(
            {
                "encoding": "learned",
                "data": {"digits": f"{self.digits}"},
                "model": {"preset": self.model},
                "training": {"batch": self.batch, "device": "cpu"},
                "evaluation": {"digits": [self.digits]},
            }
        )


BASE = Point(8, "tiny", 64, "base")


def points(quick: bool = False) -> tuple[Point, ...]:
    """One axis at a time from the base, two decades of each, and some that are held out."""
    digits: tuple[int, ...] = (1, 3, 10, 30, 100)
    models: tuple[str, ...] = ("nano", "micro", "tiny", "small", "gpt2-small")
    batches: tuple[int, ...] = (2, 8, 32, 128, 256)
    held = [(24, "tiny", 32), (5, "micro", 200), (20, "small", 12), (15, "gpt2-small", 4)]
    if quick:
        digits, models, batches, held = (1, 4, 16), ("nano", "micro"), (4, 16, 64), [(6, "micro", 32)]
    return (
        *(Point(own, BASE.model, 16, "digits") for own in digits),
        *(Point(BASE.digits, own, 8, "parameters") for own in models),
        *(Point(BASE.digits, BASE.model, own, "batch") for own in batches),
        *(Point(*own, "held out") for own in held),
    )


def measured(point: Point, threads: int, seconds: float) -> dict[str, Any]:
    """What one size takes; to be called in a process of its own, whose memory is then the point's alone.

    On one thread, seconds are those of this process on a CPU: other processes then matter little.

    Args:
        seconds: about how long steps are timed, and evaluations as well.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    import torch

    from arith.evaluation.exact_match import cost
    from arith.evaluation.teacher_forced import judged
    from arith.experiment.experiment import Experiment
    from arith.model.cost import moved_bytes, training_bytes
    from arith.performance.throughput import throughput

    torch.set_num_threads(threads)
    experiment = Experiment.of(point.config())
    found = throughput(experiment, seconds=seconds, clock=clock)
    peak_bytes = found.peak_bytes  # the process does not grow so much again
    for _ in range(TRIES - 1):
        if statistics.median(found.seconds) <= UNDISTURBED * min(found.seconds):
            break
        again = throughput(experiment, seconds=seconds, clock=clock)
        found = min(found, again, key=lambda own: statistics.median(own.seconds))
    model, tests = experiment.model().eval(), experiment.test_data("random", point.digits)
    shape, tokens = experiment.config.model, experiment.training_data().longest - 1
    n = min(max(int(TESTED_FLOPS / cost(model, tokens + 1)), 16), 512)
    times: list[float] = []
    while len(times) < 2 or (sum(times) < seconds and len(times) < 30):
        began = clock()
        judged(model, tests, n)
        times.append(clock() - began)
    parameters = model.parameter_count()
    return {
        **asdict(point),
        "parameters": parameters,
        "tokens": tokens,
        "depth": shape.depth,
        "flops": found.flops,
        "moved_bytes": moved_bytes(shape, "float32", parameters, point.batch, tokens),
        "expected_bytes": training_bytes(shape, "float32", parameters, point.batch, tokens),
        "seconds": statistics.median(found.seconds),
        "seconds_low": min(found.seconds),
        "seconds_high": max(found.seconds),
        "steps": len(found.seconds),
        "peak_bytes": peak_bytes,
        "tested": n,
        "test_flops": n * cost(model, tokens + 1),
        "test_seconds": min(times),
    }


def measure_all(
    wanted: Sequence[Point], threads: int, seconds: float, told: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Each size after the other, each in a fresh process."""
    rows = []
    for point in wanted:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            rows.append(process.submit(measured, point, threads, seconds).result())
        told(rows[-1])
    return rows


@dataclass(frozen=True)
class Fit:
    """Seconds as a sum of shares.

    Args:
        coefficients: of each feature.
        low, high: 95% of the coefficients when the points are drawn anew.
        error: the median and the largest relative error at points that were held out; of those fitted, if none was.
    """

    coefficients: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    error: tuple[float, float]

    def seconds(self, row: dict[str, Any]) -> float:
        """Of a step of so many FLOPs and bytes."""
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
