"""All figures that a results file asks for."""

from collections.abc import Sequence
from pathlib import Path

from arith.figures.accuracy import draw_accuracy
from arith.figures.grid import draw_grids
from arith.figures.language import draw_language
from arith.figures.leads import draw_leads
from arith.results.curves import Curve, curves
from arith.results.figure_plan import PLAIN, FigurePlan
from arith.results.grids import grids
from arith.results.leads import measure_leads
from arith.results.schema import GRID, Results


def draw_report(
    results: Results,
    path: Path,
    title: str,
    notes: dict[str, str] | None = None,
    order: Sequence[str] = (),
    plan: FigurePlan = PLAIN,
) -> tuple[list[Curve], list[Path]]:
    """Curves of every suite for the table, and the files of the figure, which shows the first suite.

    Grids of operand lengths, advantages against scale, and what was measured of language, have figures of their own
    beside it.
    """
    suites = list(dict.fromkeys(cell.suite for cell in results.cells if cell.suite != GRID))
    by_suite = {suite: curves(results.cells, suite) for suite in suites}
    for found in by_suite.values():
        found.sort(key=lambda curve: order.index(curve.label) if curve.label in order else len(order))
    files = draw_accuracy(by_suite[suites[0]], path, title, notes, plan)
    if any(cell.suite == GRID for cell in results.cells):
        files += draw_grids(grids(results.cells), path.with_name(f"{path.name}-grid"), title)
    if leads := measure_leads(results.cells, plan.contests):
        files += draw_leads(leads, path.with_name(f"{path.name}-advantage"), title)
    if results.language:
        files += draw_language(results.language, path.with_name(f"{path.name}-language"), title)
    return [curve for suite in suites for curve in by_suite[suite]], files
