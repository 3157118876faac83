"""Gradients of tables of scores by distance, for attention of any length: diagonals instead of atomics.

By token distance, tiles on one diagonal hold the same distances: a program walks along it, adds up the tiles' dS in
registers, and turns the sum into sums by distance at the end. Only diagonals within the table's radius are walked; what
lies beyond comes from the backward pass of queries, or from the fact that rows of dS sum to 0. Memory grows with n.

By ids of each sample, pairs are first sorted by products with one-hot matrices, as in `short_table.py`.
"""

import triton
import triton.language as tl

from arith.kernels.long import add_terms, cap_factors, ids_at, key_segments, load_tile, near_scores, products
from arith.kernels.long_gradients import weights_of
from arith.kernels.shearing import asked_scores, first_slot
from arith.kernels.short_scores import LOG2E
from arith.kernels.short_table import pick_columns, pick_rows, store_diagonals

NOWHERE = tl.constexpr(-(2**31))  # in place of an id of 0, which lies inside a block of ids


@triton.jit
def tile_gradients(
    Q, K, V, DOUT, LOGSUM, DELTA, q_n, k_n, v_n, dout_n, i_start, j_start, constant, terms, asking, sizes, factors,
    NEAR: tl.constexpr, MASKED: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dS of one tile; 0 where a pair is hidden or does not exist. For `constant`, NEAR and MASKED see `add_terms`."""
    queries, keys = sizes[0], sizes[1]
    i, j = i_start + tl.arange(0, BLOCK), j_start + tl.arange(0, BLOCK)
    q = load_tile(Q, i_start, queries, q_n, WIDTH, BLOCK, BLOCK_D, MASKED)
    dout = load_tile(DOUT, i_start, queries, dout_n, WIDTH, BLOCK, BLOCK_D, MASKED)
    k = load_tile(K, j_start, keys, k_n, WIDTH, BLOCK, BLOCK_D, MASKED)
    v = load_tile(V, j_start, keys, v_n, WIDTH, BLOCK, BLOCK_D, MASKED)
    own = tl.minimum(i, queries - 1)
    scores, _ = products(q, k, factors, ACC, PRECISION)
    asked = None
    STATES, states_n, VALUES, lowest, slots = asking
    if STATES is not None:
        states = load_tile(STATES, i_start, queries, states_n, BLOCK_E, BLOCK, BLOCK_E, MASKED)
        slot = first_slot(i_start, j_start, sizes, lowest, BLOCK)
        asked = asked_scores(states, VALUES, slot, slots, BLOCK, BLOCK, BLOCK_E, ACC, PRECISION) * LOG2E
    scores = add_terms(scores, asked, i, j, i_start, j_start, constant, terms, sizes, NEAR, MASKED, ACC)
    weights, dweights = weights_of(scores, tl.load(LOGSUM + own), dout, v, ACC, PRECISION)
    return weights * (dweights - tl.load(DELTA + own)[:, None])


@triton.jit
def long_table_gradient(
    Q, K, V, DOUT, LOGSUM, DELTA, NEAR,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, STATES, VALUES, OUTER, SHOWN,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap, lowest_diagonal, diagonals, chunks,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Sums of dS on the diagonals of tiles from the lowest on. Grid: diagonals, their chunks, heads, samples.

    A diagonal is shared by `chunks` programs where there are too few to keep a device busy.
    """
    diagonal = lowest_diagonal + tl.program_id(0) % diagonals
    chunk = tl.program_id(0) // diagonals % chunks
    row = tl.program_id(0) // (diagonals * chunks)
    sample, head = (row // heads).to(tl.int64), (row % heads).to(tl.int64)
    Q += sample * q_b + head * q_h
    K += sample * k_b + head // group * k_h
    V += sample * v_b + head // group * v_h
    DOUT += sample * dout_b + head * dout_h
    LOGSUM += (sample * heads + head) * queries
    DELTA += (sample * heads + head) * queries
    sizes = (queries, keys, radius, left, right, behind, ahead)
    terms = (
        sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
        VALID, DOCUMENTS,
    )  # fmt: skip
    factors = (tl.cast(scale, ACC) * LOG2E, None)
    if softcap is not None:
        factors = cap_factors(scale, softcap, ACC)
    tiles_q, tiles_k = tl.cdiv(queries, BLOCK), tl.cdiv(keys, BLOCK)
    if SHOWN is not None:
        SHOWN += sample * tiles_q * tiles_k
    near = tl.zeros((BLOCK, BLOCK), ACC)
    # All tiles of a diagonal hold the same distances, and so the same scores to add.
    distance = diagonal * BLOCK - (keys - queries)
    further = tl.arange(0, BLOCK)[None, :] - tl.arange(0, BLOCK)[:, None]
    constant = near_scores(TABLE, head, radius, distance, further, ACC)
    asking = (None, states_n, None, lowest, slots)
    if STATES is not None:
        asking = (STATES + sample * states_b + head * states_h, states_n, VALUES + head * values_h, lowest, slots)
    # Tile i of queries meets tile i + diagonal of keys, where there are both; chunks take turns. First those that are
    # whole: all but a last one that is cut short, or none where the diagonal crosses the edge of what is visible.
    first, end = tl.maximum(0, -diagonal) + chunk, tl.minimum(tiles_q, tiles_k - diagonal)
    whole = tl.minimum(queries // BLOCK, keys // BLOCK - diagonal)
    whole = tl.where((distance - BLOCK >= -left - 1) & (distance + BLOCK <= right + 1), whole, first)
    ragged = first + tl.cdiv(tl.maximum(whole - first, 0), chunks) * chunks
    for masked in tl.static_range(2):
        for tile in tl.range(ragged if masked else first, end if masked else whole, chunks):
            shown = True
            if SHOWN is not None:
                shown = tl.load(SHOWN + tile * tiles_k + tile + diagonal) != 0
            if shown:
                near += tile_gradients(
                    Q, K, V, DOUT, LOGSUM, DELTA, q_n, k_n, v_n, dout_n, tile * BLOCK, (tile + diagonal) * BLOCK,
                    constant, terms, asking, sizes, factors, False, masked == 1,
                    WIDTH, BLOCK, BLOCK_D, BLOCK_E, ACC, PRECISION,
                )  # fmt: skip
    store_diagonals(NEAR, near, tl.program_id(0).to(tl.int64), BLOCK)


@triton.jit
def long_id_table_gradient(
    Q, K, V, DOUT, LOGSUM, DELTA, NEAR,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, SPAN_Q, SPAN_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, STATES, VALUES, OUTER,
    LIST, COUNT,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap, diagonals, chunks,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, SPLIT: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Sums of dS on diagonals of blocks of ids. Grid: diagonals, chunks of tiles of queries, heads, samples.

    SPAN holds the lowest and the highest block of ids in each tile, so that tiles off the diagonal are left out.
    """
    diagonal = tl.program_id(0) % diagonals - diagonals // 2
    chunk = tl.program_id(0) // diagonals % chunks
    row = tl.program_id(0) // (diagonals * chunks)
    sample, head = (row // heads).to(tl.int64), (row % heads).to(tl.int64)
    Q += sample * q_b + head * q_h
    K += sample * k_b + head // group * k_h
    V += sample * v_b + head // group * v_h
    DOUT += sample * dout_b + head * dout_h
    LOGSUM += (sample * heads + head) * queries
    DELTA += (sample * heads + head) * queries
    tiles_q, tiles_k = tl.cdiv(queries, BLOCK), tl.cdiv(keys, BLOCK)
    sizes = (queries, keys, radius, left, right, behind, ahead)
    terms = (
        sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
        VALID, DOCUMENTS,
    )  # fmt: skip
    SPAN_Q += sample * tiles_q * 2
    SPAN_K += sample * tiles_k * 2
    factors = (tl.cast(scale, ACC) * LOG2E, None)
    if softcap is not None:
        factors = cap_factors(scale, softcap, ACC)
    id_ = tl.arange(0, BLOCK)
    asking = (None, states_n, None, lowest, slots)
    if STATES is not None:
        asking = (STATES + sample * states_b + head * states_h, states_n, VALUES + head * values_h, lowest, slots)
    near = tl.zeros((BLOCK, BLOCK), ACC)
    for tile in tl.range(chunk, tiles_q, chunks):
        low_q, high_q = tl.load(SPAN_Q + 2 * tile), tl.load(SPAN_Q + 2 * tile + 1)
        # The tiles that the window on token indices shows; all are masked, so that segments do not matter.
        first, _, _, _, _, end = key_segments(tile * BLOCK, sizes, False, True, BLOCK, BLOCK)
        if LIST is not None:
            first, end = 0, tl.load(COUNT + sample * tiles_q + tile)
        for place in tl.range(first, end):
            other = place
            if LIST is not None:
                other = tl.load(LIST + (sample * tiles_q + tile) * tiles_k + place)
            # Blocks of ids that this tile of queries holds and, shifted by the diagonal, the tile of keys as well.
            low = tl.maximum(low_q, tl.load(SPAN_K + 2 * other) - diagonal)
            high = tl.minimum(high_q, tl.load(SPAN_K + 2 * other + 1) - diagonal)
            if low <= high:
                dscores = tile_gradients(
                    Q, K, V, DOUT, LOGSUM, DELTA, q_n, k_n, v_n, dout_n, tile * BLOCK, other * BLOCK,
                    0.0, terms, asking, sizes, factors, True, True, WIDTH, BLOCK, BLOCK_D, BLOCK_E, ACC, PRECISION,
                )  # fmt: skip
                place_q = ids_at(IDS_Q, sample, tile * BLOCK + id_, queries)
                place_k = ids_at(IDS_K, sample, other * BLOCK + id_, keys)
                place_q = tl.where(place_q == 0, NOWHERE, place_q)
                place_k = tl.where(place_k == 0, NOWHERE, place_k)
                for block in tl.range(low, high + 1):
                    hot_q = place_q[None, :] == block * BLOCK + id_[:, None]
                    hot_k = place_k[:, None] == (block + diagonal) * BLOCK + id_[None, :]
                    near += pick_rows(hot_q, pick_columns(dscores, hot_k, SPLIT, ACC), SPLIT, ACC)
    store_diagonals(NEAR, near, tl.program_id(0).to(tl.int64), BLOCK)
