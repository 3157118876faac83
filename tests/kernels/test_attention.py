"""Attention by every kind of term, against formulas written out by pairs.

Long, as each kind of term is varied with the same inputs.
"""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from arith.kernels import reference
from arith.kernels.attention import attention
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, ScoreMod, Term, Window

B, H, N, D = 2, 4, 7, 8


def tensors(queries: int = N, groups: int = H) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((B, H, queries, D), (B, groups, N, D), (B, groups, N, D))
    q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return q, k, v


def ids(queries: int = N) -> Ids:
    placed = torch.tensor([[0, 3, 2, 1, 3, 2, 0], [5, 0, 1, 9, 2, 2, 4]])
    return Ids(placed[:, N - queries :], placed)


def naive(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, terms: tuple[Term, ...], causal: bool, places: Ids
) -> torch.Tensor:
    """The definitions, one score at a time."""
    out = torch.zeros_like(q)
    queries = q.shape[2]
    for b in range(B):
        for h in range(H):
            for i in range(queries):
                scores = []
                for j in range(N):
                    score = float(q[b, h, i] @ k[b, h, j]) / math.sqrt(D)
                    hidden = causal and j > i + N - queries
                    own, other = int(places.q[b, i]), int(places.k[b, j])
                    unplaced = own == 0 or other == 0
                    for term in terms:
                        match term:
                            case DistanceTable(values):
                                r = (values.shape[1] - 2) // 2
                                slot = 2 * r + 1 if unplaced else max(-r, min(r, other - own)) + r
                                score += float(values[h, slot])
                            case PairTable(values):
                                score += 0 if unplaced else float(values[h, own - 1, other - 1])
                            case Window(left, right):
                                hidden |= not (unplaced or -left <= other - own <= right)
                            case Decay(cumulative):
                                score += float(cumulative[b, h, i + N - queries] - cumulative[b, h, j])
                            case QueryTable(states, values, first, ends):
                                slot = other - own - first
                                nearest = max(0, min(values.shape[1] - 1, slot))
                                if not unplaced and (ends or slot == nearest):
                                    score += float(states[b, h, i] @ values[h if len(values) > 1 else 0, nearest])
                            case ScoreMod(_):
                                score = 2 * score
                    scores.append(-math.inf if hidden else score)
                if max(scores) > -math.inf:
                    weights = torch.tensor(scores, dtype=torch.float64).softmax(0)
                    out[b, h, i] = weights @ v[b, h]
    return out


def terms_named(name: str, places: Ids) -> tuple[Term, ...]:
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    every = {
        "distance": DistanceTable(random(H, 2 * 3 + 2), places),
        "pair": PairTable(random(H, 9, 9), places),
        "window": Window(1, 1, places),
        "decay": Decay(random(B, H, N).cumsum(-1)),
        "query": QueryTable(random(B, H, places.q.shape[1], 3), random(1, 4, 3), -2, False, places),
        "ends": QueryTable(random(B, H, places.q.shape[1], 3), random(H, 4, 3), -1, True, places),
        "mod": ScoreMod(lambda scores: 2 * scores),
    }
    return tuple(every[part] for part in name.split("+"))


@pytest.mark.parametrize("queries", [N, 3, 1])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "name", ["distance", "pair", "window", "decay", "query", "ends", "mod", "distance+window", "pair+mod+decay"]
)
def test_terms_are_what_they_are_defined_as(name: str, causal: bool, queries: int) -> None:
    q, k, v = tensors(queries)
    places = ids(queries)
    terms = terms_named(name, places)
    expected = naive(q, k, v, terms, causal, places)
    torch.testing.assert_close(attention(q, k, v, terms=terms, causal=causal), expected)


@pytest.mark.parametrize("term", ["distance", "window", "pair", "query", "ends"])
def test_missing_ids_mean_token_index(term: str) -> None:
    q, k, v = tensors(3)
    index = torch.arange(1, N + 1)[None]
    given = attention(q, k, v, terms=terms_named(term, Ids(index[:, -3:], index)))
    meant = attention(q, k, v, terms=[type(t)(**{**vars(t), "ids": None}) for t in terms_named(term, ids(3))])
    torch.testing.assert_close(given, meant)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("groups", [4, 2, 1])
def test_plain_attention_is_torchs(causal: bool, groups: int) -> None:
    q, k, v = tensors(groups=groups)
    expected = functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
    torch.testing.assert_close(attention(q, k, v, causal=causal), expected)


def test_a_query_that_sees_nothing_gives_zeros_and_finite_gradients() -> None:
    q, k, v = (tensor.requires_grad_() for tensor in tensors())
    valid = torch.ones(B, N, dtype=torch.bool)
    valid[0, :3] = False
    out = attention(q, k, v, valid=valid)
    assert (out[0, :, :3] == 0).all()
    assert out[1].abs().sum() > 0
    out.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in (q, k, v))


def test_a_query_that_sees_nothing_gives_zeros_beside_a_bias_in_half_precision_too() -> None:
    # The lowest number of 16 bits and a bias are -inf together, and a row of those is NaN.
    bias = DistanceTable(torch.full((H, 8), -40.0, dtype=torch.float64))
    valid = torch.ones(B, N, dtype=torch.bool)
    valid[0, :3] = False
    q, k, v = (tensor.half().requires_grad_() for tensor in tensors())
    out = attention(q, k, v, terms=(bias,), valid=valid)
    assert (out[0, :, :3] == 0).all()
    torch.testing.assert_close(out.double(), attention(*tensors(), terms=(bias,), valid=valid), atol=0.05, rtol=0.05)
    out.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in (q, k, v))


def test_padding_and_documents_hide_keys() -> None:
    q, k, v = tensors()
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1]] * B)
    packed = attention(q, k, v, documents=documents)
    torch.testing.assert_close(packed[:, :, 3:], attention(q[:, :, 3:], k[:, :, 3:], v[:, :, 3:]))
    valid = torch.tensor([[True] * 5 + [False] * 2] * B)
    expected = functional.scaled_dot_product_attention(q, k[:, :, :5], v[:, :, :5])
    torch.testing.assert_close(attention(q, k, v, valid=valid, causal=False), expected)


def test_table_gradient_is_exact() -> None:
    q, k, v = tensors(3)
    places = ids(3)
    table = torch.randn(H, 6, dtype=torch.float64, requires_grad=True)

    def out(values: torch.Tensor) -> torch.Tensor:
        return attention(q, k, v, terms=(DistanceTable(values, places), Window(2, 1, places)))

    assert torch.autograd.gradcheck(out, (table,))


def test_table_gradient_sums_to_zero() -> None:
    # The softmax does not change when every score of a row rises alike.
    q, k, v = tensors()
    table = torch.randn(H, 8, dtype=torch.float64, requires_grad=True)
    (attention(q, k, v, terms=(DistanceTable(table, ids()),)) ** 2).sum().backward()
    assert table.grad is not None
    torch.testing.assert_close(table.grad.sum(1), torch.zeros(H, dtype=torch.float64), atol=1e-12, rtol=0)


def test_half_precision_stays_close() -> None:
    q, k, v = tensors()
    terms = terms_named("distance+window", ids())
    half = attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), terms=terms)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), attention(q, k, v, terms=terms), atol=0.05, rtol=0.05)


def test_unknown_backends_are_refused() -> None:
    q, k, v = tensors()
    with pytest.raises(ValueError, match="no attention backend is called 'flash'"):
        attention(q, k, v, backend="flash")  # type: ignore[arg-type]


def test_impossible_shapes_are_refused() -> None:
    q, k, v = tensors()
    with pytest.raises(ValueError, match="8 queries and 7 keys"):
        attention(torch.randn(B, H, 8, D), k, v)
    with pytest.raises(ValueError, match="4 query and 3 key heads"):
        attention(q, k[:, :3], v[:, :3])


def test_numbers_that_kernels_would_take_for_others_are_refused() -> None:
    q, k, v = tensors()
    for dtype in (torch.uint8, torch.int16, torch.bool, torch.float32):
        own = torch.ones(B, N).to(dtype)
        with pytest.raises(ValueError, match=f"ids of Window are whole numbers of 32 or 64 bits, got {dtype}"):
            attention(q, k, v, terms=(Window(1, 1, Ids(own, own)),))
    with pytest.raises(ValueError, match=r"documents are whole numbers, got torch\.float32"):
        attention(q, k, v, documents=torch.zeros(B, N))


def test_the_mask_that_the_refusal_of_an_additive_one_names_is_the_same() -> None:
    q, k, v = tensors()
    valid = torch.arange(N).expand(B, N) % 3 > 0
    additive = torch.zeros(B, N).masked_fill(~valid, -1e9)
    assert torch.equal(attention(q, k, v, valid=additive == 0), attention(q, k, v, valid=valid))


def test_dropped_weights_are_none_and_the_others_grow() -> None:
    q, k, _ = tensors()
    torch.manual_seed(0)
    weights = attention(q, k, torch.eye(N, dtype=q.dtype).expand(B, H, N, N))  # the values show them
    dropped = attention(q, k, torch.eye(N, dtype=q.dtype).expand(B, H, N, N), dropout=0.5)
    kept = dropped > 0
    torch.testing.assert_close(dropped[kept], 2 * weights[kept])
    assert 0.3 < float(kept.sum() / (weights > 0).sum()) < 0.7
    with pytest.raises(ValueError, match="weights are dropped in plain torch"):
        attention(q, k, k, dropout=0.5, backend="triton")


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.mark.parametrize("each", [(H,), (B, H, 3)])
@pytest.mark.parametrize("name", ["distance", "distance+window"])
def test_a_sink_is_a_key_without_a_value(name: str, each: tuple[int, ...]) -> None:
    q, k, v = tensors(3)
    terms, sinks = terms_named(name, ids(3)), drawn(*each).requires_grad_()
    found = attention(q, k, v, terms=terms, sinks=sinks)
    # The sum of the other exponentials grows by the sink's.
    weights = reference.attention_weights(q, k, terms, True, None, None, 1 / math.sqrt(D))
    scores = (q / math.sqrt(D)) @ k.transpose(-1, -2)
    for term in terms:
        scores = reference.add_term(term, scores)
    seen = reference.visibility(3, N, terms, True, None, None, q.device)
    assert seen is not None
    logsum = scores.masked_fill(~seen, -math.inf).logsumexp(-1)
    each_query = sinks.expand(B, 3, H).transpose(1, 2) if sinks.dim() == 1 else sinks
    expected = (weights @ v) * (logsum - each_query).sigmoid()[..., None]
    torch.testing.assert_close(found, expected)
    (ours,), (theirs,) = (
        torch.autograd.grad(out.square().sum(), sinks, retain_graph=True) for out in (found, expected)
    )
    torch.testing.assert_close(ours, theirs)


def test_a_query_that_sees_no_key_gives_zeros_beside_a_sink() -> None:
    q, k, v = tensors()
    valid = torch.ones(B, N, dtype=torch.bool)
    valid[:, 0] = False
    out = attention(q, k, v, valid=valid, sinks=drawn(H))
    assert bool((out[:, :, 0] == 0).all())
    assert bool((out[:, :, 1:] != 0).all())


def test_a_cap_bends_the_products_and_leaves_terms_alone() -> None:
    q, k, v = tensors()
    terms = terms_named("distance", ids())
    products = (q / math.sqrt(D)) @ k.transpose(-1, -2)
    seen = torch.ones(N, N, dtype=torch.bool).tril()
    scores = reference.add_term(terms[0], 0.5 * (products / 0.5).tanh()).masked_fill(~seen, -math.inf)
    torch.testing.assert_close(attention(q, k, v, terms=terms, softcap=0.5), scores.softmax(-1) @ v)


@pytest.mark.parametrize("rows", [1, B])
def test_each_query_can_have_a_scale(rows: int) -> None:
    q, k, v = tensors(3)
    terms, scale = terms_named("distance", ids(3)), drawn(rows, 3)
    expected = attention(q * scale[:, None, :, None], k, v, terms=terms, scale=1.0)
    torch.testing.assert_close(attention(q, k, v, terms=terms, scale=scale), expected)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"scale": torch.ones(B, 2)}, "one for each of 2 x 7 queries"),
        ({"softcap": 0.0}, "above 0"),
        ({"softcap": -1.0}, "above 0"),
        ({"softcap": math.nan}, "above 0"),
        ({"sinks": torch.ones(H + 1)}, "each of 4 heads"),
        ({"sinks": torch.ones(B, H)}, "each of 4 heads"),
        ({"terms": [QueryTable(torch.ones(B, H + 1, N, 3), torch.ones(1, 4, 3), -3)]}, "4 heads and 7 queries"),
        ({"terms": [QueryTable(torch.ones(1, H, N, 3), torch.ones(1, 4, 3), -3)]}, "2 samples"),
        ({"terms": [QueryTable(torch.ones(B, H, N, 3), torch.ones(1, 4, 2), -3)]}, "as wide as they are"),
        ({"terms": [QueryTable(torch.ones(B, H, N, 3), torch.ones(2, 4, 3), -3)]}, "each of 4 heads"),
        ({"terms": [QueryTable(torch.ones(B, H, N, 3), torch.ones(1, 0, 3), 0)]}, "1 slot or more"),
        ({"terms": [QueryTable(torch.ones(B, H, N, 0), torch.ones(1, 4, 0), 0)]}, "1 wide or more"),
        ({"terms": [DistanceTable(torch.zeros(H, 9))]}, r"2r \+ 2 scores a head.*got \(4, 9\)"),
        ({"terms": [DistanceTable(torch.zeros(H, 0))]}, r"got \(4, 0\)"),
        ({"terms": [DistanceTable(torch.zeros(H, 2, 4))]}, r"got \(4, 2, 4\)"),
        ({"terms": [Decay(torch.zeros(B, H, N - 1))]}, r"each of 2 x 4 x 7 keys: got \(2, 4, 6\)"),
        ({"terms": DistanceTable(torch.zeros(H, 4))}, r"terms are a list, got DistanceTable. Write terms=\[...\]"),
        ({"terms": torch.zeros(H, N, N)}, "terms are a list, got Tensor"),
        ({"terms": [torch.zeros(H, N, N)]}, r"got a tensor of \(4, 7, 7\).*PairTable\(bias\).*ScoreMod"),
        ({"valid": torch.zeros(B, N)}, "got torch.float32. Of an additive mask.*valid=mask == 0"),
    ],
)
def test_what_does_not_belong_to_the_queries_is_refused(wrong: dict[str, Any], why: str) -> None:
    q, k, v = tensors()
    with pytest.raises(ValueError, match=why):
        attention(q, k, v, **wrong)
