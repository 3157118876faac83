"""The one attention op: every encoding's scores, masks and windows go through it."""

import math
import warnings
from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.kernels import reference, windowed
from arith.kernels.configs import LONGEST
from arith.kernels.routing import Backend, route, working_dtype
from arith.kernels.terms import Ids, PairTable, Term


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    *,
    terms: Sequence[Term] = (),
    causal: bool = True,
    valid: Bool[Tensor, "b k"] | None = None,
    documents: Int[Tensor, "b k"] | None = None,
    scale: float | None = None,
    dropout: float = 0,  # an integer: torch.compile(dynamic=True) takes a float for a variable, and compiles twice
    backend: Backend = "auto",
) -> Float[Tensor, "b h q d"]:
    """Softmax attention with position terms. The queries are the last q of the k tokens, so decoding needs no flag.

        out = softmax(scale * q k^T + terms, over the visible keys) v

    Args:
        q: queries.
        k, v: keys and values of g heads, each shared by h / g query heads.
        terms: what is added to the scores, in order, and windows on distance.
        causal: whether a token attends to itself and earlier tokens alone.
        valid: False, or 0, marks padding among the keys.
        documents: the document of each key, any whole number; tokens attend within their own.
        scale: factor on the product of query and key; 1 / sqrt(d) if None.
        dropout: share of the weights that are dropped, drawn from torch's generator; the others grow in turn.
        backend: where it runs; see `route`.

    A query that may attend to no key gives zeros.

    >>> import torch
    >>> v = torch.tensor([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> attention(torch.zeros(1, 1, 2, 1), torch.zeros(1, 1, 2, 1), v).flatten().tolist()
    [1.0, 2.0]
    """
    if q.shape[2] > k.shape[2]:
        raise ValueError(f"queries are the last of the keys: got {q.shape[2]} queries and {k.shape[2]} keys")
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"query heads share key heads evenly: got {q.shape[1]} query and {k.shape[1]} key heads")
    _check(q, k, v, terms, valid, documents)
    valid = None if valid is None else valid.bool()  # as integers, they could not be negated
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    chosen, _, why = route(q, k, v, terms, backend, dropout)
    if chosen != "triton":
        if q.device.type == "cuda" and backend == "auto" and not torch.compiler.is_compiling():
            _say_once(why)
        if chosen == "windowed":
            return windowed.attention(q, k, v, terms, causal, valid, documents, scale)
        return reference.attention(q, k, v, terms, causal, valid, documents, scale, dropout)
    from arith.kernels import folding, long_op, short_op  # these import triton, which a CPU may lack

    # Autocast does not reach into torch operators of one's own: their inputs are cast here.
    q, k, v = (x.to(working_dtype(q, k, v)) for x in (q, k, v))
    if k.shape[2] > LONGEST:
        long = folding.fold_long(terms, q.shape[1], q.shape[2], k.shape[2], causal)
        return long_op.attention(q, k, v, long, valid, documents, scale)
    folded = folding.fold(terms, q.shape[1], q.shape[2], k.shape[2], q.device)
    return short_op.attention(q, k, v, folded, causal, valid, documents, scale)


def _check(
    q: Tensor, k: Tensor, v: Tensor, terms: Sequence[Term], valid: Tensor | None, documents: Tensor | None
) -> None:
    """Refuse shapes that do not belong together: a kernel would read beyond them."""
    b, h, queries, d = q.shape
    keys = k.shape[2]
    if k.shape[0] != b or k.shape[3] != d or v.shape[:3] != k.shape[:3]:
        raise ValueError(
            f"keys and values are of the queries' batch and of one another's heads and tokens: got queries "
            f"{tuple(q.shape)}, keys {tuple(k.shape)} and values {tuple(v.shape)}"
        )
    for name, mask in (("valid", valid), ("documents", documents)):
        if mask is not None and mask.shape not in ((b, keys), (1, keys)):
            raise ValueError(f"{name} has a number for each of {b} x {keys} keys, got {tuple(mask.shape)}")
    if documents is not None and (documents.is_floating_point() or documents.is_complex()):
        raise ValueError(f"documents are whole numbers, got {documents.dtype}")
    for term in terms:
        ids: Ids | None = getattr(term, "ids", None)
        # Differences of narrower ones would wrap around.
        if ids is not None and not {ids.q.dtype, ids.k.dtype} <= {torch.int32, torch.int64}:
            raise ValueError(
                f"ids of {type(term).__name__} are whole numbers of 32 or 64 bits, got {ids.q.dtype} and {ids.k.dtype}"
            )
        if ids is not None and not (
            ids.q.shape in ((b, queries), (1, queries)) and ids.k.shape in ((b, keys), (1, keys))
        ):
            raise ValueError(
                f"ids of {type(term).__name__} are of {queries} queries and {keys} keys for each of {b} samples or for "
                f"all: got {tuple(ids.q.shape)} and {tuple(ids.k.shape)}"
            )
        values: Tensor | None = getattr(term, "values", None)
        if values is not None and values.shape[0] not in (1, h):
            raise ValueError(f"{type(term).__name__} has scores for each of {h} heads, got {tuple(values.shape)}")
        if isinstance(term, PairTable) and ids is None and min(term.values.shape[1:]) < keys:
            raise ValueError(f"PairTable holds {tuple(term.values.shape)} scores, too few for {keys} tokens")


@cache
def _say_once(why: str) -> None:
    warnings.warn(f"attention runs in plain torch, not fused: {why}", stacklevel=4)
