"""All figures that a results file asks for."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from arith.figures.accuracy import draw_accuracy
from arith.figures.against.leads import draw_leads
from arith.figures.against.numbers import numbered_panels
from arith.figures.against.ratios import draw_ratios, pair_runs
from arith.figures.grid import draw_grids
from arith.figures.language import draw_language
from arith.figures.quantities import Line, Panel, draw_quantities, tracked_lines
from arith.results.curves import Curve, curves
from arith.results.figure_plan import PLAIN, FigurePlan
from arith.results.grids import grids
from arith.results.leads import measure_leads
from arith.results.schema import COUNTS, GRID, Results, Series

HIGHEST = 3.0  # of a distance to the edge of stability: single spikes go far beyond


def draw_report(
    results: Results,
    path: Path,
    title: str,
    notes: Mapping[str, str] | None = None,
    order: Sequence[str] = (),
    plan: FigurePlan = PLAIN,
) -> tuple[list[Curve], list[Path]]:
    """Draw accuracy on the suite with the longest problems, the first of several, and figures of what else there is.

    Args:
        results: of one experiment or several.
        path: the main figure's, without an ending; the others add `-grid`, `-advantage`, `-ratios`, `-against`,
            `-training` and `-language`.
        title: above each figure.
        notes: by label, what to add to it in parentheses.
        order: labels in the order of the curves; others follow.
        plan: how the figure is divided, and what is compared in it.

    Returns:
        The curves of all suites, for a table, and the files.
    """
    suites = list(dict.fromkeys(cell.suite for cell in results.cells if cell.suite != GRID))
    by_suite = {suite: curves(results.cells, suite) for suite in suites}
    for drawn in by_suite.values():
        drawn.sort(key=lambda curve: order.index(curve.label) if curve.label in order else len(order))
    # The first, unless it was tested on short problems alone, as random ones of a recipe for special long ones.
    main = max(suites, key=lambda suite: max(cell.digits for cell in results.cells if cell.suite == suite))
    files = draw_accuracy(by_suite[main], path, title, notes, plan)
    if any(cell.suite == GRID for cell in results.cells):
        files += draw_grids(grids(results.cells), path.with_name(f"{path.name}-grid"), title)
    # None are measured unless the recipe names contests whose curves are all there.
    if leads := measure_leads(results.cells, plan.contests):
        files += draw_leads(leads, path.with_name(f"{path.name}-advantage"), title)
    if pairs := pair_runs(results, plan.contests):
        files += draw_ratios(pairs, path.with_name(f"{path.name}-ratios"), title)
    if plan.against and (panels := numbered_panels(results.cells, plan.against, main)):
        files += draw_quantities(panels, path.with_name(f"{path.name}-against"), title)
    if results.series:
        files += draw_quantities(tracked_panels(results.series), path.with_name(f"{path.name}-training"), title)
    spoken = [row for row in results.language if not row.is_english]  # two numbers need no figure
    if spoken:
        files += draw_language(spoken, path.with_name(f"{path.name}-language"), title)
    return [curve for suite in suites for curve in by_suite[suite]], files


def tracked_panels(rows: Sequence[Series]) -> list[Panel]:
    """A panel for each quantity that was tracked through training."""
    panels = []
    tokens = tracked_lines(rows, "tokens") if _read_unalike(rows) else ()
    for name in dict.fromkeys(row.name for row in rows if row.name not in COUNTS):
        share = name.startswith("accuracy")
        lines = tracked_lines(rows, name, 100 if share else 1)
        edge = name == "edge"  # 1 is the edge of stability: see `arith.training.sharpness`
        panels.append(
            Panel("training step", "sharpness / limit", lines, level=1.0, high=HIGHEST)
            if edge
            else Panel("training step", name.replace("_", " ") + (" (%)" if share else ""), lines)
        )
    return [_against_tokens(panel, tokens) if tokens else panel for panel in panels]


def _read_unalike(rows: Sequence[Series]) -> bool:
    """Whether some curves read over a tenth more tokens a step than others, which steps would hide."""
    rates = [row.values[-1] / row.steps[-1] for row in rows if row.name == "tokens"]
    return bool(rates) and max(rates) > 1.1 * min(rates)


def _against_tokens(panel: Panel, tokens: Sequence[Line]) -> Panel:
    """The same panel with the tokens that each curve had read, in the median of its seeds, in place of steps."""
    read = {line.label: {step: statistics.median(own) / 1e6 for step, own in line.values.items()} for line in tokens}
    if any(step not in read.get(line.label, {}) for line in panel.lines for step in line.values):
        return panel  # logged at other steps, or by a run that did not count
    lines = [Line(line.label, {read[line.label][at]: own for at, own in line.values.items()}) for line in panel.lines]
    return replace(panel, x="tokens read (millions)", lines=tuple(lines))
