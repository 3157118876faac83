"""Fields that every room reads: a value that fits none of the kinds of its field is refused with all of them."""

from typing import Any, Literal

import pytest

from arith.errors import UsageError
from arith.fields import read_field


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (1.5, float | Literal["log-n"], 1.5),
        ("log-n", float | Literal["log-n"], "log-n"),
        (None, float | Literal["log-n"] | None, None),
        ("log-n", float | Literal["log-n"] | None, "log-n"),
        ([1, 2], int | tuple[int, ...], (1, 2)),
        (3, int | tuple[int, ...], 3),
        (True, int | bool, True),
    ],
)
def test_the_first_kind_that_fits_is_read(value: Any, kind: Any, found: Any) -> None:
    read = read_field(value, kind, "field")
    assert (read, type(read)) == (found, type(found))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("log_n", float | Literal["log-n"], "field is a number or log-n, got 'log_n'. Did you mean 'log-n'?"),
        (True, float | Literal["log-n"] | None, "field is a number or log-n, got True."),
        (None, float | Literal["log-n"], "field is a number or log-n, got None."),
        (1.5, int | Literal["all", "none"], "field is a whole number or all or none, got 1.5."),
        ([1, "a"], int | tuple[int, ...], "field is a whole number or a list, got [1, 'a']."),
        ("a", int | None, "field is a whole number, got 'a'"),
    ],
)
def test_a_refusal_names_every_kind(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_field(value, kind, "field")
    assert str(raised.value) == message
