"""The gradient of a table of scores by distance, where every sample has position ids of its own.

    d table[h, r + x] = sum over samples and pairs at distance x of d scores          x = -r .. r, ends included

Which pair has which distance differs by sample, so that a plain sum would need atomics. Instead the pairs are sorted by
a product with two one-hot matrices: E_q[p, i] = 1 where the query i has the id p, E_k likewise, and E_q dS E_k^T adds
to entry (p, p') what belongs to the ids p and p'. Every sample is shifted to begin at the same id, which no distance
notices, and blocks on one diagonal, which hold the same distances, share their sum: a program has one diagonal, one
head, part of the batch, and one block of sums in registers.
"""

import triton
import triton.language as tl

from arith.kernels.short_scores import (
    all_scores,
    asked_scores,
    exponentials,
    load_ids,
    load_rows,
    load_slab,
    products,
    shared_scores,
)


@triton.jit
def pick_columns(x, hot, SPLIT: tl.constexpr, ACC: tl.constexpr):
    """x @ hot, exact but for the last bits of x.

    SPLIT writes x as a sum of two bfloat16, whose products with 0 and 1 are exact on tensor cores: 16 of the 24 bits of
    a float32 remain, which is plenty beside sums over 16-bit inputs.
    """
    if SPLIT:
        high = x.to(tl.bfloat16)
        low = (x - high.to(tl.float32)).to(tl.bfloat16)
        return tl.dot(low, hot.to(tl.bfloat16), tl.dot(high, hot.to(tl.bfloat16)))
    return tl.dot(x, hot.to(ACC), out_dtype=ACC, input_precision="ieee")


@triton.jit
def pick_rows(hot, x, SPLIT: tl.constexpr, ACC: tl.constexpr):
    """hot @ x, as `pick_columns`."""
    if SPLIT:
        high = x.to(tl.bfloat16)
        low = (x - high.to(tl.float32)).to(tl.bfloat16)
        return tl.dot(hot.to(tl.bfloat16), low, tl.dot(hot.to(tl.bfloat16), high))
    return tl.dot(hot.to(ACC), x, out_dtype=ACC, input_precision="ieee")


@triton.jit
def store_diagonals(NEAR, near, part, BLOCK: tl.constexpr):
    """Sum a block along its diagonals, and store the sums for distances -BLOCK to -1, then 0 to BLOCK - 1."""
    x = tl.arange(0, BLOCK)
    # Row p begins at its own diagonal: column x then holds p' - p = x, or x - BLOCK where it wrapped.
    turned = tl.gather(near, (x[:, None] + x[None, :]) % BLOCK, 1)
    wrapped = x[:, None] + x[None, :] >= BLOCK
    tl.store(NEAR + part * 2 * BLOCK + x, tl.sum(tl.where(wrapped, turned, 0.0), 0))
    tl.store(NEAR + part * 2 * BLOCK + BLOCK + x, tl.sum(tl.where(wrapped, 0.0, turned), 0))


@triton.jit
def short_table_gradient(
    Q, K, V, DOUT, NEAR, FAR, TILE, TABLE, SINKS, STATES, SLAB, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, states_b, states_h, states_n,
    batch, queries, keys, group, radius, left, right, scale, softcap,
    ALIKE: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, EVEN_Q: tl.constexpr, EVEN_K: tl.constexpr,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_IDS: tl.constexpr,
    STATE: tl.constexpr, BLOCK_E: tl.constexpr, SPLIT: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Parts of the gradient: NEAR, by distance, on a diagonal of blocks; FAR, from r on to either side, and unplaced.

    Grid: programs that share the batch, heads, diagonals.
    """
    head = tl.program_id(1).to(tl.int64)
    key_head = head // group
    diagonal = tl.program_id(2) - tl.num_programs(2) // 2
    i, j, id_ = tl.arange(0, BLOCK_Q), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_IDS)
    zero_q, zero_k = i * 0, j * 0  # one sample per tile: its place in the tile is 0
    if ALIKE:
        k_b, k_n, v_b, v_n, dout_b, dout_n = q_b, q_n, q_b, q_n, q_b, q_n
    shared = shared_scores(TILE, head, zero_q, zero_k, i, j, queries, keys, CAUSAL, 1, EVEN_Q, EVEN_K, ACC)
    near = tl.zeros((BLOCK_IDS, BLOCK_IDS), ACC)
    behind, ahead, unplaced = tl.zeros((1,), ACC), tl.zeros((1,), ACC), tl.zeros((1,), ACC)
    for sample in tl.range(tl.program_id(0), batch, tl.num_programs(0)):
        first = tl.cast(sample, tl.int64)
        ids_q = load_ids(IDS_Q, first, batch, zero_q, i, queries, queries)
        ids_k = load_ids(IDS_K, first, batch, zero_k, j, keys, keys)
        # The sample is shifted to begin at its lowest id, ids of 0 apart: fewer blocks then hold all ids.
        highest = tl.maximum(tl.max(ids_q, 0), tl.max(ids_k, 0))
        lowest = tl.minimum(
            tl.min(tl.where(ids_q == 0, highest, ids_q), 0), tl.min(tl.where(ids_k == 0, highest, ids_k), 0)
        )
        blocks = (highest - lowest) // BLOCK_IDS + 1
        # The middle diagonal has the far pairs to add up, whatever its blocks hold; others are left out if empty.
        if (diagonal == 0) | (tl.abs(diagonal) < blocks):
            q = load_rows(Q + head * q_h, first, batch, zero_q, i, queries, q_b, q_n, WIDTH, 1, EVEN_Q, BLOCK_D)
            k = load_rows(K + key_head * k_h, first, batch, zero_k, j, keys, k_b, k_n, WIDTH, 1, EVEN_K, BLOCK_D)
            v = load_rows(V + key_head * v_h, first, batch, zero_k, j, keys, v_b, v_n, WIDTH, 1, EVEN_K, BLOCK_D)
            dout = load_rows(
                DOUT + head * dout_h, first, batch, zero_q, i, queries, dout_b, dout_n, WIDTH, 1, EVEN_Q, BLOCK_D
            )
            scores = all_scores(
                products(q, k, scale, softcap, ACC, PRECISION), shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k,
                WINDOW_Q, WINDOW_K, first, batch, head, zero_q, zero_k, i, j, queries, keys, radius, left, right, ACC,
            )  # fmt: skip
            if STATES is not None:
                states = load_rows(
                    STATES + head * states_h, first, batch, zero_q, i, queries, states_b, states_n, STATE, 1, EVEN_Q,
                    BLOCK_E,
                )  # fmt: skip
                slab_behind, slab_ahead = load_slab(SLAB, head, BLOCK_K, BLOCK_E, CAUSAL)
                scores += asked_scores(
                    states, slab_behind, slab_ahead, i, j, queries, keys, BLOCK_K, CAUSAL, ACC, PRECISION
                )
            powers, _, inverse = exponentials(
                SINKS, scores, first, batch, head, tl.num_programs(1), zero_q, i, queries, 1, ACC
            )
            weights = powers * inverse[:, None]
            dweights = tl.dot(dout, tl.trans(v), out_dtype=ACC, input_precision=PRECISION)
            dscores = weights * (dweights - tl.sum(weights * dweights, 1)[:, None])
            # Far pairs need no sorting by distance: at either end of the table they share one score.
            if diagonal == 0:
                distance = ids_k[None, :] - ids_q[:, None]
                placed = (ids_k != 0)[None, :] & (ids_q != 0)[:, None]
                behind += tl.sum(tl.sum(tl.where(placed & (distance <= -radius), dscores, 0.0), 1), 0)
                ahead += tl.sum(tl.sum(tl.where(placed & (distance >= radius), dscores, 0.0), 1), 0)
                unplaced += tl.sum(tl.sum(tl.where(placed, 0.0, dscores), 1), 0)
            # -1 lies in no block: pairs without a position are counted among `unplaced` alone.
            place_q = tl.where(ids_q == 0, -1, ids_q - lowest)
            place_k = tl.where(ids_k == 0, -1, ids_k - lowest)
            # Block p of query ids meets block p + diagonal of key ids, where there are both.
            for block in tl.range(tl.maximum(0, -diagonal), tl.minimum(blocks, blocks - diagonal)):
                hot_q = place_q[None, :] == block * BLOCK_IDS + id_[:, None]
                hot_k = place_k[:, None] == (block + diagonal) * BLOCK_IDS + id_[None, :]
                near += pick_rows(hot_q, pick_columns(dscores, hot_k, SPLIT, ACC), SPLIT, ACC)
    part = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + head) * tl.num_programs(2) + tl.program_id(2)
    store_diagonals(NEAR, near, part, BLOCK_IDS)
    which = tl.arange(0, 1)
    tl.store(FAR + part * 3 + which, behind)
    tl.store(FAR + part * 3 + 1 + which, ahead)
    tl.store(FAR + part * 3 + 2 + which, unplaced)
