"""Compare runs, or files of predictions, on the same problems: which is better, by how much, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from arith.errors import UsageError
from arith.evaluation.exact_match import jobs
from arith.evaluation.requested import model_for
from arith.evaluation.teacher_forced import judge_dataset
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.process.progress import progress
from arith.results.predictions import Predictions, condition
from arith.results.schema import Condition
from arith.results.tables import align_columns
from arith.results.uncertainty import Pairs, difference_interval, holm, mcnemar, percent

SURE = 0.05  # the corrected p-value below which one of two is called better
# Right or wrong, problem by problem, of each test set. The key holds the task and the test seed too, for two files on
# the same condition of different tasks or seeds hold different problems, which must not be paired.
Answers = dict[tuple[Condition, str], list[bool]]


@dataclass(frozen=True)
class Comparison:
    """The second against the first on one test set, or on all together.

    Args:
        first, second: the names of the two.
        suite, digits: the test set; None for all together.
        n: the number of problems.
        accuracies: the accuracy of the first, and of the second.
        difference, low, high: the second accuracy less the first, and its 95% interval.
        only_first, only_second: the numbers of problems that one of the two alone got right.
        p: the p-value of McNemar's exact test.
        corrected: the same, corrected for the number of tests in the table (Holm).
        verdict: the second is better, worse, or unclear, by the corrected p-value.
    """

    first: str
    second: str
    suite: str | None
    digits: int | None
    n: int
    accuracies: tuple[float, float]
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float
    corrected: float
    verdict: str


def compare(names: Sequence[str], answers: Sequence[Answers]) -> list[Comparison]:
    """Compare each but the first with the first, on all test sets together and on each.

    Args:
        names: the names of runs or files.
        answers: the answers of each.

    Raises:
        UsageError: they were not tested on the same problems.
    """
    found = []
    for name, own in zip(names[1:], answers[1:], strict=True):
        if own.keys() != answers[0].keys():
            raise UsageError(
                f"{names[0]} and {name} were not tested on the same problems. "
                "Take predictions of one task, one test seed, the same suites, lengths and number of problems"
            )
        each: dict[tuple[str | None, int | None], Pairs] = {}
        for (test, _), right in answers[0].items():
            pairs = Pairs.of(right, own[test, _])
            key = (test.suite, test.digits)
            each[key] = each[key] + pairs if key in each else pairs
        total = sum(each.values(), Pairs(0, 0, 0, 0))
        rows = {**each, (None, None): total} if len(each) > 1 else each
        found += [(name, suite, digits, pairs) for (suite, digits), pairs in rows.items()]
    # All lines of the table together: with twenty of them, one is below 5% by chance.
    values = [mcnemar(pairs) for *_, pairs in found]
    return [
        _row(names[0], name, suite, digits, pairs, p, corrected)
        for (name, suite, digits, pairs), p, corrected in zip(found, values, holm(values), strict=True)
    ]


def _row(
    first: str, second: str, suite: str | None, digits: int | None, pairs: Pairs, p: float, corrected: float
) -> Comparison:
    low, high = difference_interval(pairs)
    return Comparison(
        first=first,
        second=second,
        suite=suite,
        digits=digits,
        n=pairs.n,
        accuracies=((pairs.both + pairs.first) / pairs.n, (pairs.both + pairs.second) / pairs.n),
        difference=pairs.difference,
        low=low,
        high=high,
        only_first=pairs.first,
        only_second=pairs.second,
        p=p,
        corrected=corrected,
        verdict="unclear" if corrected >= SURE else "better" if pairs.difference > 0 else "worse",
    )


def answers_of_file(path: Path) -> Answers:
    """The answers in a file of predictions."""
    found = Predictions.load(path)
    if not found.rows:
        raise UsageError(f"{path} holds no problem")
    what = f"{found.header.task}, test seed {found.header.test_seed}"
    return {(condition(rows), what): [row.correct for row in rows] for rows in found.sets().values()}


def answers_of_run(run: Run, tested: Experiment, device: torch.device) -> Answers:
    """The answers of a run to the test sets of an experiment."""
    sets = tested.tests.conditions()
    model, _ = model_for(run, tested, sets)
    model.to(device)
    what = f"{tested.config.tested_task}, test seed {tested.config.evaluation.seed}"
    found: Answers = {}
    total, sharpen = sum(test.n for test in sets), tested.config.evaluation.sharpen
    with progress(f"test {run.folder}", total) as shown, model.sharpened(sharpen):
        done = 0
        for job in jobs(tested, sets):
            right = judge_dataset(model, job.data, job.n).right
            # Cells of a grid that share a job share a line of the table too, which has one for each suite and length.
            found[job.sets[0], what] = right.tolist()
            done += job.n
            shown.update(done)
    return found


def comparison_table(rows: Sequence[Comparison]) -> str:
    """A table with a line a test set."""
    lines = [["against " + rows[0].first, "suite", "digits", "n", "first", "second", "difference", "95% interval"]]
    lines[0] += ["only first", "only second", "p", "corrected p", ""]
    for row in rows:
        suite, digits = row.suite or "all", "all" if row.digits is None else str(row.digits)
        first, second = map(percent, row.accuracies)
        interval = f"{100 * row.low:+.1f} to {100 * row.high:+.1f}"
        counts = [str(row.only_first), str(row.only_second), f"{row.p:.2g}", f"{row.corrected:.2g}"]
        shown = [row.second, suite, digits, str(row.n), first, second, f"{100 * row.difference:+.1f}", interval]
        lines.append([*shown, *counts, row.verdict])
    return align_columns(lines) + (
        "\nExact match in %, the same problems for all; McNemar's exact test, corrected for all lines (Holm)."
        "\nIt is about these models: how much their seeds matter, only runs of several seeds can tell (arith plot)."
    )
