"""results.json: what was measured, cell by cell. Figures and tables are drawn from it alone."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arith.errors import UsageError
from arith.files import write_whole

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


@dataclass(frozen=True)
class Results:
    """Cells, and under "runs" in `about` where, when and by which code each run was made."""

    cells: tuple[Cell, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write all or nothing."""
        cells = [json.dumps(dataclasses.asdict(cell)) for cell in self.cells]
        about = json.dumps(self.about, indent=1)
        text = f'{{"version": {VERSION},\n"about": {about},\n"cells": [\n' + ",\n".join(cells) + "\n]}\n"
        write_whole(path, text)

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
        return Results(tuple(_cell(path, row) for row in values["cells"]), values.get("about", {}))


def _cell(path: Path, row: dict[str, Any]) -> Cell:
    if not isinstance(row, dict):
        raise UsageError(f"{path}: a cell is a table of fields, got {row!r}")
    names = {known.name for known in dataclasses.fields(Cell)}
    wrong = sorted(names ^ set(row))
    if wrong:
        raise UsageError(f"{path}: field '{wrong[0]}' is {'missing' if wrong[0] in names else 'unknown'} in a cell")
    lengths = row["operand_lengths"]
    return Cell(
        **{
            **row,
            "train_lengths": tuple(row["train_lengths"]),
            "operand_lengths": None if lengths is None else tuple(lengths),
        }
    )
