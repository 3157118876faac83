"""Multiplication as states of columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.tasks.addition import Addition
from arith.tasks.base import Layout, Trace, Traced
from arith.tasks.digits import Numbers
from arith.tasks.multiplication import Multiplication
from arith.tasks.schoolbook import KINDS
from arith.tasks.stream import Draws
from arith.tasks.tracing import states, steps

NUMBERS = st.integers(0, 10**12 - 1)
TRACES = pytest.mark.parametrize("trace", KINDS.values(), ids=KINDS)


def value(state: np.ndarray) -> int:
    """What the columns of one row are worth: a part of place p of column k counts 10**(k + p)."""
    return sum(int(n) * 10 ** (k + p) for k, column in enumerate(state) for p, n in enumerate(column))


def layout(columns: np.ndarray) -> Layout:
    """Answers of so many columns, half of which are the digits of a factor."""
    place = np.arange(columns.max())
    return Layout(np.where(place < columns[:, None], place, -1), columns // 2)


@TRACES
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_states_are_partial_products_and_the_last_is_the_product(trace: Trace, pairs: list[tuple[int, int]]) -> None:
    a, b = (Numbers.of(own) for own in zip(*pairs, strict=True))
    columns = a.width + b.width
    found, loops = states(trace, (a, b), b.lengths, columns)
    for row, (first, second) in enumerate(pairs):
        for loop, state in enumerate(found[:, row]):
            assert value(state) == first * (second % 10**loop)
        last = found[loops[row], row]
        assert not last[:, 1:].any()
        assert int("".join(map(str, last[::-1, 0]))) == first * second
        assert loops[row] == b.lengths[row] or found[loops[row] - 1, row, :, 1:].any(), "no loop too many"
    assert found.max() <= 9


def test_carries_of_nines_and_of_long_factors() -> None:
    trace = KINDS["carry-save"]
    for digits in (1, 20, 100):
        nines = Numbers.of([10**digits - 1])
        found, loops = states(trace, (nines, nines), nines.lengths, 2 * digits)
        assert int("".join(map(str, found[-1, 0, ::-1, 0]))) == (10**digits - 1) ** 2
        assert loops[0] <= 3 * digits


@TRACES
def test_one_loop_of_each_problem_whatever_the_batch(trace: Trace) -> None:
    numbers = np.random.default_rng(0).integers(0, 10**4, (2, 200))
    a, b = (Numbers.of(own.tolist()) for own in numbers)
    columns = 2 * np.maximum(a.lengths, b.lengths)
    draws = Draws.at(0, "train", 0, 200)
    whole = steps(trace, (a, b), layout(columns), 0.5, draws)
    part = slice(50, 60)
    again = steps(trace, (a[part], b[part]), layout(columns[part]), 0.5, draws[part])
    width = again.before.shape[1]
    assert (whole.loop[part] == again.loop).all()
    assert (whole.before[part, :width] == again.before).all()
    assert (whole.after[part, :width] == again.after).all()
    for row in range(200):
        assert not whole.before[row, columns[row] :].any()
        assert not whole.after[row, columns[row] :].any()


@TRACES
def test_states_are_their_own_or_random_by_share(trace: Trace) -> None:
    numbers = np.random.default_rng(1).integers(1000, 10**4, (2, 400))
    a, b = (Numbers.of(own.tolist()) for own in numbers)
    columns, draws = np.full(400, 8), Draws.at(0, "train", 0, 400)
    own = {}
    for random in (0.0, 0.5, 1.0):
        found = steps(trace, (a, b), layout(columns), random, draws)
        own[random] = [
            value(found.before[row]) == x * (y % 10 ** int(found.loop[row]))
            for row, (x, y) in enumerate(zip(*numbers.tolist(), strict=True))
        ]
        after = trace.advance(found.before, (a, b), columns // 2, found.loop)
        assert (after == found.after).all()
        assert found.before.max() == 9
    assert all(own[0.0])
    assert not any(own[1.0])
    assert 150 < sum(own[0.5]) < 250


def test_every_loop_is_drawn_and_one_in_which_nothing_changes() -> None:
    a = Numbers.of([12] * 3000)
    columns = np.full(3000, 4)
    found = steps(KINDS["carry-save"], (a, a), layout(columns), 0.0, Draws.at(0, "train", 0, 3000))
    counts = np.bincount(found.loop)
    assert len(counts) == 3  # 12 * 12 has no carry: two loops, and one more
    assert counts.min() > 900
    settled = found.loop == 2
    assert (found.before[settled] == found.after[settled]).all()


def test_what_is_traced_by_name() -> None:
    assert isinstance(Multiplication(), Traced)
    assert not isinstance(Addition(), Traced)
    with pytest.raises(ValueError, match="carry-save or running-sum, got 'long'"):
        Multiplication().trace("long")
