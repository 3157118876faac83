"""Each digit of a problem replaced by all others."""

from pathlib import Path

import pytest

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.play.digits import try_digits
from arith.play.trace import trace


def test_a_model_that_adds_has_the_influence_of_addition() -> None:
    run = open_model(Path("addition"))
    experiment = Experiment.of(run.config)
    model, _ = run.load_model(experiment)
    found = try_digits(experiment, model, "95+17")
    # 95+17 = 112, written 211$. A tens digit of the first operand: ten other sums, and a carry into the hundreds while
    # it is 8 and more; units: 5 and more of 7 carry, as 3 and more do.
    assert found.digits == (0, 1, 3, 4)
    assert found.tried == (9, 9, 9, 9)
    assert found.model == found.right
    assert found.model[0] == (0, 9, 8, 0)
    assert found.model[1] == (9, 3, 0, 0)


@pytest.mark.parametrize("encoding", ["rope", "t5@abacus"])
def test_answers_are_those_of_asking_one_problem_after_the_other(encoding: str) -> None:
    values = {"encoding": encoding, "evaluation": {"digits": "4"}, "model": {"layers": 2, "width": 32}}
    experiment = Experiment.of(RunConfig.of(values))
    model = experiment.model().eval()
    model.head.weight.data *= 20  # untrained logits are nearly equal, and a batch rounds otherwise than a row
    found = try_digits(experiment, model, "9+47")
    first = trace(experiment, model, "9+47").written
    for row, at in enumerate(found.digits):
        counts = [0] * len(found.model[row])
        edits = [f"{'9+47'[:at]}{digit}{'9+47'[at + 1 :]}" for digit in "0123456789" if digit != "9+47"[at]]
        # 0 in place of 4 makes the prompt shorter.
        edits = [edit for edit in edits if edit != "9+07"]
        assert found.tried[row] == len(edits)
        for edit in edits:
            answer = trace(experiment, model, edit).written
            for place in range(len(counts)):
                counts[place] += [*answer, *[-1] * 9][place] != [*first, *[-1] * 9][place]
        assert found.model[row] == tuple(counts)


def test_what_is_too_long_is_refused() -> None:
    experiment = Experiment.of(RunConfig.of({"encoding": "rope", "evaluation": {"digits": "4"}}))
    with pytest.raises(UsageError, match="up to 120 tokens"):
        try_digits(experiment, experiment.model().eval(), "9" * 130 + "+1")
