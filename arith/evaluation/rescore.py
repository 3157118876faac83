"""Score a file of predictions again, without the model: right answers are recomputed from the operands.

A file may come from elsewhere, or have been edited, so that everything in it that follows from the rest is checked.
"""

from dataclasses import dataclass
from pathlib import Path

from arith.catalogue.named import format_named, task_named
from arith.catalogue.registry import import_file
from arith.errors import RunError, UsageError
from arith.evaluation.answers import read_number
from arith.evaluation.failures import FailureCollector
from arith.process.progress import track
from arith.results.predictions import Prediction, Predictions
from arith.results.tables import align_columns
from arith.results.uncertainty import percent, wilson
from arith.tasks.base import Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format


@dataclass(frozen=True)
class Score:
    """The accuracy on one test set, with its 95% Wilson interval."""

    suite: str
    digits: int
    operand_lengths: tuple[int, ...] | None
    n: int
    correct: int
    accuracy: float
    low: float
    high: float


def rescore(path: Path, wanted: int = 0) -> tuple[list[Score], FailureCollector]:
    """Score a file of predictions, and collect its failures.

    Args:
        path: the file.
        wanted: the number of failures kept of each suite and length.

    Returns:
        The score of each test set, and the failures with their classes.

    Raises:
        UsageError: the file holds no problem.
        RunError: what it says of a problem cannot be true.
    """
    found = Predictions.load(path)
    for name in found.header.imports:
        import_file(name)
    task, form = task_named(found.header.task), format_named(found.header.format)
    gathered, scores = FailureCollector(found.header, task, wanted), []
    if not found.rows:
        raise UsageError(f"{path} holds no problem")
    # Before anything is computed from them: there a bad operand would be a traceback that names no file.
    for row in found.rows:
        _check_operands(path, task, row)
    sets = found.sets()
    for (suite, digits, lengths), rows in track(sets.items(), "rescore", len(sets)):
        if sorted(row.index for row in rows) != list(range(len(rows))):
            raise RunError(
                f"{path}, suite {suite}, {digits} digits: 'index' counts {len(rows)} problems from 0, each once"
            )
        for row, result in zip(rows, _solve(task, rows), strict=True):
            _check(path, task, form, row, result)
            _check_place(path, row)
        gathered.add(rows)
        correct = sum(row.written == row.expected for row in rows)
        low, high = wilson(correct, len(rows))
        scores.append(Score(suite, digits, lengths, len(rows), correct, correct / len(rows), low, high))
    return scores, gathered


def _check_operands(path: Path, task: Task, row: Prediction) -> None:
    if len(row.operands) != task.operands or not all(number.removeprefix("-").isdigit() for number in row.operands):
        raise RunError(f"{path}: 'operands' are {task.operands} numbers, got {list(row.operands)!r:.60}")


def _check_place(path: Path, row: Prediction) -> None:
    """Raise if the first wrong token is not at `first_wrong`."""
    # zip stops at the shorter text: an answer that is cut short agrees as far as it goes, and goes wrong at its end.
    pairs = enumerate(zip(row.written, row.expected, strict=False))
    differing = next((at + 1 for at, (ours, right) in pairs if ours != right), None)
    if row.first_wrong is not None and (row.written == row.expected or differing not in (None, row.first_wrong)):
        right = "nothing" if differing is None else differing
        raise RunError(f"{path}: 'first_wrong' is {row.first_wrong}, and should be {right} of {row.written!r:.60}")


def _solve(task: Task, rows: list[Prediction]) -> list[str]:
    columns = zip(*(row.operands for row in rows), strict=True)
    answers = task.solve(*(Numbers.read(column) for column in columns))
    return [answers.text(row) for row in range(len(rows))]


def _check(path: Path, task: Task, form: Format, row: Prediction, result: str) -> None:
    """Raise if what the file says of a problem cannot be true."""
    # `read_number` leaves out leading zeros, and so does what it is compared with.
    bare = result if task.alphabet != "number" else f"{'-' * (result[0] == '-')}{result.lstrip('-').lstrip('0') or '0'}"
    wrong = None
    if row.result != result:
        wrong = f"'result' is {row.result}, and should be {result}"
    elif read_number(task, form, row.prompt, row.expected) != bare:
        wrong = f"'expected' is {row.expected!r}, which does not mean {result}"
    elif row.correct and row.written != row.expected:
        wrong = f"'first_wrong' is null, but 'written' is {row.written!r} and 'expected' {row.expected!r}"
    elif row.answer != read_number(task, form, row.prompt, row.written):
        wrong = f"'answer' is {row.answer!r}, which {row.written!r} does not mean"
    if wrong is not None:
        where = f"suite {row.suite}, {row.digits} digits, problem {row.index} ({row.prompt})"
        raise RunError(f"{path}, {where}: {wrong}")


def score_table(scores: list[Score]) -> str:
    """A table with a line a test set."""
    rows = [["suite", "digits", "n", "right", "exact match", "95% interval"]]
    for own in scores:
        digits = str(own.digits) if own.operand_lengths is None else ", ".join(map(str, own.operand_lengths))
        interval = f"{percent(own.low)}-{percent(own.high)}"
        rows.append([own.suite, digits, str(own.n), str(own.correct), percent(own.accuracy), interval])
    return align_columns(rows)
