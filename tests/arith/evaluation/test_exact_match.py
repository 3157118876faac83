"""Evaluation, results, curves, tables and figures."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from scipy.stats import binomtest

from arith.config.schema import RunConfig
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.evaluation import teacher_forced as judging
from arith.evaluation.exact_match import evaluate, grid_conditions, jobs
from arith.evaluation.teacher_forced import exact_matches, judge
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.figures.accuracy import draw_accuracy
from arith.results.curves import curves
from arith.results.schema import Cell, Condition, Results
from arith.results.tables import accuracy_table
from arith.results.uncertainty import wilson
from arith.tasks import vocabulary
from arith.training.loop import train

CPU = torch.device("cpu")


@pytest.mark.parametrize("n", [1, 7, 400, 10_000])
def test_wilson_is_scipys(n: int) -> None:
    for correct in {0, 1, n // 3, n - 1, n}:
        expected = binomtest(correct, n).proportion_ci(method="wilson")
        assert wilson(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_refuses_what_is_no_share() -> None:
    for correct, n in ((1, 0), (5, 4), (-1, 4)):
        with pytest.raises(ValueError, match="between 0 and n"):
            wilson(correct, n)


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        ("coupled", "padded-reversed"),
        ("coupled", "padded"),
        ("learned+t5@abacus", "padded-reversed"),
        ("learned+t5@abacus", "padded"),
        # Ids of these depend on how long a sample may grow, which must not be how long the batch is.
        ("learned@randomized:span=24+coupled", "reversed"),
        ("learned@randomized:span=24,tested=even+coupled", "reversed"),
    ],
)
def test_one_pass_equals_cached_greedy_decoding(tmp_path: Path, encoding: str, form: str) -> None:
    config = RunConfig.of(
        {
            "encoding": encoding,
            "format": form,
            "data": {"digits": "1-2"},
            "training": {"steps": 250, "batch": 64, "evaluate_every": 250},
            "evaluation": {"digits": "2"},
        }
    )
    experiment = Experiment.of(config)
    model = train(Run.begin(tmp_path / "run", config), experiment)
    right = []
    for digits in (1, 2):
        data = experiment.test_data("random", digits)
        batch = data.batch(0, 300, CPU)
        cut = batch.shortest_prompt
        prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
        decoded = model.answer(prompt, batch.key, batch.tokens.shape[1] - cut, batch.capacity)
        padded = torch.full_like(batch.tokens[:, cut:], vocabulary.token(vocabulary.PAD))
        padded[:, : decoded.shape[1]] = decoded
        in_one_pass = judge(model, batch).right
        assert torch.equal(in_one_pass, (padded == batch.tokens[:, cut:]).all(1))
        alone = torch.cat([judge(model, data.batch(row, 1, CPU)).right for row in range(60)])
        assert torch.equal(in_one_pass[:60], alone)
        right.append(in_one_pass)
    share = float(torch.cat(right).float().mean())
    assert 0.02 < share < 0.98, "half-trained, or the test proves nothing"


def test_greedy_stops_at_end_marks_and_takes_equal_lengths_only() -> None:
    experiment = Experiment.of(RunConfig())
    model = experiment.model()
    ragged = experiment.training_data().batch(0, 8, CPU)
    with pytest.raises(ValueError, match="prompts of equal length"):
        model.answer(ragged.prompt, ragged.key, 3, ragged.capacity)


def test_chunks_do_not_change_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.of(RunConfig.of({"training": {"steps": 1}}))
    model = experiment.model()
    data = experiment.test_data("unequal", 4)
    whole = exact_matches(model, data, 50)
    monkeypatch.setitem(judging.SCORE_BYTES, "cpu", 1)
    assert torch.equal(exact_matches(model, data, 50), whole)


def test_lengths_beyond_the_encoding_are_refused() -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": "learned", "evaluation": {"digits": "4"}}))
    with pytest.raises(UsageError, match="a test at 9 digits is beyond this model: Learned has position ids up to"):
        list(
            evaluate(experiment, experiment.model(), [Condition("random", 9, 5)], label="x", step=1, training_seconds=0)
        )


def cell(
    label: str = "rope", digits: int = 4, correct: int = 400, n: int = 400, seed: int = 0, **changes: object
) -> Cell:
    low, high = wilson(correct, n)
    values = {
        "label": label,
        "task": "addition",
        "format": "padded",
        "encoding": label,
        "structure_aware": label.startswith("coupled"),
        "suite": "random",
        "split": "test",
        "train_lengths": (1, 4),
        "digits": digits,
        "operand_lengths": (digits, digits),
        "model_seed": seed,
        "data_seed": seed,
        "test_seed": 1,
        "step": 10,
        "samples": 1280,
        "parameters": 1000,
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "low": low,
        "high": high,
        "seen": 0,
        "training_seconds": 1.0,
    }
    return Cell(**{**values, **changes})  # type: ignore[arg-type]


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
    with pytest.raises(UsageError, match="two results on suite 'random' at 4 digits for seed 0"):
        curves([cell(), cell()], "random")


def test_a_curve_is_fitted_on_unequal_lengths_too() -> None:
    cells = [cell(digits=3), cell(digits=3, correct=300, suite="unequal"), cell(digits=3, correct=0, suite="nines")]
    assert [curve.in_distribution for curve in curves(cells, "random")] == [0.75]


def test_a_curve_that_missed_its_training_lengths_is_unfitted() -> None:
    (curve,) = curves([cell(digits=3, correct=395), cell(digits=9)], "random")
    assert not curve.fitted
    assert "unfitted" in accuracy_table([curve])
    (untested,) = curves([cell(digits=9)], "random")
    assert not untested.fitted


def test_figures_are_written_and_repeatable(tmp_path: Path) -> None:
    cells = [
        cell(label, digits, n - digits, n) for label in ("rope", "coupled-x") for digits, n in ((1, 400), (50, 400))
    ]
    drawn = curves(cells, "random")
    first = draw_accuracy(drawn, tmp_path / "a" / "figure", "Title")
    second = draw_accuracy(drawn, tmp_path / "b" / "figure", "Title")
    assert [path.suffix for path in first] == [".png", ".pdf", ".svg", ".csv"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    rows = list(csv.DictReader(first[3].open()))
    assert [(row["label"], row["digits"], row["n"]) for row in rows[:2]] == [
        ("rope", "1", "400"),
        ("rope", "50", "400"),
    ]
    assert float(rows[1]["median"]) == 350 / 400


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_figures_take_extremes(tmp_path: Path, count: int, share: float) -> None:
    cells = [
        cell(f"encoding-{number}", digits, round(share * 400), seed=seed)
        for number in range(count)
        for digits in (1, 4, 500)
        for seed in range(2)
    ]
    assert all(path.stat().st_size for path in draw_accuracy(curves(cells, "random"), tmp_path / "figure"))


def test_every_cell_counts_what_training_held(tmp_path: Path) -> None:
    config = RunConfig.of({"training": {"steps": 2, "batch": 4000}, "evaluation": {"digits": "1,5", "samples": 100}})
    experiment = Experiment.of(config)
    sets = [Condition("random", 1, 100), Condition("random", 5, 100)]
    small, large = evaluate(experiment, experiment.model(), sets, label="x", step=2, training_seconds=0)
    assert small.seen > 90, "8,000 samples hold most of the 100 problems of one digit"
    assert large.seen == 0
    assert json.dumps(dataclasses.asdict(small))


def test_cells_of_up_to_four_digits_count_exactly_what_training_held() -> None:
    experiment = Experiment.of(RunConfig.of({"data": {"digits": "1-3"}, "training": {"steps": 2, "batch": 4000}}))

    def pairs(data: Dataset, count: int) -> list[frozenset[str]]:
        first, second = data.problems.sources[0].operands(0, count)
        return [frozenset((first.text(row), second.text(row))) for row in range(count)]

    held = set(pairs(experiment.training_data(), 8000))
    sets = grid_conditions(experiment, "1-2x2-3", 90)
    asked = [pairs(next(jobs(experiment, [test])).data, test.n) for test in sets]
    found = list(evaluate(experiment, experiment.model(), sets, label="x", step=2, training_seconds=0))
    seen = {cell.operand_lengths: cell.seen for cell in found}
    assert list(seen.values()) == [sum(pair in held for pair in own) for own in asked]
    assert min(seen[1, 3], seen[2, 2]) > 9, "or the test proves nothing"
    assert seen[2, 3] == 0, "longer ones are kept out of training"
