"""A factor on finished scores, one for all queries or by the number of tokens, whatever an encoding adds to them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from arith.kernels.attention import attention
from arith.kernels.reference import add_term, token_index, visibility
from arith.kernels.sharpening import sharpen_scores
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, ScoreMod, Term, Window

CPU = torch.device("cpu")
B, H, Q, K, D = 2, 2, 5, 7, 4


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def ids() -> Ids:
    every = torch.tensor([[0, 3, 2, 1, 0, 3, 2], [0, 2, 1, 0, 2, 1, 3]])
    return Ids(every[:, K - Q :], every)


# What each kind of term is, and whether `log-n` needs no term of its own for it.
KINDS: dict[str, tuple[Any, bool]] = {
    "nothing": (lambda: (), True),
    "window": (lambda: (Window(2, 0), Window(1, 1, ids())), True),
    "table": (lambda: (DistanceTable(drawn(H, 8)), DistanceTable(drawn(1, 6), ids())), False),
    "pairs": (lambda: (PairTable(drawn(H, K, K)),), False),
    "decay": (lambda: (Decay(drawn(B, H, K)),), False),
    "queries": (lambda: (QueryTable(drawn(B, H, Q, 3), drawn(H, 5, 3), -4, ids=ids()), Window(3, 0)), True),
    "both": (lambda: (QueryTable(drawn(B, H, Q, 3), drawn(1, 9, 3), -4, ends=True), DistanceTable(drawn(H, 8))), False),
}


def by_hand(q: Tensor, k: Tensor, v: Tensor, terms: tuple[Term, ...], factor: float | Tensor) -> Tensor:
    scores = q @ k.transpose(-1, -2) / math.sqrt(D)
    for term in terms:
        scores = add_term(term, scores)
    visible = visibility(Q, K, terms, True, None, None, CPU)
    assert visible is not None
    return (scores * factor).masked_fill(~visible, -torch.inf).softmax(-1) @ v


@pytest.mark.parametrize("sharpen", [0.3, 1.7, "log-n"])
@pytest.mark.parametrize("kind", [*KINDS, "function"])
def test_every_score_is_multiplied(kind: str, sharpen: Any) -> None:
    torch.manual_seed(0)
    q, k, v = drawn(B, H, Q, D), drawn(B, H, K, D), drawn(B, H, K, D)
    make, by_count = KINDS.get(kind, (lambda: (ScoreMod(torch.sin), DistanceTable(drawn(H, 8))), False))
    terms = make()
    factor = torch.tensor([3.0, 4, 5, 6, 7]).double().log()[:, None] if sharpen == "log-n" else sharpen
    scale, changed = sharpen_scores(sharpen, terms, q, K)
    torch.testing.assert_close(attention(q, k, v, terms=changed, scale=scale), by_hand(q, k, v, terms, factor))
    folds = kind != "function" and (by_count or sharpen != "log-n")
    assert (len(changed) == len(terms)) == folds, "where factors fold into what is there, kernels run as before"
    for before, after in zip(terms, changed, strict=False):
        assert getattr(before, "ids", None) is getattr(after, "ids", None)


def test_a_factor_of_1_leaves_everything_alone() -> None:
    terms = KINDS["both"][0]()
    scale, same = sharpen_scores(1.0, terms, drawn(B, H, Q, D), K)
    assert scale == 1 / math.sqrt(D)
    assert all(one is other for one, other in zip(terms, same, strict=True))


def test_gradients_of_tables_are_multiplied_too() -> None:
    values = drawn(H, 8).requires_grad_()
    q, k, v = drawn(B, H, Q, D), drawn(B, H, K, D), drawn(B, H, K, D)
    found = []
    for sharpen in (1.7, "log-n"):
        scale, terms = sharpen_scores(sharpen, (DistanceTable(values),), q, K)  # type: ignore[arg-type]
        factor = 1.7 if sharpen == 1.7 else torch.arange(3.0, 8.0).double().log()[:, None]
        for out in (attention(q, k, v, terms=terms, scale=scale), by_hand(q, k, v, (DistanceTable(values),), factor)):
            found.append(*torch.autograd.grad(out.square().sum(), values))
    torch.testing.assert_close(found[::2], found[1::2])


@pytest.mark.parametrize("kind", ["nothing", "queries", "table"])
def test_where_a_token_attends_to_all_all_are_counted(kind: str) -> None:
    q, k, v, terms = drawn(B, H, Q, D), drawn(B, H, K, D), drawn(B, H, K, D), KINDS[kind][0]()
    valid = torch.arange(K) < torch.tensor([[K], [4]])
    for there, counts in ((None, [[7.0], [7.0]]), (valid, [[7.0], [4.0]])):
        scale, changed = sharpen_scores("log-n", terms, q, K, causal=False, valid=there)
        found = attention(q, k, v, terms=changed, causal=False, valid=there, scale=scale)
        scores = q @ k.transpose(-1, -2) / math.sqrt(D)
        for term in terms:
            scores = add_term(term, scores)
        visible = visibility(Q, K, terms, False, there, None, CPU)
        scores = scores * torch.tensor(counts).double().log()[:, None, None]
        scores = scores if visible is None else scores.masked_fill(~visible, -torch.inf)
        torch.testing.assert_close(found, scores.softmax(-1).nan_to_num() @ v, atol=1e-6, rtol=1e-6)


def test_queries_are_counted_by_token_index() -> None:
    q = torch.zeros(1, 1, Q, D)
    scale, _ = sharpen_scores("log-n", (), q.bfloat16(), 300)
    assert isinstance(scale, Tensor)
    torch.testing.assert_close(scale, token_index(Q, 300, CPU).q.float().log() / 2)
