"""Workings against the same steps written with Python's own integers and strings."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.catalogue.named import format_named, task_named
from arith.tasks.addition import Addition


def steps(kind: str, sign: str, numbers: list[int], widths: list[int]) -> str:
    """Of a scratchpad, a detailed one or a recursive one."""
    texts = [str(number).zfill(width) for number, width in zip(numbers, widths, strict=True)]
    swapped = sign == "-" and numbers[0] < numbers[1]
    if swapped:
        texts.reverse()
    carry, written = 0, []
    for column in range(max(widths)):
        digits = [int(text[::-1][column : column + 1] or 0) for text in texts]
        total = sum(digits) + carry if sign == "+" else digits[0] - digits[1] - carry
        out = total // 10 if sign == "+" else int(total < 0)
        found = f"{total % 10}c{out}"
        equation = sign.join([*map(str, digits), f"c{carry}"]) + "="
        rest = sign.join(text[: max(len(text) - column, 0)] or "0" for text in texts)
        restated = rest + ":" if column else ""
        written.append({"scratchpad": found, "detailed": equation + found, "plain": restated + equation + found}[kind])
        carry = out
    assert carry == 0 or sign == "+", "the larger number stands first"
    return "-" * swapped + ",".join(written)


@pytest.mark.parametrize("kind", ["scratchpad", "detailed", "plain"])
@pytest.mark.parametrize("base", ["plain", "reversed", "padded"])
@pytest.mark.parametrize("task", ["addition", "subtraction", "addition:operands=4"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_columns_are_worked_as_people_do(task: str, base: str, kind: str, data: st.DataObject) -> None:
    asked = task_named(task)
    numbers = data.draw(st.lists(st.integers(0, 10**8), min_size=asked.operands, max_size=asked.operands))
    working = "recursive:remaining=plain" if kind == "plain" else kind
    text = format_named(f"{base}+{working}").text(asked, *numbers)
    lengths = [len(str(number)) for number in numbers]
    widths = [max(lengths)] * len(numbers) if base == "padded" else lengths
    assert text.partition("=")[2].rpartition(";")[0] == steps(kind, asked.symbol, numbers, widths)


def test_the_papers_example_of_a_recursive_scratchpad() -> None:
    form = format_named("plain+recursive")
    assert form.text(Addition(), 239, 821) == "239+821=9+1+c0=0c1,32+28:3+2+c1=6c0,2+8:2+8+c0=0c1;1060"
    plain = format_named("plain+recursive:remaining=plain")
    assert "0c1,23+82:3+2+c1=6c0" in plain.text(Addition(), 239, 821)


@pytest.mark.parametrize(("base", "turned"), [("plain", lambda text: text), ("reversed", lambda text: text[::-1])])
@given(a=st.integers(0, 10**9), b=st.integers(0, 10**9))
@settings(max_examples=50, deadline=None)
def test_partial_products_sum_to_the_answer(base: str, turned: Callable[[str], str], a: int, b: int) -> None:
    text = format_named(f"{base}+partial-products").text(task_named("multiplication"), a, b)
    working, _, answer = text.partition("=")[2].rpartition(";")
    assert int(turned(answer)) == a * b
    digits = str(b)[::-1]
    expected, total = "", 0
    for place, digit in enumerate(digits):
        product = a * int(digit) * 10**place
        total += product
        expected += ("+" if place else "") + turned(str(product))
        if 0 < place < len(digits) - 1:
            expected += f"({turned(str(total))})"
    assert working == expected


@pytest.mark.parametrize(
    ("task", "form", "reason"),
    [
        ("multiplication", "plain+scratchpad", "columns of sums and differences.*Use partial-products"),
        ("addition", "plain+partial-products", "steps of a multiplication"),
        ("multiplication", "interleaved+recursive", "columns of sums"),
        ("copy", "plain+detailed", "columns of sums"),
        ("dialogue", "plain+recursive", "answers with the number alone"),
        ("addition:operands=11", "plain+scratchpad", "single digits, for 10 operands at most; got 11"),
    ],
)
def test_what_has_no_such_steps_is_refused(task: str, form: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        format_named(form).check(task_named(task))


def test_ten_operands_have_carries_of_one_digit() -> None:
    text = format_named("plain+scratchpad").text(Addition(10), *[99] * 10)
    assert text.endswith("=0c9,9c9;990")
