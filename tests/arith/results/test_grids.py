"""Grids of operand lengths: medians over seeds."""

import csv
from pathlib import Path

import numpy as np
import pytest

from arith.errors import UsageError
from arith.figures.grid import draw_grids
from arith.results.grids import claimed_grid, grids, summary
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


def test_a_published_table_stands_beside_them_and_says_that_it_is_unchecked(tmp_path: Path) -> None:
    cells = [cell("x", 1, 20, 40, task="multiplication", suite="grid", operand_lengths=(1, 1))]
    claim = claimed_grid("gpt4-2023", cells)
    assert (claim.accuracy[4, 1], claim.accuracy[1, 4]) == (0.60, 0.58)
    assert "recalled, unchecked" in summary(claim)
    _, _, svg, table = draw_grids([*grids(cells), claim], tmp_path / "g")
    assert "recalled, unchecked" in svg.read_text()
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 26
    assert rows[-1] | {"label": ""} == {
        **dict.fromkeys(("label", "worst", "low", "high"), ""),
        **{"first_digits": "5", "second_digits": "5", "seeds": "0", "n": "0", "median": "0"},
    }
    assert "recalled, unchecked" in rows[-1]["label"]
    with pytest.raises(UsageError, match="Did you mean 'gpt4-2023'"):
        claimed_grid("gpt4-2032", cells)
    with pytest.raises(UsageError, match="these results are of addition"):
        claimed_grid("gpt4-2023", [cell("x", 1, suite="grid", operand_lengths=(1, 1))])
