"""results.json: what was measured, cell by cell. Figures and tables are drawn from it alone."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from arith.errors import UsageError
from arith.process.files import write_whole
from arith.results.measurement import Language, Measurement, check_language, check_measurement
from arith.results.rows import Row, read_row

METRICS = "metrics.jsonl"
WATCHED = "watched"  # the field of a row of metrics with accuracies by watched length
COUNTS = ("samples", "tokens")  # beside watched accuracies: how much was seen at each step, starts included
# Raised only if old files would be misread. A new field gets a default instead, and published files still load.
VERSION = 1
# Values of fields that are left out.
UNWRITTEN: Mapping[str, Any] = {"measures": {}, "sharpen": 1.0, "loops": None, "wording": "", "tokens": None}
GRID = "grid"  # the suite of cells with fixed operand lengths


@dataclass(frozen=True)
class Cell:
    """The result of one model on one test set.

    Args:
        label: the curve that the cell belongs to.
        structure_aware: whether the encoding has the alignment of digits built in.
        suite, split: the test suite, and the split that its problems are drawn from.
        digits: the length of the longer operand.
        operand_lengths: the lengths of all operands, where all problems share them.
        train_lengths: the shortest and the longest operand in training.
        step: the training step of the tested weights; always the run's last.
        samples: the number of distinct training samples up to that step.
        n, correct: the number of problems, and of those with every answer token and the end mark right.
        low, high: the 95% Wilson interval of the accuracy.
        seen: the number of test problems that the training data contain too.
        training_seconds: the run's training time, evaluation not included.
        supervision: the training signal, "answers" or "algorithm" (every step); the two are not ranked together. Files
            without this field are of answers.
        sharpen: the factor on scores of attention, a number or `log-n`. Files without this field are of 1.
        loops: the number of loops in the test, where it is another than in training, of a range the most. Files without
            this field are of as many as in training.
        measures: other measurements on the same problems, by name with the unit: seconds, MiB, perplexity.
        wording: the hash of how problems were put to a model that reads text; empty: as the format writes them.
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
    sharpen: float | Literal["log-n"] = 1.0
    loops: int | None = None
    # Left out of the hash, as a dict has none; equality still compares it.
    measures: dict[str, float] = field(default_factory=dict, hash=False)
    wording: str = ""


@dataclass(frozen=True)
class Condition:
    """A test set to measure: what a cell is the result of, without the model.

    Args:
        suite: one of SUITES, or GRID for problems with fixed operand lengths.
        digits: the length of the longer operand.
        n: the number of problems.
        operand_lengths: the lengths of both operands of a grid's cell; None for other suites.
    """

    suite: str
    digits: int
    n: int
    operand_lengths: tuple[int, ...] | None = None

    @staticmethod
    def of(cell: Cell) -> "Condition":
        """The test set of a cell."""
        # Suites such as "random" record operand lengths too where all problems share them, but do not fix them.
        return Condition(cell.suite, cell.digits, cell.n, cell.operand_lengths if cell.suite == GRID else None)

    def __str__(self) -> str:
        lengths = "" if self.operand_lengths is None else f", {' and '.join(map(str, self.operand_lengths))}"
        return f"{self.suite} {self.digits} digits{lengths}, {self.n} problems"


# The classes of wrong answers; `arith.evaluation.failures` says what each means, and figures stack them in this order.
CLASSES = ("dropped", "spurious", "misaligned", "copied", "length", "other")


@dataclass(frozen=True)
class Anatomy:
    """How one model's answers to one suite at one length are wrong; in a grid, at one length of the longer operand.

    Args:
        n: the number of problems.
        wrong: the number of wrong answers in each class of `arith.evaluation.failures`.
        positions: for each place in the written answer, the number of right tokens and of answers that long.
        chains: for each length of the longest carry chain: that length, right answers, problems.
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


def label_of(run: str) -> str:
    """The curve of a run that is called LABEL-SEED.

    >>> label_of("padded-rope-7"), label_of("mine")
    ('padded-rope', 'mine')
    """
    return run.rpartition("-")[0] or run


@dataclass(frozen=True)
class Series:
    """A quantity tracked through training, such as accuracy at watched lengths, sharpness or gradient ratios.

    Args:
        run: the run's folder name, as in `Results.about`.
        name: the quantity, with its unit.
        steps, values: the training steps, and the value at each of them.
    """

    run: str
    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def watched_name(digits: int | str) -> str:
    """The name of the series of accuracies at a watched length.

    >>> watched_name(8), watched_name(1)
    ('accuracy at 8 digits', 'accuracy at 1 digit')
    """
    return f"accuracy at {digits} digit{'' if int(digits) == 1 else 's'}"


@dataclass(frozen=True)
class Results:
    """The content of a results file.

    Args:
        cells: the measurements.
        about: provenance; under "runs", where, when and with which code each run was made.
        anatomy: how some of the cells' answers are wrong, on request.
        language: likelihoods of text, for models trained on whole lines of dialogue.
        series: quantities tracked through training.
        measurements: of studies, which train no transformer and have no cells.
    """

    cells: tuple[Cell, ...]
    about: dict[str, Any] = field(default_factory=dict)
    anatomy: tuple[Anatomy, ...] = ()
    language: tuple[Language, ...] = ()
    series: tuple[Series, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    def save(self, path: Path) -> None:
        """Write the file atomically; a reader never sees half of it."""
        # Parts that are empty are left out, so that files from before there were such parts are written again alike.
        parts: dict[str, tuple[Any, ...]] = {"cells": self.cells}
        others = ("anatomy", "language", "series", "measurements")
        parts |= {name: getattr(self, name) for name in others if getattr(self, name)}
        # A line for each row: a diff of two results files shows the cells that changed.
        text = f'{{"version": {VERSION},\n"about": {json.dumps(self.about, indent=1)}'
        for name, rows in parts.items():
            text += f',\n"{name}": [\n' + ",\n".join(map(_json_row, rows)) + "\n]"
        write_whole(path, text + "}\n")

    @staticmethod
    def load(path: Path) -> "Results":
        """Read a results file.

        Raises:
            UsageError: the file cannot be read, or a field in it is wrong; the message names both.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8-sig"))
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
            read("language", "language", Language, check_language),
            read("series", "series", Series, _check_series),
            read("measurements", "measurement", Measurement, check_measurement),
        )


def _json_row(row: Any) -> str:
    """Write a row as JSON, without what files from before there was such a field lack: those stay the same."""
    fields = {name: value for name, value in dataclasses.asdict(row).items() if UNWRITTEN.get(name, ...) != value}
    return json.dumps(fields)


def _check_numbers(cell: Cell, where: str) -> None:
    """Refuse numbers that no measurement can give, such as a file edited by hand; a figure would hide them."""
    checks = {
        "n": cell.n >= 1,
        "digits": cell.digits >= 1,
        "correct": 0 <= cell.correct <= cell.n,
        # Redundant in the file for its readers, so the two must agree; 1e-6 allows for accuracies written rounded.
        "accuracy": cell.n >= 1 and abs(cell.accuracy - cell.correct / cell.n) < 1e-6,
        "low": 0 <= cell.low <= cell.accuracy,
        "high": cell.accuracy <= cell.high <= 1,
    }
    for name, good in checks.items():
        if not good:
            got = f"{getattr(cell, name)} of n = {cell.n}, {cell.correct} right"
            raise UsageError(f"{where}: field '{name}' cannot be so, got {got}")


def _check_anatomy(row: Anatomy, where: str) -> None:
    """Refuse counts that cannot be: more wrong answers than problems, or unknown classes."""
    checks = {
        "n": row.n >= 1,
        "wrong": set(row.wrong) == set(CLASSES) and min(row.wrong.values()) >= 0 and sum(row.wrong.values()) <= row.n,
        "positions": all(0 <= right <= n and n >= 1 for right, n in row.positions),
        "chains": all(0 <= right <= n and n >= 1 for _, right, n in row.chains),
    }
    for name, good in checks.items():
        if not good:
            raise UsageError(f"{where}: field '{name}' cannot be so, got {getattr(row, name)!r:.60} of n = {row.n}")


def _check_series(series: Series, where: str) -> None:
    if len(series.steps) != len(series.values):
        raise UsageError(f"{where}: 'steps' and 'values' are as many, got {len(series.steps)} and {len(series.values)}")
