"""The gradient of scores by pairs of tokens, which all samples share, for attention of any length: no atomics.

Each program has one tile of pairs of one head, goes through the samples in their order, and adds up their dS in
registers. The scores themselves take n^2 numbers a head, as a `PairTable` does; nothing here takes more.
"""

import triton
import triton.language as tl

from arith.kernels.long import cap_factors
from arith.kernels.long_table import tile_gradients
from arith.kernels.short_scores import LOG2E


@triton.jit
def long_tile_gradient(
    Q, K, V, DOUT, LOGSUM, DELTA, DTILE,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, STATES, VALUES, OUTER, SHOWN,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap, samples,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """DTILE[h, i, j] = sum of dS[b, h, i, j] over the samples b. Grid: tiles of keys, tiles of queries, heads."""
    tiles_q, tiles_k = tl.cdiv(queries, BLOCK), tl.cdiv(keys, BLOCK)
    column, row = tl.program_id(0) % tiles_k, tl.program_id(0) // tiles_k % tiles_q
    head = (tl.program_id(0) // (tiles_k * tiles_q)).to(tl.int64)
    i_start, j_start = row * BLOCK, column * BLOCK
    sizes = (queries, keys, radius, left, right, behind, ahead)
    factors = (tl.cast(scale, ACC) * LOG2E, None)
    if softcap is not None:
        factors = cap_factors(scale, softcap, ACC)
    # A tile that no query sees is written too, as zeros: memory for the gradient comes as it is.
    nearest = j_start - (i_start + keys - queries)  # the distance of its first pair
    seen = (nearest - BLOCK < right) & (nearest + BLOCK > -left)
    sums = tl.zeros((BLOCK, BLOCK), ACC)
    for place in tl.range(0, tl.where(seen, samples, 0)):
        sample = tl.cast(place, tl.int64)
        shown = True
        if SHOWN is not None:
            shown = tl.load(SHOWN + (sample * tiles_q + row) * tiles_k + column) != 0
        if shown:
            terms = (
                sample, head, TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, id_radius, WINDOW_Q, WINDOW_K, id_left, id_right,
                VALID, DOCUMENTS,
            )  # fmt: skip
            rows = (sample * heads + head) * queries
            asking = (None, states_n, None, lowest, slots)
            if STATES is not None:
                own = STATES + sample * states_b + head * states_h
                asking = (own, states_n, VALUES + head * values_h, lowest, slots)
            sums += tile_gradients(
                Q + sample * q_b + head * q_h, K + sample * k_b + head // group * k_h,
                V + sample * v_b + head // group * v_h, DOUT + sample * dout_b + head * dout_h,
                LOGSUM + rows, DELTA + rows, q_n, k_n, v_n, dout_n, i_start, j_start, 0.0, terms, asking, sizes,
                factors, True, True, WIDTH, BLOCK, BLOCK_D, BLOCK_E, ACC, PRECISION,
            )  # fmt: skip
    i, j = i_start + tl.arange(0, BLOCK), j_start + tl.arange(0, BLOCK)
    pairs = ((head * queries + i) * keys)[:, None] + j[None, :]
    tl.store(DTILE + pairs, sums, mask=(i < queries)[:, None] & (j < keys)[None, :])
