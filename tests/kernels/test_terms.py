"""The formulas in the docstrings of terms are what the op computes."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from arith.kernels.attention import attention
from arith.kernels.reference import add_term, trim, visibility
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, Term, Window

B, H, N, D, R, SCALE = 2, 3, 7, 4, 2, 0.5
E, S = 3, 4  # numbers of a state, and slots
TERMS = (DistanceTable, PairTable, Window, Decay, QueryTable)


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
    if kind is QueryTable:
        states, values = torch.randn(B, H, N, E, dtype=torch.float64), torch.randn(H, S, E, dtype=torch.float64)
        return QueryTable(states, values, -R, True, ids()), {"states": states, "values": values, "first": -R, "s": S}
    shape = {DistanceTable: (H, 2 * R + 2), PairTable: (H, 5, 5)}[kind]  # type: ignore[index]
    values = torch.randn(*shape, dtype=torch.float64)
    return kind(values, ids()), {"values": values, "r": R}  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize("kind", TERMS)
def test_a_documented_formula_is_what_is_computed(kind: type[Term]) -> None:
    term, names = example(kind)
    places = ids()
    formula, *unplaced = formulas(kind)
    expected = torch.zeros(B, H, N, N, dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for i in range(N):
                for j in range(N):
                    q, k = int(places.q[b, i]), int(places.k[b, j])
                    written = unplaced[0] if unplaced and 0 in (q, k) else formula
                    here = {"b": b, "h": h, "i": i, "j": j, "q": q, "k": k}
                    functions = {"clip": lambda x, low, high: min(max(x, low), high), "dot": torch.dot}
                    expected[b, h, i, j] = float(eval(written, functions | names | here))
    if kind is Window:
        seen = visibility(N, N, [term], False, None, None, expected.device)
        assert seen is not None
        torch.testing.assert_close(seen.expand(B, H, N, N).double(), expected)
    else:
        torch.testing.assert_close(add_term(term, torch.zeros_like(expected)), expected)


@pytest.mark.parametrize("kind", [DistanceTable, PairTable, Decay, QueryTable])
def test_the_op_adds_what_the_reference_adds(kind: type[Term]) -> None:
    term, _ = example(kind)
    q, k, v = (torch.randn(B, H, N, D, dtype=torch.float64) for _ in range(3))
    scores = add_term(term, SCALE * q @ k.transpose(-1, -2))
    torch.testing.assert_close(attention(q, k, v, terms=(term,), causal=False, scale=SCALE), scores.softmax(-1) @ v)


def test_a_table_of_queries_without_ends_adds_nothing_beyond_its_slots() -> None:
    term, _ = example(QueryTable)
    assert isinstance(term, QueryTable)
    assert term.ids is not None
    with_ends, without = (
        add_term(replace(term, ends=ends), torch.zeros(B, H, N, N, dtype=torch.float64)) for ends in (True, False)
    )
    distance = (term.ids.k[:, None] - term.ids.q[:, :, None])[:, None]
    inside = (distance >= term.first) & (distance < term.first + S)
    assert bool((inside & (with_ends != 0)).any())
    assert bool((~inside & (with_ends != 0)).any())
    torch.testing.assert_close(without, with_ends * inside)


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize(("low", "high"), [(-9, -5), (-9, -2), (-2, 0), (-1, -1), (0, 9), (1, 9), (7, 9), (-9, 9)])
def test_a_trimmed_table_scores_the_distances_that_are_left_alike(low: int, high: int, ends: bool) -> None:
    term, _ = example(QueryTable)
    assert isinstance(term, QueryTable)
    assert term.ids is not None
    term = replace(term, ends=ends)
    distance = (term.ids.k[:, None] - term.ids.q[:, :, None])[:, None]
    inside = (distance >= low) & (distance <= high)
    whole, trimmed = (add_term(own, torch.zeros(B, H, N, N)) * inside for own in (term, trim(term, low, high)))
    torch.testing.assert_close(trimmed, whole, rtol=0, atol=0)


def test_every_term_with_numbers_has_a_formula() -> None:
    from typing import get_args

    assert {kind.__name__ for kind in get_args(Term)} == {kind.__name__ for kind in TERMS} | {"ScoreMod"}
