"""Scores that the query asks of a table by distance, on tensor cores: a product, then a shift of each row.

A tile of BLOCK_Q queries and BLOCK_K keys holds BLOCK_Q + BLOCK_K - 1 distances, which are neighbours in the table. The
queries' states times the values of those slots are scores by query and slot; those of query i begin i places further to
the left than those of query 0. Slots are taken in chunks of BLOCK_K. Every query needs BLOCK_K slots in a row, which is
one of each remainder of a division by BLOCK_K: the chunks are laid over each other first, by a selection, and what is
left is to turn each row. No score by slot is in memory for more than a tile.
"""

import triton
import triton.language as tl

from arith.kernels import long_configs

# Slots beside a table of values, zeros or copies of its ends, as many as a chunk has at least: the first place of one
# that lies beyond is limited, so that no load has limits of its own.
EDGE = tl.constexpr(long_configs.EDGE)


@triton.jit
def slot_values(VALUES, first, slots, BLOCK: tl.constexpr, BLOCK_E: tl.constexpr):
    """The values of BLOCK slots from `first` on, which may lie beyond the table."""
    first = tl.minimum(tl.maximum(first, -EDGE), slots + EDGE - BLOCK) + EDGE
    slot, e = tl.arange(0, BLOCK), tl.arange(0, BLOCK_E)
    return tl.load(VALUES + tl.cast(first, tl.int64) * BLOCK_E + (slot[:, None] * BLOCK_E + e[None, :]))


@triton.jit
def outermost_values(VALUES, slots, BLOCK_E: tl.constexpr):
    """The values of the first slot and of the last, as rows."""
    e = tl.arange(0, BLOCK_E)[None, :]
    return tl.load(VALUES + EDGE * BLOCK_E + e), tl.load(VALUES + (slots - 1 + EDGE) * BLOCK_E + e)


@triton.jit
def first_slot(i_start, j_start, sizes, first, BLOCK_Q: tl.constexpr):
    """The slot of a tile's lowest distance, that of its last query and first key; `first` is the table's lowest."""
    queries, keys = sizes[0], sizes[1]
    return j_start - (i_start + keys - queries) - (BLOCK_Q - 1) - first


@triton.jit
def turn_rows(x, places, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """x[i, places[i, j]]: by shared memory, in which x lies in pieces of 8 x 8.

    So the 8 rows and 8 columns that a warp of a product holds are in different banks. A selection along the rows alone
    has Triton exchange registers instead, with 4 times as many instructions, and takes exponentials in two layouts.
    """
    i = tl.arange(0, BLOCK_Q)[:, None]
    pieces = tl.permute(tl.reshape(x, (BLOCK_Q // 8, 8, BLOCK_K // 8, 8)), (0, 2, 1, 3))
    where = (i // 8) * (8 * BLOCK_K) + (places // 8) * 64 + (i % 8) * 8 + places % 8
    columns: tl.constexpr = places.shape[1]
    found = tl.gather(tl.reshape(pieces, (BLOCK_Q * BLOCK_K,)), tl.reshape(where, (BLOCK_Q * columns,)), 0)
    return tl.reshape(found, (BLOCK_Q, columns))


@triton.jit
def asked_scores(
    states, VALUES, start, slots,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Scores of a tile, dot(states[i], values[start + j - i + BLOCK_Q - 1])."""
    i, j = tl.arange(0, BLOCK_Q), tl.arange(0, BLOCK_K)
    values = slot_values(VALUES, start, slots, BLOCK_K, BLOCK_E)
    found = tl.dot(states, tl.trans(values), out_dtype=ACC, input_precision=PRECISION)
    for chunk in tl.static_range(1, (BLOCK_Q + 2 * BLOCK_K - 2) // BLOCK_K):
        values = slot_values(VALUES, start + chunk * BLOCK_K, slots, BLOCK_K, BLOCK_E)
        further = tl.dot(states, tl.trans(values), out_dtype=ACC, input_precision=PRECISION)
        # Query i begins at place BLOCK_Q - 1 - i: where the chunk before has nothing for it, the next one has.
        found = tl.where((chunk - 1) * BLOCK_K + j[None, :] < (BLOCK_Q - 1 - i)[:, None], further, found)
    return turn_rows(found, (j[None, :] - i[:, None] + BLOCK_Q - 1) & (BLOCK_K - 1), BLOCK_Q, BLOCK_K)


@triton.jit
def turned_back(dscores, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """Gradients of a tile's scores as `asked_scores` has them before it turns rows."""
    i, j = tl.arange(0, BLOCK_Q), tl.arange(0, BLOCK_K)
    places = (j[None, :] + i[:, None] + BLOCK_K + 1 - BLOCK_Q % BLOCK_K) & (BLOCK_K - 1)
    return turn_rows(dscores, places, BLOCK_Q, BLOCK_K)


@triton.jit
def of_chunk(turned, chunk: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr):
    """Gradients of scores by slot, of one chunk, from `turned_back`."""
    place = (chunk * BLOCK_K + tl.arange(0, BLOCK_K))[None, :]
    lowest = (BLOCK_Q - 1 - tl.arange(0, BLOCK_Q))[:, None]
    return tl.where((place >= lowest) & (place < lowest + BLOCK_K), turned, 0.0)


@triton.jit
def state_gradients(
    dstates, dscores, VALUES, start, slots, ENDS: tl.constexpr,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of states so far, and what a tile adds by distances that the table holds.

    ENDS: values beyond the table are not 0, and their share is added up elsewhere.
    """
    turned = turned_back(dscores, BLOCK_Q, BLOCK_K)
    for chunk in tl.static_range((BLOCK_Q + 2 * BLOCK_K - 2) // BLOCK_K):
        values = slot_values(VALUES, start + chunk * BLOCK_K, slots, BLOCK_K, BLOCK_E)
        own = of_chunk(turned, chunk, BLOCK_Q, BLOCK_K)
        if ENDS:
            slot = start + chunk * BLOCK_K + tl.arange(0, BLOCK_K)
            own = tl.where(((slot >= 0) & (slot < slots))[None, :], own, 0.0)
        dstates = tl.dot(own.to(values.dtype), values, dstates, out_dtype=ACC, input_precision=PRECISION)
    return dstates


@triton.jit
def value_gradients(
    dvalues, turned, states, chunk: tl.constexpr,
    BLOCK: tl.constexpr, SPLIT: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the values of a chunk of slots so far, and what a square tile adds, from `turned_back`.

    These are sums over all samples and queries: beside states of bfloat16, SPLIT keeps 16 bits of the other factor.
    """
    own = tl.trans(of_chunk(turned, chunk, BLOCK, BLOCK))
    if SPLIT:
        high = own.to(tl.bfloat16)
        low = (own - high.to(tl.float32)).to(tl.bfloat16)
        return tl.dot(low, states, tl.dot(high, states, dvalues))
    return tl.dot(own, states.to(ACC), dvalues, out_dtype=ACC, input_precision=PRECISION)
