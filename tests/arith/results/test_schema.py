"""results.json: what is in it, and by which key a cell counts as measured."""

import dataclasses
import json
from pathlib import Path

import pytest

from arith.config.schema import EvaluationConfig, RunConfig
from arith.errors import UsageError
from arith.evaluation.exact_match import conditions
from arith.evaluation.session import cell_keys
from arith.experiment.experiment import Experiment
from arith.results.cell_key import CellKey
from arith.results.schema import Results, Series

OTHER = {
    "digits": "1-3",
    "suites": "chain",
    "grid": "1-2",
    "grid_samples": 7,
    "samples": 8,
    "long_samples": 9,
    "seed": 10,
    "task": "subtraction",
    "format": "plain",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(EvaluationConfig)])
def test_every_evaluation_setting_is_in_the_key_of_a_cell(name: str) -> None:
    base = RunConfig.of({"encoding": "rope", "evaluation": {"digits": "1-2,101", "grid": "1-3"}})

    def keys(config: RunConfig) -> set[CellKey]:
        experiment = Experiment.of(config)
        return set(cell_keys(experiment, "rope", 1, conditions(experiment)))

    assert keys(base) != keys(base.with_values({"evaluation": {name: OTHER[name]}}))


def test_measures_and_series_are_kept_and_old_files_need_none(root: Path, tmp_path: Path) -> None:
    old = Results.load(root / "results" / "extrapolation.json")
    old.save(tmp_path / "old.json")
    rows = json.loads((tmp_path / "old.json").read_text())
    assert "series" not in rows
    assert not any("measures" in cell for cell in rows["cells"])
    cell = dataclasses.replace(old.cells[0], measures={"seconds": 1.5})
    new = Results((cell,), series=(Series("run", "accuracy at 20 digits", (10, 20), (0.5, 1.0)),))
    new.save(tmp_path / "new.json")
    assert Results.load(tmp_path / "new.json") == new
    uneven = dataclasses.replace(new, series=(Series("run", "x", (10,), ()),))
    uneven.save(tmp_path / "uneven.json")
    with pytest.raises(UsageError, match="series 0: 'steps' and 'values' are as many, got 1 and 0"):
        Results.load(tmp_path / "uneven.json")
