import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.tasks.digits import Numbers, add, multiply, subtract

numbers = st.integers(0, 10**40) | st.sampled_from([0, 1, 9, 10, 99, 10**20 - 1, 10**20])
batches = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8)


def values(batch: Numbers) -> list[int]:
    return [int(batch.text(row)) for row in range(len(batch))]


@given(batches)
@settings(max_examples=200, deadline=None)
def test_sums_and_products_are_those_of_integers(pairs: list[tuple[int, int]]) -> None:
    a, b = (Numbers.of(side) for side in zip(*pairs, strict=True))
    assert values(add(a, b)) == [x + y for x, y in pairs]
    assert values(multiply(a, b)) == [x * y for x, y in pairs]
    assert values(subtract(a, b)) == [x - y for x, y in pairs]


@given(st.lists(numbers | numbers.map(lambda value: -value), min_size=1, max_size=8))
@settings(deadline=None)
def test_numbers_round_trip(listed: list[int]) -> None:
    batch = Numbers.of(listed)
    assert values(batch) == listed
    assert batch.lengths.tolist() == [len(str(abs(value))) for value in listed]


def test_thousand_digit_products_are_exact() -> None:
    sys.set_int_max_str_digits(10_000)
    nines = 10**1000 - 1  # every column of the convolution at its largest
    assert values(multiply(Numbers.of([nines]), Numbers.of([nines]))) == [nines * nines]


def test_results_have_no_leading_zeros() -> None:
    total = add(Numbers.of([0, 10**9]), Numbers.of([0, 1]))
    assert total.lengths.tolist() == [1, 10]
    assert total.digits.dtype == np.uint8


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_sums_of_many_numbers(columns: list[list[int]]) -> None:
    assert values(add(*map(Numbers.of, columns), Numbers.of([0] * 3))) == [
        sum(row) for row in zip(*columns, strict=True)
    ]


def test_many_nines_do_not_overflow() -> None:
    for count in (25, 26, 100):
        assert values(add(*[Numbers.of([10**30 - 1])] * count)) == [count * (10**30 - 1)]
