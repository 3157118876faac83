"""What is gathered of predictions as test sets come in, and what is said of it: failures and their anatomy."""

from collections.abc import Sequence

from arith.anatomy import anatomy, merged
from arith.answering import answered
from arith.data import Dataset
from arith.evaluate import Condition
from arith.intervals import percent
from arith.judging import Judged
from arith.model import Transformer
from arith.predictions import Prediction, Subject, Writer
from arith.results import CLASSES, Anatomy
from arith.tables import aligned
from arith.tasks.base import Task

LONGEST = 40  # characters of a number in a table


class Gathered:
    """The anatomy of all that is added, and the first failures at each length of each suite.

    Args:
        wanted: failures that are kept, for each suite and length.
    """

    def __init__(self, tested: Subject, task: Task, wanted: int) -> None:
        self.tested, self.task, self.wanted = tested, task, wanted
        self.failures: dict[tuple[str, int], list[Prediction]] = {}
        self.parts: list[Anatomy] = []

    def add(self, rows: Sequence[Prediction]) -> None:
        """The problems of one test set."""
        self.parts.append(anatomy(self.tested, self.task, rows))
        kept = self.failures.setdefault((rows[0].suite, rows[0].digits), [])
        kept += [row for row in rows if not row.correct][: self.wanted - len(kept)]

    def anatomy(self) -> list[Anatomy]:
        return merged(self.parts)


class Recording:
    """Answers the problems of each test set as it comes, writes them down and gathers them."""

    def __init__(self, model: Transformer, gathered: Gathered, writer: Writer | None) -> None:
        self.model, self.gathered, self.writer = model, gathered, writer

    def __call__(self, test: Condition, data: Dataset, start: int, found: Judged) -> None:
        rows = answered(self.model, test, data, start, found)
        if self.writer is not None:
            self.writer.write(rows)
        self.gathered.add(rows)


def failure_table(failures: Sequence[Prediction]) -> str:
    """A line a failure: problem, the answer that was given, the right one, and the first wrong token."""
    rows = [["suite", "problem", "answered", "right", "written", "first wrong", "margin"]]
    for row in failures:
        assert row.first_wrong is not None
        given = row.written[row.first_wrong - 1 : row.first_wrong] or "nothing"
        wanted = row.expected[row.first_wrong - 1]
        wrong = f"place {row.first_wrong} of {len(row.expected)}: {given} for {wanted}"
        answer = "no number" if row.answer is None else row.answer
        texts = [row.prompt, answer, row.result, row.written]
        rows.append([row.suite, *map(_short, texts), wrong, f"{row.margin:.3g}"])
    return aligned(rows)


def _short(text: str) -> str:
    """
    >>> _short("1" * 50)
    '111111111111111111...1111111111111111111'
    """
    if len(text) <= LONGEST:
        return text
    half = (LONGEST - 3) // 2
    return f"{text[:half]}...{text[-half - 1 :]}"


def anatomy_table(found: Sequence[Anatomy]) -> str:
    """A line a test set: how many answers are wrong, and the share of each class among them."""
    rows = [["suite", "digits", "n", "wrong", *CLASSES]]
    for own in found:
        wrong = sum(own.wrong.values())
        shares = [percent(own.wrong[name] / wrong) if wrong else "-" for name in CLASSES]
        rows.append([own.suite, str(own.digits), str(own.n), str(wrong), *shares])
    return aligned(rows) + "\nClasses of wrong answers in % of them: see arith.anatomy."
