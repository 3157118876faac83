"""Scores of a tile, as all kernels for up to 128 tokens have them: what is loaded, added and hidden."""

import triton
import triton.language as tl

from arith.kernels.shearing import turn_rows

# Names, here and in the other kernels: CAPITALS are pointers, None where a call has none, and constants of compilation.
# x_b, x_h and x_n are strides of batch, heads and tokens; i and j are tokens of a sample, `row` and `column` places in
# a tile.
LOG2E = tl.constexpr(1.4426950408889634)
# Finite, as -inf less -inf is NaN, and so far below any score that its exponential beside one is exactly 0.
HIDDEN = tl.constexpr(-1e30)
SEEN = tl.constexpr(-1e29)  # every score above it belongs to a visible pair


@triton.jit
def load_rows(
    pointer, first, batch, sample, token, tokens, stride_b, stride_n,
    WIDTH: tl.constexpr, PACK: tl.constexpr, EVEN: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Load rows of the samples from `first` on. A row that does not exist repeats one that does, and is hidden later.

    Clamping the address costs less than masking the load.
    """
    if not EVEN:
        token = tl.minimum(token, tokens - 1)
    if PACK > 1:  # the last tile of a batch may lack samples
        sample = tl.minimum(sample, (batch - 1 - first).to(tl.int32))
    d = tl.arange(0, BLOCK_D)
    rows = sample * stride_b + token * stride_n  # 32 bits suffice inside a tile, and save registers
    pointers = pointer + first * stride_b + (rows[:, None] + d[None, :])
    if WIDTH == BLOCK_D:
        return tl.load(pointers)
    return tl.load(pointers, mask=(d < WIDTH)[None, :], other=0.0)


@triton.jit
def store_rows(
    pointer, values, first, batch, sample, token, tokens, stride_b, stride_n,
    WIDTH: tl.constexpr, PACK: tl.constexpr, EVEN: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Store the rows that exist."""
    d = tl.arange(0, BLOCK_D)
    rows = sample * stride_b + token * stride_n
    there = (d < WIDTH)[None, :]
    if not EVEN:
        there = there & (token < tokens)[:, None]
    if PACK > 1:
        there = there & (sample < batch - first)[:, None]
    pointers = pointer + first * stride_b + (rows[:, None] + d[None, :])
    tl.store(pointers, values.to(pointer.dtype.element_ty), mask=there)


@triton.jit
def shared_scores(
    TILE, head, sample_q, sample_k, i, j, queries, keys,
    CAUSAL: tl.constexpr, PACK: tl.constexpr, EVEN_Q: tl.constexpr, EVEN_K: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Scores that all samples share; hidden where a pair does not exist."""
    fits = (i >= 0)[:, None] & (j >= 0)[None, :]  # always true, and of the tile's shape
    if not EVEN_Q:
        fits = fits & (i < queries)[:, None]
    if not EVEN_K:
        fits = fits & (j < keys)[None, :]
    if PACK > 1:
        fits = fits & (sample_q[:, None] == sample_k[None, :])
    if CAUSAL:
        fits = fits & (j[None, :] <= i[:, None] + keys - queries)  # the queries are the last of the keys
    scores = tl.zeros(fits.shape, ACC)
    if TILE is not None:
        pairs = (head * queries + i)[:, None] * keys + j[None, :]
        scores = tl.load(TILE + pairs, mask=fits, other=0.0).to(ACC) * LOG2E
    return tl.where(fits, scores, HIDDEN)


@triton.jit
def load_ids(pointer, first, batch, sample, token, tokens, stride_b):
    """Load an integer for each token; 0 where there is none."""
    there = (token < tokens) & (first + sample < batch)
    return tl.load(pointer + (first + sample) * stride_b + token, mask=there, other=0)


@triton.jit
def tanh(x):
    """The hyperbolic tangent by one exponential; near 0, where 1 - exp(-2 x) loses digits of 32 bits, by a series."""
    power = tl.exp2(tl.abs(x) * (-2.0 * LOG2E))
    found = (1.0 - power) / (1.0 + power)
    found = tl.where(x < 0, -found, found)
    if x.dtype == tl.float32:
        square = x * x
        # The next term is 62/2835 x^9: below 2^-24 of x where x^2 < 0.04.
        near = x * (1.0 + square * (-1.0 / 3.0 + square * (2.0 / 15.0 - square * (17.0 / 315.0))))
        found = tl.where(square < 0.04, near, found)
    return found


@triton.jit
def products(q, k, scale, softcap, ACC: tl.constexpr, PRECISION: tl.constexpr):
    """Scaled products of queries and keys as exponents of two, not beyond the cap if there is one."""
    factor = tl.cast(scale, ACC) * LOG2E
    found = tl.dot(q, tl.trans(k), out_dtype=ACC, input_precision=PRECISION) * factor
    if softcap is not None:
        cap = tl.cast(softcap, ACC) * LOG2E
        found = cap * tanh(found * (1.0 / cap))
    return found


@triton.jit
def load_slab(SLAB, head, BLOCK_K: tl.constexpr, BLOCK_E: tl.constexpr, CAUSAL: tl.constexpr):
    """The values that queries ask for, by distance: those behind a query, and unless it is causal those ahead."""
    e = tl.arange(0, BLOCK_E)
    first = SLAB + head * (BLOCK_K * BLOCK_E * (1 if CAUSAL else 2))
    pointers = first + tl.arange(0, BLOCK_K)[:, None] * BLOCK_E + e[None, :]
    behind = tl.load(pointers)
    if CAUSAL:
        return behind, behind
    return behind, tl.load(pointers + BLOCK_K * BLOCK_E)


@triton.jit
def asked_scores(
    states, slab_behind, slab_ahead, i, j, queries, keys,
    BLOCK_K: tl.constexpr, CAUSAL: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What each query asks of each distance, as exponents of two.

    Of the distances x and x - BLOCK_K, a query has one at most: either has its place in column x of one tile, whose
    rows are then turned, each to begin at its own token.
    """
    found = tl.dot(states, tl.trans(slab_behind), out_dtype=ACC, input_precision=PRECISION)
    if not CAUSAL:
        further = tl.dot(states, tl.trans(slab_ahead), out_dtype=ACC, input_precision=PRECISION)
        found = tl.where(is_ahead(i, queries, keys, BLOCK_K), further, found)
    places = (j[None, :] - i[:, None] + queries - keys) & (BLOCK_K - 1)
    return turn_rows(found * LOG2E, places, found.shape[0], BLOCK_K)


@triton.jit
def is_ahead(i, queries, keys, BLOCK_K: tl.constexpr):
    """Whether column x of a query stands for the distance x, not x - BLOCK_K; at 0, it stands among those behind."""
    x = tl.arange(0, BLOCK_K)
    return (x > 0)[None, :] & (i[:, None] + keys - queries + x[None, :] < BLOCK_K)


@triton.jit
def all_scores(
    products, shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k, WINDOW_Q, WINDOW_K, first, batch, head, sample_q, sample_k,
    i, j, queries, keys, radius, left, right, ACC: tl.constexpr,
):  # fmt: skip
    """Scores of all pairs as exponents of two, HIDDEN or below where a query must not attend."""
    scores = products + shared
    if TABLE is not None:
        # Distances beyond the radius have the scores at either end, pairs without a position the one behind them.
        slot = tl.minimum(tl.maximum(ids_k[None, :] - ids_q[:, None], -radius), radius) + radius
        slot = tl.where((ids_k == 0)[None, :] | (ids_q == 0)[:, None], 2 * radius + 1, slot)
        scores += tl.load(TABLE + head * (2 * radius + 2) + slot).to(ACC) * LOG2E
    if WINDOW_Q is not None:
        own = load_ids(WINDOW_Q, first, batch, sample_q, i, queries, queries)
        other = load_ids(WINDOW_K, first, batch, sample_k, j, keys, keys)
        distance = other[None, :] - own[:, None]
        inside = (distance >= -left) & (distance <= right)
        scores = tl.where(inside | (other == 0)[None, :] | (own == 0)[:, None], scores, HIDDEN)
    if VALID is not None:
        valid = load_ids(VALID, first, batch, sample_k, j, keys, keys)
        scores = tl.where((valid != 0)[None, :], scores, HIDDEN)
    if DOCUMENTS is not None:
        own = load_ids(DOCUMENTS, first, batch, sample_q, i + keys - queries, keys, keys)
        other = load_ids(DOCUMENTS, first, batch, sample_k, j, keys, keys)
        scores = tl.where(own[:, None] == other[None, :], scores, HIDDEN)
    return scores


@triton.jit
def exponentials(SINKS, scores, first, batch, head, heads, sample, i, queries, PACK: tl.constexpr, ACC: tl.constexpr):
    """Exponentials of each row, that of its sink, and the inverse of their sum.

    The inverse is 0 for rows that attend to no key or do not exist. A hidden pair beside a visible one needs no mask:
    its exponential, of -1e30, is 0.
    """
    seen = tl.maximum(tl.max(scores, 1), HIDDEN)  # finite even where a table holds -inf
    highest, taken = seen, seen
    if SINKS is not None:
        rows, there = rows_of_sinks(first, batch, head, heads, sample, i, queries)
        sink = tl.load(SINKS + rows, mask=there, other=0.0).to(ACC) * LOG2E
        highest = tl.maximum(seen, sink)
        taken = tl.exp2(sink - highest)
    powers = tl.exp2(scores - highest[:, None])
    sees = seen > SEEN
    if PACK > 1:
        sees = sees & (sample < batch - first)
    total = tl.sum(powers, 1)
    if SINKS is not None:
        total += taken
    return powers, taken, tl.where(sees, 1.0 / total, 0.0)


@triton.jit
def rows_of_sinks(first, batch, head, heads, sample, i, queries):
    """Where each query's number lies in a contiguous "b h q", and whether it is there."""
    return ((first + sample) * heads + head) * queries + i, (i < queries) & (first + sample < batch)
