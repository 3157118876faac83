"""What a training step and an evaluation take at one size: digits, parameters and batch."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

from scaling_study.memory import moved_bytes, training_bytes

from arith.config.schema import RunConfig

TESTED_FLOPS = 3e10  # of one evaluation, about
# Where other processes disturb a measurement, the median step is much longer than the fastest, and it is made again.
UNDISTURBED, TRIES = 1.2, 4


@dataclass(frozen=True)
class Point:
    """One size.

    Args:
        digits: length of both operands of an addition.
        model: a preset.
        batch: samples a step.
        axis: which of the three is varied; "held out" if none is, as the point tests the fit to the others.
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
    """Vary one axis at a time from the base, over two decades, and add some points that are held out."""
    digits: tuple[int, ...] = (1, 3, 10, 30, 100)
    models: tuple[str, ...] = ("nano", "micro", "tiny", "small", "gpt2-small")
    batches: tuple[int, ...] = (2, 8, 32, 128, 256)
    held = [(24, "tiny", 32), (5, "micro", 200), (20, "small", 12), (15, "gpt2-small", 4)]
    if quick:
        digits, models, batches, held = (1, 4, 16), ("nano", "micro"), (4, 16, 64), [(6, "micro", 32)]
    return (
        *(Point(length, BASE.model, 16, "digits") for length in digits),
        *(Point(BASE.digits, preset, 8, "parameters") for preset in models),
        *(Point(BASE.digits, BASE.model, samples, "batch") for samples in batches),
        *(Point(*sizes, "held out") for sizes in held),
    )


def measure(point: Point, threads: int, seconds: float) -> dict[str, Any]:
    """Measure one size, in a process of its own, so that the memory it grows by is this size's alone.

    On one thread, CPU time of this process is measured, so that other processes matter little.

    Args:
        seconds: time to spend on steps, and again on evaluations.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    import torch

    from arith.evaluation.exact_match import cost
    from arith.evaluation.teacher_forced import judge_dataset
    from arith.experiment.experiment import Experiment
    from arith.performance.throughput import measure_throughput

    torch.set_num_threads(threads)
    experiment = Experiment.of(point.config())
    found = measure_throughput(experiment, seconds=seconds, clock=clock)
    peak_bytes = found.peak_bytes  # the process does not grow so much again
    for _ in range(TRIES - 1):
        if statistics.median(found.seconds) <= UNDISTURBED * min(found.seconds):
            break
        again = measure_throughput(experiment, seconds=seconds, clock=clock)
        found = min(found, again, key=lambda attempt: statistics.median(attempt.seconds))
    model, tests = experiment.model().eval(), experiment.test_data("random", point.digits)
    shape, tokens = experiment.config.model, experiment.training_data().longest - 1
    n = min(max(int(TESTED_FLOPS / cost(model, tokens + 1)), 16), 512)
    times: list[float] = []
    while len(times) < 2 or (sum(times) < seconds and len(times) < 30):
        began = clock()
        judge_dataset(model, tests, n)
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
    wanted: Sequence[Point], threads: int, seconds: float, report: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Measure one size after the other, each in a fresh process."""
    rows = []
    for point in wanted:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            rows.append(process.submit(measure, point, threads, seconds).result())
        report(rows[-1])
    return rows
