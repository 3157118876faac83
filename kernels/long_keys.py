"""The backward pass of attention of any length for keys and values; `long_gradients.py` has that for queries."""

import triton
import triton.language as tl

from arith.kernels.long import add_terms, cap_factors, clamp, far_scores, load_tile, outer_scores, products, store_tile
from arith.kernels.long_gradients import weights_of
from arith.kernels.shearing import asked_scores, first_slot
from arith.kernels.short_scores import LOG2E


@triton.jit
def query_segments(start, sizes, TABLE: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """As `key_segments`: segments of tiles of queries for the keys from `start` on.

    Masked; whole and ahead of what tables reach; whole and near; whole and behind it; masked.
    """
    queries, keys, _, left, right, behind, ahead = sizes
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
            near = clamp(tl.maximum(low - ahead + 1, 0) // BLOCK_Q, whole, ragged)
        far = clamp(tl.cdiv(tl.maximum(high + behind, 0), BLOCK_Q), near, ragged)
    return first, whole, near, far, ragged, end


@triton.jit
def key_tiles(
    state, k, v, j, j_start, first, end, constant, side: tl.constexpr, Q, DOUT, LOGSUM, DELTA, q_n, dout_n, STATES,
    OUTER, states_n, LIST, terms, table, sizes, factors,
    NEAR: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Walk over one segment of queries: the state is dk and dv. For `side` see `outer_scores`."""
    dk, dv = state
    queries = sizes[0]
    VALUES, lowest, slots = table
    for place in tl.range(first, end):
        tile = place
        if LIST is not None:
            tile = tl.load(LIST + place)
        start = tile * BLOCK_Q
        i = start + tl.arange(0, BLOCK_Q)
        q = load_tile(Q, start, queries, q_n, WIDTH, BLOCK_Q, BLOCK_D, MASKED)
        dout = load_tile(DOUT, start, queries, dout_n, WIDTH, BLOCK_Q, BLOCK_D, MASKED)
        own = tl.minimum(i, queries - 1)
        scores, slope = products(q, k, factors, ACC, PRECISION)
        asked = None
        if OUTER is not None:
            asked = outer_scores(OUTER, 0, i, queries)[side]
        if NEAR and STATES is not None:
            states = load_tile(STATES, start, queries, states_n, BLOCK_E, BLOCK_Q, BLOCK_E, MASKED)
            slot = first_slot(start, j_start, sizes, lowest, BLOCK_Q)
            asked = asked_scores(states, VALUES, slot, slots, BLOCK_Q, BLOCK_K, BLOCK_E, ACC, PRECISION) * LOG2E
        scores = add_terms(scores, asked, i, j, start, j_start, constant, terms, sizes, NEAR, MASKED, ACC)
        weights, dweights = weights_of(scores, tl.load(LOGSUM + own), dout, v, ACC, PRECISION)
        dscores = weights * (dweights - tl.load(DELTA + own)[:, None]) * slope
        dv = tl.dot(tl.trans(weights.to(dout.dtype)), dout, dv, out_dtype=ACC, input_precision=PRECISION)
        dk = tl.dot(tl.trans(dscores.to(q.dtype)), q, dk, out_dtype=ACC, input_precision=PRECISION)
    return dk, dv


@triton.jit
def long_backward_keys(
    Q, K, V, DOUT, DK, DV, LOGSUM, DELTA,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, STATES, VALUES, OUTER, LIST, COUNT,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, dk_b, dk_h, dk_n,
    states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap,
    WIDTH: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dv = P^T dout and dk = scale dS^T q, over all query heads of a key head. Grid: tiles of keys of all key heads."""
    TABLES: tl.constexpr = TABLE is not None or STATES is not None
    tiles = tl.cdiv(keys, BLOCK_K)
    tile = tl.program_id(0) % tiles
    row = tl.program_id(0) // tiles
    sample, key_head = (row // (heads // group)).to(tl.int64), (row % (heads // group)).to(tl.int64)
    sizes = (queries, keys, radius, left, right, behind, ahead)
    start = tile * BLOCK_K
    j = start + tl.arange(0, BLOCK_K)
    factors = (tl.cast(scale, ACC) * LOG2E, None)
    if softcap is not None:
        factors = cap_factors(scale, softcap, ACC)
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
        before, after = 0.0, 0.0
        if TABLE is not None:
            before, _, _, after, _ = far_scores(TABLE, head, radius, ACC)
        # Seen from a key, the segments come in the other order: queries before it look ahead, those after it behind.
        constants = (0.0, after, 0.0, before, 0.0)
        bounds = query_segments(start, sizes, TABLES, BOTH, BLOCK_Q, BLOCK_K)
        if LIST is not None:
            bounds = (0, 0, 0, 0, 0, tl.load(COUNT + sample * tiles + tile))
        sums = (sample * heads + head) * queries
        asking = None if STATES is None else STATES + sample * states_b + head * states_h
        table = (None if STATES is None else VALUES + head * values_h, lowest, slots)
        outer = None if OUTER is None else OUTER + sums * 2
        for segment in tl.static_range(5):
            if (segment == 4) | ((LIST is None) & (TABLES or segment % 2 == 0) & (BOTH or segment != 1)):
                dk, dv = key_tiles(
                    (dk, dv), k, v, j, start, bounds[segment], bounds[segment + 1], constants[segment], 4 - segment,
                    Q + sample * q_b + head * q_h, DOUT + sample * dout_b + head * dout_h, LOGSUM + sums, DELTA + sums,
                    q_n, dout_n, asking, outer, states_n, LIST, terms, table, sizes, factors,
                    segment % 2 == 0, segment % 4 == 0, WIDTH, BLOCK_Q, BLOCK_K, BLOCK_D, BLOCK_E, ACC, PRECISION,
                )  # fmt: skip
    dk *= tl.cast(scale, ACC)
    place = sample * dk_b + key_head * dk_h
    store_tile(DK + place, dk, start, keys, dk_n, WIDTH, BLOCK_K, BLOCK_D)
    store_tile(DV + place, dv, start, keys, dk_n, WIDTH, BLOCK_K, BLOCK_D)
