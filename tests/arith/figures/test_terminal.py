"""Figures of characters."""

from arith.figures.terminal import accuracy_text, grid_text
from arith.results.curves import curves
from arith.results.grids import grids
from tests.arith.examples import cell, grid_cells


def test_text_figures() -> None:
    cells = [cell("a", d, 400 if d < 5 else 0) for d in (1, 4, 8)] + [cell("b", d, 200) for d in (1, 4, 8)]
    lines = accuracy_text(curves(cells, "random")).splitlines()
    assert lines[0].startswith(" 100% |o")
    assert lines[8].startswith("  50% |x")
    assert lines[16].rstrip().endswith("o")
    assert set(lines[17].strip(" +")) == {"=", "-"}
    assert "x b (1 seed, unfitted, 50%)" in lines[-1]
    text = grid_text(grids(grid_cells("a", 6, lambda a, b: a <= b))[0]).splitlines()
    assert text[1] == "    6 |" + "   " * 5 + " @ "
    assert text[6].startswith("    1 |[@][@][@][@] @  @")
    assert max(map(len, grid_text(grids(grid_cells("a", 130, lambda a, b: 1))[0]).splitlines())) < 200
