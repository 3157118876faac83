"""The training loop, with exact resume."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from arith.config.schema import TrainingConfig
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.evaluation.exact_match import Watch
from arith.evaluation.teacher_forced import exact_matches
from arith.experiment import checkpoints
from arith.experiment.checkpoints import Checkpoint
from arith.experiment.experiment import Experiment
from arith.experiment.metrics import Log
from arith.experiment.run import Run
from arith.experiment.starting import load_start
from arith.model.transformer import Transformer
from arith.process.files import disk_errors
from arith.process.progress import progress, say
from arith.process.signals import Flag, Interrupted, catch_interrupts
from arith.results.schema import WATCHED
from arith.training.averaging import Average
from arith.training.compiled import loss_for
from arith.training.distributed import ALONE, World, local_device
from arith.training.environment import (
    deterministic,
    explain_out_of_memory,
    find_device,
    frozen_gc,
    keep_freed_memory,
    matmul_precision,
)
from arith.training.feed import DrawnLoops, Feed
from arith.training.gradients import GradientNorms
from arith.training.optimiser import build_optimizer, set_rates
from arith.training.sharpness import watch_sharpness
from arith.training.step import FiniteWatch, autocast, training_step


class StepClock:
    """Seconds spent in training steps, over all sittings.

    Validation and saving do not count: how often they come would otherwise decide which of two runs trained longer.

    Args:
        seconds: what earlier sittings took.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


class TokenMeter:
    """Tokens per second that this process trains on, since the rates were last read.

    Args:
        seconds: what the clock shows at the start.

    >>> meter = TokenMeter(seconds=10.0)
    >>> meter.read(real=900, padded=1000)
    >>> meter.rates(seconds=12.0)
    {'tokens_per_second': 450, 'padded_tokens_per_second': 500}
    """

    def __init__(self, seconds: float) -> None:
        self._since, self._real, self._padded = seconds, 0, 0

    def read(self, real: int, padded: int) -> None:
        """Add the tokens of one more step, without padding and with it."""
        self._real, self._padded = self._real + real, self._padded + padded

    def rates(self, seconds: float) -> dict[str, int]:
        """The rates up to this time of the clock: of tokens that are learned from, and of those hardware works on."""
        passed = max(seconds - self._since, 1e-9)  # a coarse clock may show no time between two steps
        found = {
            "tokens_per_second": round(self._real / passed),
            "padded_tokens_per_second": round(self._padded / passed),
        }
        self._since, self._real, self._padded = seconds, 0, 0
        return found


def train(run: Run, experiment: Experiment, world: World = ALONE) -> Transformer:
    """Train a run to its last step, from its latest checkpoint if it has one.

    Raises:
        Interrupted: a signal came; the run is saved.
        RunError: the loss is not finite, a checkpoint cannot be written, or none is usable.
    """
    config = run.config.training
    keep_freed_memory()
    with (
        deterministic(config.deterministic),
        matmul_precision(config),
        explain_out_of_memory(config, experiment.tokens),
        frozen_gc(),
    ):
        return _train(run, experiment, world)


def _check_world(config: TrainingConfig, experiment: Experiment, world: World) -> None:
    if config.batch < world.size:
        raise UsageError(
            f"each of {world.size} processes takes 1 sample or more of a batch: got --batch {config.batch}"
        )
    if experiment.supervision is not None and world.size > 1:
        raise UsageError(f"with trace.kind a model is trained by one process: got {world.size}")


def _restore(run: Run, model: Transformer, optimizer: torch.optim.Optimizer, average: Average, world: World) -> int:
    """Load the latest checkpoint, or what the run begins with; returns the step that it is of."""
    if not checkpoints.any_exist(run.checkpoints):
        start = load_start(model, run.config)
        if start is not None and world.first:
            with disk_errors("run.json", run.resume_hint):
                run.record(init=start)
        return 0
    checkpoint = checkpoints.latest(run.checkpoints, say if world.first else lambda _: None)
    checkpoint.restore(model, optimizer)
    average.restore(checkpoint.model)
    return checkpoint.step


# Over 60 lines: what a step does, and in which order, is read in one place.
def _train(run: Run, experiment: Experiment, world: World) -> Transformer:
    config = run.config.training
    _check_world(config, experiment, world)
    device = local_device(find_device(config.device))
    data, validation = experiment.training_data(), experiment.validation_data()
    model = experiment.starting_model().to(device)
    optimizer = build_optimizer(model, config)
    average, watch = Average(model, config.average), Watch(experiment, model)
    step = _restore(run, model, optimizer, average, world)
    # Steps after the checkpoint are computed again, and so are their rows.
    rows = [row for row in run.read_metrics() if row["step"] <= step]
    world.wait()  # all have read the checkpoint and the metrics before any are written
    with disk_errors("the metrics", run.resume_hint):
        log = Log(run.folder, rows, config.tensorboard) if world.first else None
    clock = StepClock(rows[-1]["seconds"] if rows else 0.0)
    tokens = _tokens_before(run, rows)
    meter = TokenMeter(clock.seconds)
    loss_of = loss_for(model, run.config, data.longest, device)
    static, drawn = loss_of is not None, DrawnLoops.of(run.config)
    feed = Feed(data, model.encoding, config, device, world, static, drawn)
    finite, norms = FiniteWatch(device), GradientNorms(model)
    sharpness = watch_sharpness(model, data, config) if world.first else None

    title = f"train {run.config.encoding}"
    with catch_interrupts() as flag, progress(title, config.steps, step, shown=world.first) as shown:
        while step < config.steps:
            with clock:
                rate = set_rates(optimizer, config, step)
                batches = feed.batches(step)
                meter.read(*feed.tokens(step))
                tokens = None if tokens is None else tokens + feed.read(step)
                step += 1
                last = step == config.steps
                logs = last or step % config.log_every == 0
                loss, norm = training_step(model, optimizer, batches, config, world, loss_of, norms if logs else None)
                # All processes stop at the same step, or those that train on would wait for the others for ever.
                stopping = world.any(flag.raised)
                finite.see(step, loss, norm)
                average.update(step)
                tests = last or step % config.evaluate_every == 0
                saves = last or stopping or step % config.checkpoint_every == 0
                if logs or tests or saves or device.type == "cpu":
                    finite.check(config)  # on a GPU this waits for the step
            row: dict[str, Any] = {"step": step, "seconds": round(clock.seconds, 3)}
            row |= {} if tokens is None else {"tokens": tokens}
            if logs:
                row |= {"loss": loss.item(), "gradient_norm": norm.item(), **norms.row(), "learning_rate": rate}
                row |= meter.rates(clock.seconds)
            sharp = sharpness is not None and (last or step % config.sharpness_every == 0)
            if log is not None and sharpness is not None and sharp:
                row |= sharpness.row(model, optimizer, rate)
            if log is not None and tests and not stopping:
                with average.shown():
                    row |= _validate(model, validation, watch, config, flag)
            if log is not None:
                if logs or tests or saves or sharp:
                    with disk_errors("the metrics", run.resume_hint):
                        log.write(row)
                note = log.note()
                if saves:
                    with disk_errors(f"the checkpoint of step {step}", run.resume_hint):
                        checkpoint = Checkpoint.of(step, model, optimizer, average.state())
                        checkpoints.save(run.checkpoints, checkpoint, config.keep)
                shown.update(step, note)
            if saves or tests:
                world.wait()  # for the first process, which alone writes and validates
            if stopping or (last and world.any(flag.raised)):
                raise Interrupted(run.resume_hint)
    average.replace()
    return model.eval()


def _tokens_before(run: Run, rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The tokens read so far, those of the run that is begun with included; None where metrics did not count them."""
    if rows:
        return rows[-1].get("tokens")
    start = run.start()
    return start.get("tokens") if start else 0


def _validate(
    model: Transformer, validation: Dataset, watch: Watch, config: TrainingConfig, flag: Flag
) -> dict[str, Any]:
    """What metrics.jsonl keeps of a periodic evaluation; nothing, if a signal came in the middle."""
    accuracy = validation_accuracy(model, validation, config, flag)
    if accuracy is None:
        return {}
    row: dict[str, Any] = {"accuracy": accuracy}
    if watch.lengths:
        model.eval()
        with autocast(model.embedding.weight.device, config):
            row[WATCHED] = watch.accuracies(model, config.evaluate_samples, flag)
        model.train()
    return {} if flag.raised else row


def validation_accuracy(model: Transformer, validation: Dataset, config: TrainingConfig, flag: Flag) -> float | None:
    """Exact match in distribution, on problems held out of training where there are enough of them.

    Returns:
        The share of right answers; None if a signal came before all problems were tried.
    """
    model.eval()
    with autocast(model.embedding.weight.device, config):
        found = exact_matches(model, validation, config.evaluate_samples, flag)
    model.train()
    return None if flag.raised else round(float(found.float().mean()), 4)
