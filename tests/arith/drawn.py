"""A figure of each kind, for tests of figures and of the command that draws them."""

from pathlib import Path

import numpy as np

from arith.figures.accuracy import draw_accuracy
from arith.figures.attention import draw_attention
from arith.figures.error_classes import draw_anatomy
from arith.figures.grid import draw_grids
from arith.figures.training import Training, draw_training
from arith.results.curves import curves
from arith.results.error_classes import pool_anatomies
from arith.results.grids import grids
from tests.arith.examples import anatomy, cell, grid_cells


def draw_each(folder: Path) -> dict[str, list[Path]]:
    """A figure of each kind."""
    shares = {"t5": 0.3, "coupled": 0.7, "nope": 0.0}
    lines = [
        cell(name, digits, 400 if digits < 5 else round(400 * share) - seed * 9 * (share > 0), seed=seed)
        for name, share in shares.items()
        for digits in (1, 4, 8, 20, 100)
        for seed in range(2)
    ]
    steps = [(step, 2.0 ** (-step / 100)) for step in range(50, 850, 50)]
    training = Training("run", {"loss": steps, "accuracy": [(step, 1 - loss) for step, loss in steps[::4]]})
    map_of_head = np.tril(np.arange(64.0).reshape(1, 8, 8)) / 64
    return {
        "accuracy": draw_accuracy(curves(lines, "random"), folder / "accuracy", "Accuracy"),
        "grid": draw_grids(grids(grid_cells("rope", 9, lambda a, b: 1 / max(a, b))), folder / "grid"),
        "training": draw_training([training], folder / "training"),
        "anatomy": draw_anatomy(
            pool_anatomies([anatomy("t5", d, 20 * d) for d in (2, 5, 8)], "random"), folder / "anatomy"
        ),
        "attention": draw_attention("^12+3=51", (map_of_head,), folder / "attention", [(0, 0)]),
    }
