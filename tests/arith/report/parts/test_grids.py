"""Heat-maps."""

from arith.report.parts.grids import grids_part
from arith.results.grids import grids
from tests.arith.examples import cell, grid_cells
from tests.arith.report.pages import Reader


def test_each_cell_says_lengths_accuracy_interval_and_n() -> None:
    read = Reader(grids_part(grids(grid_cells("rope", 3, lambda a, b: a / 4))))
    assert len(read.of_class("cell")) == 9
    assert read.texts["title"][0] == "rope, 1 \u00d7 1 digits: 25%, 95% interval 14.2 to 40.2, n = 40"


def test_what_nobody_measured_stays_empty_and_up_is_a_longer_first_operand() -> None:
    cells = [cell("rope", 2, suite="grid", operand_lengths=pair) for pair in ((1, 1), (2, 1))]
    read = Reader(grids_part(grids([*cells, cell("rope", 9, suite="grid", operand_lengths=(9, 9))])))
    assert len(read.of_class("cell")) == 3
    below, above = read.of_class("cell")[:2]
    assert int(str(below["data-y"])) > int(str(above["data-y"]))


def test_trained_lengths_are_outlined() -> None:
    read = Reader(grids_part(grids(grid_cells("rope", 8, lambda a, b: 1))))
    outlines = read.of_class("outline")
    assert [(box["x"], box["y"], box["width"], box["height"]) for box in outlines] == [("0%", "50%", "50%", "50%")] * 2
