"""Runs on the same problems, or files of predictions: which is better, by how much, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from arith.errors import UsageError
from arith.evaluation.exact_match import conditions, jobs
from arith.evaluation.requested import model_for
from arith.evaluation.teacher_forced import judge_dataset
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.process.progress import progress
from arith.results.predictions import Predictions, condition
from arith.results.schema import Condition
from arith.results.tables import align_columns
from arith.results.uncertainty import Pairs, difference_interval, holm, mcnemar, percent

SURE = 0.05
Answers = dict[tuple[Condition, str], list[bool]]  # by test set and what was asked in it


@dataclass(frozen=True)
class Comparison:
    """The second against the first on one test set, or on all together.

    Args:
        suite, digits: None: all test sets.
        n: problems.
        accuracies: of the first and the second.
        difference, low, high: second less first, and its 95% interval.
        only_first, only_second: problems that one of them got right.
        p: of McNemar's exact test. corrected: for the number of tests that are made (Holm).
        verdict: better, worse, or unclear, by the corrected p below 5%.
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
    """Each but the first against the first, on all test sets together and on each."""
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
    """What a file of predictions holds."""
    found = Predictions.load(path)
    if not found.rows:
        raise UsageError(f"{path} holds no problem")
    what = f"{found.header.task}, test seed {found.header.test_seed}"
    return {(condition(rows), what): [row.correct for row in rows] for rows in found.sets().values()}


def answers_of_run(run: Run, tested: Experiment, device: torch.device) -> Answers:
    """A run on the test sets of a configuration."""
    sets = conditions(tested)
    model, _ = model_for(run, tested, sets)
    model.to(device)
    what = f"{tested.config.tested_task}, test seed {tested.config.evaluation.seed}"
    found: Answers = {}
    with progress(f"test {run.folder}", sum(test.n for test in sets)) as shown:
        done = 0
        for job in jobs(tested, sets):
            right = judge_dataset(model, job.data, job.n).right
            found[job.sets[0], what] = right.tolist()
            done += job.n
            shown.update(done)
    return found


def comparison_table(rows: Sequence[Comparison]) -> str:
    """A line a test set."""
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
