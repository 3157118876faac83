"""Attention of any length as Triton kernels, tile by tile: the forward pass.

A program has a tile of queries of one sample and head, and walks over tiles of keys with running sums. Its walk is in
segments, so that no loop asks what a tile needs: tiles at the edges of what is visible are masked; of the others, those
beyond the table's radius all have one score to add, and only those near the queries look scores up.
Where samples differ in what is visible, the walk follows a list of the tiles that show anything (`tiling.py`).
README.md beside this file has the mathematics.
"""

import triton
import triton.language as tl

from arith.kernels import long_configs
from arith.kernels.shearing import asked_scores, first_slot
from arith.kernels.short_scores import HIDDEN, LOG2E, SEEN, tanh

EDGE = tl.constexpr(long_configs.EDGE)
NOTHING = tl.constexpr(1e30)  # logarithm of the sum of a row without keys: backward, every exponential less it is 0


@triton.jit
def load_tile(
    pointer, start, tokens, stride,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Load rows from `start` on. Rows beyond the last repeat it, which costs less than a mask, and are hidden later."""
    row, d = tl.arange(0, BLOCK), tl.arange(0, BLOCK_D)
    if MASKED:
        row = tl.minimum(row, tokens - 1 - start)
    pointers = pointer + tl.cast(start, tl.int64) * stride + (row[:, None] * stride + d[None, :])
    if WIDTH == BLOCK_D:
        return tl.load(pointers)
    return tl.load(pointers, mask=(d < WIDTH)[None, :], other=0.0)


@triton.jit
def store_tile(pointer, values, start, tokens, stride, WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """Store the rows that exist."""
    row, d = tl.arange(0, BLOCK), tl.arange(0, BLOCK_D)
    pointers = pointer + tl.cast(start, tl.int64) * stride + (row[:, None] * stride + d[None, :])
    there = (start + row < tokens)[:, None] & (d < WIDTH)[None, :]
    tl.store(pointers, values.to(pointer.dtype.element_ty), mask=there)


@triton.jit
def clamp(x, low, high):
    """The number nearest to x from `low` to `high`."""
    return tl.minimum(tl.maximum(x, low), high)


@triton.jit
def key_segments(start, sizes, TABLE: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """Where the five segments of tiles of keys begin for the queries from `start` on, and where the last one ends.

    Masked; whole and behind what tables reach; whole and near; whole and ahead of it; masked. Without a TABLE all
    whole tiles are near; if not BOTH, none lies ahead of the queries.
    """
    queries, keys, _, left, right, behind, ahead = sizes
    low = start + keys - queries  # places of the first query, and of the last, among the keys
    high = tl.minimum(low + BLOCK_Q, keys) - 1
    first = tl.maximum(low - left, 0) // BLOCK_K
    end = tl.cdiv(tl.minimum(high + right, keys - 1) + 1, BLOCK_K)
    # A whole tile shows all its keys to all the queries: to the last one at its left edge, to the first at its right.
    whole = clamp(tl.cdiv(tl.maximum(high - left, 0), BLOCK_K), first, end)
    ragged = clamp((tl.minimum(low + right, keys - 1) + 1) // BLOCK_K, whole, end)
    near, far = whole, ragged
    if TABLE:
        near = clamp(tl.maximum(low - behind + 1, 0) // BLOCK_K, whole, ragged)
        if BOTH:
            far = clamp(tl.cdiv(tl.maximum(high + ahead, 0), BLOCK_K), near, ragged)
    return first, whole, near, far, ragged, end


@triton.jit
def far_scores(TABLE, head, radius, ACC: tl.constexpr):
    """What is added to all scores of each segment: the ends of the table for the two beyond its radius.

    The other three look scores up, and leave theirs unused.
    """
    row = TABLE + head * (2 * (radius + EDGE) + 1)
    behind, ahead = tl.load(row).to(ACC), tl.load(row + 2 * (radius + EDGE)).to(ACC)
    return behind, behind, behind, ahead, ahead


@triton.jit
def near_scores(TABLE, head, radius, first, further, ACC: tl.constexpr):
    """The scores of a tile's distances, which are `first` and how much `further` each pair is apart.

    The place of `first` in the table is limited, and the others lie at fixed offsets from it, which cost no
    instruction: a tile wholly beyond the radius finds copies of the table's end wherever it is put.
    """
    row = TABLE + head * (2 * (radius + EDGE) + 1) + radius + EDGE
    return tl.load(row + clamp(first, -radius - EDGE // 2, radius + EDGE // 2) + further).to(ACC)


@triton.jit
def ids_at(pointer, sample, token, tokens):
    """Load an integer for each token of a sample; 0 where there is none."""
    return tl.load(pointer + sample * tokens + token, mask=token < tokens, other=0)


@triton.jit
def cap_factors(scale, softcap, ACC: tl.constexpr):
    """What `products` multiplies by, before and after a limit."""
    return tl.cast(scale, ACC) / tl.cast(softcap, ACC), tl.cast(softcap, ACC) * LOG2E


@triton.jit
def products(q, k, factors, ACC: tl.constexpr, PRECISION: tl.constexpr):
    """Scaled and limited products of queries and keys as exponents of two, and the limit's slope, 1 without one.

    Without a limit the second factor is None. Kernels make that pair themselves: up to Triton 3.6 functions return no
    None.
    """
    factor, cap = factors
    scores, slope = tl.dot(q, tl.trans(k), out_dtype=ACC, input_precision=PRECISION) * factor, 1.0
    if cap is not None:
        bent = tanh(scores)
        scores, slope = bent * cap, 1 - bent * bent
    return scores, slope


# `sizes`, `terms` and `table` are tuples since functions hand them on: Triton has no structs.
@triton.jit
def add_terms(
    scores, asked, i, j, i_start, j_start, constant, terms, sizes,
    NEAR: tl.constexpr, MASKED: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Scores of a tile as exponents of two, HIDDEN or below where a query must not attend.

    Args:
        asked: what queries ask of their table; None: nothing.
        i, j: indices of queries and keys, from `i_start` and `j_start` on.
        constant: added to all scores if not NEAR; otherwise scores are looked up in the table.
        MASKED: some pairs do not exist or lie outside `left` and `right`, causality included.
    """
    queries, keys, radius, left, right, _, _ = sizes
    (
        sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
        VALID, DOCUMENTS,
    ) = terms  # fmt: skip
    distance = j[None, :] - (i + keys - queries)[:, None]
    if TABLE is not None:
        if NEAR:
            first = j_start - (i_start + keys - queries)
            scores += near_scores(TABLE, head, radius, first, distance - first, ACC)
        else:
            scores += constant
    if asked is not None:
        scores += asked
    if TILE is not None:
        row, column = i, j
        if MASKED:
            row, column = tl.minimum(i, queries - 1), tl.minimum(j, keys - 1)
        pairs = ((head * queries + row) * keys)[:, None] + column[None, :]  # `head` has 64 bits, and so have these
        scores += tl.load(TILE + pairs).to(ACC) * LOG2E
    if ID_TABLE is not None:
        own, other = ids_at(IDS_Q, sample, i, queries)[:, None], ids_at(IDS_K, sample, j, keys)[None, :]
        slot = clamp(other - own, -id_radius, id_radius) + id_radius
        slot = tl.where((own == 0) | (other == 0), 2 * id_radius + 1, slot)
        scores += tl.load(ID_TABLE + head * (2 * id_radius + 2) + slot).to(ACC) * LOG2E
    if WINDOW_Q is not None:
        own, other = ids_at(WINDOW_Q, sample, i, queries)[:, None], ids_at(WINDOW_K, sample, j, keys)[None, :]
        inside = (other - own >= -id_left) & (other - own <= id_right)
        scores = tl.where(inside | (own == 0) | (other == 0), scores, HIDDEN)
    if VALID is not None:
        scores = tl.where((ids_at(VALID, sample, j, keys) != 0)[None, :], scores, HIDDEN)
    if DOCUMENTS is not None:
        own = ids_at(DOCUMENTS, sample, i + keys - queries, keys)[:, None]
        scores = tl.where(own == ids_at(DOCUMENTS, sample, j, keys)[None, :], scores, HIDDEN)
    if MASKED:
        # The first and the last key that each query sees: a pair takes two comparisons. What is no query sees none.
        place = i + keys - queries
        last = tl.where(i < queries, tl.minimum(place + right, keys - 1), -1)
        fits = (j[None, :] >= (place - left)[:, None]) & (j[None, :] <= last[:, None])
        scores = tl.where(fits, scores, HIDDEN)
    return scores


@triton.jit
def outer_scores(OUTER, row, i, queries):
    """What queries add to all keys behind their table, and to all ahead, as a column for each of five segments.

    The first, third and fifth ask for their scores, and leave theirs unused.
    """
    own = OUTER + row * 2 * queries + tl.minimum(i, queries - 1)
    behind, ahead = tl.load(own)[:, None], tl.load(own + queries)[:, None]
    return behind, behind, behind, ahead, ahead


@triton.jit
def forward_tiles(
    state, q, states, i, i_start, first, end, constant, outer, K, V, k_n, v_n, LIST, terms, table, sizes, factors,
    NEAR: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Walk over one segment: the state is each row's highest score, its sum of exponentials, and its sum of values."""
    highest, total, out = state
    keys = sizes[1]
    VALUES, lowest, slots = table
    for place in tl.range(first, end):
        tile = place
        if LIST is not None:
            tile = tl.load(LIST + place)
        start = tile * BLOCK_K
        k = load_tile(K, start, keys, k_n, WIDTH, BLOCK_K, BLOCK_D, MASKED)
        j = start + tl.arange(0, BLOCK_K)
        scores, _ = products(q, k, factors, ACC, PRECISION)
        asked = outer
        if NEAR and states is not None:
            slot = first_slot(i_start, start, sizes, lowest, BLOCK_Q)
            asked = asked_scores(states, VALUES, slot, slots, BLOCK_Q, BLOCK_K, BLOCK_E, ACC, PRECISION) * LOG2E
        scores = add_terms(scores, asked, i, j, i_start, start, constant, terms, sizes, NEAR, MASKED, ACC)
        higher = tl.maximum(highest, tl.max(scores, 1))
        powers = tl.exp2(scores - higher[:, None])
        fading = tl.exp2(highest - higher)  # what was summed so far was relative to a lower maximum
        total = total * fading + tl.sum(powers, 1)
        v = load_tile(V, start, keys, v_n, WIDTH, BLOCK_K, BLOCK_D, MASKED)
        out = tl.dot(powers.to(v.dtype), v, out * fading[:, None], out_dtype=ACC, input_precision=PRECISION)
        highest = higher
    return highest, total, out


@triton.jit
def long_forward(
    Q, K, V, OUT, LOGSUM, SINKS, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS,
    STATES, VALUES, OUTER, LIST, COUNT,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, out_b, out_h, out_n, states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap,
    WIDTH: tl.constexpr, BOTH: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """out = softmax(scores) v, and the logarithm of each row's sum. Grid: tiles of queries of all heads and samples.

    BOTH: keys may lie ahead of queries.
    """
    FAR: tl.constexpr = TABLE is not None or STATES is not None  # whole tiles may lie beyond what a table holds
    tiles = tl.cdiv(queries, BLOCK_Q)
    tile = tiles - 1 - tl.program_id(0) % tiles  # under causality the last have most to do, and come first
    row = (tl.program_id(0) // tiles).to(tl.int64)
    sample, head = row // heads, row % heads
    sizes = (queries, keys, radius, left, right, behind, ahead)
    terms = (
        sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
        VALID, DOCUMENTS,
    )  # fmt: skip
    start = tile * BLOCK_Q
    i = start + tl.arange(0, BLOCK_Q)
    # The key head that this query head shares with group - 1 others.
    K += sample * k_b + head // group * k_h
    V += sample * v_b + head // group * v_h
    constants = (0.0, 0.0, 0.0, 0.0, 0.0)  # one for each segment
    if TABLE is not None:
        constants = far_scores(TABLE, head, radius, ACC)
    outer = (None, None, None, None, None)
    if OUTER is not None:
        outer = outer_scores(OUTER, row, i, queries)
    bounds = key_segments(start, sizes, FAR, BOTH, BLOCK_Q, BLOCK_K)
    if LIST is not None:
        LIST += (sample * tiles + tile) * tl.cdiv(keys, BLOCK_K)
        # A list may hold tiles of all kinds: they all go through the last segment, which masks and looks up.
        bounds = (0, 0, 0, 0, 0, tl.load(COUNT + sample * tiles + tile))
    factors = (tl.cast(scale, ACC) * LOG2E, None)
    if softcap is not None:
        factors = cap_factors(scale, softcap, ACC)
    q = load_tile(Q + sample * q_b + head * q_h, start, queries, q_n, WIDTH, BLOCK_Q, BLOCK_D, True)
    states = None
    if STATES is not None:
        STATES += sample * states_b + head * states_h
        states = load_tile(STATES, start, queries, states_n, BLOCK_E, BLOCK_Q, BLOCK_E, True)
        VALUES += head * values_h
    highest = tl.full((BLOCK_Q,), HIDDEN, ACC)
    total = tl.zeros((BLOCK_Q,), ACC)
    if SINKS is not None:  # a score that is there before all others, and has no value
        highest = tl.load(SINKS + row * queries + tl.minimum(i, queries - 1)).to(ACC) * LOG2E
        total += 1
    out = tl.zeros((BLOCK_Q, BLOCK_D), ACC)
    # Unrolled: segments that cannot occur are not compiled. 0, 2 and 4 look scores up, 0 and 4 are masked.
    for segment in tl.static_range(5):
        if (segment == 4) | ((LIST is None) & (FAR or segment % 2 == 0) & (BOTH or segment != 3)):
            highest, total, out = forward_tiles(
                (highest, total, out), q, states, i, start, bounds[segment], bounds[segment + 1], constants[segment],
                outer[segment], K, V, k_n, v_n, LIST, terms, (VALUES, lowest, slots), sizes, factors,
                segment % 2 == 0, segment % 4 == 0, WIDTH, BLOCK_Q, BLOCK_K, BLOCK_D, BLOCK_E, ACC, PRECISION,
            )  # fmt: skip
    sees = highest > SEEN
    out = out * tl.where(sees, 1.0 / total, 0.0)[:, None]
    store_tile(OUT + sample * out_b + head * out_h, out, start, queries, out_n, WIDTH, BLOCK_Q, BLOCK_D)
    logsum = tl.where(sees, highest + tl.log2(total), NOTHING)
    tl.store(LOGSUM + row * queries + i, logsum, mask=i < queries)
