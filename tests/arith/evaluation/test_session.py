"""An evaluation that is interrupted, resumed and added to."""

import dataclasses
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.schema import EvaluationConfig, RunConfig
from arith.evaluation import session as measuring
from arith.evaluation.exact_match import cell_keys
from arith.experiment.experiment import Experiment
from arith.results.cell_key import CellKey
from arith.results.schema import Results

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]
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
    "sharpen": 1.4,
    "loops": 3,
    "sizes": ["7 2"],
}
# Measured while training, on problems of its own: no cell is of it.
TRACKED = {"watch"}


def test_an_interrupted_evaluation_goes_on(arith: Arith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arith("train", *SMALL, "--out", "run")
    asked = ["evaluate", "run", "--test-digits", "1-3", "--grid", "1-3", "--suites", "random", "--samples", "20"]
    whole = arith(*asked, "--out", "whole.json")
    original, tested = measuring.evaluate, []

    def stopping(*arguments: object, **named: object) -> object:
        for cell in original(*arguments, **named):  # type: ignore[arg-type]
            yield cell
            tested.append(cell)
            if len(tested) == 5:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(measuring, "evaluate", stopping)
    stopped = arith(*asked)
    assert stopped.exit_code == 130
    assert "Resume with" in stopped.stderr
    assert not (tmp_path / "run" / "evaluation.json").exists()
    before = len(tested)
    assert 5 <= before < 12
    again = arith(*asked)
    assert len(tested) == 12, "what was measured is not measured again"
    assert again.stdout.splitlines()[:-1] == whole.stdout.splitlines()[:-1]
    assert not (tmp_path / "run" / "evaluation.partial.json").exists()
    cells = Results.load(tmp_path / "run" / "evaluation.json").cells
    assert cells == Results.load(tmp_path / "whole.json").cells

    # Others of the same model stay, and are not measured again; those of another model, seed or number are.
    arith("evaluate", "run", "--test-digits", "2", "--suites", "random,chain", "--samples", "20")
    assert len(tested) == 13
    assert len(Results.load(tmp_path / "run" / "evaluation.json").cells) == 13
    arith("evaluate", "run", "--test-digits", "2", "--suites", "random", "--samples", "21")
    assert len(tested) == 14
    assert len(Results.load(tmp_path / "run" / "evaluation.json").cells) == 13
    others = (("--seed", "5"), ("--task", "subtraction"), ("--format", "padded-all-reversed"), ("--sharpen", "1.4"))
    for other in others:
        refused = arith("evaluate", "run", "--test-digits", "2", "--suites", "random", "--samples", "21", *other)
        assert refused.exit_code == 2
        assert "holds results of another test" in refused.stderr
    assert len(Results.load(tmp_path / "run" / "evaluation.json").cells) == 13
    assert len(tested) == 14
    arith("train", *SMALL, "--seed", "1", "--out", "run", "--overwrite")
    assert len(tested) == 14 + 6, "the tests after training"
    arith("evaluate", "run", "--test-digits", "2", "--suites", "random", "--samples", "21", "--seed", "5")
    assert len(tested) == 21


def test_adversarial_suites_stand_beside_random_problems(arith: Arith) -> None:
    arith("train", *SMALL, "--out", "run")
    shown = arith("evaluate", "run", "--test-digits", "3", "--samples", "9", "--json")
    cells = json.loads(shown.stdout)["cells"]
    assert [cell["suite"] for cell in cells] == [
        *("random", "unequal", "nines", "chain", "sparse", "equal", "powers", "adjacent", "thin")
    ]
    progress = shown.stderr.splitlines()[-1]
    assert "100/100" in progress
    assert "s left" in progress


@pytest.mark.parametrize("name", [own.name for own in dataclasses.fields(EvaluationConfig) if own.name not in TRACKED])
def test_every_evaluation_setting_is_in_the_key_of_a_cell(name: str) -> None:
    tests = {"digits": "1-2,101", "grid": "1-3"}
    base = RunConfig.of({"encoding": "rope", "model": {"loops": 2}, "evaluation": tests})

    def keys(config: RunConfig) -> set[CellKey]:
        experiment = Experiment.of(config)
        return set(cell_keys(experiment, "rope", 1, experiment.tests.conditions()))

    assert keys(base) != keys(base.with_values({"evaluation": {name: OTHER[name]}}))
