"""The backward pass of attention of any length without atomics: a kernel for queries; `long_keys.py` has that for keys.

Both recompute the weights from the forward pass's logarithms of sums, and walk in segments as it does. The gradient of
the scores is dS = P * (dP - delta) with delta = rowsum(P * dP) = rowsum(out * dout). The latter is at hand beforehand,
and exact enough for dq, but rounded as `out` is, and sums over whole tables would show that. So the kernel of queries
adds up the former on its way, for the table's gradient.
"""

import triton
import triton.language as tl

from arith.kernels.long import (
    add_terms,
    cap_factors,
    far_scores,
    ids_at,
    key_segments,
    load_tile,
    outer_scores,
    products,
    store_tile,
)
from arith.kernels.shearing import asked_scores, first_slot, outermost_values, state_gradients
from arith.kernels.short_scores import LOG2E


@triton.jit
def long_delta(
    OUT, DOUT, DELTA, out_b, out_h, out_n, dout_b, dout_h, dout_n, heads, queries,
    WIDTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_D: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """delta = rowsum(out * dout), rounded as `out` is. Grid: as the forward pass."""
    tiles = tl.cdiv(queries, BLOCK_Q)
    start = tl.program_id(0) % tiles * BLOCK_Q
    row = tl.program_id(0) // tiles
    sample, head = (row // heads).to(tl.int64), (row % heads).to(tl.int64)
    out = load_tile(OUT + sample * out_b + head * out_h, start, queries, out_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    dout = load_tile(DOUT + sample * dout_b + head * dout_h, start, queries, dout_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    i = start + tl.arange(0, BLOCK_Q)
    delta = tl.sum(out.to(ACC) * dout.to(ACC), 1)
    tl.store(DELTA + (sample * heads + head) * queries + i, delta, mask=i < queries)


@triton.jit
def weights_of(scores, logsum, dout, v, ACC: tl.constexpr, PRECISION: tl.constexpr):
    """P and dP of a tile."""
    weights = tl.exp2(scores - logsum[:, None])
    return weights, tl.dot(dout, tl.trans(v), out_dtype=ACC, input_precision=PRECISION)


@triton.jit
def both_sums(products, weights, chosen):
    """Row sums over chosen pairs, of P * dP and of P: from both follows that of dS once delta is known."""
    of_products = tl.sum(tl.where(chosen, products, 0.0), 1)[:, None]
    of_weights = tl.sum(tl.where(chosen, weights, 0.0), 1)[:, None]
    return tl.where(tl.arange(0, 2)[None, :] == 0, of_products, of_weights)


@triton.jit
def sums_by_place(shares, weights, distance, low, high):
    """`both_sums` of the pairs behind a table, and of those ahead of it."""
    ahead = tl.arange(0, 2)[None, :, None] == 1
    return tl.where(
        ahead, both_sums(shares, weights, distance > high)[:, None, :],
        both_sums(shares, weights, distance < low)[:, None, :],
    )  # fmt: skip


@triton.jit
def sums_by_id(shares, weights, own, other, id_radius):
    """`both_sums` of the pairs at id distances of -radius and below, of radius and above, and where an id is 0."""
    which = tl.arange(0, 4)[None, :, None]  # three are needed, and sizes are powers of two
    placed = (own != 0) & (other != 0)
    behind = both_sums(shares, weights, placed & (other - own <= -id_radius))
    ahead = both_sums(shares, weights, placed & (other - own >= id_radius))
    unplaced = both_sums(shares, weights, (own == 0) | (other == 0))
    sums = tl.where(which == 1, behind[:, None, :], 0.0) + tl.where(which == 2, ahead[:, None, :], 0.0)
    return sums + tl.where(which == 3, unplaced[:, None, :], 0.0)


@triton.jit
def query_tiles(
    state, q, states, dout, logsum, delta, i, i_start, first, end, constant, outer, K, V, k_n, v_n, LIST, terms, table,
    sizes, factors, EXACT: tl.constexpr, FAR: tl.constexpr, FAR_IDS: tl.constexpr, ASKED: tl.constexpr,
    ENDS: tl.constexpr, NEAR: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr, BLOCK_Q: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Walk over one segment of keys: the state is dq, dstates, exact delta, and `both_sums` beyond the tables."""
    dq, dstates, exact, far, far_ids, far_asked = state
    queries, keys, radius = sizes[0], sizes[1], sizes[2]
    sample, IDS_Q, IDS_K, id_radius = terms[0], terms[5], terms[6], terms[7]
    VALUES, lowest, slots = table
    for place in tl.range(first, end):
        tile = place
        if LIST is not None:
            tile = tl.load(LIST + place)
        start = tile * BLOCK_K
        j = start + tl.arange(0, BLOCK_K)
        k = load_tile(K, start, keys, k_n, WIDTH, BLOCK_K, BLOCK_D, MASKED)
        v = load_tile(V, start, keys, v_n, WIDTH, BLOCK_K, BLOCK_D, MASKED)
        scores, slope = products(q, k, factors, ACC, PRECISION)
        asked = outer
        slot = first_slot(i_start, start, sizes, lowest, BLOCK_Q)
        if NEAR and states is not None:
            asked = asked_scores(states, VALUES, slot, slots, BLOCK_Q, BLOCK_K, BLOCK_E, ACC, PRECISION) * LOG2E
        scores = add_terms(scores, asked, i, j, i_start, start, constant, terms, sizes, NEAR, MASKED, ACC)
        weights, dweights = weights_of(scores, logsum, dout, v, ACC, PRECISION)
        # With the products at hand, the compiler makes one instruction of the rest; without, of neither.
        shares = weights * dweights
        dscores = shares - weights * delta[:, None] if EXACT else weights * (dweights - delta[:, None])
        dq = tl.dot((dscores * slope).to(k.dtype), k, dq, out_dtype=ACC, input_precision=PRECISION)
        distance = j[None, :] - (i + keys - queries)[:, None]
        if NEAR and ASKED:
            dstates = state_gradients(
                dstates, dscores, VALUES, slot, slots, ENDS, BLOCK_Q, BLOCK_K, BLOCK_E, ACC, PRECISION
            )
        if ENDS:
            far_asked += sums_by_place(shares, weights, distance, lowest, lowest + slots - 1)
        if EXACT:
            exact += tl.sum(shares, 1)
            if FAR:
                far += both_sums(shares, weights, distance <= -radius)
            if FAR_IDS:
                own, other = ids_at(IDS_Q, sample, i, queries)[:, None], ids_at(IDS_K, sample, j, keys)[None, :]
                far_ids += sums_by_id(shares, weights, own, other, id_radius)
    return dq, dstates, exact, far, far_ids, far_asked


# Longer than others, as its arguments alone are: kernels take no structs, and functions that load would hide the walk.
@triton.jit
def long_backward_queries(
    Q, K, V, DOUT, DQ, DSTATES, LOGSUM, DELTA, EXACT, FAR, FAR_IDS, FAR_ASKED,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, STATES, VALUES, OUTER, LIST, COUNT,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, dq_b, dq_h, dq_n,
    states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap,
    WIDTH: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dq = scale dS k. Grid: tiles of queries of all heads and samples.

    EXACT gets delta, added up exactly; FAR each tile's sum of dS at token distances of -radius and below; FAR_IDS, in
    the last three of four, its sums at id distances of -radius and below, of radius and above, and where an id is 0.
    DSTATES, which lies in memory as "b h q e" does, gets the gradient of states; FAR_ASKED each query's sums of dS
    behind the table of values, and ahead of it.
    """
    TABLES: tl.constexpr = TABLE is not None or STATES is not None
    tiles = tl.cdiv(queries, BLOCK_Q)
    tile = tiles - 1 - tl.program_id(0) % tiles  # those with most to do come first, as in the forward pass
    row = (tl.program_id(0) // tiles).to(tl.int64)
    sample, head = row // heads, row % heads
    sizes = (queries, keys, radius, left, right, behind, ahead)
    terms = (
        sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
        VALID, DOCUMENTS,
    )  # fmt: skip
    start = tile * BLOCK_Q
    i = start + tl.arange(0, BLOCK_Q)
    K += sample * k_b + head // group * k_h
    V += sample * v_b + head // group * v_h
    constants = (0.0, 0.0, 0.0, 0.0, 0.0)
    if TABLE is not None:
        constants = far_scores(TABLE, head, radius, ACC)
    outer = (None, None, None, None, None)
    if OUTER is not None:
        outer = outer_scores(OUTER, row, i, queries)
    factors = (tl.cast(scale, ACC) * LOG2E, None)
    if softcap is not None:
        factors = cap_factors(scale, softcap, ACC)
    bounds = key_segments(start, sizes, TABLES, BOTH, BLOCK_Q, BLOCK_K)
    if LIST is not None:
        LIST += (sample * tiles + tile) * tl.cdiv(keys, BLOCK_K)
        bounds = (0, 0, 0, 0, 0, tl.load(COUNT + sample * tiles + tile))
    q = load_tile(Q + sample * q_b + head * q_h, start, queries, q_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    dout = load_tile(DOUT + sample * dout_b + head * dout_h, start, queries, dout_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    states = None
    if STATES is not None:
        STATES += sample * states_b + head * states_h
        states = load_tile(STATES, start, queries, states_n, BLOCK_E, BLOCK_Q, BLOCK_E, True)
        VALUES += head * values_h
    # Rows beyond the last query repeat its numbers, and are never stored.
    own = row * queries + tl.minimum(i, queries - 1)
    logsum, delta = tl.load(LOGSUM + own), tl.load(DELTA + own)
    sums = (
        tl.zeros((BLOCK_Q, BLOCK_D), ACC), tl.zeros((BLOCK_Q, BLOCK_E), ACC), tl.zeros((BLOCK_Q,), ACC),
        tl.zeros((BLOCK_Q, 2), ACC), tl.zeros((BLOCK_Q, 4, 2), ACC), tl.zeros((BLOCK_Q, 2, 2), ACC),
    )  # fmt: skip
    for segment in tl.static_range(5):
        if (segment == 4) | ((LIST is None) & (TABLES or segment % 2 == 0) & (BOTH or segment != 3)):
            sums = query_tiles(
                sums, q, states, dout, logsum, delta, i, start, bounds[segment], bounds[segment + 1],
                constants[segment], outer[segment], K, V, k_n, v_n, LIST, terms, (VALUES, lowest, slots), sizes,
                factors, EXACT is not None, FAR is not None, FAR_IDS is not None,
                DSTATES is not None, FAR_ASKED is not None, segment % 2 == 0, segment % 4 == 0,
                WIDTH, BLOCK_Q, BLOCK_K, BLOCK_D, BLOCK_E, ACC, PRECISION,
            )  # fmt: skip
    dq, dstates, exact, far, far_ids, far_asked = sums
    dq *= tl.cast(scale, ACC)
    store_tile(DQ + sample * dq_b + head * dq_h, dq, start, queries, dq_n, WIDTH, BLOCK_Q, BLOCK_D)
    if EXACT is not None:
        tl.store(EXACT + own, exact, mask=i < queries)
    # dS summed over some pairs is their sum of P * dP, less delta times that of P. Rows beyond the last query are left
    # out: their weights may be infinite.
    less = tl.where(tl.arange(0, 2)[None, :] == 0, 1.0, -exact[:, None])
    there = (i < queries)[:, None]
    part = row * tiles + tile
    if FAR is not None:
        tl.store(FAR + part, tl.sum(tl.sum(tl.where(there, far * less, 0.0), 1), 0))
    if FAR_IDS is not None:
        parts = tl.where(there[:, None, :], far_ids * less[:, None, :], 0.0)
        tl.store(FAR_IDS + part * 4 + tl.arange(0, 4), tl.sum(tl.sum(parts, 2), 0))
    if FAR_ASKED is not None:
        side = tl.arange(0, 2)[None, :]
        by_side = tl.sum(far_asked * less[:, None, :], 2)
        tl.store(FAR_ASKED + (row * queries + i)[:, None] * 2 + side, by_side, mask=there)
        nearest, farthest = outermost_values(VALUES, slots, BLOCK_E)
        dstates += tl.sum(tl.where(side == 0, by_side, 0.0), 1)[:, None] * nearest.to(ACC)
        dstates += tl.sum(tl.where(side == 1, by_side, 0.0), 1)[:, None] * farthest.to(ACC)
    if DSTATES is not None:
        store_tile(DSTATES + row * queries * BLOCK_E, dstates, start, queries, BLOCK_E, BLOCK_E, BLOCK_Q, BLOCK_E)
