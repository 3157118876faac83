"""A run bounded by time: a short timing run fixes its number of steps, which then stands in its configuration."""

import statistics
import time

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.process.signals import Flag
from arith.training.compiled import loss_for
from arith.training.environment import (
    deterministic,
    explain_out_of_memory,
    find_device,
    keep_freed_memory,
    matmul_precision,
)
from arith.training.feed import DrawnLoops, Feed
from arith.training.loop import validation_accuracy
from arith.training.optimiser import build_optimizer
from arith.training.step import FiniteWatch, training_step

# The first steps allocate memory and, compiled, may compile; the median of the others ignores a pause of the machine.
WARM_STEPS, TIMED_STEPS = 3, 12


def for_minutes(config: RunConfig, minutes: float) -> RunConfig:
    """The same run with as many steps as fit, its warm-up and intervals scaled with them.

    Validation counts, tests after training do not. The result is an ordinary configuration: stored with the run, it
    gives the same run again on any machine.
    """
    if minutes <= 0:
        raise UsageError(f"a run takes more than 0 minutes, got {minutes}")
    step, validation = seconds_of(config)
    old = config.training
    # The number of validations stays, however many steps the run turns out to have: their intervals scale too.
    evaluations = max(old.steps // old.evaluate_every, 1)
    steps = int((60 * minutes - evaluations * validation) / step)
    if steps < 1:
        needed = (evaluations * validation + step) / 60
        raise UsageError(f"{minutes:g} minutes are too short: {evaluations} validations and a step take {needed:.2g}")

    def scale(interval: int) -> int:
        return max(round(interval * steps / old.steps), 1)

    training = {
        "steps": steps,
        "warmup": scale(old.warmup) if old.warmup else 0,
        **{name: scale(getattr(old, name)) for name in ("log_every", "evaluate_every", "checkpoint_every")},
    }
    schedule = scale(config.data.schedule) if config.data.schedule else 0
    return config.with_values({"training": training, "data": {"schedule": schedule}})


def seconds_of(config: RunConfig) -> tuple[float, float]:
    """Seconds of a training step, the median of some, and of a validation. The model is thrown away."""
    experiment = Experiment.of(config)
    device = find_device(config.training.device)
    model = experiment.starting_model().to(device)
    optimizer = build_optimizer(model, config.training)
    data, watch = experiment.training_data(), FiniteWatch(device)
    loss_of = loss_for(model, config, data.longest, device)
    static, drawn = loss_of is not None, DrawnLoops.of(config)
    feed = Feed(data, model.encoding, config.training, device, static=static, drawn=drawn)
    times = []
    keep_freed_memory()
    training = config.training
    with (
        deterministic(training.deterministic),
        matmul_precision(training),
        explain_out_of_memory(training, experiment.tokens),
    ):
        for step in range(WARM_STEPS + TIMED_STEPS):
            began = time.perf_counter()
            watch.see(step + 1, *training_step(model, optimizer, feed.batches(step), training, loss_of=loss_of))
            watch.check(training)  # waits for the device
            times.append(time.perf_counter() - began)
        for _ in range(2):  # on a GPU, the first compiles what only answers take, once in a run
            began = time.perf_counter()
            validation_accuracy(model, experiment.validation_data(), training, Flag())
            validation = time.perf_counter() - began
    return statistics.median(times[WARM_STEPS:]), validation
