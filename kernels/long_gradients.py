"""The backward pass of attention of any length without atomics: a kernel for queries, and one for keys and values.

Both recompute the weights from the forward pass's logarithms of sums, and walk in segments as it does. The gradient of
the scores is dS = P * (dP - delta) with delta = rowsum(P * dP) = rowsum(out * dout). The latter is at hand beforehand,
and exact enough for dq, but rounded as `out` is, and sums over whole tables would show that. So the kernel of queries
adds up the former on its way, for the table's gradient.
"""

import triton
import triton.language as tl

from arith.kernels.long import clamp, far_scores, ids_at, key_segments, load_tile, store_tile, tile_scores
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
def query_tiles(
    state, q, dout, logsum, delta, i, i_start, first, end, constant, K, V, k_n, v_n, LIST, terms, sizes, factor,
    EXACT: tl.constexpr, FAR: tl.constexpr, FAR_IDS: tl.constexpr, NEAR: tl.constexpr, MASKED: tl.constexpr,
    WIDTH: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Walk over one segment of keys: the state is dq, exact delta, and `both_sums` beyond the tables' radii."""
    dq, exact, far, far_ids = state
    queries, keys, radius = sizes[0], sizes[1], sizes[2]
    sample, IDS_Q, IDS_K, id_radius = terms[0], terms[5], terms[6], terms[7]
    for place in tl.range(first, end):
        tile = place
        if LIST is not None:
            tile = tl.load(LIST + place)
        start = tile * BLOCK_K
        j = start + tl.arange(0, BLOCK_K)
        k = load_tile(K, start, keys, k_n, WIDTH, BLOCK_K, BLOCK_D, MASKED)
        v = load_tile(V, start, keys, v_n, WIDTH, BLOCK_K, BLOCK_D, MASKED)
        scores = tile_scores(q, k, i, j, i_start, start, constant, terms, sizes, factor, NEAR, MASKED, ACC, PRECISION)
        weights, dweights = weights_of(scores, logsum, dout, v, ACC, PRECISION)
        # With the products at hand, the compiler makes one instruction of the rest; without, of neither.
        products = weights * dweights
        dscores = products - weights * delta[:, None] if EXACT else weights * (dweights - delta[:, None])
        dq = tl.dot(dscores.to(k.dtype), k, dq, out_dtype=ACC, input_precision=PRECISION)
        if EXACT:
            exact += tl.sum(products, 1)
            if FAR:
                far += both_sums(products, weights, j[None, :] - (i + keys - queries)[:, None] <= -radius)
            if FAR_IDS:
                own, other = ids_at(IDS_Q, sample, i, queries)[:, None], ids_at(IDS_K, sample, j, keys)[None, :]
                placed = (own != 0) & (other != 0)
                which = tl.arange(0, 4)[None, :, None]  # three are needed, and sizes are powers of two
                behind = both_sums(products, weights, placed & (other - own <= -id_radius))
                far_ids += tl.where(which == 1, behind[:, None, :], 0.0)
                ahead = both_sums(products, weights, placed & (other - own >= id_radius))
                far_ids += tl.where(which == 2, ahead[:, None, :], 0.0)
                unplaced = both_sums(products, weights, (own == 0) | (other == 0))
                far_ids += tl.where(which == 3, unplaced[:, None, :], 0.0)
    return dq, exact, far, far_ids


@triton.jit
def long_backward_queries(
    Q, K, V, DOUT, DQ, LOGSUM, DELTA, EXACT, FAR, FAR_IDS,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, LIST, COUNT,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, dq_b, dq_h, dq_n,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, scale,
    WIDTH: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dq = scale dS k. Grid: tiles of queries of all heads and samples.

    EXACT gets delta, added up exactly; FAR each tile's sum of dS at token distances of -radius and below; FAR_IDS, in
    the last three of four, its sums at id distances of -radius and below, of radius and above, and where an id is 0.
    """
    tiles = tl.cdiv(queries, BLOCK_Q)
    tile = tiles - 1 - tl.program_id(0) % tiles  # those with most to do come first, as in the forward pass
    row = tl.program_id(0) // tiles
    sample, head = (row // heads).to(tl.int64), (row % heads).to(tl.int64)
    sizes = (queries, keys, radius, left, right)
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
    bounds = key_segments(start, sizes, TABLE is not None, BOTH, BLOCK_Q, BLOCK_K)
    if LIST is not None:
        LIST += (sample * tiles + tile) * tl.cdiv(keys, BLOCK_K)
        bounds = (0, 0, 0, 0, 0, tl.load(COUNT + sample * tiles + tile))
    factor = tl.cast(scale, ACC) * LOG2E
    q = load_tile(Q + sample * q_b + head * q_h, start, queries, q_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    dout = load_tile(DOUT + sample * dout_b + head * dout_h, start, queries, dout_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    # Rows beyond the last query repeat its numbers, and are never stored.
    own = (sample * heads + head) * queries + tl.minimum(i, queries - 1)
    logsum, delta = tl.load(LOGSUM + own), tl.load(DELTA + own)
    dq = tl.zeros((BLOCK_Q, BLOCK_D), ACC)
    exact = tl.zeros((BLOCK_Q,), ACC)
    far = tl.zeros((BLOCK_Q, 2), ACC)
    far_ids = tl.zeros((BLOCK_Q, 4, 2), ACC)
    for segment in tl.static_range(5):
        if (segment == 4) | ((LIST is None) & (TABLE is not None or segment % 2 == 0) & (BOTH or segment != 3)):
            dq, exact, far, far_ids = query_tiles(
                (dq, exact, far, far_ids), q, dout, logsum, delta, i, start, bounds[segment], bounds[segment + 1],
                constants[segment], K, V, k_n, v_n, LIST, terms, sizes, factor,
                EXACT is not None, FAR is not None, FAR_IDS is not None, segment % 2 == 0, segment % 4 == 0,
                WIDTH, BLOCK_K, BLOCK_D, ACC, PRECISION,
            )  # fmt: skip
    dq *= tl.cast(scale, ACC)
    store_tile(DQ + sample * dq_b + head * dq_h, dq, start, queries, dq_n, WIDTH, BLOCK_Q, BLOCK_D)
    if EXACT is not None:
        tl.store(EXACT + own, exact, mask=i < queries)
    # dS summed over some pairs is their sum of P * dP, less delta times that of P. Rows beyond the last query are left
    # out: their weights may be infinite.
    less = tl.where(tl.arange(0, 2)[None, :] == 0, 1.0, -exact[:, None])
    there = (i < queries)[:, None]
    part = row.to(tl.int64) * tiles + tile
    if FAR is not None:
        tl.store(FAR + part, tl.sum(tl.sum(tl.where(there, far * less, 0.0), 1), 0))
    if FAR_IDS is not None:
        parts = tl.where(there[:, None, :], far_ids * less[:, None, :], 0.0)
        tl.store(FAR_IDS + part * 4 + tl.arange(0, 4), tl.sum(tl.sum(parts, 2), 0))


@triton.jit
def query_segments(start, sizes, TABLE: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """As `key_segments`: segments of tiles of queries for the keys from `start` on.

    Masked; whole and ahead of the radius; whole and near; whole and behind the radius; masked.
    """
    queries, keys, radius, left, right = sizes
    earlier = keys - queries
    low = start - earlier  # the queries at the places of the first key and of the last; negative before all queries
    high = tl.minimum(start + BLOCK_K, keys) - 1 - earlier
    first = tl.maximum(low - right, 0) // BLOCK_Q
    end = tl.maximum(tl.cdiv(tl.minimum(high + left, queries - 1) + 1, BLOCK_Q), first)
    whole = clamp(tl.cdiv(tl.maximum(high - right, 0), BLOCK_Q), first, end)
    whole = tl.where(start + BLOCK_K > keys, end, whole)  # a tile with keys that do not exist is masked throughout
    ragged = clamp(tl.maximum(tl.minimum(low + left, queries - 1) + 1, 0) // BLOCK_Q, whole, end)
    near, far = whole, ragged
    if TABLE:
        if BOTH:
            near = clamp(tl.maximum(low - radius + 1, 0) // BLOCK_Q, whole, ragged)
        far = clamp(tl.cdiv(tl.maximum(high + radius, 0), BLOCK_Q), near, ragged)
    return first, whole, near, far, ragged, end


@triton.jit
def key_tiles(
    state, k, v, j, j_start, first, end, constant, Q, DOUT, LOGSUM, DELTA, q_n, dout_n, LIST, terms, sizes, factor,
    NEAR: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_D: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Walk over one segment of queries: the state is dk and dv."""
    dk, dv = state
    queries = sizes[0]
    for place in tl.range(first, end):
        tile = place
        if LIST is not None:
            tile = tl.load(LIST + place)
        start = tile * BLOCK_Q
        i = start + tl.arange(0, BLOCK_Q)
        q = load_tile(Q, start, queries, q_n, WIDTH, BLOCK_Q, BLOCK_D, MASKED)
        dout = load_tile(DOUT, start, queries, dout_n, WIDTH, BLOCK_Q, BLOCK_D, MASKED)
        own = tl.minimum(i, queries - 1)
        scores = tile_scores(q, k, i, j, start, j_start, constant, terms, sizes, factor, NEAR, MASKED, ACC, PRECISION)
        weights, dweights = weights_of(scores, tl.load(LOGSUM + own), dout, v, ACC, PRECISION)
        dscores = weights * (dweights - tl.load(DELTA + own)[:, None])
        dv = tl.dot(tl.trans(weights.to(dout.dtype)), dout, dv, out_dtype=ACC, input_precision=PRECISION)
        dk = tl.dot(tl.trans(dscores.to(q.dtype)), q, dk, out_dtype=ACC, input_precision=PRECISION)
    return dk, dv


@triton.jit
def long_backward_keys(
    Q, K, V, DOUT, DK, DV, LOGSUM, DELTA,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, LIST, COUNT,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, dk_b, dk_h, dk_n,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, scale,
    WIDTH: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dv = P^T dout and dk = scale dS^T q, over all query heads of a key head. Grid: tiles of keys of all key heads."""
    tiles = tl.cdiv(keys, BLOCK_K)
    tile = tl.program_id(0) % tiles
    row = tl.program_id(0) // tiles
    sample, key_head = (row // (heads // group)).to(tl.int64), (row % (heads // group)).to(tl.int64)
    sizes = (queries, keys, radius, left, right)
    start = tile * BLOCK_K
    j = start + tl.arange(0, BLOCK_K)
    factor = tl.cast(scale, ACC) * LOG2E
    k = load_tile(K + sample * k_b + key_head * k_h, start, keys, k_n, WIDTH, BLOCK_K, BLOCK_D, True)
    v = load_tile(V + sample * v_b + key_head * v_h, start, keys, v_n, WIDTH, BLOCK_K, BLOCK_D, True)
    dk = tl.zeros((BLOCK_K, BLOCK_D), ACC)
    dv = tl.zeros((BLOCK_K, BLOCK_D), ACC)
    if LIST is not None:
        LIST += (sample * tiles + tile) * tl.cdiv(queries, BLOCK_Q)
    for member in tl.range(0, group):  # the query heads of this key head, one after the other: no atomics
        head = key_head * group + member
        terms = (
            sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
            VALID, DOCUMENTS,
        )  # fmt: skip
        behind, ahead = 0.0, 0.0
        if TABLE is not None:
            behind, _, _, ahead, _ = far_scores(TABLE, head, radius, ACC)
        # Seen from a key, the segments come in the other order: queries before it look ahead, those after it behind.
        constants = (0.0, ahead, 0.0, behind, 0.0)
        bounds = query_segments(start, sizes, TABLE is not None, BOTH, BLOCK_Q, BLOCK_K)
        if LIST is not None:
            bounds = (0, 0, 0, 0, 0, tl.load(COUNT + sample * tiles + tile))
        sums = (sample * heads + head) * queries
        for segment in tl.static_range(5):
            if (segment == 4) | ((LIST is None) & (TABLE is not None or segment % 2 == 0) & (BOTH or segment != 1)):
                dk, dv = key_tiles(
                    (dk, dv), k, v, j, start, bounds[segment], bounds[segment + 1], constants[segment],
                    Q + sample * q_b + head * q_h, DOUT + sample * dout_b + head * dout_h, LOGSUM + sums, DELTA + sums,
                    q_n, dout_n, LIST, terms, sizes, factor, segment % 2 == 0, segment % 4 == 0,
                    WIDTH, BLOCK_Q, BLOCK_D, ACC, PRECISION,
                )  # fmt: skip
    dk *= tl.cast(scale, ACC)
    place = sample * dk_b + key_head * dk_h
    store_tile(DK + place, dk, start, keys, dk_n, WIDTH, BLOCK_K, BLOCK_D)
    store_tile(DV + place, dv, start, keys, dk_n, WIDTH, BLOCK_K, BLOCK_D)
