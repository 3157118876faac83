"""What a file without kernels has in place of the op: attention of whole sequences, causal, nothing masked.

It is written into files, without the cases of terms that they do not make.
"""

import math
from typing import Any, NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, ScoreMod, Window


class Positions(NamedTuple):
    """Position ids of the queries' tokens and of the keys'; 0 means "no position". `b` may be 1."""

    q: Int[Tensor, "levels b q"]
    k: Int[Tensor, "levels b k"]

    @property
    def ids(self) -> Ids:
        """Those of the first level."""
        return Ids(self.q[0], self.k[0])


def attention(
    q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], v: Float[Tensor, "b g k d"], terms: tuple[Any, ...]
) -> Float[Tensor, "b h q d"]:
    """Softmax(q k^T / sqrt(d) + terms) v over the tokens up to the query's; queries are the last of the tokens."""
    copies = q.shape[1] // k.shape[1]
    if copies > 1:  # a copy of one would change the order in which gradients of queries, keys and values are summed
        k, v = (repeat(own, "b g k d -> b (g copies) k d", copies=copies) for own in (k, v))
    index = torch.arange(1, k.shape[2] + 1, device=q.device)[None]
    tokens = Ids(index[:, k.shape[2] - q.shape[2] :], index)
    visible = index[:, None] <= tokens.q[:, :, None]
    scores = q * (1 / math.sqrt(q.shape[3])) @ k.transpose(-1, -2)
    for term in terms:
        match term:
            case Window():
                visible = visible & within(term, term.ids or tokens)
            case DistanceTable():
                scores = scores + by_distance(term.values, term.ids or tokens).to(scores.dtype)
            case PairTable():
                scores = scores + by_pair(term.values, term.ids or tokens).to(scores.dtype)
            case Decay():
                last = term.cumulative[..., k.shape[2] - q.shape[2] :, None]
                scores = scores + (last - term.cumulative[..., None, :]).to(scores.dtype)
            case QueryTable():
                scores = scores + by_query(term, term.ids or tokens, scores.dtype)
            case ScoreMod():
                scores = term.function(scores)
    # Added, and not filled in with -inf, which costs more on the way back.
    scores = scores + (~visible[:, None]).to(scores.dtype) * (torch.finfo(scores.dtype).min / 2)
    return scores.softmax(-1) @ v


def by_distance(values: Float[Tensor, "h 2r+2"], ids: Ids) -> Float[Tensor, "b h q k"]:
    """The bias of each pair: `values[h, r + clip(k - q, -r, r)]`, and the last one where an id is 0."""
    q, k = rearrange(ids.q, "b q -> b q 1"), rearrange(ids.k, "b k -> b 1 k")
    radius = values.shape[1] // 2 - 1
    slot = (k - q).clamp(-radius, radius) + radius
    slot = slot.masked_fill((q == 0) | (k == 0), 2 * radius + 1)
    bias = values.index_select(1, slot.flatten()).reshape(-1, *slot.shape)
    return rearrange(bias, "h b q k -> b h q k")


def by_pair(values: Float[Tensor, "h p p"], ids: Ids) -> Float[Tensor, "b h q k"]:
    """The bias of each pair: `values[h, q - 1, k - 1]`, and 0 where an id is 0."""
    q, k = rearrange(ids.q, "b q -> b q 1"), rearrange(ids.k, "b k -> b 1 k")
    bias = values[:, (q - 1).clamp(min=0), (k - 1).clamp(min=0)] * ((q != 0) & (k != 0))
    return rearrange(bias, "h b q k -> b h q k")


def by_query(term: QueryTable, ids: Ids, dtype: torch.dtype) -> Float[Tensor, "b h q k"]:
    """The bias of each pair, which the query decides: see the class."""
    q, k = rearrange(ids.q, "b q -> b q 1"), rearrange(ids.k, "b k -> b 1 k")
    # A score for each query and slot, then a choice by pair: values of each pair would be e times as large.
    by_slot = (term.states @ term.values.transpose(-1, -2).to(term.states.dtype)).to(dtype)
    slot = (k - q - term.first).clamp(0, term.values.shape[1] - 1)
    nothing = (q == 0) | (k == 0)
    if not term.ends:
        nothing = nothing | (slot != k - q - term.first)
    found = by_slot.gather(-1, slot[:, None].expand(*by_slot.shape[:3], -1))
    return found.masked_fill(nothing[:, None], 0)


def within(window: Window, ids: Ids) -> Bool[Tensor, "b q k"]:
    """The keys that a window shows."""
    q, k = rearrange(ids.q, "b q -> b q 1"), rearrange(ids.k, "b k -> b 1 k")
    return (k - q >= -window.left) & (k - q <= window.right) | (q == 0) | (k == 0)
