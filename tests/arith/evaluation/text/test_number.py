"""What number a reply means: the rules in their order, and numbers as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.catalogue.named import format_named, task_named
from arith.evaluation.text.number import Found, find_number

RIGHT = {
    # a reply, the number it means, the rule that finds it
    "17.0": ("17", "opens"),
    "6{,}254": ("6254", "opens"),
    "6_254": ("6254", "opens"),
    "1 246": ("1246", "opens"),
    "1\u2009246": ("1246", "opens"),
    "1\u202f246": ("1246", "opens"),
    "1\\,246": ("1246", "opens"),
    "1'246": ("1246", "opens"),
    "1,234,567.": ("1234567", "opens"),
    "+46": ("46", "opens"),
    "= 1246 (4 digits)": ("1246", "equals"),
    "21. Let me know if you have 2 more questions!": ("21", "opens"),
    "1.246e3": ("1246", "opens"),
    "1246, check: 1246 - 34 = 1212": ("1246", "opens"),
    "12 + 34 = 46": ("46", "equals"),
    "12+34=46\n\nLet me know if 2 more": ("46", "equals"),
    "It is found so:\n46": ("46", "opens"),
    "46\n\nHope 2 helps": ("46", "opens"),
    "12 plus 34 is 46": ("46", "last"),
    "12 and 34 make 46": ("46", "last"),
    "**46**": ("46", "opens"),
    "**12** + **34** = **46**": ("46", "equals"),
    "$12 \\times 3 = 36$": ("36", "equals"),
    "2**3=8": ("8", "equals"),
    "The answer is **46**. Any 2 more?": ("46", "said"),
    "ANSWER: 12 + 34 = 46": ("46", "said"),
    "the answer is 4, no, the answer is 46, after 2 tries": ("46", "said"),
    "so $\\boxed{45}$, no: $\\boxed{1{,}246}$ in 3 steps": ("1246", "boxed"),
    "<think>99 = 99</think>46": ("46", "opens"),
    "99 = 99</think>46": ("46", "opens"),
    "1. Add 12 and 34.\n2. Done, it makes 46": ("46", "last"),
    "the 2nd is H2O and 46": ("46", "last"),
    "-12": ("-12", "opens"),
    "\u221212": ("-12", "opens"),
    "x = -12": ("-12", "equals"),
    "- 46 is it": ("46", "last"),
}
# What would be right if a sign, a point or the rest were overlooked.
WRONG = {
    "1.246": "1246",
    "1246.5": "1246",
    "1,24": "124",
    "1,2,4": "124",
    "12 345 6": "123456",
    "4 6": "4",
    "-46": "46",
    "\u221246": "46",
    "46e1": "46",
    "46e9999999": "46",
    "12-46": "-46",
    "<think>46": "46",
    "46 + 3 is wrong": "46",
    "no idea": "0",
}


@pytest.mark.parametrize("reply", RIGHT)
def test_numbers_are_read_as_people_write_them(reply: str) -> None:
    number, rule = RIGHT[reply]
    assert find_number(reply, format_named("plain"), task_named("addition")) == Found(number, rule)  # type: ignore[arg-type]


@pytest.mark.parametrize("reply", WRONG)
def test_what_is_not_the_answer_does_not_pass_for_it(reply: str) -> None:
    found = find_number(reply, format_named("plain"), task_named("addition"))
    assert found is None or found.text != WRONG[reply]


def test_a_format_writes_numbers_its_own_way() -> None:
    assert find_number("It is 21-", format_named("reversed"), task_named("subtraction")) == Found("21-", "last")
    assert find_number("2 1  4", format_named("plain+spaces"), task_named("addition")) == Found("2 1  4", "opens")


@settings(deadline=None)
@given(st.integers(-(10**40), 10**40), st.text(alphabet="abc .+", max_size=6))
def test_any_number_is_found_whatever_stands_before(number: int, before: str) -> None:
    """Digits beyond what a float or a decimal of 28 holds stay as they are."""
    for written in (str(number), f"{number:,}", f"{number:_}", f"{number}.0", f"{number}e0"):
        found = find_number(f"12 and 7 {before} {written}.", format_named("plain"), task_named("subtraction"))
        assert found is not None
        assert found.text == str(number)
