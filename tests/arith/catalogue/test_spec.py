"""The language of encodings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arith.catalogue.spec import parse
from arith.errors import UsageError


def test_at_binds_tighter_than_plus() -> None:
    parts = parse("learned@abacus+rope")
    assert [str(part) for part in parts] == ["learned@abacus", "rope"]
    assert [str(part) for part in parse("(learned+rope)@abacus")] == ["learned@abacus", "rope@abacus"]
    assert [str(part) for part in parse("(t5+(learned+rope)@abacus:origin=random)")] == [
        "t5",
        "learned@abacus:origin=random",
        "rope@abacus:origin=random",
    ]


def test_layers_stand_behind_what_acts_in_them() -> None:
    assert [str(part) for part in parse("(t5+rope)@coupled[0,1,2,4]+nope[3]")] == [
        "t5@coupled[0-2,4]",
        "rope@coupled[0-2,4]",
        "nope[3]",
    ]
    assert [part.layers for part in parse("rope[3,0-1,1]+t5")] == [(0, 1, 3), None]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rope[2-1]", "ranges such as 0-3, not '2-1'"),
        ("rope[a]", "not 'a'"),
        ("rope[-1]", "not '-1'"),
        ("rope[0", "']' is missing"),
        ("rope[]", "is expected, not ']'"),
        ("rope[0]]", "']' is not expected"),
        ("rope[0][1]", "'[' is not expected"),
        ("(rope[1])[0]", "it puts in layers 0 what is in 1"),
        ("t5[0]@coupled", "'@' is not expected"),
    ],
)
def test_what_names_no_layers_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        parse(text)


PARTS = ["rope", "t5:buckets=8", "nope", "learned@coupled:origin=random,span=3", "rope@coupled[0-2,5]"]


@given(st.lists(st.sampled_from(PARTS), min_size=1))
def test_specs_round_trip(parts: list[str]) -> None:
    assert [str(part) for part in parse("+".join(parts))] == parts
