"""Problems as people type them."""

import pytest

from arith.data.typed import example_problem, read_operands, write_typed
from arith.errors import UsageError
from arith.tasks.formats import Format
from arith.tasks.modular import ModularSum, Parity
from arith.tasks.request import Request


def test_strings_keep_their_zeros_and_bits_are_zeros_and_ones() -> None:
    assert read_operands("0110 =", Parity()) == ["0110"]
    assert read_operands("0129", ModularSum()) == ["0129"]
    for wrong in ("0120", "1+1", ""):
        with pytest.raises(UsageError, match="ask parity for problems such as 1011"):
            read_operands(wrong, Parity())
    assert read_operands(example_problem(Parity()), Parity()) == ["1011"]


@pytest.mark.parametrize(
    ("typed", "prompt", "answer", "result"),
    [
        ("Of 842 maps, 62 are gone. How many are left?", None, "sub(842,62)", "780"),
        ("To the nearest hundred, what is 851?", None, "round(851,2)", "900"),
        ("What time is it?", None, "none()", "0"),
        ("max(842, 62)", "Pick the larger of 842 and 62.", "max(842,62)", "842"),
    ],
)
def test_a_query_is_asked_in_its_words_and_a_call_in_ours(
    typed: str, prompt: str | None, answer: str, result: str
) -> None:
    written = write_typed(typed, Request(), Format(), 0)
    assert (written.prompt, written.answer, written.result) == (f"{prompt or typed}=", answer, result)
    with pytest.raises(UsageError, match="expected a query in a wording of the task"):
        write_typed("What on earth is 5 plus 7?", Request(), Format(), 0)
    assert read_operands(example_problem(Request()), Request())
