"""results.json: what is in it, and by which key a cell counts as measured."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.errors import UsageError
from arith.results.measurement import Language, Measurement
from arith.results.schema import Cell, Results, Series
from tests.arith.examples import cell

Arith = Callable[..., Result]


def test_measures_and_series_are_kept_and_old_files_need_none(root: Path, tmp_path: Path) -> None:
    old = Results.load(root / "results" / "extrapolation.json")
    old.save(tmp_path / "old.json")
    rows = json.loads((tmp_path / "old.json").read_text())
    assert "series" not in rows
    assert not any("measures" in cell for cell in rows["cells"])
    assert not any("sharpen" in cell or "loops" in cell for cell in rows["cells"])
    cell = dataclasses.replace(old.cells[0], measures={"seconds": 1.5}, sharpen="log-n", loops=18)
    series = Series("run", "accuracy at 20 digits", (10, 20), (0.5, 1.0))
    measured = Measurement("run", 3, 0.25, 100, {"bias": -0.5})
    new = Results((cell,), series=(series,), measurements=(measured,))
    new.save(tmp_path / "new.json")
    assert Results.load(tmp_path / "new.json") == new
    uneven = dataclasses.replace(new, series=(Series("run", "x", (10,), ()),))
    uneven.save(tmp_path / "uneven.json")
    with pytest.raises(UsageError, match="series 0: 'steps' and 'values' are as many, got 1 and 0"):
        Results.load(tmp_path / "uneven.json")


def test_results_round_trip(tmp_path: Path) -> None:
    results = Results((cell(), cell("t5", operand_lengths=None)), {"commit": "abc"})
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no results file"),
        ("[1]", "is no results file"),
        ('{"version": 99, "cells": []}', "is of schema version 99"),
        ('{"version": 1, "cells": [{"label": "x"}]}', "field 'accuracy' is missing"),
    ],
)
def test_foreign_results_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        Results.load(path)
    assert str(path) in str(raised.value)
    assert message in str(raised.value)


def test_language_that_cannot_be_is_refused_by_its_field(tmp_path: Path) -> None:
    own = Language("x", "rope", "seen", 0, 0, lines=1, characters=0, words=1, nats=1.0)
    cell: tuple[Cell, ...] = ()
    Results(cell, language=(own,)).save(tmp_path / "results.json")
    with pytest.raises(ValueError, match="language 0: field 'characters' cannot be so"):
        Results.load(tmp_path / "results.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": float("nan")}, "x.json, cell 1: field 'accuracy' is a number, got nan"),
        ({"accuracy": 0.5}, "x.json, cell 1: field 'accuracy' cannot be so"),
        ({"low": 0.999}, "x.json, cell 1: field 'low' cannot be so"),
        ({"n": 0}, "x.json, cell 1: field 'n' cannot be so"),
        ({"correct": "7"}, "x.json, cell 1: field 'correct' is a whole number, got '7'"),
        ({"train_lengths": [1]}, "x.json, cell 1: field 'train_lengths' is"),
        ({"colour": 1}, "x.json, cell 1: field 'colour' is unknown"),
    ],
)
def test_results_that_cannot_be_are_refused_by_file_and_field(
    arith: Arith, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    Results((cell(digits=1, correct=300), cell(digits=2, correct=300))).save(tmp_path / "x.json")
    values = json.loads((tmp_path / "x.json").read_text())
    values["cells"][1] |= change
    (tmp_path / "x.json").write_text(json.dumps(values))
    refused = arith("plot", "x.json")
    assert refused.exit_code == 2
    assert message in " ".join(refused.stderr.split())
    assert not list(tmp_path.glob("*.png"))
