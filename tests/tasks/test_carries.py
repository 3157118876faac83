"""Carries, against Python's integers."""

import pytest

from arith.tasks.addition import Addition
from arith.tasks.base import Task
from arith.tasks.carries import columns, has_columns
from arith.tasks.multiplication import Multiplication
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.strings import Copy
from arith.tasks.subtraction import Subtraction


@pytest.mark.parametrize("task", [Addition(), Addition(operands=4), Subtraction()])
def test_digits_are_sums_and_carries(task: Task) -> None:
    problems = Source(task, Uniform(1, 9, 0.5 if task == Addition() else 0.0), 0, "train").problems(0, 400)
    found = columns(task, problems.operands)
    digits = (found.sums + found.carried) % 10
    for row in range(400):
        text = problems.answer.text(row).removeprefix("-")
        assert "".join(map(str, digits[row][::-1])).lstrip("0") == text.lstrip("0")
    assert abs(found.carried).max() <= found.most
    assert (found.carried <= 0).all() if task.symbol == "-" else (found.carried >= 0).all()


def test_only_sums_and_differences_have_columns() -> None:
    assert not has_columns(Multiplication())
    assert not has_columns(Copy())
    with pytest.raises(ValueError, match="no columns"):
        columns(Multiplication(), Source(Multiplication(), Uniform(1, 2), 0, "train").operands(0, 3))
