from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from arith.encodings.coupled import Coupled
from arith.encodings.digit_positions import Abacus
from arith.encodings.positions import Kind, Reading, Sequential
from arith.encodings.randomized import Randomized
from arith.encodings.segments import Segments
from arith.errors import UsageError
from arith.hf.numbers.marks import Notices, find_marks
from arith.hf.numbers.numerals import COMMA, MIXED, Numerals
from arith.hf.numbers.placing import Text, assign_ids, check_digits

READING = Reading("msb", "lsb", fixed_width=False)


def text_of(tokenizer: Any, rows: list[str], documents: Any = None) -> Text:
    batch = tokenizer(rows, return_tensors="pt", padding=True)
    numerals = Numerals.of(tokenizer, len(tokenizer))
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    return Text(
        kind=numerals.kind[ids].long(),
        digits=numerals.digits[ids].long(),
        ends_line=numerals.ends_line[ids],
        begins_answer=find_marks(ids, numerals.marks),
        running=False,
        valid=None if mask.all() else mask,
        document=documents,
        key=torch.zeros(len(ids), dtype=torch.long),
        tested=True,
    )


def checked(text: Text, reading: Reading) -> None:
    check_digits(text, reading, text.kind, Notices(None))


def ids(scheme: Any, text: Text) -> list[list[int]]:
    found: Tensor = assign_ids(scheme, text, READING, 40)
    return [row.tolist() for row in found[0].expand(len(text.key), -1)]


@pytest.mark.parametrize(
    ("scheme", "line", "expected"),
    [
        (Coupled(9), "12+345=753", [3, 2, 1, 4, 3, 2, 1, 2, 3, 4]),
        (Coupled(9), "x1 2 +3=51", [0, 3, 0, 2, 0, 1, 2, 1, 2, 3]),
        (Coupled(9), "12+9=12\n3+45=84", [3, 2, 1, 2, 1, 2, 3, 0, 2, 1, 3, 2, 1, 2, 3]),
        (Coupled(9), "12+345", [3, 2, 1, 4, 3, 2]),
        (Coupled(9), "12x34=5=6", [3, 2, 0, 3, 2, 1, 2, 1, 2]),
        (Abacus(9), "12+345=753\n12", [1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]),
        (Segments(), "12+345=753", [1, 1, 2, 3, 3, 3, 4, 5, 5, 5]),
        (Sequential(), "12+345=753", list(range(1, 11))),
    ],
)
def test_numbers_inside_text_have_their_places(
    scheme: Any, line: str, expected: list[int], digit_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = digit_tokenizer()
    assert ids(scheme, text_of(tokenizer, [line])) == [expected]
    for side in ("left", "right"):
        tokenizer.padding_side = side
        longer, own = ids(scheme, text_of(tokenizer, ["1+1=2" * 4, line]))
        pad = len(longer) - len(expected)
        # Sequential ids of padding at the end are never looked at.
        assert (own[pad:] if side == "left" else own[: len(expected)]) == expected
        assert side == "right" or own[:pad] == [0] * pad
    tokenizer.padding_side = "left"


@pytest.mark.parametrize("scheme", [Coupled(9), Abacus(9), Sequential(), Randomized(99), Segments()])
def test_packed_documents_have_the_ids_that_they_have_alone(scheme: Any, digit_tokenizer: Callable[..., Any]) -> None:
    tokenizer, rows = digit_tokenizer(), ["12+345=753", "x9*9=18", "5"]
    document = torch.tensor([place for place, row in enumerate(rows) for _ in row])[None]
    packed = text_of(tokenizer, ["".join(rows)], document)
    alone = [ids(scheme, text_of(tokenizer, [row]))[0] for row in rows]
    assert ids(scheme, packed)[0] == [own for row in alone for own in row]


def test_rows_without_padding_share_their_ids(digit_tokenizer: Callable[..., Any]) -> None:
    tokenizer = digit_tokenizer()
    tokenizer.padding_side = "right"
    text = text_of(tokenizer, ["12+345=753", "1"])
    tokenizer.padding_side = "left"
    assert text.valid is not None
    assert assign_ids(Sequential(), text, READING, 40).shape == (1, 1, 10)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("123456+789=1", [3, 2, 1, 2, 1, 2]),
        ("12+3=51", [2, 1, 2, 1, 2]),
        ("123+456=1234", [2, 1, 2, 1, 2, 3]),  # answers are counted from their first digit, the units
        ("x12", [0, 2]),
    ],
)
def test_groups_that_are_counted_from_the_units_are_digits_of_a_larger_base(
    line: str, expected: list[int], digit_tokenizer: Callable[..., Any]
) -> None:
    text = text_of(digit_tokenizer(3), [line])
    checked(text, READING)
    assert ids(Coupled(9), text) == [expected]


@pytest.mark.parametrize(("line", "sizes"), [("1234+5=1", "3+1"), ("999+12345=1", "3+2"), ("1 2 3+456=1", "1")])
def test_groups_that_are_not_are_refused(line: str, sizes: str, digit_tokenizer: Callable[..., Any]) -> None:
    for rows in ([line], ["1+1=2" * 4, line]):
        with pytest.raises(UsageError, match=f"a number stands in tokens of {sizes.replace('+', '.')} digits .* of 3:"):
            checked(text_of(digit_tokenizer(3), rows), READING)
    # Written least significant digit first, groups from the left are groups from the units.
    checked(text_of(digit_tokenizer(3), ["1234+5=1"]), Reading("lsb", "lsb", fixed_width=False))


def test_tokens_of_any_tokenizer_are_known_by_their_text() -> None:
    pieces = ["Ġ12", "▁3", "##4", "<0x35>", "+", "Ġ=", "▁", "Ċ", "ĠĠ", "x2", "=7", "1 2", "-", "==", "</s>", None]
    pieces += [",", "Ġ=-"]
    vocabulary = SimpleNamespace(all_special_ids=[14], convert_ids_to_tokens=lambda ids: [pieces[own] for own in ids])
    vocabulary = type("Vocabulary", (), {**vars(vocabulary), "__len__": lambda self: len(pieces)})
    vocabulary.convert_ids_to_tokens = staticmethod(lambda ids: [pieces[own] for own in ids])
    numerals = Numerals.of(vocabulary(), vocabulary=20)
    kinds = (
        "DIGIT DIGIT DIGIT DIGIT OPERATOR EQUALS GAP OTHER GAP OTHER OTHER OTHER OPERATOR OTHER OTHER GAP OTHER EQUALS"
        " OTHER OTHER"
    )
    assert [Kind(own).name for own in numerals.kind.tolist()] == kinds.split()
    assert numerals.digits.tolist() == [2, 1, 1, 1, 0, 0, 0, 0, 0, 0, MIXED, MIXED, 0, 0, 0, 0, COMMA, 0, 0, 0]
    assert numerals.ends_line.nonzero().flatten().tolist() == [7, 14]
    assert numerals.marks.tolist() == [[5], [17]]


def test_a_token_of_a_digit_and_a_sign_has_no_place() -> None:
    one = torch.ones(1, 2, dtype=torch.long)
    never = one > 1
    text = Text(
        one * Kind.OTHER, one * MIXED, never, never, False, None, None, torch.zeros(1, dtype=torch.long), tested=True
    )
    with pytest.raises(UsageError, match=r"a token holds a digit and a sign.*TokenizedProblems"):
        checked(text, READING)
