"""The temperature of attention, as a factor on its finished scores.

    weights = softmax(f * (q k^T / sqrt(d) + what terms add))        f = `sharpen`, the inverse of a temperature

A softmax over more keys spreads its weight over all of them, unless its scores grow with their number. `log-n` has a
factor for each query, log(n), where n is the number of tokens up to and including it, or of all where a token attends
to all: scalable softmax (Nakanishi, arXiv 2501.19399), there with a learned multiple s for each head and layer, here
with s = 1. The first token sees one key alone, to which every factor gives all of the weight.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from arith.kernels.reference import scale_queries
from arith.kernels.terms import Decay, DistanceTable, PairTable, QueryTable, ScoreMod, Term, Window


def sharpen_scores(
    sharpen: float | Literal["log-n"],
    terms: Sequence[Term],
    q: Float[Tensor, "b h q d"],
    keys: int,
    causal: bool = True,
    valid: Bool[Tensor, "b k"] | None = None,
) -> tuple[float | Float[Tensor, "#b q"], tuple[Term, ...]]:
    """The scale and the terms with which `attention` multiplies all scores.

    The factor goes into the scale and into the terms' own numbers where it can, which costs next to nothing. Where it
    cannot, one more term multiplies the finished scores, and attention runs in plain torch: with a `ScoreMod` among
    the terms, and by `log-n` with one that adds the same to several queries.

    Args:
        sharpen: a number above 0, or `log-n`.
        terms: what an encoding adds to the scores.
        q: the queries, those of the last of the keys.
        keys: the number of keys.
        causal, valid: as of `attention`.

    >>> sharpen_scores(1.5, (Window(1, 0),), torch.zeros(1, 2, 3, 4), keys=3)
    (0.75, (Window(left=1, right=0, ids=None),))
    """
    scale = 1 / math.sqrt(q.shape[3])
    if sharpen == 1:
        return scale, tuple(terms)
    factor = _count_tokens(q, keys, causal, valid).log() if sharpen == "log-n" else sharpen
    multiplied = [_multiply(term, factor) for term in terms]
    folded = tuple(term for term in multiplied if term is not None)
    if len(folded) < len(multiplied):
        return scale, (*terms, ScoreMod(partial(scale_queries, scale=factor)))
    return scale * factor, folded


def _count_tokens(
    q: Float[Tensor, "b h q d"], keys: int, causal: bool, valid: Bool[Tensor, "b k"] | None
) -> Float[Tensor, "#b q"]:
    """The number of tokens that each query may attend to, windows aside."""
    queries, dtype = q.shape[2], torch.promote_types(q.dtype, torch.float32)  # bfloat16 knows no 257
    if causal:  # padding stands behind all tokens
        return torch.arange(keys - queries + 1, keys + 1, device=q.device, dtype=dtype)[None]
    if valid is None:
        return torch.full((1, queries), keys, device=q.device, dtype=dtype)
    return valid.sum(1, keepdim=True).clamp(min=1).to(dtype).expand(-1, queries)


def _multiply(term: Term, factor: float | Float[Tensor, "#b q"]) -> Term | None:
    """The same term with a multiple of its scores; None if its own numbers cannot say it."""
    match term:
        case Window():
            return term
        case QueryTable():
            return replace(term, states=scale_queries(term.states, factor))
        case DistanceTable() | PairTable() if not isinstance(factor, Tensor):
            return replace(term, values=factor * term.values)
        case Decay() if not isinstance(factor, Tensor):
            return replace(term, cumulative=factor * term.cumulative)
    return None
