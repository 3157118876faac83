"""Predictions: every problem with the answer that was given, to be scored and looked at without the model.

A file of JSON lines. The first says what was tested; each of the others is one problem.
"""

import dataclasses
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from arith.errors import UsageError
from arith.process.files import write_whole
from arith.results.rows import read_row
from arith.results.schema import Condition

VERSION = 1


@dataclass(frozen=True)
class PredictionHeader:
    """What was tested: the first line of a file.

    Args:
        model: the fingerprint of its weights.
        train_lengths: shortest and longest operand in training.
    """

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


@dataclass(frozen=True)
class Prediction:
    """One problem and its answer. Numbers are decimal, most significant digit first.

    Args:
        operand_lengths: of a grid's cell, as in results.
        index: the problem's place in its test set.
        operands, result: exact.
        prompt: as the model was given it.
        expected, written: the right answer and the model's in the test's format, end mark included.
        answer: the number that was answered; None if it is none.
        first_wrong: place of the first wrong token in `written`, from 1; None: all are right.
        margin: in nats, between the two best tokens where that was closest on the way to there.
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
        """The test set it is of."""
        return self.suite, self.digits, self.operand_lengths


@dataclass(frozen=True)
class Predictions:
    """A file's content."""

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
        """Read a file; a UsageError names the file, the line and the field that is wrong.

        Args:
            whole: if not, a last line that was cut off is left out.
        """
        try:
            with path.open() as opened:
                *lines, last = opened.read().split("\n")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is no predictions file: it is no text") from error
        lines += [last] if last and whole else []
        tested = _header(path, lines)
        return Predictions(tested, tuple(_row(path, number, line) for number, line in enumerate(lines[1:], 2)))


class Writer:
    """Writes predictions test set by test set; those that a file of the same test holds already are kept.

    Args:
        known: test sets that need not be tested again, if the file holds them. It loses those cut off.

    Raises:
        UsageError: there is a file of something else.
    """

    def __init__(self, path: Path, tested: PredictionHeader, known: Collection[Condition]) -> None:
        self.kept: dict[Condition, list[Prediction]] = {}
        for rows in self._earlier(path, tested):
            test = condition(rows)
            if test in known:
                self.kept[test] = rows
        first = json.dumps({"predictions": VERSION, **dataclasses.asdict(tested)})
        kept = [_line(row) for rows in self.kept.values() for row in rows]
        write_whole(path, "".join(f"{line}\n" for line in (first, *kept)))
        self._opened: TextIO = path.open("a")

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
        self._opened.write("".join(f"{_line(row)}\n" for row in rows))
        self._opened.flush()

    def close(self) -> None:
        self._opened.close()


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
        values.pop("correct", None)  # said for readers; it follows from first_wrong
    return read_row(Prediction, values, f"{path}, line {number}")


def condition(rows: Sequence[Prediction]) -> Condition:
    """The test set of these problems, all of one."""
    return Condition(rows[0].suite, rows[0].digits, len(rows), rows[0].operand_lengths)
