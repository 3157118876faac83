"""How fast a run trains, what share of the device that is, and where a step's time goes."""

import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from arith.config.schema import TrainingConfig
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import device_description
from arith.model.cost import palm_flops, training_flops
from arith.model.transformer import Transformer
from arith.performance.gpus import utilisation
from arith.training.compiled import loss_for
from arith.training.environment import (
    explain_out_of_memory,
    find_device,
    frozen_gc,
    keep_freed_memory,
    matmul_precision,
)
from arith.training.feed import DrawnLoops, Feed
from arith.training.optimiser import build_optimizer
from arith.training.step import LossOf, autocast, batch_loss, training_step

Clock = Callable[[], float]  # seconds

# Untimed steps before the first timed one: the allocator has grown, and caches and clocks have settled, after a few.
WARM_STEPS = 10
LEAST_STEPS, MOST_STEPS = 5, 200  # bounds on the timed steps where a duration is given


@dataclass(frozen=True)
class Throughput:
    """What was measured of a run's training steps.

    Args:
        device: as torch names it.
        rows: samples per step.
        seconds: duration of each timed step.
        data_seconds: time per step for writing its samples and computing their position ids.
        waits_for_data: whether steps wait for their samples, as on a CPU; a GPU computes while they are written.
        tokens, padded_tokens: average input tokens per step, without and with padding.
        flops: average FLOPs of a step's matrix products, counted (see `arith.model.cost`).
        palm: 6 N + 12 L w n, the FLOPs per token as MFU counts them.
        state_bytes: what weights, gradients and the optimiser's moments take, counted from their tensors.
        peak_bytes: on a GPU, the most that all tensors took; on a CPU, how much the process has grown.
        parts: seconds per step of each part, timed one by one: their sum is more than a whole step takes.
    """

    device: str
    precision: str
    compiled: bool
    parameters: int
    rows: int
    seconds: tuple[float, ...]
    data_seconds: float
    waits_for_data: bool
    tokens: float
    padded_tokens: float
    flops: float
    palm: int
    state_bytes: int
    peak_bytes: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def step_seconds(self) -> float:
        """The median step, with the time to write its samples where it waits for them."""
        return statistics.median(self.seconds) + (self.data_seconds if self.waits_for_data else 0)

    @property
    def samples_per_second(self) -> float:
        return self.rows / self.step_seconds

    @property
    def tokens_per_second(self) -> float:
        """Without padding."""
        return self.tokens / self.step_seconds

    @property
    def mfu(self) -> tuple[float | None, str]:
        """Model FLOPs utilisation, padding not counted, and the peak; None, and the reason, where it is not known."""
        return utilisation(self.device, self.precision, self.palm * self.tokens, self.step_seconds)


class Laps:
    """Time between marks on a device, without waiting for it.

    Args:
        clock: used on a CPU. `time.process_time` counts this process alone: on one thread, it is right even where
            others use the cores too.
    """

    def __init__(self, device: torch.device, clock: Clock = time.perf_counter) -> None:
        self._cuda, self._clock = device.type == "cuda", clock
        self._marks: list[tuple[str, torch.cuda.Event | float]] = []

    def mark(self, name: str) -> None:
        """End a lap: the time since the mark before is counted under this name."""
        if not self._cuda:
            self._marks.append((name, self._clock()))
            return
        # An event is queued like a kernel, and gets its time when the GPU arrives there.
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._marks.append((name, event))

    def seconds(self) -> list[tuple[str, float]]:
        """The laps so far, each under the name of the mark that ended it."""
        # The one wait: until here events are queued, and no lap includes a wait for the device.
        if self._cuda:
            torch.cuda.synchronize()
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return [(name, _between(earlier, later)) for (_, earlier), (name, later) in pairs]


def _between(earlier: torch.cuda.Event | float, later: torch.cuda.Event | float) -> float:
    if isinstance(earlier, float) and isinstance(later, float):
        return later - earlier
    assert isinstance(earlier, torch.cuda.Event)
    assert isinstance(later, torch.cuda.Event)
    return float(earlier.elapsed_time(later)) / 1000  # of milliseconds


@dataclass(frozen=True)
class Trial:
    """A training run of which nothing is kept.

    Args:
        data_seconds: time per step for writing its samples and computing their position ids.
        clock: see `Laps`.
    """

    experiment: Experiment
    model: Transformer
    optimizer: torch.optim.Optimizer
    feed: Feed
    loss_of: LossOf | None
    data_seconds: float
    clock: Clock = time.perf_counter

    @staticmethod
    def of(experiment: Experiment, clock: Clock = time.perf_counter) -> "Trial":
        """Set a run up as training does, before its first step."""
        keep_freed_memory()  # as the training loop does: without it a step on a CPU is a tenth slower
        config = experiment.config.training
        device = find_device(config.device)
        model = experiment.starting_model().to(device).train()
        data = experiment.training_data()
        loss_of = loss_for(model, experiment.config, data.longest, device)
        static, drawn = loss_of is not None, DrawnLoops.of(experiment.config)
        feed = Feed(data, model.encoding, config, device, static=static, drawn=drawn)
        # The first batch has the feed write a whole block of steps.
        began = clock()
        feed.batches(0)
        data_seconds = (clock() - began) / feed.steps_ahead
        return Trial(experiment, model, build_optimizer(model, config), feed, loss_of, data_seconds, clock)

    @property
    def config(self) -> TrainingConfig:
        return self.experiment.config.training

    def run(self, step: int) -> None:
        """Train one step."""
        training_step(self.model, self.optimizer, self.feed.batches(step), self.config, loss_of=self.loss_of)

    def warm(self, steps: int) -> None:
        """Run some steps before they are timed; if compiled, all, as each may have a shape that compiles first."""
        for step in range(steps if self.loss_of else min(WARM_STEPS, steps)):
            self.run(step)

    def seconds(self, steps: int) -> tuple[float, ...]:
        """Time each of the first steps."""
        laps = Laps(self.feed.device, self.clock)
        with frozen_gc():
            laps.mark("begin")
            for step in range(steps):
                self.run(step)
                laps.mark("step")
        return tuple(lap for _, lap in laps.seconds())

    @property
    def state_bytes(self) -> int:
        """Bytes of weights, gradients and the optimiser's moments, as they are after a step."""
        held = [own for weight in self.model.parameters() for own in (weight, weight.grad) if own is not None]
        states = [own for state in self.optimizer.state.values() for own in state.values() if own is not None]
        return sum(own.nbytes for own in (*held, *states))

    def part_seconds(self, steps: int) -> dict[str, float]:
        """Seconds per step of each of its parts.

        Where the host is too slow to keep a GPU busy, a part takes as long as the host does.
        """
        laps, loss_of = Laps(self.feed.device, self.clock), self.loss_of or batch_loss
        # The operations of `training_step`, apart. The lap `between` is the loop itself, and is not reported.
        for step in range(steps):
            laps.mark("between")
            batches = self.feed.batches(step)
            laps.mark("batch")
            self.optimizer.zero_grad(set_to_none=True)
            for batch in batches:
                with autocast(self.feed.device, self.config):
                    loss = loss_of(self.model, batch)
                laps.mark("forward")
                loss.backward()  # type: ignore[no-untyped-call]
                laps.mark("backward")
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            laps.mark("clip")
            self.optimizer.step()
            laps.mark("optimiser")
        total: dict[str, float] = defaultdict(float)
        for name, lap in laps.seconds():
            total[name] += lap / steps
        return {name: total[name] for name in ("batch", "forward", "backward", "clip", "optimiser")}


def measure_throughput(
    experiment: Experiment,
    steps: int = 50,
    seconds: float | None = None,
    parts: bool = False,
    clock: Clock = time.perf_counter,
) -> Throughput:
    """Time some training steps, of which nothing is kept.

    Args:
        steps: number of timed steps, after 10 warm ones; a compiled run warms up on all, so that none compiles.
        seconds: about how long to time steps for, instead of a number of steps.
        parts: whether to time the parts of a step as well.
        clock: see `Laps`.
    """
    config, shape, vocabulary = experiment.config.training, experiment.config.model, experiment.vocabulary_size
    device = find_device(config.device)
    before = _peak_memory(device, anew=True)
    with matmul_precision(config), explain_out_of_memory(config, experiment.tokens):
        trial = Trial.of(experiment, clock)
        if seconds is not None:
            # The fastest of three: the first allocates, and may compile.
            steps = min(max(int(seconds / min(trial.seconds(3))), LEAST_STEPS), MOST_STEPS)
        trial.warm(steps)
        # The same steps as were warmed up: if compiled, all their shapes are compiled by now.
        timed = trial.seconds(steps)
        peak = _peak_memory(device) - before
        by_part = trial.part_seconds(min(steps, 20)) if parts else {}
    feed, parameters, lanes = trial.feed, trial.model.parameter_count(), trial.model.encoding.lanes
    real = sum(feed.tokens(step)[0] - config.batch for step in range(steps)) / steps  # the last token is not read
    batches = [batch for step in range(steps) for batch in feed.batches(step)]
    inputs = [
        (rows, n - 1, batch.queries, batch.logits_per_row)
        for batch in batches
        for rows, n in [batch.samples.tokens.shape]
    ]
    return Throughput(
        device=device_description() if device.type == "cpu" else torch.cuda.get_device_name(device),
        precision=config.precision,
        compiled=trial.loss_of is not None,
        parameters=parameters,
        rows=config.batch,
        seconds=timed,
        data_seconds=trial.data_seconds,
        waits_for_data=device.type == "cpu",
        tokens=real,
        padded_tokens=sum(rows * tokens for rows, tokens, *_ in inputs) / steps,
        flops=sum(training_flops(shape, vocabulary, *sizes, lanes=lanes) for sizes in inputs) / steps,
        palm=palm_flops(shape, parameters, round(real / config.batch)),
        state_bytes=trial.state_bytes,
        peak_bytes=peak,
        parts=by_part,
    )


def _peak_memory(device: torch.device, anew: bool = False) -> int:
    """Peak memory: of tensors on a GPU, of the whole process on a CPU.

    Args:
        anew: on a GPU, forget earlier peaks first. A process on a CPU never shrinks its own.
    """
    if device.type == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    torch.cuda.synchronize(device)
    if anew:
        torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.max_memory_allocated(device)
