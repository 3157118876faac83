"""From what was measured to the parts of the page, and the names of those that nothing was measured for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arith.errors import UsageError
from arith.figures.report import tracked_panels
from arith.report.markup import join
from arith.report.page import Missing, Part, show_as_text
from arith.report.parts.accuracy import accuracy_part, span, summary_table
from arith.report.parts.anatomy import anatomy_part
from arith.report.parts.attention import Heads, attention_part
from arith.report.parts.comparison import comparison_part
from arith.report.parts.failures import Failure, choose_failures, failure_card, failures_part
from arith.report.parts.grids import grids_part
from arith.report.parts.provenance import provenance_part
from arith.report.parts.training import panels_of, training_part
from arith.report.sources import Source
from arith.results.curves import Curve, curves
from arith.results.error_classes import pool_anatomies
from arith.results.figure_plan import PLAIN
from arith.results.grids import grids
from arith.results.schema import CLASSES, GRID, Anatomy, Cell
from arith.results.tables import tables_of_language

RUN = "it takes a run's folder, and this page is made from files alone"


@dataclass(frozen=True)
class Extras:
    """What the files of results do not hold, because it takes the task or the model.

    Args:
        failures: wrong answers with their classes, at least some of each test set that has any.
        anatomies: of all kept answers, for models whose results have none.
        heads: attention over one problem.
        no_heads: why there is no attention.
        paired: a table of tests on the same problems, head first.
        axis: what "digits" count, as the recipe says it: of chains of reasoning they are steps.
    """

    failures: Sequence[Failure] = ()
    anatomies: Sequence[Anatomy] = ()
    heads: Sequence[Heads] = ()
    no_heads: str = RUN
    paired: Sequence[Sequence[str]] = ()
    axis: str = PLAIN.axis


def build_parts(sources: Sequence[Source], extras: Extras, compare: bool = False) -> tuple[list[Part], list[Missing]]:
    """All parts that there is something for, in the order of the page, and the others.

    Args:
        sources: what was read; two of them if `compare`, whose labels differ.
        extras: what was computed beside it.
        compare: whether the second is compared with the first.

    Raises:
        UsageError: nothing was measured, or a label stands for different experiments.
    """
    cells = [cell for source in sources for cell in source.results.cells]
    if not cells and not any(source.training for source in sources):
        raise UsageError(
            "there are no cells to report on, so nothing was measured. Cells are made by arith evaluate RUN"
        )
    by_suite = {suite: curves(cells, suite) for suite in dict.fromkeys(cell.suite for cell in cells) if suite != GRID}
    made = [
        *([_compare(sources, extras)] if compare else []),
        _accuracy(by_suite, extras.axis),
        _grid(cells),
        _training(sources),
        _anatomy(sources, extras),
        _failures(extras),
        _attention(extras),
        *_language(sources),
        _provenance(sources),
    ]
    parts = [one for one in made if isinstance(one, Part)]
    missing = [one for one in made if isinstance(one, Missing)]
    unused = sum(source.unused for source in sources)
    if unused:
        why = f"{unused} cells of evaluation.json are of other settings, such as more loops. Give the file itself"
        missing.append(Missing("Tests of other settings", why))
    return parts, missing


def describe(sources: Sequence[Source]) -> str:
    """What was trained and tested, in a sentence or two."""
    cells = [cell for source in sources for cell in source.results.cells]
    if not cells:
        return "Nothing was tested yet."
    tasks, formats = _list(cell.task for cell in cells), _list(cell.format for cell in cells)
    trained = _list(span(*cell.train_lengths) for cell in cells)
    lengths = sorted({cell.digits for cell in cells})
    labels = list(dict.fromkeys(cell.label for cell in cells))
    seeds = {(cell.label, cell.model_seed, cell.data_seed) for cell in cells}
    models = f"{len(labels)} curve{'s' * (len(labels) > 1)}, {len(seeds)} trained model{'s' * (len(seeds) > 1)}"
    tasks = tasks[:1].upper() + tasks[1:]
    return (
        f"{tasks}, written {formats}. Trained on {trained} digits, tested on {span(lengths[0], lengths[-1])}. {models}."
    )


def _list(values: Iterable[str]) -> str:
    """Each of the values once; of many the first."""
    found = list(dict.fromkeys(values))
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")


def _accuracy(by_suite: dict[str, list[Curve]], axis: str) -> Part | Missing:
    title = "Accuracy by digit length"
    if not by_suite:
        return Missing(title, "no suite of problems by digit length was tested", "arith evaluate RUN --suites random")
    first = next(iter(by_suite.values()))
    return Part("accuracy", title, join(summary_table(first), accuracy_part(by_suite, axis)))


def _compare(sources: Sequence[Source], extras: Extras) -> Part | Missing:
    title = "One against the other"
    first, second = sources
    suites = [suite for suite in _suites(first) if suite in _suites(second)]
    pairs = [pair for suite in suites for pair in _pair_curves(first, second, suite)]
    if not pairs:
        raise UsageError(
            f"{first.name} and {second.name} have no suite in common, or several curves each without a common label"
        )
    return Part("comparison", title, comparison_part(pairs, extras.paired))


def _suites(source: Source) -> list[str]:
    return list(dict.fromkeys(cell.suite for cell in source.results.cells if cell.suite != GRID))


def _pair_curves(first: Source, second: Source, suite: str) -> list[tuple[Curve, Curve]]:
    """The curves that are compared: those of one label, or the only ones."""
    ours, theirs = curves(first.results.cells, suite), curves(second.results.cells, suite)
    if len(ours) == len(theirs) == 1:
        return [(ours[0], theirs[0])]
    named = {curve.label.removesuffix(f" ({second.name})"): curve for curve in theirs}
    labels = [(curve, curve.label.removesuffix(f" ({first.name})")) for curve in ours]
    return [(curve, named[label]) for curve, label in labels if label in named]


def _grid(cells: Sequence[Cell]) -> Part | Missing:
    title = "Accuracy by the lengths of both operands"
    if not any(cell.suite == GRID for cell in cells):
        return Missing(title, "no grid of operand lengths was measured", "arith evaluate RUN --grid 1-15")
    return Part("grid", title, grids_part(grids(cells)))


def _training(sources: Sequence[Source]) -> Part | Missing:
    title = "Training"
    runs = [source.training for source in sources if source.training]
    series = [row for source in sources if not source.training for row in source.results.series]
    panels = [*panels_of(runs), *tracked_panels(series)]
    if not panels:
        return Missing(title, "it is logged in a run's folder, in metrics.jsonl", "arith report RUN")
    return Part("training", title, training_part(panels))


def _anatomy(sources: Sequence[Source], extras: Extras) -> Part | Missing:
    title = "Why answers are wrong"
    found = [part for source in sources for part in source.results.anatomy]
    kept = {part.label for part in found}
    found += [part for part in extras.anatomies if part.label not in kept]
    if not found:
        return Missing(title, "answers were not classified", "arith evaluate RUN --anatomy")
    pooled = [one for suite in dict.fromkeys(part.suite for part in found) for one in pool_anatomies(found, suite)]
    examples = {
        kind: failure_card(next(failure for failure in extras.failures if failure.kind == kind))
        for kind in CLASSES
        if any(failure.kind == kind for failure in extras.failures)
    }
    return Part("anatomy", title, anatomy_part(pooled, examples))


def _failures(extras: Extras) -> Part | Missing:
    title = "Wrong answers, digit under digit"
    if not extras.failures:
        why = "no wrong answer was kept: predictions in the run's folder, or beside it as an argument, hold them"
        return Missing(title, why, "arith evaluate RUN --predictions RUN/predictions.jsonl")
    shown = choose_failures(extras.failures)
    counted = sum(sum(part.wrong.values()) for part in extras.anatomies)
    return Part("failures", title, failures_part(shown, max(counted, len(extras.failures))))


def _attention(extras: Extras) -> Part | Missing:
    title = "What each head attends to"
    if not extras.heads:
        return Missing(title, extras.no_heads, "arith report RUN" if extras.no_heads == RUN else "")
    return Part("attention", title, attention_part(extras.heads))


def _language(sources: Sequence[Source]) -> list[Part]:
    rows = [row for source in sources for row in source.results.language]
    if not rows:
        return []
    tables = {f"Likelihood of text {place}": text for place, text in enumerate(tables_of_language(rows), 1)}
    return [Part("language", "Language", show_as_text(tables))]


def _provenance(sources: Sequence[Source]) -> Part | Missing:
    title = "Settings and provenance"
    body = provenance_part(
        {source.name: source.record for source in sources if source.record},
        {source.name: source.results.about for source in sources if not source.record},
    )
    return Part("provenance", title, body) if body else Missing(title, "the files say nothing of how they were made")
