"""Reach against loops."""

import csv
from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.figures.against.loops import draw_loops, find_reaches
from arith.results.schema import Cell
from tests.arith.examples import cell


def row(loops: int | None, accuracies: list[float], seed: int = 0) -> list[Cell]:
    counts = enumerate((round(400 * own) for own in accuracies), 1)
    return [cell(digits=digits, correct=correct, seed=seed, loops=loops) for digits, correct in counts]


CELLS = [
    *row(8, [1, 0.95, 0.5, 1]),
    *row(8, [1, 0.9, 0.9, 0.2], seed=1),
    *row(16, [1, 1, 1, 1]),
    *row(4, [0.5, 1]),
    *row(None, [1, 1]),
]


def test_a_length_counts_as_reached_up_to_the_first_that_fails() -> None:
    found = find_reaches([*CELLS, cell(loops=32, suite="unequal")], "random")
    assert [(reach.loops, reach.by_seed) for reach in found] == [(4, (0,)), (8, (2, 3)), (16, (4,))]
    assert [reach.median for reach in found] == [0, 2.5, 4]


def test_loops_are_drawn_with_their_numbers(tmp_path: Path) -> None:
    files = draw_loops(find_reaches(CELLS, "random"), tmp_path / "loops")
    assert all(file.stat().st_size for file in files)
    with (tmp_path / "loops.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [(row["loops"], row["seeds"], row["reach_by_seed"]) for row in rows] == [
        ("4", "1", "0"),
        ("8", "2", "2 3"),
        ("16", "1", "4"),
    ]


def test_cells_that_say_no_loops_are_not_drawn() -> None:
    with pytest.raises(UsageError, match="no cell says with how many loops it was tested"):
        find_reaches(row(None, [1, 1]), "random")
