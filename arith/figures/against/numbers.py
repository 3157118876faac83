"""Accuracy and other measures against the number in which labels end, such as examples a call."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from arith.figures.quantities import Line, Panel
from arith.results.schema import Cell

Counts = Mapping[str, float]
_NUMBERED = re.compile(r"(.+)-([0-9]+(?:\.[0-9]+)?)")


def _inside(counts: Counts) -> float:
    return counts["n"] - counts["out_of_domain"]


# Percentages but for tokens and seconds; what a task does not measure has no panel. The right call out of domain is a
# refusal and nothing else, so that right calls without refusals are those in the domain. Right arguments are not: a
# refusal may have one too many.
QUANTITIES: Mapping[str, Callable[[Counts], float]] = {
    "exact in domain (%)": lambda own: 100 * own["exact_calls"] / _inside(own),
    "right call in domain (%)": lambda own: 100 * (own["right_call"] - own["refusals"]) / _inside(own),
    "right arguments (%)": lambda own: 100 * own["right_arguments"] / own["n"],
    "refused out of domain (%)": lambda own: 100 * own["refusals"] / own["out_of_domain"],
    "refused in domain (%)": lambda own: 100 * own["false_refusals"] / _inside(own),
    "tokens a query": lambda own: (own["prompt_tokens"] + own["reply_tokens"]) / own["n"],
    "ms a query (median)": lambda own: 1000 * own["seconds_median"],
    "ms a query (95th percentile)": lambda own: 1000 * own["seconds_p95"],
}
_SPREAD = ("seconds_median", "seconds_p95")  # of which a sum means nothing: the longest test's stands for all


def numbered_panels(cells: Iterable[Cell], axis: str, suite: str = "random") -> list[Panel]:
    """A panel for each quantity, of a model's tests at trained lengths together, or of all where none is at those.

    Without measures there are two: exact match, and the share of seeds without a mistake.

    Args:
        cells: of any labels; those that end in no number are left out.
        axis: what the number is.
        suite: the test suite.

    Returns:
        The panels; none if no label ends in a number.
    """
    found: dict[tuple[str, float], dict[tuple[int, int], list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        named = _NUMBERED.fullmatch(cell.label)
        if named and cell.suite == suite:
            found[named[1], float(named[2])][cell.model_seed, cell.data_seed].append(cell)
    numbers = {number for _, number in found}
    # Examples from 1 to 300 would stand on one another at the left.
    log = bool(numbers) and 0 < 100 * min(numbers) <= max(numbers)
    quantities = {"exact (%)": lambda own: 100 * own["correct"] / own["n"], **QUANTITIES}
    panels = []
    for name, quantity in quantities.items():
        lines: dict[str, dict[float, list[float]]] = {}
        for (label, number), seeds in sorted(found.items()):
            values = [value for own in seeds.values() if (value := _value(quantity, _at_trained(own))) is not None]
            if values:
                lines.setdefault(label, {})[number] = values
        if lines:
            panels.append(Panel(axis, name, tuple(Line(label, values) for label, values in lines.items()), log=log))
    if len(panels) > 1:
        return panels[1:]  # exact match of both kinds together says less than its parts
    whole = "seeds without a mistake (%)"
    return [*panels, *(Panel(axis, whole, tuple(map(_share_of_whole, own.lines)), log=log) for own in panels)]


def _at_trained(cells: Sequence[Cell]) -> Sequence[Cell]:
    """Those at trained lengths; all of them if there are none, as of a model that nobody trained here."""
    return [cell for cell in cells if cell.digits <= cell.train_lengths[1]] or cells


def _share_of_whole(line: Line) -> Line:
    """The share of values that are 100%, in %: one value at each number, so it has no spread over seeds."""
    return Line(
        line.label, {number: [100 * sum(v == 100 for v in own) / len(own)] for number, own in line.values.items()}
    )


def _value(quantity: Callable[[Counts], float], cells: Sequence[Cell]) -> float | None:
    """A quantity of several tests of one model; None if they do not measure it."""
    counts: dict[str, float] = defaultdict(float)
    for cell in sorted(cells, key=lambda own: own.digits):
        for name, value in {"n": cell.n, "correct": cell.correct, **cell.measures}.items():
            counts[name] = value if name in _SPREAD else counts[name] + value
    try:
        return quantity(dict(counts))
    except (KeyError, ZeroDivisionError):
        return None
