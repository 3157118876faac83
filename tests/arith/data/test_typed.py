"""Problems as people type them."""

import pytest

from arith.data.typed import example_problem, read_operands
from arith.errors import UsageError
from arith.tasks.modular import ModularSum, Parity


def test_strings_keep_their_zeros_and_bits_are_zeros_and_ones() -> None:
    assert read_operands("0110 =", Parity()) == ["0110"]
    assert read_operands("0129", ModularSum()) == ["0129"]
    for wrong in ("0120", "1+1", ""):
        with pytest.raises(UsageError, match="ask parity for problems such as 1011"):
            read_operands(wrong, Parity())
    assert read_operands(example_problem(Parity()), Parity()) == ["1011"]
