"""The formulas in the docstrings of terms are what the op computes."""

import re
from typing import Any

import pytest
import torch

from arith.kernels.attention import attention
from arith.kernels.reference import add_term, visibility
from arith.kernels.terms import Decay, DistanceTable, Ids, KeyTable, PairTable, Term, Window

B, H, N, D, R, SCALE = 2, 3, 7, 4, 2, 0.5
TERMS = (DistanceTable, PairTable, Window, Decay, KeyTable)


def formulas(term: type[Term]) -> list[str]:
    """The formula of a term, and what holds in its place where an id is 0."""
    return re.findall("`([^`]+)`", str(term.__doc__))


def ids() -> Ids:
    """Ids from 0, which is no position, to more than a table's radius apart; samples differ."""
    places = torch.randint(0, 6, (B, N), generator=torch.Generator().manual_seed(4))
    places[0, :2] = 0
    return Ids(places, places)


def example(kind: type[Term]) -> tuple[Term, dict[str, Any]]:
    """A term of a kind, and the names that its formula uses."""
    torch.manual_seed(7)
    if kind is Window:
        return Window(1, 2, ids()), {"left": 1, "right": 2}
    if kind is Decay:
        cumulative = torch.randn(B, H, N, dtype=torch.float64)
        return Decay(cumulative), {"cumulative": cumulative}
    shape = {DistanceTable: (H, 2 * R + 2), PairTable: (H, 5, 5), KeyTable: (H, 2 * R + 1, D)}[kind]  # type: ignore[index]
    values = torch.randn(*shape, dtype=torch.float64)
    return kind(values, ids()), {"values": values, "r": R, "scale": SCALE}  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize("kind", TERMS)
def test_a_documented_formula_is_what_is_computed(kind: type[Term]) -> None:
    term, names = example(kind)
    query = torch.randn(B, H, N, D, dtype=torch.float64)
    places = ids()
    formula, *unplaced = formulas(kind)
    expected = torch.zeros(B, H, N, N, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for i in range(N):
                for j in range(N):
                    q, k = int(places.q[b, i]), int(places.k[b, j])
                    written = unplaced[0] if unplaced and 0 in (q, k) else formula
                    here = {"b": b, "h": h, "i": i, "j": j, "q": q, "k": k, "query": query[b, h, i]}
                    functions = {"clip": lambda x, low, high: min(max(x, low), high), "dot": torch.dot}
                    expected[b, h, i, j] = float(eval(written, functions | names | here))
    if kind is Window:
        seen = visibility(N, N, [term], False, None, None, query.device)
        assert seen is not None
        torch.testing.assert_close(seen.expand(B, H, N, N).double(), expected)
    else:
        torch.testing.assert_close(add_term(term, torch.zeros_like(expected), query, SCALE), expected)


@pytest.mark.parametrize("kind", [DistanceTable, PairTable, Decay, KeyTable])
def test_the_op_adds_what_the_reference_adds(kind: type[Term]) -> None:
    term, _ = example(kind)
    q, k, v = (torch.randn(B, H, N, D, dtype=torch.float64) for _ in range(3))
    scores = add_term(term, SCALE * q @ k.transpose(-1, -2), q, SCALE)
    torch.testing.assert_close(attention(q, k, v, terms=(term,), causal=False, scale=SCALE), scores.softmax(-1) @ v)


def test_every_term_with_numbers_has_a_formula() -> None:
    from typing import get_args

    assert {kind.__name__ for kind in get_args(Term)} == {kind.__name__ for kind in TERMS} | {"ScoreMod"}
