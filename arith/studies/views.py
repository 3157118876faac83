"""Data augmentation as a choice of features: which views of a class a small convolutional network learns.

After Shen, Bubeck and Gunasekar, "Data augmentation as feature manipulation", arXiv 2203.01572. Multi-view data are of
Allen-Zhu and Li, "Towards understanding ensemble, knowledge distillation and self-distillation", arXiv 2012.09816.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from arith.config.ranges import Count, Rate, Share
from arith.errors import UsageError
from arith.figures.quantities import Line, Panel, draw_quantities, measured_lines, tracked_lines
from arith.results.measurement import Measurement
from arith.results.schema import Results, Series

LOGGED = 50  # values of each series
STRENGTHS = ("first view", "rare views", "noise")


@dataclass(frozen=True)
class Views:
    """One patch of a sample is its label, 1 or -1, times one of several orthogonal views; the other patch is noise.

    The network sums an odd activation, z^3 / 3 up to 1 and linear beyond, over filters and patches. A view of n samples
    is learned before their noise is remembered only if n is above the cube of the noise's norm, roughly. Augmentation
    adds a copy for each further view, with views exchanged in turn and the noise's coordinates shuffled, signs and all.

    Args:
        augmented: whether there is augmentation.
        linear: whether the activation is linear instead.
        shares: shares of the samples that each rare view has, one training each; the first view has the rest.
        tracked: the share whose filters are followed by step.
        views, samples, tests: their numbers; tests are of each view.
        dimension: the width of a patch.
        noise: the norm of a patch of noise, about.
        filters, start: their number, and the standard deviation that they begin with.
        rate, steps: of full-batch gradient descent on the mean logistic loss.
    """

    augmented: bool = False
    linear: bool = False
    shares: tuple[Share, ...] = (0.05, 0.1, 0.2, 0.25, 0.3)
    tracked: Share = 0.1
    views: Count = 3
    samples: Count = 100
    tests: Count = 2000
    dimension: Count = 400
    noise: Rate = 3.0
    filters: Count = 10
    start: Rate = 0.02
    rate: Rate = 0.5
    steps: Count = 1500

    def __post_init__(self) -> None:
        if not 2 <= self.views < self.dimension:
            raise UsageError(f"views are 2 or more, and fewer than dimension = {self.dimension}; got {self.views}")
        if max(self.shares, default=2) * (self.views - 1) > 1:
            raise UsageError(f"shares of {self.views - 1} rare views are at most {1 / (self.views - 1):.3g} each")

    def run(self, label: str, seed: int) -> Results:
        """Train once for each share, and test each view by itself."""
        rows, series = [], []
        for share in self.shares:
            # Anew for each share, so that all have the same noise and the same start.
            generator = torch.Generator().manual_seed(seed)
            x, y = self._data(self.samples, share, generator)
            seen, wanted = self._augment(x, y, generator) if self.augmented else (x, y)
            filters = (torch.randn(self.filters, self.dimension, generator=generator) * self.start).requires_grad_()
            strengths = []
            for step in range(self.steps + 1):
                if step % max(self.steps // LOGGED, 1) == 0:
                    strengths.append((step, self._strengths(filters.detach(), x, y)))
                if step < self.steps:
                    loss = softplus(-wanted * self._outputs(filters, seen)).mean()
                    (gradient,) = torch.autograd.grad(loss, filters)
                    with torch.no_grad():
                        filters -= self.rate * gradient
            # A view alone in each test: in a test of all of them the first would hide the others.
            weights, right = filters.detach(), list[float]()
            for tested in range(self.views):
                a, b = self._data(self.tests, share, generator, tested)
                right.append(float((self._outputs(weights, a) * b > 0).float().mean()))
            measures = {f"accuracy on view {number}": found for number, found in enumerate(right, 1)}
            measures |= {"accuracy on rare views": sum(right[1:]) / len(right[1:])}
            measures |= {"accuracy in training": float((self._outputs(weights, x) * y > 0).float().mean())}
            rows.append(Measurement(label, seed, share, self.tests, measures))
            if share == self.tracked:
                steps = tuple(step for step, _ in strengths)
                columns = zip(STRENGTHS, zip(*(found for _, found in strengths), strict=True), strict=True)
                series += [Series(f"{label}-{seed}", name, steps, values) for name, values in columns]
        return Results((), series=tuple(series), measurements=tuple(rows))

    def draw(self, results: Results, path: Path, title: str) -> list[Path]:
        """Accuracy on rare views by their share; by step, how strongly filters answer to views and to noise."""
        x = "share of each rare view (dashed: noise³ / samples)"
        followed = [(name, line) for name in STRENGTHS for line in tracked_lines(results.series, name)]
        panels = [
            Panel(
                x,
                "accuracy on rare views (%)",
                measured_lines(results.measurements, "accuracy on rare views", 100),
                self._line,
            ),
            *(
                Panel(
                    f"step, {label}",
                    "largest response to",
                    tuple(Line(n, o.values) for n, o in followed if o.label == label),
                )
                for label in dict.fromkeys(line.label for _, line in followed)
            ),
        ]
        return draw_quantities(panels, path, title)

    @property
    def _line(self) -> float:
        """The share of a view above which it is learned before the noise of its samples is remembered, roughly."""
        return self.noise**3 / self.samples

    def _data(
        self, count: int, share: float, generator: torch.Generator, tested: int | None = None
    ) -> tuple[Float[Tensor, "n 2 d"], Float[Tensor, " n"]]:
        """Samples and labels; all of one view if it is given."""
        y = torch.randint(0, 2, (count,), generator=generator).float() * 2 - 1
        if tested is None:
            shares = torch.tensor([1 - (self.views - 1) * share, *[share] * (self.views - 1)])
            view = torch.multinomial(shares, count, True, generator=generator)
        else:
            view = torch.full((count,), tested)
        x = torch.randn(count, 2, self.dimension, generator=generator) * self.noise / self.dimension**0.5
        # Noise is orthogonal to all views, so that what filters answer to one is apart from what they answer to it.
        x[:, :, : self.views] = 0
        x[:, 0] = 0
        x[torch.arange(count), 0, view] = y
        return x, y

    def _augment(
        self, x: Float[Tensor, "n 2 d"], y: Float[Tensor, " n"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "m 2 d"], Float[Tensor, " m"]]:
        """The samples, and a copy for each further view."""
        # Moved as a whole, noise keeps its norm and its likeness between samples, and none of it is learned twice.
        copies, noise = [x], self.dimension - self.views
        for turn in range(1, self.views):
            order = torch.randperm(noise, generator=generator)
            signs = torch.randint(0, 2, (noise,), generator=generator).float() * 2 - 1
            moved = x[:, :, self.views :][:, :, order] * signs
            copies.append(torch.cat([x[:, :, : self.views].roll(turn, 2), moved], 2))
        return torch.cat(copies), y.repeat(self.views)

    def _outputs(self, filters: Float[Tensor, "f d"], x: Float[Tensor, "n 2 d"]) -> Float[Tensor, " n"]:
        answers = x @ filters.T
        if not self.linear:
            size = answers.abs()
            answers = torch.sign(answers) * torch.where(size <= 1, size**3 / 3, size - 2 / 3)
        return answers.sum((1, 2))

    def _strengths(
        self, filters: Float[Tensor, "f d"], x: Float[Tensor, "n 2 d"], y: Float[Tensor, " n"]
    ) -> tuple[float, float, float]:
        """The largest answer of a filter to the first view, to rare ones (mean), and to a sample's noise (mean)."""
        first, *rare = filters[:, : self.views].amax(0).tolist()
        noise = (x[:, 1] @ filters.T * y[:, None]).amax(1).mean()
        return first, sum(rare) / len(rare), float(noise)
