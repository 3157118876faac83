"""Tests of a model: the grid of operand lengths, batches without padding, and going on."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.evaluation import exact_match as evaluate
from arith.evaluation import session as measuring
from arith.evaluation.exact_match import grid_conditions, jobs
from arith.evaluation.teacher_forced import judge, judged
from arith.experiment.experiment import Experiment
from arith.results.schema import Condition, Results

Arith = Callable[..., Result]
CPU = torch.device("cpu")
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


def untrained(**values: object) -> Experiment:
    return Experiment.of(RunConfig.of({"evaluation": {"digits": "4"}, **values}))


def test_batches_pay_next_to_no_padding_and_change_nothing() -> None:
    experiment = untrained(format="plain", encoding="learned@randomized:span=64+t5")
    model, data = experiment.model().eval(), experiment.test_data("nines", 4)
    whole = judged(model, data, 200)
    paid = asked = 0
    for rows, batch in data.batches(200, lambda tokens: 9, CPU):
        assert len(rows) <= 9
        paid, asked = paid + batch.tokens.numel(), asked + int(batch.length.sum())
        with torch.no_grad():
            own = judge(model, batch)
        assert torch.equal(own.first_wrong, whole.first_wrong[torch.from_numpy(rows)])
        assert torch.allclose(own.margin, whole.margin[torch.from_numpy(rows)], atol=1e-4)
    assert paid <= 1.0625 * asked
    assert len(set(whole.first_wrong.tolist())) > 1
    fixed = untrained().test_data("nines", 4)
    assert all(bool((batch.length == batch.tokens.shape[1]).all()) for _, batch in fixed.batches(99, lambda t: 50, CPU))


def test_a_margin_is_that_of_the_two_best_tokens() -> None:
    experiment = untrained()
    model, data = experiment.model().eval(), experiment.test_data("random", 3)
    batch = data.batch(0, 20, CPU)
    with torch.no_grad():
        own = judge(model, batch)
        ids = model.encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
        best = model(batch.tokens, ids).topk(2, -1).values
    for row in range(20):
        start = int(batch.prompt.length[row])
        stop = start + int(own.first_wrong[row]) if own.first_wrong[row] else int(batch.length[row])
        margins = best[row, start - 1 : stop - 1, 0] - best[row, start - 1 : stop - 1, 1]
        assert float(own.margin[row]) == pytest.approx(float(margins.min()), abs=1e-5)


def test_cells_of_a_grid_are_tested_together_as_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = untrained(encoding="rope@coupled")
    model = experiment.model().eval()
    sets = grid_conditions(experiment, "1-4", 30)
    assert [test.operand_lengths for test in sets[:4]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert len(list(jobs(experiment, sets))) == 4
    facts = {"label": "x", "step": 1, "training_seconds": 0.0}
    together = list(evaluate.evaluate(experiment, model, sets, **facts))  # type: ignore[arg-type]
    monkeypatch.setattr("arith.evaluation.exact_match.TOGETHER", 1)
    assert list(evaluate.evaluate(experiment, model, sets, **facts)) == together  # type: ignore[arg-type]
    assert {cell.suite for cell in together} == {"grid"}
    assert [cell.operand_lengths for cell in together] == [test.operand_lengths for test in sets]


def test_grids_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="two operands' lengths, and copy has 1"):
        grid_conditions(untrained(task="copy", format="plain", encoding="rope"), "1-3", 5)
    with pytest.raises(UsageError, match="a range rises"):
        grid_conditions(untrained(), "3-1", 5)


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
    assert "Go on with" in stopped.stderr
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
    for other in (("--seed", "5"), ("--task", "subtraction"), ("--format", "padded-all-reversed")):
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
        *("random", "unequal", "nines", "chain", "sparse", "equal", "powers", "adjacent")
    ]
    progress = shown.stderr.splitlines()[-1]
    assert "100/100" in progress
    assert "s left" in progress


def test_conditions_are_told_from_cells() -> None:
    experiment = untrained()
    sets = [Condition("random", 2, 9), *grid_conditions(experiment, "1-2", 9)]
    cells = evaluate.evaluate(experiment, experiment.model().eval(), sets, label="x", step=1, training_seconds=0)
    assert [Condition.of(cell) for cell in cells] == sets
