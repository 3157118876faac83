"""Threshold neurons."""

from pathlib import Path

import pytest
import torch

from arith.studies.threshold import EDGE, MOVED, Sums, Threshold, gradient, sharpness

SMALL = Threshold(dimension=30, samples=40, tests=50, multiples=(0.5, 1.0, 2.0), time=10.0, tracked=(2.0,))


def test_gradient_and_sharpness_are_those_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = SMALL._data(SMALL.samples, generator)
    values = torch.tensor([[-0.3], [0.4], [-0.5]], dtype=torch.float64)

    def loss(point: torch.Tensor) -> torch.Tensor:
        outputs = point[0] * (-x + point[2]).relu().sum(1) + point[1] * (x + point[2]).relu().sum(1)
        return torch.nn.functional.softplus(-y[:, 0] * outputs).mean()

    slope = torch.func.grad(loss)(values[:, 0])
    torch.testing.assert_close(gradient(Sums(x), values, y)[:, 0], slope)
    bent = torch.linalg.eigvalsh(torch.func.hessian(loss)(values[:, 0]))[-1]
    torch.testing.assert_close(sharpness(Sums(x), values, y)[0], bent)


def test_sharpness_at_the_start_is_that_of_the_theory() -> None:
    wide = Threshold(dimension=400, samples=500)
    x, y = wide._data(500, torch.Generator().manual_seed(0))
    at_rest = torch.zeros(3, 1, dtype=torch.float64)
    assert float(sharpness(Sums(x), at_rest, y) * wide.line / 2) == pytest.approx(1, abs=0.02)


def test_a_run_is_the_same_twice_and_draws(tmp_path: Path) -> None:
    once = SMALL.run("a", 1)
    assert once == SMALL.run("a", 1)
    assert once != SMALL.run("a", 2)
    assert next(row.measures[MOVED] for row in once.measurements) == 0
    assert {row.name for row in once.series} == {"bias at 2", f"{EDGE} at 2"}
    # The more a step size is above the line, the lower the bias.
    biases = [row.measures["bias"] for row in once.measurements]
    assert biases[2] < biases[1] < 0
    files = SMALL.draw(once, tmp_path / "figure", "Title")
    assert {file.suffix for file in files} == {".png", ".pdf", ".svg", ".csv"}


def test_the_pilot_comes_out_again() -> None:
    """Dimension 100, seed 0: the row of the lab book, whose draws these are."""
    study = Threshold(dimension=100, multiples=(1.25, 4.0, 8.0), tracked=())
    found = [row.measures["bias"] for row in study.run("a", 0).measurements]
    assert found == pytest.approx([-0.725, -1.214, -1.453], abs=5e-4)
