"""Answers as they are decoded."""

from pathlib import Path

from arith.evaluation.answers import predict
from arith.evaluation.teacher_forced import judge_dataset
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.results.schema import Condition


def test_the_first_wrong_token_of_one_pass_is_that_of_decoding(half_trained: Path) -> None:
    run = Run.open(half_trained)
    experiment = Experiment.of(run.config)
    model, _ = run.load_model(experiment)
    data = experiment.test_data("unequal", 2)
    found = judge_dataset(model, data, 200)
    rows = predict(model, Condition("unequal", 2, 200), data, 0, found)
    assert 0.02 < float(found.right.float().mean()) < 0.98, "half-trained, or the test proves nothing"
    for row, first in zip(rows, found.first_wrong.tolist(), strict=True):
        a, b = map(int, row.operands)
        assert row.result == str(a + b)
        assert (row.first_wrong or 0) == first
        if first:
            assert row.written[: first - 1] == row.expected[: first - 1]
            assert row.written[first - 1 : first] != row.expected[first - 1]
        else:
            assert row.written == row.expected
        assert row.correct == (row.answer == row.result and row.written.endswith("$"))
    again = predict(model, Condition("unequal", 2, 50), data, 100, found[100:150])
    assert [row.written for row in again] == [row.written for row in rows[100:150]]
