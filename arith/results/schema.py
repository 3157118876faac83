"""results.json: what was measured, cell by cell. Figures and tables are drawn from it alone."""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from arith.errors import UsageError
from arith.process.files import write_whole
from arith.results.rows import Row, read_row

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
        measures: whatever else was measured of the same problems, by name with its unit: seconds, MiB, perplexity.
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
    # Not part of the hash: cells are told apart by what was measured, and a dict has none.
    measures: dict[str, float] = field(default_factory=dict, hash=False)


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

    @staticmethod
    def of(cell: Cell) -> "Condition":
        """What a cell is the result of."""
        return Condition(cell.suite, cell.digits, cell.n, cell.operand_lengths if cell.suite == GRID else None)

    def __str__(self) -> str:
        lengths = "" if self.operand_lengths is None else f", {' and '.join(map(str, self.operand_lengths))}"
        return f"{self.suite} {self.digits} digits{lengths}, {self.n} problems"


class CellKey(NamedTuple):
    """What a cell is a measurement of: cells of equal keys are the same measurement.

    Every setting that changes which problems are asked, or of which model, has its place here: whether something is
    measured already is decided by this key alone. How a run is watched is not in it.

    Args:
        step, samples: how long, and on how many different samples, the model was trained.
        shots: solved problems before each prompt, of models that are tested by text.
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
    samples: int
    condition: Condition
    shots: int = 0

    @staticmethod
    def of(cell: Cell) -> "CellKey":
        return CellKey(
            label=cell.label,
            task=cell.task,
            format=cell.format,
            encoding=cell.encoding,
            train_lengths=cell.train_lengths,
            model_seed=cell.model_seed,
            data_seed=cell.data_seed,
            test_seed=cell.test_seed,
            step=cell.step,
            samples=cell.samples,
            condition=Condition.of(cell),
            shots=int(cell.measures.get("shots", 0)),
        )

    @property
    def training(self) -> tuple[object, ...]:
        """How the model was trained, seeds apart."""
        return self.label, self.task, self.format, self.encoding, self.train_lengths, self.step, self.samples

    @property
    def test(self) -> tuple[object, ...]:
        """The test as a whole, whatever is asked in it: results of several tests do not share a file."""
        return self.label, self.task, self.format, self.test_seed, self.step, self.shots


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
class Series:
    """A number followed through training: accuracy at watched lengths, sharpness, ratios of gradients.

    Args:
        run: the run's folder name, as in `Results.about`.
        name: what was measured, with its unit.
        steps, values: as many of each.
    """

    run: str
    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Results:
    """Cells, and under "runs" in `about` where, when and by which code each run was made.

    Args:
        anatomy: of some of the cells' answers, if it was asked for. A file without it is of the same version.
        language: of models that learned whole lines of dialogue; left out of files likewise.
        series: what was followed through training; left out of files likewise.
    """

    cells: tuple[Cell, ...]
    about: dict[str, Any] = field(default_factory=dict)
    anatomy: tuple[Anatomy, ...] = ()
    language: tuple[Language, ...] = ()
    series: tuple[Series, ...] = ()

    def save(self, path: Path) -> None:
        """Write all or nothing."""
        parts: dict[str, tuple[Any, ...]] = {"cells": self.cells}
        parts |= {
            name: rows
            for name, rows in (("anatomy", self.anatomy), ("language", self.language), ("series", self.series))
            if rows
        }
        text = f'{{"version": {VERSION},\n"about": {json.dumps(self.about, indent=1)}'
        for name, rows in parts.items():
            text += f',\n"{name}": [\n' + ",\n".join(map(_json_row, rows)) + "\n]"
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
        about = values.get("about", {})
        if not isinstance(about, dict):
            raise UsageError(f"{path}: 'about' is a dict, got {about!r:.60}")

        def read(name: str, what: str, kind: Callable[..., Row], check: Callable[[Row, str], None]) -> tuple[Row, ...]:
            rows, found = values.get(name, []), []
            if not isinstance(rows, list):
                raise UsageError(f"{path}: '{name}' is a list, got {rows!r:.60}")
            for place, row in enumerate(rows):
                found.append(read_row(kind, row, where := f"{path}, {what} {place}"))
                check(found[-1], where)
            return tuple(found)

        return Results(
            read("cells", "cell", Cell, _check_numbers),
            about,
            read("anatomy", "anatomy", Anatomy, _check_anatomy),
            read("language", "language", Language, _check_language),
            read("series", "series", Series, _check_series),
        )


def _json_row(row: Any) -> str:
    """A row as JSON; without `measures` where there are none, as files had it before there were any."""
    fields = {name: value for name, value in dataclasses.asdict(row).items() if name != "measures" or value}
    return json.dumps(fields)


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


def _check_series(series: Series, where: str) -> None:
    if len(series.steps) != len(series.values):
        raise UsageError(f"{where}: 'steps' and 'values' are as many, got {len(series.steps)} and {len(series.values)}")
