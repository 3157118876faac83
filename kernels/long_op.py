"""The kernels for any number of tokens as torch operators, differentiable and known to `torch.compile`."""

from typing import Any

import torch
import triton
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.kernels.folding import Long
from arith.kernels.launching import empty_sums, run, strides, token_major
from arith.kernels.long import long_forward
from arith.kernels.long_gradients import long_backward_queries, long_delta
from arith.kernels.long_keys import long_backward_keys
from arith.kernels.long_launches import Call, constants_of, launch_of
from arith.kernels.long_learned import id_table_gradient, sink_gradient, table_gradient, tile_gradient, values_gradient
from arith.kernels.operators import dense, differentiable, limits_by_id, per_sample, tables_of


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    folded: Long,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float,
    softcap: float | None = None,
    sinks: Float[Tensor, "b h q"] | None = None,
) -> Float[Tensor, "b h q d"]:
    """Softmax attention of the last q of k tokens, tile by tile."""
    asked = folded.asked
    states = None if asked is None else asked.states.to(q.dtype)
    tile, table, id_table, values, sinks = tables_of(
        q, folded.tile, folded.table, folded.id_table, None if asked is None else asked.values, sinks
    )
    limits = (folded.left, folded.right, *limits_by_id(folded))
    rows = per_sample(folded, valid, documents, q.shape[0])
    first, ends = (0, False) if asked is None else (asked.first, asked.ends)
    scores = (tile, table, id_table, states, values, sinks)
    out: Tensor = long_attention(q, k, v, *scores, *rows, *limits, first, ends, scale, float(softcap or 0))[0]
    return out


@torch.library.custom_op("arith::long_attention", mutates_args=())
def long_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    id_table: Tensor | None,
    states: Tensor | None,
    values: Tensor | None,
    sinks: Tensor | None,
    ids_q: Tensor | None,
    ids_k: Tensor | None,
    window_q: Tensor | None,
    window_k: Tensor | None,
    valid: Tensor | None,
    documents: Tensor | None,
    left: int,
    right: int,
    id_left: int,
    id_right: int,
    first: int,
    ends: bool,
    scale: float,
    softcap: float,
) -> tuple[Tensor, Tensor]:
    """The output, and the logarithm of each row's sum of exponentials, from which backward recomputes the weights."""
    q, k, v = dense(q), dense(k), dense(v)
    call = Call(
        q, k, v, (tile, table, id_table, states, values), (ids_q, ids_k, window_q, window_k, valid, documents),
        (left, right, id_left, id_right), first, ends, scale, softcap,
    )  # fmt: skip
    out = token_major(q)
    logsum = empty_sums(q, *q.shape[:3])
    launch = launch_of("long forward", call)
    run(
        long_forward, (triton.cdiv(q.shape[2], launch.queries) * q.shape[0] * q.shape[1],),
        q, k, v, out, logsum, sinks, *call.given, *call.visits.lists(launch.queries, launch.keys),
        *strides(q, k, v, out), *call.numbers, BOTH=right > 0, **constants_of(call, launch),
    )  # fmt: skip
    return out, logsum


@long_attention.register_fake
def _(q: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return token_major(q), empty_sums(q, *q.shape[:3])


@torch.library.custom_op("arith::long_attention_backward", mutates_args=())
def long_attention_backward(
    dout: Tensor,
    out: Tensor,
    logsum: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    id_table: Tensor | None,
    states: Tensor | None,
    values: Tensor | None,
    sinks: Tensor | None,
    ids_q: Tensor | None,
    ids_k: Tensor | None,
    window_q: Tensor | None,
    window_k: Tensor | None,
    valid: Tensor | None,
    documents: Tensor | None,
    left: int,
    right: int,
    id_left: int,
    id_right: int,
    first: int,
    ends: bool,
    scale: float,
    softcap: float,
    needs_tile: bool,
    needs_table: bool,
    needs_id_table: bool,
    needs_states: bool,
    needs_values: bool,
    needs_sinks: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, and of the six tensors of scores as far as they are needed; the others are empty."""
    dout, out = dense(dout), dense(out)
    q, k, v = dense(q), dense(k), dense(v)
    b, h, queries, _ = q.shape
    call = Call(
        q, k, v, (tile, table, id_table, states, values), (ids_q, ids_k, window_q, window_k, valid, documents),
        (left, right, id_left, id_right), first, ends, scale, softcap,
    )  # fmt: skip
    delta = empty_sums(q, b, h, queries)
    launch = launch_of("long queries", call)
    constants = constants_of(call, launch)
    tiles = triton.cdiv(queries, launch.queries)
    few = {name: constants[name] for name in ("WIDTH", "BLOCK_Q", "BLOCK_D", "ACC", "num_warps")}
    run(
        long_delta, (tiles * b * h,),
        out, dout, delta, *strides(out, dout), h, queries, **few,
    )  # fmt: skip
    dq, dk, dv = token_major(q), token_major(k), token_major(k)
    asks = needs_states or needs_values
    # Sums over whole tables show the rounding of `delta`, which is taken from the rounded output; see README.md.
    exact = needs_tile or needs_table or needs_id_table or needs_values or needs_sinks or (asks and ends)
    exact_delta = empty_sums(q, b, h, queries) if exact else None
    behind = empty_sums(q, b, h, tiles) if needs_table and right > 0 else None
    far_ids = empty_sums(q, b, h, tiles, 4) if needs_id_table else None
    dstates = call.new_states() if needs_states else None
    far_asked = empty_sums(q, b, h, queries, 2) if asks and ends else None
    run(
        long_backward_queries, (tiles * b * h,),
        q, k, v, dout, dq, dstates, logsum, delta, exact_delta, behind, far_ids, far_asked, *call.given,
        *call.visits.lists(launch.queries, launch.keys), *strides(q, k, v, dout, dq), *call.numbers,
        BOTH=right > 0, **constants,
    )  # fmt: skip
    launch = launch_of("long keys", call)
    run(
        long_backward_keys, (triton.cdiv(k.shape[2], launch.keys) * b * k.shape[1],),
        q, k, v, dout, dk, dv, logsum, delta, *call.given,
        *call.visits.lists(launch.queries, launch.keys, by_key=True), *strides(q, k, v, dout, dk), *call.numbers,
        BOTH=right > 0, **constants_of(call, launch),
    )  # fmt: skip
    rows = (q, k, v, dout, logsum, delta if exact_delta is None else exact_delta)
    nothing = (empty_sums(q, 0) for _ in range(6))  # operators return tensors, and none of them twice
    dsinks = sink_gradient(rows, sinks) if needs_sinks or (needs_table and sinks is not None) else None
    return (
        dq,
        dk,
        dv,
        tile_gradient(call, rows) if needs_tile else next(nothing),
        table_gradient(call, rows, behind, dsinks) if needs_table else next(nothing),
        id_table_gradient(call, rows, far_ids) if far_ids is not None else next(nothing),
        call.cut_states(dstates) if dstates is not None else next(nothing),
        values_gradient(call, rows, far_asked) if needs_values else next(nothing),
        dsinks if dsinks is not None and needs_sinks else next(nothing),
    )


differentiable(long_attention, long_attention_backward, outputs=2, scores=6)
