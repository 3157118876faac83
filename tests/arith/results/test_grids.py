"""Grids of operand lengths: medians over seeds."""

import csv
from pathlib import Path

import numpy as np
import pytest

from arith.errors import UsageError
from arith.figures.grid import draw_grids
from arith.results.grids import grids, summary
from tests.arith.examples import cell


def test_grids_take_medians_and_leave_holes(tmp_path: Path) -> None:
    cells = [
        cell("x", max(a, b), correct, 40, suite="grid", operand_lengths=(a, b), seed=seed)
        for (a, b), row in {(1, 1): (40, 40, 40), (1, 9): (0, 20, 40), (9, 1): (40, 40, 0)}.items()
        for seed, correct in enumerate(row)
    ]
    (grid,) = grids(cells)
    assert grid.accuracy[0].tolist() == [1.0, 0.5]
    assert grid.accuracy[1, 0] == 1.0
    assert np.isnan(grid.accuracy[1, 1])
    assert "trained 1-4: 1 cells, median 100%" in summary(grid)
    rows = list(csv.DictReader(draw_grids([grid], tmp_path / "g")[3].open()))
    assert [(row["first_digits"], row["second_digits"], row["median"], row["worst"]) for row in rows] == [
        ("1", "1", "1", "1"),
        ("1", "9", "0.5", "0"),
        ("9", "1", "1", "0"),
    ]
    with pytest.raises(UsageError, match="no cell is of a grid"):
        grids([cell()])
    with pytest.raises(UsageError, match="different experiments"):
        grids([*cells, cell("x", 2, suite="grid", operand_lengths=(2, 2), step=99)])
