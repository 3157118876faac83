"""Predictions: every test problem with the model's answer, to rescore and study without the model.

A predictions file has JSON lines. The first, the header, names the model and the test; each of the others is one
problem. Problems of a test set stand together, in the order in which they were asked.
"""

import dataclasses
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from arith.errors import UsageError
from arith.process.files import append_whole, write_whole
from arith.results.rows import read_row
from arith.results.schema import Condition

VERSION = 1


@dataclass(frozen=True)
class PredictionHeader:
    """The first line of a file: which model was tested, and on what.

    Args:
        train_lengths: the shortest and the longest operand in training.
        test_seed: the seed of the test problems.
        step: the training step of the weights.
        model: the fingerprint of the weights.
        imports: the user's files that the run imported.
        sharpen: the factor on scores of attention, a number or `log-n`.
        loops: the number of loops, where it is another than in training.
    """

    # The fingerprint is what keeps two runs apart that have the same settings: a label and seeds can be reused.

    label: str
    task: str
    format: str
    encoding: str
    train_lengths: tuple[int, int]
    model_seed: int
    data_seed: int
    test_seed: int
    step: int
    model: str
    imports: tuple[str, ...] = ()
    sharpen: float | Literal["log-n"] = 1.0
    loops: int | None = None


@dataclass(frozen=True)
class Prediction:
    """One problem and its answer. Numbers are decimal strings, most significant digit first.

    Args:
        operand_lengths: the lengths of both operands of a grid's cell, as in results; None for other suites.
        index: the problem's place in its test set.
        operands, result: the exact numbers of the problem, as text, which has no limit of digits.
        prompt: the prompt as the model reads it.
        expected, written: the right answer and the model's, in the test's format, end mark included.
        answer: the number that the written answer means; None if it is not a number.
        first_wrong: the place of the first wrong token in `written`, from 1; None if all are right.
        margin: the smallest gap, in nats, between the two most likely tokens, up to the first wrong token.
    """

    suite: str
    digits: int
    operand_lengths: tuple[int, ...] | None
    index: int
    operands: tuple[str, ...]
    result: str
    prompt: str
    expected: str
    written: str
    answer: str | None
    first_wrong: int | None
    margin: float

    @property
    def correct(self) -> bool:
        return self.first_wrong is None

    @property
    def place(self) -> tuple[str, int, tuple[int, ...] | None]:
        """The test set that the problem belongs to."""
        return self.suite, self.digits, self.operand_lengths


@dataclass(frozen=True)
class Predictions:
    """The content of a predictions file."""

    header: PredictionHeader
    rows: tuple[Prediction, ...]

    def sets(self) -> dict[tuple[str, int, tuple[int, ...] | None], list[Prediction]]:
        """The problems of each test set, in the order of the file."""
        found: dict[tuple[str, int, tuple[int, ...] | None], list[Prediction]] = {}
        for row in self.rows:
            found.setdefault(row.place, []).append(row)
        return found

    @staticmethod
    def load(path: Path, whole: bool = True) -> "Predictions":
        """Read a predictions file.

        Args:
            path: the file.
            whole: whether a last line without an end is refused; if not, it is dropped.

        Raises:
            UsageError: the file cannot be read, or a field is wrong; the message names the file and the line.
        """
        try:
            with path.open(encoding="utf-8-sig") as opened:
                *lines, last = opened.read().split("\n")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is no predictions file: it is no text") from error
        # What follows the last line break is the line that a killed process was writing, or nothing.
        lines += [last] if last and whole else []
        tested = _header(path, lines)
        return Predictions(tested, tuple(_row(path, number, line) for number, line in enumerate(lines[1:], 2)))


class Writer:
    """Writes predictions, one test set after the other, and resumes an earlier file of the same test.

    Args:
        path: the file.
        tested: the header.
        known: test sets whose results are saved. They are kept if the file holds all of their problems; everything
            else is removed from the file, to be written again.

    Raises:
        UsageError: the file exists and holds something else.
    """

    def __init__(self, path: Path, tested: PredictionHeader, known: Collection[Condition]) -> None:
        self.kept: dict[Condition, list[Prediction]] = {}
        for rows in self._earlier(path, tested):
            # The condition counts the problems, so a test set that was cut off is not among the known ones.
            test = condition(rows)
            if test in known:
                self.kept[test] = rows
        first = json.dumps({"predictions": VERSION, **dataclasses.asdict(tested)})
        kept = [_line(row) for rows in self.kept.values() for row in rows]
        # First the shortened file at once, then appending: killed at any point, the file still resumes.
        write_whole(path, "".join(f"{line}\n" for line in (first, *kept)))
        self._path = path

    @staticmethod
    def _earlier(path: Path, tested: PredictionHeader) -> Iterator[list[Prediction]]:
        if not path.exists():
            return
        try:
            found = Predictions.load(path, whole=False)
        except UsageError as error:
            raise UsageError(f"{error}. It is left alone: choose another file, or remove it") from error
        if found.header != tested:
            raise UsageError(f"{path} holds predictions of another model or test. Choose another file, or remove it")
        yield from found.sets().values()

    def write(self, rows: Sequence[Prediction]) -> None:
        """Append the predictions of one test set."""
        # Flushed before its cell is saved to results.json: a result whose predictions are missing is tested again.
        append_whole(self._path, "".join(f"{_line(row)}\n" for row in rows))


def _line(row: Prediction) -> str:
    return json.dumps({**dataclasses.asdict(row), "correct": row.correct}, ensure_ascii=False)


def _header(path: Path, lines: Sequence[str]) -> PredictionHeader:
    try:
        values = json.loads(lines[0])
        version = values.pop("predictions")
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{path} is no predictions file: its first line does not say so. "
            "One is made by arith evaluate RUN --predictions FILE"
        ) from error
    if version != VERSION:
        raise UsageError(f"{path} is of predictions version {version}, and this arith reads {VERSION}")
    return read_row(PredictionHeader, values, f"{path}, line 1")


def _row(path: Path, number: int, line: str) -> Prediction:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}, line {number}, is no JSON: {error}") from error
    if isinstance(values, dict):
        values.pop("correct", None)  # written for readers with jq or pandas; it follows from first_wrong
    return read_row(Prediction, values, f"{path}, line {number}")


def condition(rows: Sequence[Prediction]) -> Condition:
    """The test set of some problems, which all belong to it."""
    return Condition(rows[0].suite, rows[0].digits, len(rows), rows[0].operand_lengths)
