"""The language of encodings."""

from hypothesis import given
from hypothesis import strategies as st

from arith.catalogue.spec import parse


def test_at_binds_tighter_than_plus() -> None:
    parts = parse("learned@abacus+rope")
    assert [str(part) for part in parts] == ["learned@abacus", "rope"]
    assert [str(part) for part in parse("(learned+rope)@abacus")] == ["learned@abacus", "rope@abacus"]
    assert [str(part) for part in parse("(t5+(learned+rope)@abacus:origin=random)")] == [
        "t5",
        "learned@abacus:origin=random",
        "rope@abacus:origin=random",
    ]


@given(st.lists(st.sampled_from(["rope", "t5:buckets=8", "nope", "learned@coupled:origin=random,span=3"]), min_size=1))
def test_specs_round_trip(parts: list[str]) -> None:
    assert [str(part) for part in parse("+".join(parts))] == parts
