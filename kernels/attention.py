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
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, Term


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    *,
    terms: Sequence[Term] = (),
    causal: bool = True,
    valid: Bool[Tensor, "b k"] | None = None,
    documents: Int[Tensor, "b k"] | None = None,
    scale: float | Float[Tensor, "#b q"] | None = None,
    softcap: float | None = None,
    sinks: Float[Tensor, "..."] | None = None,
    dropout: float = 0,  # an integer: torch.compile(dynamic=True) takes a float for a variable, and compiles twice
    backend: Backend = "auto",
) -> Float[Tensor, "b h q d"]:
    """Softmax attention with position terms. The queries are the last q of the k tokens, so decoding needs no flag.

        out = softmax(cap(scale * q k^T) + terms, over the visible keys and the sink) v        cap(x) = c tanh(x / c)

    Args:
        q: queries.
        k, v: keys and values of g heads, each shared by h / g query heads.
        terms: what is added to the scores, in order, and windows on distance.
        causal: whether a token attends to itself and earlier tokens alone.
        valid: False, or 0, marks padding among the keys. Not an additive mask, where 0 marks a token: that is refused.
        documents: the document of each key, any whole number; tokens attend within their own.
        scale: factor on the product of query and key, one for all or one for each query, as in attention whose
            temperature falls with the number of tokens; 1 / sqrt(d) if None.
        softcap: c, the limit that products of query and key approach; None: they are left alone.
        sinks: an extra score in the softmax, which takes weight and gives nothing: one for each head, of shape "h", or
            for each query too, "b h q".
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
    if isinstance(scale, Tensor) and scale.dim() == 0:
        scale = scale.expand(1, q.shape[2])
    _check_scores(q, scale, softcap, sinks)
    valid = None if valid is None else valid.bool()  # as integers, they could not be negated
    scale = 1 / math.sqrt(q.shape[3]) if scale is None else scale
    if sinks is not None:
        sinks = (sinks[:, None] if sinks.dim() == 1 else sinks).expand(q.shape[:3])
    chosen, _, why = route(q, k, v, terms, backend, dropout, softcap, sinks)
    if chosen != "triton":
        if q.device.type == "cuda" and backend == "auto" and not torch.compiler.is_compiling():
            _say_once(why)
        if chosen == "windowed":
            return windowed.attention(q, k, v, terms, causal, valid, documents, scale, softcap, sinks)
        return reference.attention(q, k, v, terms, causal, valid, documents, scale, softcap, sinks, dropout)
    from arith.kernels import folding, long_op, short_op  # these import triton, which a CPU may lack

    # Kernels take one factor: queries that have one each are multiplied by it here.
    q, scale = (reference.scale_queries(q, scale), 1.0) if isinstance(scale, Tensor) else (q, scale)
    # Autocast does not reach into torch operators of one's own: their inputs are cast here.
    q, k, v = (x.to(working_dtype(q, k, v)) for x in (q, k, v))
    if k.shape[2] > LONGEST:
        long = folding.fold_long(terms, q.shape[1], q.shape[2], k.shape[2], causal)
        return long_op.attention(q, k, v, long, valid, documents, scale, softcap, sinks)
    folded = folding.fold(terms, q.shape[1], q.shape[2], k.shape[2], q.device)
    return short_op.attention(q, k, v, folded, causal, valid, documents, scale, softcap, sinks)


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
    if valid is not None and (valid.is_floating_point() or valid.is_complex()):
        # Additive masks of other libraries have 0 where this one has True, and would hide what they show.
        raise ValueError(
            f"valid is True or 1 for a token and False or 0 for padding, got {valid.dtype}. Of an additive mask, 0 for "
            f"a token and a low number for padding, pass valid=mask == 0"
        )
    if not isinstance(terms, (tuple, list)):
        raise ValueError(f"terms are a list, got {type(terms).__name__}. Write terms=[...]")
    for term in terms:
        if isinstance(term, Tensor):
            raise ValueError(
                f"a term says what its numbers are, got a tensor of {tuple(term.shape)}. A score for each pair of "
                f"tokens, h x k x k, is PairTable(bias); any other bias is ScoreMod(lambda scores: scores + bias)"
            )
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
        if isinstance(term, QueryTable):
            _check_states(term, (b, h, queries))
        if isinstance(term, DistanceTable):
            _check_distances(term)
        if isinstance(term, Decay):
            _check_sums(term, (b, h, keys))
        values: Tensor | None = getattr(term, "values", None)
        if values is not None and values.shape[0] not in (1, h):
            raise ValueError(f"{type(term).__name__} has scores for each of {h} heads, got {tuple(values.shape)}")
        if isinstance(term, PairTable) and ids is None and min(term.values.shape[1:]) < keys:
            raise ValueError(f"PairTable holds {tuple(term.values.shape)} scores, too few for {keys} tokens")


def _check_distances(term: DistanceTable) -> None:
    shape = tuple(term.values.shape)
    if len(shape) != 2 or shape[1] < 2 or shape[1] % 2:
        raise ValueError(
            f"DistanceTable has 2r + 2 scores a head, of the distances -r .. r and of pairs without a position: got "
            f"{shape}"
        )


def _check_sums(term: Decay, sums: tuple[int, int, int]) -> None:
    b, h, keys = sums
    if term.cumulative.shape != sums:
        raise ValueError(f"Decay has a sum for each of {b} x {h} x {keys} keys: got {tuple(term.cumulative.shape)}")


def _check_states(term: QueryTable, queries: tuple[int, int, int]) -> None:
    states, values = tuple(term.states.shape), tuple(term.values.shape)
    if states[:3] != queries or states[3] != values[2]:
        b, h, n = queries
        raise ValueError(
            f"QueryTable has states of {b} samples, {h} heads and {n} queries, and values as wide as they are: got "
            f"states {states} and values {values}"
        )
    if 0 in values:
        raise ValueError(f"QueryTable has 1 slot or more, and values 1 wide or more: got values {values}")


def _check_scores(q: Tensor, scale: float | Tensor | None, softcap: float | None, sinks: Tensor | None) -> None:
    """Refuse factors, limits and sinks that do not belong to these queries."""
    b, h, queries, _ = q.shape
    if isinstance(scale, Tensor) and scale.shape not in ((b, queries), (1, queries)):
        raise ValueError(f"scale is a number, or one for each of {b} x {queries} queries: got {tuple(scale.shape)}")
    if softcap is not None and not softcap > 0:
        raise ValueError(f"softcap is a limit above 0, or None: got {softcap}")
    if sinks is not None and sinks.shape not in ((h,), (b, h, queries)):
        raise ValueError(
            f"sinks are a score for each of {h} heads, or of {b} x {h} x {queries} queries: got {tuple(sinks.shape)}"
        )


@cache
def _say_once(why: str) -> None:
    warnings.warn(f"attention runs in plain torch, not fused: {why}", stacklevel=4)
