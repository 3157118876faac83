"""The gradient of values that queries ask, for attention of any length: diagonals instead of atomics.

Tiles on one diagonal hold the same slots of the table: a program walks along it and adds up, in registers, what each
tile's dS and states come to for them. Parts are summed in torch, in a fixed order.
"""

import triton
import triton.language as tl

from arith.kernels.long import cap_factors, load_tile, near_scores, store_tile
from arith.kernels.long_table import tile_gradients
from arith.kernels.shearing import turned_back, value_gradients
from arith.kernels.short_scores import LOG2E


@triton.jit
def long_values_gradient(
    Q, K, V, DOUT, LOGSUM, DELTA, DVALUES,
    TILE, TABLE, ID_TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS, STATES, VALUES, OUTER, SHOWN,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, states_b, states_h, states_n, values_h,
    heads, queries, keys, group, radius, id_radius, left, right, id_left, id_right, behind, ahead, lowest, slots,
    scale, softcap, lowest_diagonal, diagonals, chunks,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, SPLIT: tl.constexpr,
    ACC: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Gradients of values that queries ask, on diagonals as in `long_table_gradient`, with whose grid this runs.

    DVALUES gets those of 2 BLOCK slots for each program, of which the first has the distance of a tile's last query and
    first key. SUMS is how they are multiplied, where tiles themselves go by PRECISION.
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
    lower, upper = tl.zeros((BLOCK, BLOCK_E), ACC), tl.zeros((BLOCK, BLOCK_E), ACC)
    # All tiles of a diagonal hold the same distances, and so the same scores to add.
    distance = diagonal * BLOCK - (keys - queries)
    further = tl.arange(0, BLOCK)[None, :] - tl.arange(0, BLOCK)[:, None]
    constant = 0.0
    if TABLE is not None:
        constant = near_scores(TABLE, head, radius, distance, further, ACC)
    STATES += sample * states_b + head * states_h
    asking = (STATES, states_n, VALUES + head * values_h, lowest, slots)
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
                dscores = tile_gradients(
                    Q, K, V, DOUT, LOGSUM, DELTA, q_n, k_n, v_n, dout_n, tile * BLOCK, (tile + diagonal) * BLOCK,
                    constant, terms, asking, sizes, factors, False, masked == 1,
                    WIDTH, BLOCK, BLOCK_D, BLOCK_E, ACC, PRECISION,
                )  # fmt: skip
                turned = turned_back(dscores, BLOCK, BLOCK)
                states = load_tile(STATES, tile * BLOCK, queries, states_n, BLOCK_E, BLOCK, BLOCK_E, masked == 1)
                lower = value_gradients(lower, turned, states, 0, BLOCK, SPLIT, ACC, SUMS)
                upper = value_gradients(upper, turned, states, 1, BLOCK, SPLIT, ACC, SUMS)
    DVALUES += tl.program_id(0).to(tl.int64) * 2 * BLOCK * BLOCK_E
    store_tile(DVALUES, lower, 0, BLOCK, BLOCK_E, BLOCK_E, BLOCK, BLOCK_E)
    store_tile(DVALUES + BLOCK * BLOCK_E, upper, 0, BLOCK, BLOCK_E, BLOCK_E, BLOCK, BLOCK_E)
