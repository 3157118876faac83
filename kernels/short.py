"""Attention of at most 128 tokens as Triton kernels: all scores of a sample and head are one tile.

The forward kernel reads q, k, v and writes the output; the backward kernel reads them again with the output's gradient,
recomputes the weights, and stores nothing in between. A program stays with one head and walks over the batch, so that
the scores which all samples share are loaded once, and their gradient is summed in registers: no atomics, and every
run gives the same bits. Scores are in powers of two, since that is what the hardware exponentiates.

A tile holds PACK samples of BLOCK_Q x BLOCK_K tokens; pairs from different samples are hidden. README.md beside this
file has the mathematics.
"""

import triton
import triton.language as tl

from arith.kernels.shearing import turn_rows
from arith.kernels.short_scores import (
    LOG2E,
    all_scores,
    asked_scores,
    exponentials,
    is_ahead,
    load_ids,
    load_rows,
    load_slab,
    products,
    rows_of_sinks,
    shared_scores,
    store_rows,
)


@triton.jit
def short_forward(
    Q, K, V, OUT, TILE, TABLE, SINKS, STATES, SLAB, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, out_b, out_h, out_n, states_b, states_h, states_n,
    batch, queries, keys, group, radius, left, right, scale, softcap,
    ALIKE: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PACK: tl.constexpr, EVEN_Q: tl.constexpr,
    EVEN_K: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, STATE: tl.constexpr,
    BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out = softmax(scores) v. Grid: programs that share the batch, heads."""
    head = tl.program_id(1).to(tl.int64)  # offsets of heads and samples may be beyond 32 bits
    key_head = head // group
    row, column = tl.arange(0, PACK * BLOCK_Q), tl.arange(0, PACK * BLOCK_K)
    sample_q, i, sample_k, j = row // BLOCK_Q, row % BLOCK_Q, column // BLOCK_K, column % BLOCK_K
    if ALIKE:  # equal strides: offsets inside a tile are computed, and held in registers, once
        k_b, k_n, v_b, v_n = q_b, q_n, q_b, q_n
    # What all samples share stays in registers while the program walks over the batch.
    shared = shared_scores(TILE, head, sample_q, sample_k, i, j, queries, keys, CAUSAL, PACK, EVEN_Q, EVEN_K, ACC)
    if SLAB is not None:
        slab_behind, slab_ahead = load_slab(SLAB, head, BLOCK_K, BLOCK_E, CAUSAL)
    for pack in tl.range(tl.program_id(0), tl.cdiv(batch, PACK), tl.num_programs(0)):
        first = tl.cast(pack, tl.int64) * PACK
        q = load_rows(Q + head * q_h, first, batch, sample_q, i, queries, q_b, q_n, WIDTH, PACK, EVEN_Q, BLOCK_D)
        k = load_rows(K + key_head * k_h, first, batch, sample_k, j, keys, k_b, k_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        v = load_rows(V + key_head * v_h, first, batch, sample_k, j, keys, v_b, v_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        ids_q, ids_k = i, j
        if TABLE is not None:
            ids_q = load_ids(IDS_Q, first, batch, sample_q, i, queries, queries)
            ids_k = load_ids(IDS_K, first, batch, sample_k, j, keys, keys)
        dots = products(q, k, scale, softcap, ACC, PRECISION)
        scores = all_scores(
            dots, shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k, WINDOW_Q, WINDOW_K, first, batch, head,
            sample_q, sample_k, i, j, queries, keys, radius, left, right, ACC,
        )  # fmt: skip
        if STATES is not None:
            states = load_rows(
                STATES + head * states_h, first, batch, sample_q, i, queries, states_b, states_n, STATE, PACK, EVEN_Q,
                BLOCK_E,
            )  # fmt: skip
            scores += asked_scores(
                states, slab_behind, slab_ahead, i, j, queries, keys, BLOCK_K, CAUSAL, ACC, PRECISION
            )
        powers, _, inverse = exponentials(
            SINKS, scores, first, batch, head, tl.num_programs(1), sample_q, i, queries, PACK, ACC
        )
        # Dividing the product, not the weights, touches a tile of head width instead of one of keys.
        out = tl.dot(powers.to(v.dtype), v, out_dtype=ACC, input_precision=PRECISION) * inverse[:, None]
        store_rows(
            OUT + head * out_h, out, first, batch, sample_q, i, queries, out_b, out_n, WIDTH, PACK, EVEN_Q, BLOCK_D
        )


@triton.jit
def short_backward(
    Q, K, V, DOUT, DQ, DK, DV, DTILE, DSINKS, DSTATES, DSLAB,
    TILE, TABLE, SINKS, STATES, SLAB, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, states_b, states_h, states_n,
    dq_b, dk_b, grad_h, grad_n, dstates_b, dstates_h, dstates_n,
    batch, queries, keys, group, radius, left, right, scale, softcap,
    ALIKE: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PACK: tl.constexpr, EVEN_Q: tl.constexpr,
    EVEN_K: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, STATE: tl.constexpr,
    BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of q, of k and v for each query head, and each program's part of what all samples share."""
    head = tl.program_id(1).to(tl.int64)  # offsets of heads and samples may be beyond 32 bits
    key_head = head // group
    row, column = tl.arange(0, PACK * BLOCK_Q), tl.arange(0, PACK * BLOCK_K)
    sample_q, i, sample_k, j = row // BLOCK_Q, row % BLOCK_Q, column // BLOCK_K, column % BLOCK_K
    if ALIKE:  # equal strides: offsets inside a tile are computed, and held in registers, once
        k_b, k_n, v_b, v_n, dout_b, dout_n = q_b, q_n, q_b, q_n, q_b, q_n
    # What all samples share stays in registers while the program walks over the batch.
    shared = shared_scores(TILE, head, sample_q, sample_k, i, j, queries, keys, CAUSAL, PACK, EVEN_Q, EVEN_K, ACC)
    if SLAB is not None:
        slab_behind, slab_ahead = load_slab(SLAB, head, BLOCK_K, BLOCK_E, CAUSAL)
    dtile = tl.zeros((PACK * BLOCK_Q, PACK * BLOCK_K), ACC)
    if SLAB is not None:
        dslab_behind = tl.zeros((BLOCK_K, BLOCK_E), ACC)
        dslab_ahead = tl.zeros((BLOCK_K, BLOCK_E), ACC)
    # Turning rows takes an index for each score: computed before the loop, they would fill the registers.
    crowded: tl.constexpr = SLAB is not None and BLOCK_K > 64
    for pack in tl.range(tl.program_id(0), tl.cdiv(batch, PACK), tl.num_programs(0), disable_licm=crowded):
        first = tl.cast(pack, tl.int64) * PACK
        q = load_rows(Q + head * q_h, first, batch, sample_q, i, queries, q_b, q_n, WIDTH, PACK, EVEN_Q, BLOCK_D)
        k = load_rows(K + key_head * k_h, first, batch, sample_k, j, keys, k_b, k_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        v = load_rows(V + key_head * v_h, first, batch, sample_k, j, keys, v_b, v_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        dout = load_rows(
            DOUT + head * dout_h, first, batch, sample_q, i, queries, dout_b, dout_n, WIDTH, PACK, EVEN_Q, BLOCK_D
        )
        ids_q, ids_k = i, j
        if TABLE is not None:
            ids_q = load_ids(IDS_Q, first, batch, sample_q, i, queries, queries)
            ids_k = load_ids(IDS_K, first, batch, sample_k, j, keys, keys)
        dots = products(q, k, scale, softcap, ACC, PRECISION)
        scores = all_scores(
            dots, shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k, WINDOW_Q, WINDOW_K, first, batch, head,
            sample_q, sample_k, i, j, queries, keys, radius, left, right, ACC,
        )  # fmt: skip
        if STATES is not None:
            states = load_rows(
                STATES + head * states_h, first, batch, sample_q, i, queries, states_b, states_n, STATE, PACK, EVEN_Q,
                BLOCK_E,
            )  # fmt: skip
            scores += asked_scores(
                states, slab_behind, slab_ahead, i, j, queries, keys, BLOCK_K, CAUSAL, ACC, PRECISION
            )
        powers, taken, inverse = exponentials(
            SINKS, scores, first, batch, head, tl.num_programs(1), sample_q, i, queries, PACK, ACC
        )
        weights = powers * inverse[:, None]
        dv = tl.dot(tl.trans(weights.to(dout.dtype)), dout, out_dtype=ACC, input_precision=PRECISION)
        store_rows(DV + head * grad_h, dv, first, batch, sample_k, j, keys, dk_b, grad_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        dweights = tl.dot(dout, tl.trans(v), out_dtype=ACC, input_precision=PRECISION)
        # The whole row is at hand, so that rowsum(P * dP) is exact: rowsum(out * dout) would be rounded as `out` is.
        total = tl.sum(weights * dweights, 1)
        dscores = weights * (dweights - total[:, None])
        if DTILE is not None:
            dtile += dscores
        if DSINKS is not None:
            rows, there = rows_of_sinks(first, batch, head, tl.num_programs(1), sample_q, i, queries)
            tl.store(DSINKS + rows, -taken * inverse * total, mask=there)
        if STATES is not None:
            # Each row is turned back, to begin at the distance 0.
            place = (i[:, None] + keys - queries + tl.arange(0, BLOCK_K)[None, :]) & (BLOCK_K - 1)
            places = sample_q[:, None] * BLOCK_K + place
            turned = turn_rows(dscores, places, PACK * BLOCK_Q, PACK * BLOCK_K).to(q.dtype)
            if not CAUSAL:
                further = is_ahead(i, queries, keys, BLOCK_K)
                dahead, turned = tl.where(further, turned, 0.0), tl.where(further, 0.0, turned)
            dstates = tl.dot(turned, slab_behind, out_dtype=ACC, input_precision=PRECISION)
            dslab_behind += tl.dot(tl.trans(turned), states, out_dtype=ACC, input_precision=PRECISION)
            if not CAUSAL:
                dstates += tl.dot(dahead, slab_ahead, out_dtype=ACC, input_precision=PRECISION)
                dslab_ahead += tl.dot(tl.trans(dahead), states, out_dtype=ACC, input_precision=PRECISION)
            store_rows(
                DSTATES + head * dstates_h, dstates, first, batch, sample_q, i, queries, dstates_b, dstates_n, STATE,
                PACK, EVEN_Q, BLOCK_E,
            )  # fmt: skip
        factor = tl.cast(scale, ACC)
        if softcap is not None:  # the slope of the hyperbolic tangent is 1 less its square
            bounded = dots * (1.0 / (tl.cast(softcap, ACC) * LOG2E))
            dscores *= 1.0 - bounded * bounded
        rounded = dscores.to(q.dtype)  # tensor cores multiply numbers of the inputs' type
        dq = tl.dot(rounded, k, out_dtype=ACC, input_precision=PRECISION) * factor
        store_rows(
            DQ + head * grad_h, dq, first, batch, sample_q, i, queries, dq_b, grad_n, WIDTH, PACK, EVEN_Q, BLOCK_D
        )
        dk = tl.dot(tl.trans(rounded), q, out_dtype=ACC, input_precision=PRECISION) * factor
        store_rows(DK + head * grad_h, dk, first, batch, sample_k, j, keys, dk_b, grad_n, WIDTH, PACK, EVEN_K, BLOCK_D)
    if DTILE is not None:  # one part for each program and head; torch adds them up in a fixed order
        part = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + head
        pairs = (part * PACK * BLOCK_Q + row[:, None]) * (PACK * BLOCK_K) + column[None, :]
        tl.store(DTILE + pairs, dtile)
    if DSLAB is not None:
        part = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + head) * BLOCK_K * (1 if CAUSAL else 2)
        pointers = DSLAB + part * BLOCK_E + tl.arange(0, BLOCK_K)[:, None] * BLOCK_E + tl.arange(0, BLOCK_E)[None, :]
        tl.store(pointers, dslab_behind)
        if not CAUSAL:
            tl.store(pointers + BLOCK_K * BLOCK_E, dslab_ahead)
