"""Threshold neurons at the edge of stability: the bias that gradient descent learns, by its step size.

After Ahn et al., "Learning threshold neurons via the edge of stability", arXiv 2212.07469, Figure 1.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from arith.config.ranges import Count, Rate
from arith.errors import UsageError
from arith.figures.quantities import Line, Panel, draw_quantities, measured_lines, tracked_lines
from arith.results.measurement import Measurement
from arith.results.schema import Results, Series

LOGGED = 100  # values of each series
MOVED, EDGE = "bias less that of the smallest step size", "sharpness x step size / 2"


@dataclass(frozen=True)
class Threshold:
    """f(x) = a- sum relu(-x_i + b) + a+ sum relu(x_i + b): all `dimension` inputs are noise, and one has the label too.

    Full-batch gradient descent on the mean logistic loss, from b = 0. At the start f is about (a- + a+) times
    dimension / sqrt(2 pi), its sharpness dimension^2 / (4 pi): step sizes above 8 pi / dimension^2 are unstable there.

    Args:
        dimension: the number of inputs.
        samples, tests: the number of training and of test samples.
        signal: how far the label, 1 or -1, moves its input.
        multiples: the step sizes, in multiples of 8 pi / dimension^2.
        time: the number of steps times the step size.
        tracked: the multiples whose series are kept.
    """

    dimension: Count = 200
    samples: Count = 300
    tests: Count = 4000
    signal: Rate = 3.0
    multiples: tuple[Rate, ...] = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
    time: Rate = 10.0
    tracked: tuple[Rate, ...] = (0.9, 1.25, 2.0)

    def __post_init__(self) -> None:
        if not set(self.tracked) <= set(self.multiples):
            raise UsageError(f"tracked are some of multiples = {self.multiples}, got {self.tracked}")

    @property
    def line(self) -> float:
        """The step size at which the start is at the edge of stability."""
        return 8 * math.pi / self.dimension**2

    def run(self, label: str, seed: int) -> Results:
        """Descend with all step sizes at once."""
        generator = torch.Generator().manual_seed(seed)
        (x, y), (x_test, y_test) = self._data(self.samples, generator), self._data(self.tests, generator)
        start = torch.randn(2, generator=generator, dtype=torch.float64) / math.sqrt(2 * self.dimension)
        rates = torch.tensor(self.multiples, dtype=torch.float64) * self.line
        values = torch.stack([*start[:, None].expand(-1, len(rates)), torch.zeros_like(rates)])
        # All step sizes have the same time, and so as many parts, however many steps a part is. Their values are taken
        # at the beginning of each part, which is the same time for all.
        steps, sums, history = (self.time / rates).round().long(), Sums(x), []
        for part in range(LOGGED):
            history.append((steps * part // LOGGED, values.clone(), sharpness(sums, values, y) * rates / 2))
            left = steps * (part + 1) // LOGGED - history[-1][0]
            for step in range(int(left.max())):
                on = (left > step).nonzero()[:, 0]  # larger step sizes have fewer steps, and wait for the others
                values[:, on] -= rates[on] * gradient(sums, values[:, on], y)
        share = (Sums(x_test).outputs(values)[0] * y_test > 0).double().mean(0)
        losses, edge = softplus(-y * sums.outputs(values)[0]).mean(0), sharpness(sums, values, y) * rates / 2
        # Below the line the bias is flat and not zero, at a height that varies with the seed: hence the difference.
        moved = values[2] - values[2, rates.argmin()]
        names = ("bias", MOVED, "accuracy", "loss in nats", EDGE)
        rows = torch.stack([values[2], moved, share, losses, edge]).T.tolist()
        measured = [
            Measurement(label, seed, rate, self.tests, dict(zip(names, row, strict=True)))
            for rate, row in zip(rates.tolist(), rows, strict=True)
        ]
        series = []
        for multiple in self.tracked:
            at = self.multiples.index(multiple)
            there = tuple(int(step[at]) for step, _, _ in history)
            named = {"bias": [float(v[2, at]) for _, v, _ in history], EDGE: [float(e[at]) for _, _, e in history]}
            series += [Series(f"{label}-{seed}", f"{n} at {multiple:g}", there, tuple(v)) for n, v in named.items()]
        return Results((), series=tuple(series), measurements=tuple(measured))

    def draw(self, results: Results, path: Path, title: str) -> list[Path]:
        """Bias and accuracy against the step size, and how far the sharpness is from the edge of stability by step."""
        rows, x = results.measurements, "step size (dashed: 8 pi / dimension²)"
        edges = [(multiple, tracked_lines(results.series, f"{EDGE} at {multiple:g}")) for multiple in self.tracked]
        lines = tuple(Line(f"{multiple:g} x the dashed", line.values) for multiple, found in edges for line in found)
        panels = [
            Panel(x, "bias", measured_lines(rows, "bias"), vertical=self.line),
            Panel(x, "bias - bias at the smallest", measured_lines(rows, MOVED), self.line, right=2.1 * self.line),
            Panel(x, "accuracy (%)", measured_lines(rows, "accuracy", 100), vertical=self.line),
            Panel("step", EDGE, lines, level=1.0, high=1.3),
        ]
        return draw_quantities(panels, path, title)

    def _data(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n 1"]]:
        y = torch.randint(0, 2, (count,), generator=generator).double() * 2 - 1
        place = torch.randint(0, self.dimension, (count,), generator=generator)
        x = torch.randn(count, self.dimension, generator=generator, dtype=torch.float64)
        x[torch.arange(count), place] += self.signal * y
        return x, y[:, None]


class Sums:
    """Of each sample the sums of relu(-x_i + b) and relu(x_i + b) for many b: two sorts, then a search for each b."""

    def __init__(self, x: Float[Tensor, "n d"]) -> None:
        # What relu lets through are the largest: their number by a search, their sum from a table of partial sums.
        self.rising = [(-x).sort(1).values.contiguous(), x.sort(1).values.contiguous()]
        zero = torch.zeros(len(x), 1, dtype=x.dtype)
        self.largest = [torch.cat([zero, rising.flip(1).cumsum(1)], 1) for rising in self.rising]

    def outputs(
        self, values: Float[Tensor, "3 k"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "3 n k"], list[Tensor]]:
        """Outputs, their derivatives by a-, a+ and b, and the latter's by a- and a+."""
        wanted, sums, counts = -values[2].expand(len(self.rising[0]), -1).contiguous(), [], []
        for rising, largest in zip(self.rising, self.largest, strict=True):
            count = rising.shape[1] - torch.searchsorted(rising, wanted, right=True)
            sums.append(largest.gather(1, count) + count * values[2])
            counts.append(count.double())
        by_bias = values[0] * counts[0] + values[1] * counts[1]
        return values[0] * sums[0] + values[1] * sums[1], torch.stack([*sums, by_bias]), counts


def gradient(sums: Sums, values: Float[Tensor, "3 k"], y: Float[Tensor, "n 1"]) -> Float[Tensor, "3 k"]:
    """The gradient of the mean logistic loss."""
    outputs, slopes, _ = sums.outputs(values)
    return (-y * torch.sigmoid(-y * outputs) / len(y) * slopes).sum(1)


def sharpness(sums: Sums, values: Float[Tensor, "3 k"], y: Float[Tensor, "n 1"]) -> Float[Tensor, " k"]:
    """The largest eigenvalue of the loss's Hessian; relu bends nowhere but at its kink, which no sample is at."""
    outputs, slopes, counts = sums.outputs(values)
    wrong = torch.sigmoid(-y * outputs)
    # The second derivative of the loss by the outputs, wrong * (1 - wrong), with slopes on both sides; then that of the
    # outputs themselves, which are bilinear: only a pair of a weight and the bias has one.
    hessian = torch.einsum("nk,ink,jnk->kij", wrong * (1 - wrong) / len(y), slopes, slopes)
    for place, count in enumerate(counts):
        bent = (-y * wrong / len(y) * count).sum(0)
        hessian[:, place, 2] += bent
        hessian[:, 2, place] += bent
    largest: Tensor = torch.linalg.eigvalsh(hessian)[:, -1]
    return largest
