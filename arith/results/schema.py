"""results.json: what was measured, cell by cell. Figures and tables are drawn from it alone."""

import dataclasses
import functools
import inspect
import json
import math
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from arith.errors import UsageError
from arith.fields import read_field
from arith.process.files import write_whole

METRICS = "metrics.jsonl"


VERSION = 1
GRID = "grid"  # the suite of cells that are of given operand lengths


@dataclass(frozen=True)
class Cell:
    """One model on one test set.

    Args:
        label: the curve it belongs to.
        structure_aware: alignment of digits is built into the encoding.
        suite, split: which problems.
        digits: of the longer operand.
        operand_lengths: of all operands where all problems share them.
        train_lengths: shortest and longest operand in training.
        step: of the model; always the run's last.
        n, correct: problems, and those with every answer token and the end mark right.
        low, high: 95% Wilson interval of the accuracy.
        seen: problems that the training data held too.
        training_seconds: of the run, evaluation apart.
        supervision: what was learned from, answers or each step of an algorithm; the two are not ranked together.
            Files without it are of answers.
    """

    label: str
    task: str
    format: str
    encoding: str
    structure_aware: bool
    suite: str
    split: str
    train_lengths: tuple[int, int]
    digits: int
    operand_lengths: tuple[int, ...] | None
    model_seed: int
    data_seed: int
    test_seed: int
    step: int
    samples: int
    parameters: int
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    seen: int
    training_seconds: float
    supervision: str = "answers"


@dataclass(frozen=True)
class Condition:
    """One cell to be measured.

    Args:
        suite: one of SUITES, or GRID for problems of given operand lengths.
        digits: of the longer operand.
        operand_lengths: of a grid's cell.
    """

    suite: str
    digits: int
    n: int
    operand_lengths: tuple[int, ...] | None = None


CLASSES = ("dropped", "spurious", "misaligned", "copied", "length", "other")  # of wrong answers


@dataclass(frozen=True)
class Anatomy:
    """How the answers of one model to one suite at one length are wrong; for a grid, at one length of the longer.

    Args:
        wrong: how many answers are of each class of `arith.evaluation.failures`.
        positions: for each place in the written answer, tokens that are right, and answers that have it.
        chains: longest carry chain, answers that are right, problems.
    """

    label: str
    suite: str
    digits: int
    model_seed: int
    data_seed: int
    n: int
    wrong: dict[str, int]
    positions: tuple[tuple[int, int], ...]
    chains: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Language:
    """How well one model knows the words of dialogue.

    Args:
        wording: seen in training, or held out.
        lines, characters, words: of the text; its digits are left out.
        nats: negative log likelihood of all the characters.
    """

    label: str
    encoding: str
    wording: str
    model_seed: int
    data_seed: int
    lines: int
    characters: int
    words: int
    nats: float

    @property
    def bits_a_character(self) -> float:
        return self.nats / self.characters / math.log(2)

    @property
    def perplexity_a_word(self) -> float:
        return math.exp(self.nats / self.words)


@dataclass(frozen=True)
class Results:
    """Cells, and under "runs" in `about` where, when and by which code each run was made.

    Args:
        anatomy: of some of the cells' answers, if it was asked for. A file without it is of the same version.
        language: of models that learned whole lines of dialogue; left out of files likewise.
    """

    cells: tuple[Cell, ...]
    about: dict[str, Any] = field(default_factory=dict)
    anatomy: tuple[Anatomy, ...] = ()
    language: tuple[Language, ...] = ()

    def save(self, path: Path) -> None:
        """Write all or nothing."""
        parts: dict[str, tuple[Any, ...]] = {"cells": self.cells}
        parts |= {name: rows for name, rows in (("anatomy", self.anatomy), ("language", self.language)) if rows}
        text = f'{{"version": {VERSION},\n"about": {json.dumps(self.about, indent=1)}'
        for name, rows in parts.items():
            text += f',\n"{name}": [\n' + ",\n".join(json.dumps(dataclasses.asdict(row)) for row in rows) + "\n]"
        write_whole(path, text + "}\n")

    @staticmethod
    def load(path: Path) -> "Results":
        """Read a results file; a UsageError names the file and the field that is wrong."""
        try:
            values = json.loads(path.read_text())
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UsageError(f"{path} is no results file: {error}") from error
        if not isinstance(values, dict) or "version" not in values or "cells" not in values:
            raise UsageError(f"{path} is no results file: it has no 'version' or no 'cells'")
        if values["version"] != VERSION:
            raise UsageError(f"{path} is of schema version {values['version']}, and this arith reads {VERSION}")
        about, anatomy, language = values.get("about", {}), values.get("anatomy", []), values.get("language", [])
        lists = (("cells", values["cells"], list), ("anatomy", anatomy, list), ("language", language, list))
        for name, part, kind in (*lists, ("about", about, dict)):
            if not isinstance(part, kind):
                raise UsageError(f"{path}: '{name}' is a {kind.__name__}, got {part!r:.60}")
        cells = tuple(read_row(Cell, row, f"{path}, cell {place}") for place, row in enumerate(values["cells"]))
        for place, cell in enumerate(cells):
            _check_numbers(cell, f"{path}, cell {place}")
        found = tuple(read_row(Anatomy, row, f"{path}, anatomy {place}") for place, row in enumerate(anatomy))
        for place, own in enumerate(found):
            _check_anatomy(own, f"{path}, anatomy {place}")
        told = tuple(read_row(Language, row, f"{path}, language {place}") for place, row in enumerate(language))
        for place, words in enumerate(told):
            _check_language(words, f"{path}, language {place}")
        return Results(cells, about, found, told)


Row = TypeVar("Row")


def read_row(kind: Callable[..., Row], row: Any, where: str) -> Row:
    """Read a row of a file as a dataclass.

    Args:
        kind: the dataclass.
        row: what JSON or TOML holds; fields with a default may be missing.
        where: the file and the row's place in it, for messages.

    Raises:
        UsageError: a field is missing, unknown, or of another type.
    """
    if not isinstance(row, dict):
        raise UsageError(f"{where} is a table of fields, got {row!r:.60}")
    types = _types(kind)
    wrong = sorted((set(types) ^ set(row)) - (_optional(kind) - set(row)))
    if wrong:
        raise UsageError(f"{where}: field '{wrong[0]}' is {'missing' if wrong[0] in types else 'unknown'}")
    fields = {
        name: read_field(row[name], types[name], f"{where}: field '{name}'", _check_finite)
        for name in types
        if name in row
    }
    return kind(**fields)


@functools.cache
def _optional(kind: Callable[..., Any]) -> frozenset[str]:
    """Fields that files of the same version may lack."""
    parameters = inspect.signature(kind).parameters.items()
    return frozenset(name for name, own in parameters if own.default is not inspect.Parameter.empty)


@functools.cache
def _types(kind: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _check_finite(value: Any, kind: Any, name: str) -> Any:
    # Python's JSON holds NaN and Infinity; no measurement does.
    if kind is float and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} is a number, got {value!r}")
    return value


def _check_numbers(cell: Cell, where: str) -> None:
    """Refuse what no measurement gives: a figure would hide it."""
    checks = {
        "n": cell.n >= 1,
        "digits": cell.digits >= 1,
        "correct": 0 <= cell.correct <= cell.n,
        "accuracy": cell.n >= 1 and abs(cell.accuracy - cell.correct / cell.n) < 1e-6,
        "low": 0 <= cell.low <= cell.accuracy,
        "high": cell.accuracy <= cell.high <= 1,
    }
    for name, good in checks.items():
        if not good:
            got = f"{getattr(cell, name)} of n = {cell.n}, {cell.correct} right"
            raise UsageError(f"{where}: field '{name}' cannot be so, got {got}")


def _check_language(own: Language, where: str) -> None:
    for name in ("lines", "characters", "words", "nats"):
        if not getattr(own, name) > 0:
            raise UsageError(f"{where}: field '{name}' cannot be so, got {getattr(own, name)!r}")


def _check_anatomy(own: Anatomy, where: str) -> None:
    """The same of why answers are wrong."""
    checks = {
        "n": own.n >= 1,
        "wrong": set(own.wrong) == set(CLASSES) and min(own.wrong.values()) >= 0 and sum(own.wrong.values()) <= own.n,
        "positions": all(0 <= right <= n and n >= 1 for right, n in own.positions),
        "chains": all(0 <= right <= n and n >= 1 for _, right, n in own.chains),
    }
    for name, good in checks.items():
        if not good:
            raise UsageError(f"{where}: field '{name}' cannot be so, got {getattr(own, name)!r:.60} of n = {own.n}")


def condition_of(cell: Cell) -> Condition:
    """What a cell is the result of."""
    return Condition(cell.suite, cell.digits, cell.n, cell.operand_lengths if cell.suite == GRID else None)
