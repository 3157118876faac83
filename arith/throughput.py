"""How fast a run trains, what share of the device that is, and where a step's time goes."""

import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from arith.assembly import Assembly, device_named
from arith.compiling import loss_for
from arith.config import TrainingConfig
from arith.feed import Feed
from arith.flops import palm_flops, training_flops
from arith.gpus import utilisation
from arith.memory import enough_memory
from arith.model import Transformer
from arith.runs import device_description
from arith.step import LossOf, adamw, answer_loss, autocast, training_step

WARM_STEPS = 10
LEAST_STEPS, MOST_STEPS = 3, 200  # that are timed where seconds are given


@dataclass(frozen=True)
class Throughput:
    """What was measured of a run's training steps.

    Args:
        device: as torch names it.
        rows: samples a step.
        seconds: of each timed step.
        data_seconds: a step, of writing its samples; a GPU does not wait for it, so that it counts on a CPU only.
        tokens, padded_tokens: that go in, a step on average, without and with padding.
        flops: of a step's matrix products on average, counted (see `arith.flops`).
        palm: 6 N + 12 L w n, the FLOPs a token as MFU counts them.
        peak_bytes: on a GPU, of all tensors; on a CPU, what the process has grown by.
        parts: seconds a step of each of its parts, timed one by one: their sum is more than a whole step takes.
    """

    device: str
    precision: str
    compiled: bool
    parameters: int
    rows: int
    seconds: tuple[float, ...]
    data_seconds: float
    tokens: float
    padded_tokens: float
    flops: float
    palm: int
    peak_bytes: int
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def step_seconds(self) -> float:
        """The median step, with what writing its samples takes where it has to wait for them."""
        return statistics.median(self.seconds) + (0 if torch.cuda.is_available() else self.data_seconds)

    @property
    def samples_per_second(self) -> float:
        return self.rows / self.step_seconds

    @property
    def tokens_per_second(self) -> float:
        """Without padding."""
        return self.tokens / self.step_seconds

    @property
    def mfu(self) -> tuple[float | None, str]:
        """Model FLOPs utilisation, padding counting for nothing, and the peak; None, and why it is not told."""
        return utilisation(self.device, self.precision, self.palm * self.tokens, self.step_seconds)


class Laps:
    """Moments on a device, without waiting for it."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: list[tuple[str, torch.cuda.Event | float]] = []

    def mark(self, name: str) -> None:
        """What has gone on since the mark before bears this name."""
        if not self._cuda:
            self._marks.append((name, time.perf_counter()))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()  # type: ignore[no-untyped-call]
        self._marks.append((name, event))

    def seconds(self) -> list[tuple[str, float]]:
        """From each mark to the next, by the name of the next."""
        if self._cuda:
            torch.cuda.synchronize()
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return [(name, _between(earlier, later)) for (_, earlier), (name, later) in pairs]


def _between(earlier: torch.cuda.Event | float, later: torch.cuda.Event | float) -> float:
    if isinstance(earlier, float) and isinstance(later, float):
        return later - earlier
    assert isinstance(earlier, torch.cuda.Event)
    return float(earlier.elapsed_time(later)) / 1000  # type: ignore[no-untyped-call]


def throughput(assembly: Assembly, steps: int = 50, seconds: float | None = None, parts: bool = False) -> Throughput:
    """Train for some steps, of which nothing is kept, and time them.

    Args:
        steps: that are timed, after 10 that are not; of a compiled run, after all of them once, so that none compiles.
        seconds: time for about so long instead.
        parts: time the parts of a step as well.
    """
    config = assembly.config.training
    device = device_named(config.device)
    before = _memory(device)
    with enough_memory(config, assembly.tokens):
        model = assembly.model().to(device).train()
        optimizer = adamw(model, config)
        loss_of, static = loss_for(assembly, device)
        feed = Feed(assembly.training_data(), config, device, static=static)
        began = time.perf_counter()
        feed.batches(0)
        data_seconds = (time.perf_counter() - began) / feed.steps_ahead
        if seconds is not None:
            steps = _steps_for(seconds, model, optimizer, feed, config, loss_of)
        for step in range(steps if loss_of else min(WARM_STEPS, steps)):
            training_step(model, optimizer, feed.batches(step), config, loss_of=loss_of)
        laps = Laps(device)
        laps.mark("begin")
        for step in range(steps):
            training_step(model, optimizer, feed.batches(step), config, loss_of=loss_of)
            laps.mark("step")
        timed = tuple(own for _, own in laps.seconds())
        peak = _memory(device) - before
        found = part_seconds(model, optimizer, feed, config, loss_of, range(min(steps, 20))) if parts else {}
    batches = [feed.batches(step) for step in range(steps)]
    shape, vocabulary, rows = assembly.config.model, assembly.vocabulary_size(), config.batch
    real = sum(feed.tokens(step)[0] - rows for step in range(steps)) / steps  # the last token is not read
    inputs = [(len(b.samples.tokens), b.samples.tokens.shape[1] - 1, b.queries) for own in batches for b in own]
    return Throughput(
        device=device_description() if device.type == "cpu" else torch.cuda.get_device_name(device),
        precision=config.precision,
        compiled=loss_of is not None,
        parameters=model.parameter_count(),
        rows=rows,
        seconds=timed,
        data_seconds=data_seconds,
        tokens=real,
        padded_tokens=sum(b * n for b, n, _ in inputs) / steps,
        flops=sum(training_flops(shape, vocabulary, b, n, q) for b, n, q in inputs) / steps,
        palm=palm_flops(shape, model.parameter_count(), round(real / rows)),
        peak_bytes=peak,
        parts=found,
    )


def _steps_for(
    seconds: float,
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    config: TrainingConfig,
    loss_of: LossOf | None,
) -> int:
    """Steps that fit."""
    laps = Laps(feed.device)
    for step in range(3):
        laps.mark("step")
        training_step(model, optimizer, feed.batches(step), config, loss_of=loss_of)
    laps.mark("step")
    return min(max(int(seconds / laps.seconds()[-1][1]), LEAST_STEPS), MOST_STEPS)


def part_seconds(
    model: Transformer,
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    config: TrainingConfig,
    loss_of: LossOf | None,
    steps: Iterable[int],
) -> dict[str, float]:
    """Seconds a step of its parts.

    In a compiled step ids and forward pass are one. On a GPU a part that the host is too slow to keep it busy with
    takes as long as the host.
    """
    laps, done = Laps(feed.device), 0
    for step in steps:
        laps.mark("between")
        batches = feed.batches(step)
        laps.mark("batch")
        optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            if loss_of is None:
                model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
                laps.mark("ids")
            with autocast(feed.device, config):
                loss = (loss_of or answer_loss)(model, batch)
            laps.mark("ids and forward")
            loss.backward()  # type: ignore[no-untyped-call]
            laps.mark("backward")
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        laps.mark("clip")
        optimizer.step()
        laps.mark("optimiser")
        done += 1
    total: dict[str, float] = defaultdict(float)
    for name, own in laps.seconds():
        total[name] += own / done
    total.pop("between", None)
    if "ids" in total:
        total["forward"] = max(total.pop("ids and forward") - total["ids"], 0.0)
    order = ("batch", "ids", "forward", "ids and forward", "backward", "clip", "optimiser")
    return {name: total[name] for name in order if name in total}


def _memory(device: torch.device) -> int:
    """The most there was in use: by tensors on a GPU, since they were asked last; by the whole process on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return most
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
