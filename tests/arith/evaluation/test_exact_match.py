"""Exact match by length: what is measured together, refused, and seen in training."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arith.config.schema import RunConfig
from arith.data.dataset import Dataset
from arith.data.tokenized import texts
from arith.errors import UsageError
from arith.evaluation.exact_match import evaluate, jobs
from arith.evaluation.teacher_forced import Verdicts
from arith.experiment.experiment import Experiment
from arith.model.block import Attention
from arith.model.transformer import Transformer
from arith.results.cell_key import CellKey
from arith.results.schema import Cell, Condition
from arith.tasks.formats import Format


def test_lengths_beyond_the_encoding_are_refused() -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": "learned", "evaluation": {"digits": "4"}}))
    with pytest.raises(UsageError, match="a test at 9 digits is beyond this model: Learned has position ids up to"):
        list(
            evaluate(experiment, experiment.model(), [Condition("random", 9, 5)], label="x", step=1, training_seconds=0)
        )


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
    sets = experiment.tests.grid("1-2x2-3", 90)
    asked = [pairs(next(jobs(experiment, [test])).data, test.n) for test in sets]
    found = list(evaluate(experiment, experiment.model(), sets, label="x", step=2, training_seconds=0))
    seen = {cell.operand_lengths: cell.seen for cell in found}
    assert list(seen.values()) == [sum(pair in held for pair in own) for own in asked]
    assert min(seen[1, 3], seen[2, 2]) > 9, "or the test proves nothing"
    assert seen[2, 3] == 0, "longer ones are kept out of training"


def untrained(**values: object) -> Experiment:
    return Experiment.of(RunConfig.of({"evaluation": {"digits": "4"}, **values}))


def test_cells_of_a_grid_are_tested_together_as_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = untrained(encoding="rope@coupled")
    model = experiment.model().eval()
    sets = experiment.tests.grid("1-4", 30)
    assert [test.operand_lengths for test in sets[:4]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert len(list(jobs(experiment, sets))) == 4
    facts = {"label": "x", "step": 1, "training_seconds": 0.0}
    together = list(evaluate(experiment, model, sets, **facts))  # type: ignore[arg-type]
    monkeypatch.setattr("arith.evaluation.exact_match.TOGETHER", 1)
    assert list(evaluate(experiment, model, sets, **facts)) == together  # type: ignore[arg-type]
    assert {cell.suite for cell in together} == {"grid"}
    assert [cell.operand_lengths for cell in together] == [test.operand_lengths for test in sets]


def test_grids_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="two operands' lengths, and copy has 1"):
        untrained(task="copy", format="plain", encoding="rope").tests.grid("1-3", 5)
    with pytest.raises(UsageError, match="a range rises"):
        untrained().tests.grid("3-1", 5)


@pytest.mark.parametrize("sharpen", [0.01, "log-n"])
def test_tests_may_have_a_temperature_of_their_own(sharpen: float | str) -> None:
    facts: dict[str, Any] = {"label": "x", "step": 1, "training_seconds": 0.0}
    sets = [Condition("random", digits, 30) for digits in (2, 3)]

    def measure(tested: Transformer, **values: object) -> tuple[list[Cell], Tensor]:
        margins = []

        def record(test: Condition, data: Dataset, start: int, found: Verdicts) -> None:
            margins.append(found.margin)

        experiment = untrained(encoding="t5", **values)
        cells = []
        for cell in evaluate(experiment, tested, sets, record=record, **facts):
            cells.append(cell)
            assert {part.sharpen for part in tested.modules() if isinstance(part, Attention)} == {tested.config.sharpen}
        return cells, torch.cat(margins)

    # A factor of its own and one for the tests are the same measurement; another one is another.
    plain, built = untrained(encoding="t5").model(), untrained(encoding="t5", model={"sharpen": sharpen}).model()
    own, margins = measure(built, model={"sharpen": sharpen})
    changed, same_margins = measure(plain, evaluation={"digits": "4", "sharpen": sharpen})
    default, other_margins = measure(plain)
    assert changed == own
    torch.testing.assert_close(margins, same_margins, rtol=0, atol=0)
    assert not torch.allclose(margins, other_margins)
    assert [cell.sharpen for cell in (*changed, *default)] == [sharpen, sharpen, 1, 1]
    keys = [{CellKey.of(cell) for cell in cells} for cells in (changed, default)]
    assert not keys[0] & keys[1]
    assert {key.test for key in keys[0]}.isdisjoint(key.test for key in keys[1])
    assert {key.training for key in keys[0]}.isdisjoint(key.training for key in keys[1])


def test_cells_say_the_loops_of_the_test_where_they_are_others_than_in_training() -> None:
    sets, facts = [Condition("random", 2, 30)], {"label": "x", "step": 1, "training_seconds": 0.0}

    def tested(loops: object, in_tests: int | None) -> Cell:
        values = {"model": {"loops": loops}, "evaluation": {"digits": "4", "loops": in_tests}}
        experiment = untrained(encoding="t5", **values)
        (cell,) = evaluate(experiment, experiment.model(), sets, **facts)  # type: ignore[arg-type]
        return cell

    told = [(3, None), (3, 3), ("2-3", None), ("2-3", 3), ("2-3", 2), (2, 3), (3, 2)]
    cells = [tested(*loops) for loops in told]
    assert [cell.loops for cell in cells] == [None, None, None, None, 2, 3, 2]
    assert cells[0] == cells[1] == cells[2] == cells[3]
    first, other = CellKey.of(cells[0]), CellKey.of(cells[4])
    assert first.test != other.test
    assert first.training != other.training


def test_cells_say_the_lengths_of_operands_where_all_problems_share_them() -> None:
    experiment = untrained()
    model = experiment.model()
    for suite in ("random", "chain", "sparse", "equal", "unequal"):
        asked = [Condition(suite, 3, 30)]
        (cell,) = evaluate(experiment, model, asked, label="x", step=0, training_seconds=0)
        drawn = {tuple(pair) for pair in experiment.tests.problems(asked).sources[0].lengths(0, 30).T.tolist()}
        assert cell.operand_lengths == (drawn.pop() if len(drawn) == 1 else None), suite


def test_conditions_are_told_from_cells() -> None:
    experiment = untrained()
    sets = [Condition("random", 2, 9), *experiment.tests.grid("1-2", 9)]
    cells = evaluate(experiment, experiment.model().eval(), sets, label="x", step=1, training_seconds=0)
    assert [Condition.of(cell) for cell in cells] == sets


def test_answers_that_can_be_right_in_part_are_measured() -> None:
    experiment = untrained(task="request:outside=0.5", format="plain", encoding="rope")
    asked = [Condition("random", 2, 32)]
    (cell,) = evaluate(experiment, experiment.model(), asked, label="x", step=1, training_seconds=0)
    assert cell.measures["out_of_domain"] == 16
    assert cell.measures["right_call"] >= cell.correct
    assert cell.measures["right_arguments"] >= cell.correct
    assert {"refusals", "false_refusals", "right_value"} < set(cell.measures)
    prompts = sum(len(prompt) + 1 for prompt, _ in texts(experiment.tests.problems(asked), Format(), 0, 32))
    assert cell.measures["prompt_tokens"] == prompts  # a character is a token, and one begins the line
    assert 0 < cell.measures["seconds_median"] <= cell.measures["seconds_p95"]
    (other,) = evaluate(untrained(), untrained().model(), asked, label="x", step=1, training_seconds=0)
    assert other.measures == {}
