"""Running sums against Python's own."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arith.catalogue.named import format_named, task_named
from arith.tasks.digits import Numbers
from arith.tasks.running import Running


@pytest.mark.parametrize(("base", "turn"), [("plain", 1), ("all-reversed", -1)])
@pytest.mark.parametrize(("task", "modulo"), [("parity", 2), ("modular-sum:modulo=7", 7)])
@given(data=st.data())
def test_each_step_is_the_sum_so_far(task: str, modulo: int, base: str, turn: int, data: st.DataObject) -> None:
    # An int of the front door's `text` has no zeros at the top.
    digits = data.draw(
        st.lists(st.integers(0, min(modulo, 10) - 1), min_size=1, max_size=30).filter(lambda d: d[0] > 0)
    )
    number = "".join(map(str, digits))
    text = format_named(f"{base}+running").text(task_named(task), int(number))
    prompt, _, rest = text.partition("=")
    steps, _, answer = rest.partition(";")
    assert prompt == number[::turn]
    assert list(map(int, steps)) == [sums % modulo for sums in itertools.accumulate(map(int, prompt))]
    assert answer == steps[-1]


def test_zeros_at_the_top_are_steps_too() -> None:
    task, form = task_named("parity"), format_named("plain+running")
    string = Numbers.read(["0010"])
    (piece,) = form.working.pieces(task, (string,), None, "msb")  # type: ignore[union-attr]
    assert piece.lengths.tolist() == [4]
    assert piece.tokens[0].tolist()[::-1] == [0, 0, 1, 1]


def test_other_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="not of copy"):
        Running().check(task_named("copy"), interleaved=False)
