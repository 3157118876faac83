"""Curves of cells: median, worst, reach, and whether the training lengths are fitted."""

import dataclasses
from pathlib import Path

import pytest

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.evaluation.session import evaluate_run
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.figures.accuracy import draw_accuracy
from arith.results.curves import curves
from arith.results.schema import Results
from arith.results.tables import accuracy_table
from arith.results.uncertainty import wilson
from tests.arith.examples import cell

LOOPED = {
    "task": "multiplication",
    "format": "padded-reversed",
    "encoding": "sliding-window",
    "data": {"digits": "1-3"},
    "model": {"width": 32, "hidden": 32},
    "trace": {"kind": "carry-save"},
    "training": {"steps": 12, "batch": 16, "checkpoint_every": 5, "evaluate_every": 6, "log_every": 3},
    "evaluation": {"digits": [2, 12], "samples": 20},
}


def test_curves_give_median_worst_and_reach() -> None:
    cells = [cell(digits=4, correct=400, seed=seed) for seed in range(3)]
    cells += [cell(digits=8, correct=correct, seed=seed) for seed, correct in enumerate((400, 390, 100))]
    cells += [cell(digits=16, correct=400, seed=seed) for seed in range(3)]
    (curve,) = curves(cells, "random")
    assert (curve.points[1].median, curve.points[1].worst, curve.points[1].best) == (0.975, 0.25, 1.0)
    assert curve.fitted
    assert curve.seeds == 3
    assert curve.points[1].interval == (wilson(100, 400)[0], wilson(400, 400)[1])
    assert curve.succeeded == 1


def test_a_curve_is_sure_to_the_digits_where_every_seeds_interval_begins_at_99_percent() -> None:
    # 398 of 400 are 99.5% right, and as few as 98.2% may be.
    counts = {4: (400, 400), 8: (400, 400), 16: (400, 398), 32: (400, 400)}
    cells = [cell(digits=d, correct=right, seed=s) for d, seeds in counts.items() for s, right in enumerate(seeds)]
    (curve,) = curves(cells, "random")
    assert curve.points[2].worst == 0.995
    assert curve.reaches == 8
    assert accuracy_table([curve]).splitlines()[1].split()[-2:] == ["8", "2/2"]
    assert [curve.reaches for curve in curves(cells[4:], "random")] == [0]


def test_curves_refuse_to_mix_experiments() -> None:
    with pytest.raises(UsageError, match="different experiments"):
        curves([cell(seed=0), cell(seed=1, train_lengths=(1, 6))], "random")
    with pytest.raises(UsageError, match=r"sharpen 1\.0 .*\n.*sharpen log-n"):
        curves([cell(seed=0), cell(seed=1, sharpen="log-n")], "random")
    with pytest.raises(UsageError, match="two results on suite 'random' at 4 digits for seed 0"):
        curves([cell(), cell()], "random")


def test_tests_with_other_loops_are_curves_of_their_own() -> None:
    both = curves([cell(), cell(loops=18, correct=300), cell(label="nope", loops=18)], "random")
    assert [(curve.label, curve.points[0].median) for curve in both] == [
        ("rope, loops as in training", 1.0),
        ("rope, 18 loops", 0.75),
        ("nope", 1.0),
    ]


def test_a_curve_is_fitted_on_unequal_lengths_too() -> None:
    cells = [cell(digits=3), cell(digits=3, correct=300, suite="unequal"), cell(digits=3, correct=0, suite="nines")]
    assert [curve.in_distribution for curve in curves(cells, "random")] == [0.75]


def test_a_curve_that_missed_its_training_lengths_is_unfitted() -> None:
    (curve,) = curves([cell(digits=3, correct=395), cell(digits=9)], "random")
    assert not curve.fitted
    assert "unfitted" in accuracy_table([curve])
    (untested,) = curves([cell(digits=9)], "random")
    assert not untested.fitted


def looped(**changes: object) -> RunConfig:
    return RunConfig.of(LOOPED).with_values(changes)


def test_what_was_told_an_algorithm_is_drawn_apart(tmp_path: Path) -> None:
    config = looped(evaluation={"digits": [1, 2], "samples": 3, "suites": ["random"]})
    experiment = Experiment.of(config)
    told = evaluate_run(
        Run.begin(tmp_path / "run", config), experiment, experiment.model().eval(), 0, "told", tmp_path / "told.json"
    )
    (cell, *_) = told.cells
    answers = dataclasses.replace(cell, label="answers", supervision="answers")
    free = dataclasses.replace(answers, label="free", structure_aware=False)
    Results((cell, answers, free)).save(tmp_path / "three.json")
    written = (tmp_path / "three.json").read_text()
    (tmp_path / "old.json").write_text(written.replace(', "supervision": "answers"', ""))
    assert Results.load(tmp_path / "old.json").cells == (cell, answers, free)
    drawn = curves((cell, answers, free), "random")
    groups = [curve.group.partition(":")[0] for curve in drawn]
    assert groups == ["algorithm-supervised", "structure-aware", "structure-free"]
    draw_accuracy(drawn, tmp_path / "figure")
    figure = (tmp_path / "figure.svg").read_text()
    assert all(group in figure for group in groups)
