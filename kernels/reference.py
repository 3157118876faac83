"""Attention with position terms in plain torch: runs everywhere, and every kernel is compared with it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, ScoreMod, Term, Window

FEW_SLOTS = 64  # table size up to which a compiled lookup on a CPU is a product with a one-hot matrix


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    terms: Sequence[Term],
    causal: bool,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float | Float[Tensor, "#b q"],
    softcap: float | None = None,
    sinks: Float[Tensor, "b h q"] | None = None,
    dropout: float = 0,
) -> Float[Tensor, "b h q d"]:
    """Softmax attention of the last q of k tokens, every score in memory."""
    weights = attention_weights(q, k, terms, causal, valid, documents, scale, softcap, sinks)
    if dropout:
        weights = functional.dropout(weights, dropout)
    groups = q.shape[1] // k.shape[1]
    return weights @ (v if groups == 1 else repeat(v, "b g k d -> b (g copies) k d", copies=groups))


def attention_weights(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    terms: Sequence[Term],
    causal: bool,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float | Float[Tensor, "#b q"],
    softcap: float | None = None,
    sinks: Float[Tensor, "b h q"] | None = None,
) -> Float[Tensor, "b h q k"]:
    """By how much each query weighs the value of each key; in sum 1, less what a sink takes, or 0 if it sees no key."""
    groups = q.shape[1] // k.shape[1]
    k = k if groups == 1 else repeat(k, "b g k d -> b (g copies) k d", copies=groups)
    scores = scale_queries(q, scale) @ k.transpose(-1, -2)
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    visible = visibility(q.shape[2], k.shape[2], terms, causal, valid, documents, q.device)
    for term in terms:
        scores = add_term(term, scores)
    if visible is not None:
        # A finite score, not -inf: a query that sees nothing must give zeros, not NaN. It is added, not filled in,
        # as that costs nothing on the way back; to half of the lowest, so that no score beside it makes -inf of it.
        scores = scores + (~visible).to(scores.dtype) * (torch.finfo(scores.dtype).min / 2)
    if sinks is None:
        weights = scores.softmax(-1)
    else:
        weights = torch.cat([scores, sinks[..., None].to(scores.dtype)], dim=-1).softmax(-1)[..., :-1]
    if visible is not None and _may_see_nothing(terms, valid, documents):
        weights = weights * visible.any(-1, keepdim=True)
    return weights


def visibility(
    queries: int,
    keys: int,
    terms: Sequence[Term],
    causal: bool,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    device: torch.device,
) -> Bool[Tensor, "#b 1 q k"] | None:
    """Which keys each query may attend to; None if all."""
    masks = []
    if causal and queries > 1:
        masks.append(torch.ones(1, queries, keys, dtype=torch.bool, device=device).tril(keys - queries))
    if valid is not None:
        masks.append(rearrange(valid, "b k -> b 1 k"))
    if documents is not None:
        of_queries = documents[:, keys - queries :]
        masks.append(rearrange(of_queries, "b q -> b q 1") == rearrange(documents, "b k -> b 1 k"))
    for term in terms:
        if isinstance(term, Window):
            distance, unplaced = _distance(term.ids, queries, keys, device)
            inside = (distance >= -term.left) & (distance <= term.right)
            masks.append(inside if unplaced is None else inside | unplaced)
    if not masks:
        return None
    visible = masks[0]
    for mask in masks[1:]:
        visible = visible & mask
    return rearrange(visible, "b q k -> b 1 q k")


def _may_see_nothing(terms: Sequence[Term], valid: Tensor | None, documents: Tensor | None) -> bool:
    # Causality alone leaves every query its own token.
    return valid is not None or documents is not None or any(isinstance(term, Window) for term in terms)


def token_index(queries: int, keys: int, device: torch.device) -> Ids:
    """The ids of a term that has none: token index + 1, the queries being the last of the keys."""
    index = torch.arange(1, keys + 1, device=device)[None]
    return Ids(index[:, keys - queries :], index)


def _distance(
    ids: Ids | None, queries: int, keys: int, device: torch.device
) -> tuple[Int[Tensor, "b q k"], Bool[Tensor, "b q k"] | None]:
    """k - q for each pair, and which pairs hold an id of 0; None where none can."""
    placed = ids is None
    ids = ids or token_index(queries, keys, device)
    q, k = rearrange(ids.q, "b q -> b q 1"), rearrange(ids.k, "b k -> b 1 k")
    return k - q, None if placed else (q == 0) | (k == 0)


def scale_queries(q: Float[Tensor, "b h q d"], scale: float | Float[Tensor, "#b q"]) -> Float[Tensor, "b h q d"]:
    """The queries times one factor, or one a query."""
    return q * (rearrange(scale, "b q -> b 1 q 1").to(q.dtype) if isinstance(scale, Tensor) else scale)


def add_term(term: Term, scores: Float[Tensor, "b h q k"]) -> Float[Tensor, "b h q k"]:
    """The scores so far plus what a term adds; windows hide instead, see `visibility`."""
    queries, keys = scores.shape[2:]
    match term:
        case Window():
            return scores
        case DistanceTable():
            slot = slots(term.values.shape[1] - 2, term.ids, queries, keys, scores.device)
            bias = _look_up(term.values, slot.flatten()).reshape(-1, *slot.shape)
            return scores + rearrange(bias, "h b q k -> b h q k").to(scores.dtype)
        case PairTable():
            ids = term.ids or token_index(queries, keys, scores.device)
            rows = rearrange(ids.q, "b q -> b q 1") - 1
            columns = rearrange(ids.k, "b k -> b 1 k") - 1
            placed = (rows >= 0) & (columns >= 0)
            bias = term.values[:, rows.clamp(min=0), columns.clamp(min=0)] * placed
            return scores + rearrange(bias, "h b q k -> b h q k").to(scores.dtype)
        case Decay():
            of_queries = term.cumulative[..., keys - queries :]
            return scores + (of_queries[..., :, None] - term.cumulative[..., None, :]).to(scores.dtype)
        case QueryTable():
            if term.ids is None:
                term = trim(term, 1 - keys, keys - 1)
            # A score for each query and slot, then a choice by pair: values of each pair would be e times as large.
            by_slot = (term.states @ term.values.transpose(-1, -2).to(term.states.dtype)).to(scores.dtype)
            distance, unplaced = _distance(term.ids, queries, keys, scores.device)
            wanted = distance - term.first
            slot = wanted.clamp(0, term.values.shape[1] - 1)
            nothing = None if term.ends else slot != wanted
            if unplaced is not None:
                nothing = unplaced if nothing is None else nothing | unplaced
            found = by_slot.gather(-1, slot[:, None].expand(*scores.shape))
            return scores + (found if nothing is None else found.masked_fill(nothing[:, None], 0))
        case ScoreMod():
            return term.function(scores)


def trim(term: QueryTable, low: int, high: int) -> QueryTable:
    """The same table for distances from `low` to `high`, without the slots that none of them needs.

    >>> table = QueryTable(torch.zeros(1, 1, 1, 4), torch.zeros(1, 9, 4), first=-8)
    >>> trim(table, -2, 5).values.shape, trim(table, -2, 5).first
    (torch.Size([1, 3, 4]), -2)
    """
    first, last = term.first, term.first + term.values.shape[1] - 1
    # One slot stays even where none is needed: the nearest, in which all distances end, or which none of them has.
    begin, end = min(max(first, low), last), max(min(last, high), first)
    return replace(term, values=term.values[:, begin - first : end - first + 1], first=begin)


def _look_up(values: Float[Tensor, "h s"], slot: Int[Tensor, " p"]) -> Float[Tensor, "h p"]:
    """The value of each slot, by whatever is fastest forward and backward."""
    if torch.compiler.is_compiling() and slot.device.type == "cpu" and values.shape[1] <= FEW_SLOTS:
        # Compiled, the gradient of a selection makes all threads contend for the same few numbers; that of a product is
        # a product.
        return values @ (slot == torch.arange(values.shape[1], device=slot.device)[:, None]).to(values.dtype)
    # On a CPU ten times as fast, forward and backward, as indexing or an embedding of the slots.
    return values.index_select(1, slot)


def slots(doubled_radius: int, ids: Ids | None, queries: int, keys: int, device: torch.device) -> Int[Tensor, "b q k"]:
    """The slot of each pair in a table of 2r + 2."""
    radius = doubled_radius // 2
    distance, unplaced = _distance(ids, queries, keys, device)
    slot = distance.clamp(-radius, radius) + radius
    return slot if unplaced is None else slot.masked_fill(unplaced, 2 * radius + 1)
