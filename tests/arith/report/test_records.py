"""docs/records.md: what it says is what results say, and what has no results is open."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.report import records
from arith.report.records import COSTS, RECORDS, Record, render_records
from arith.results.schema import Cell, Results


def cell(**changes: object) -> Cell:
    values: dict[str, object] = {
        "label": "told",
        "task": "multiplication",
        "format": "plain",
        "encoding": "rope",
        "structure_aware": True,
        "suite": "thin",
        "split": "test",
        "train_lengths": [1, 4],
        "digits": 90,
        "operand_lengths": None,
        "model_seed": 1,
        "data_seed": 1,
        "test_seed": 5,
        "step": 10,
        "samples": 100,
        "parameters": 1234,
        "n": 400,
        "correct": 400,
        "accuracy": 1.0,
        "low": 0.99,
        "high": 1.0,
        "seen": 0,
        "training_seconds": 12.4,
    }
    return Cell(**{**values, **changes})  # type: ignore[arg-type]


def row_of(page: str, claim: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {claim} |")]
    return [entry.strip() for entry in line.strip("|").split("|")]


def test_the_page_is_current(arith: Callable[..., Result], root: Path) -> None:
    shown = arith("show", "records")
    assert shown.exit_code == 0, shown.stderr
    assert (root / "docs" / "records.md").read_text() == shown.stdout, (
        "write it anew: arith show records > docs/records.md"
    )


def test_a_row_says_how_sure_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS", (Record("thin", "told the algorithm", "none", "some", "told", 90),))
    found = [cell(model_seed=seed, training_seconds=10.0 + seed) for seed in range(1, 6)]
    found[1] = dataclasses.replace(found[1], correct=380, accuracy=0.95)
    # What the claim does not name changes nothing: another curve, another length, a grid.
    others = [cell(label="other", correct=0, accuracy=0.0), cell(digits=9, correct=0, accuracy=0.0), cell(suite="grid")]

    def shown(cells: list[Cell]) -> list[str]:
        monkeypatch.setattr(Results, "load", staticmethod(lambda path: Results(tuple(cells))))
        (tmp_path / "some.json").touch()
        return row_of(render_records(tmp_path), "thin")

    whole = [
        "thin",
        "told the algorithm",
        "1-4 digits",
        "100 (95)",
        "1,980 of 2,000, 5 seeds",
        "11-15",
        "1,234",
        "none",
    ]
    assert shown([*found, *others]) == whole
    assert shown(found[:2])[3:5] == ["97.5 (95)", "780 of 800, 2 seeds, development"]
    few = [dataclasses.replace(own, n=60, correct=60, accuracy=1.0) for own in found]
    assert shown(few)[4] == "300 of 300, 5 seeds, demonstration"
    hard = [*found, dataclasses.replace(found[4], suite="nines", correct=200, accuracy=0.5)]
    assert shown(hard)[3] == "100 (50)", "a seed counts with its worst suite"
    assert shown(others)[3] == "open: `arith reproduce some`"


def test_groups_are_those_of_the_cells(root: Path) -> None:
    measured = [(record, found) for record in RECORDS for found in record.cells(root / "results")]
    assert len({record.claim for record, _ in measured}) >= 6
    for record, found in measured:
        free = "structure-aware" if found.structure_aware else "structure-free"
        assert record.group == ("told the algorithm" if found.supervision == "algorithm" else free), record.claim


def test_costs_are_read_from_their_rows(tmp_path: Path) -> None:
    cost = next(own for own in COSTS if "1,000 x 2" in own.claim)
    assert row_of(render_records(tmp_path), cost.claim)[2] == "open"
    rows = [{**dict(cost.row), "seconds": 0.51, "cpu_seconds": 0.32, "peak_mebibytes": 410.2}]
    (tmp_path / cost.file).write_text(json.dumps({"rows": [{name: None for name, _ in cost.row}, *rows]}))
    assert row_of(render_records(tmp_path), cost.claim)[1:5] == ["5 s", "0.5", "0.3", "410"]
