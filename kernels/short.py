"""Attention of at most 128 tokens as Triton kernels: all scores of a sample and head are one tile.

The forward kernel reads q, k, v and writes the output; the backward kernel reads them again with the output's gradient,
recomputes the weights, and stores nothing in between. A program stays with one head and walks over the batch, so that
the scores which all samples share are loaded once, and their gradient is summed in registers: no atomics, and every
run gives the same bits. Scores are in powers of two, since that is what the hardware exponentiates.

A tile holds PACK samples of BLOCK_Q x BLOCK_K tokens; pairs from different samples are hidden. README.md beside this
file has the mathematics.
"""

import triton
import triton.language as tl

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
def all_scores(
    q, k, shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k, WINDOW_Q, WINDOW_K, first, batch, head, sample_q, sample_k,
    i, j, queries, keys, radius, left, right, scale,
    ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Scores of all pairs as exponents of two, HIDDEN or below where a query must not attend."""
    factor = tl.cast(scale, ACC) * LOG2E
    scores = tl.dot(q, tl.trans(k), out_dtype=ACC, input_precision=PRECISION) * factor + shared
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
def exponentials(scores, first, batch, sample, PACK: tl.constexpr):
    """Exponentials of each row, and the inverse of their sum: 0 for rows that attend to nothing or do not exist.

    A hidden pair beside a visible one needs no mask: its exponential, of -1e30, is 0.
    """
    highest = tl.maximum(tl.max(scores, 1), HIDDEN)  # finite even where a table holds -inf
    powers = tl.exp2(scores - highest[:, None])
    sees = highest > SEEN
    if PACK > 1:
        sees = sees & (sample < batch - first)
    return powers, tl.where(sees, 1.0 / tl.sum(powers, 1), 0.0)


@triton.jit
def short_forward(
    Q, K, V, OUT, TILE, TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, out_b, out_h, out_n,
    batch, queries, keys, group, radius, left, right, scale,
    ALIKE: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PACK: tl.constexpr, EVEN_Q: tl.constexpr,
    EVEN_K: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """out = softmax(scores) v. Grid: programs that share the batch, heads."""
    head = tl.program_id(1).to(tl.int64)  # offsets of heads and samples may be beyond 32 bits
    key_head = head // group
    row, column = tl.arange(0, PACK * BLOCK_Q), tl.arange(0, PACK * BLOCK_K)
    sample_q, i, sample_k, j = row // BLOCK_Q, row % BLOCK_Q, column // BLOCK_K, column % BLOCK_K
    if ALIKE:  # equal strides: offsets inside a tile are computed, and held in registers, once
        k_b, k_n, v_b, v_n = q_b, q_n, q_b, q_n
    # What all samples share stays in registers while the program walks over the batch.
    shared = shared_scores(TILE, head, sample_q, sample_k, i, j, queries, keys, CAUSAL, PACK, EVEN_Q, EVEN_K, ACC)
    for pack in tl.range(tl.program_id(0), tl.cdiv(batch, PACK), tl.num_programs(0)):
        first = tl.cast(pack, tl.int64) * PACK
        q = load_rows(Q + head * q_h, first, batch, sample_q, i, queries, q_b, q_n, WIDTH, PACK, EVEN_Q, BLOCK_D)
        k = load_rows(K + key_head * k_h, first, batch, sample_k, j, keys, k_b, k_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        v = load_rows(V + key_head * v_h, first, batch, sample_k, j, keys, v_b, v_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        ids_q, ids_k = i, j
        if TABLE is not None:
            ids_q = load_ids(IDS_Q, first, batch, sample_q, i, queries, queries)
            ids_k = load_ids(IDS_K, first, batch, sample_k, j, keys, keys)
        scores = all_scores(
            q, k, shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k, WINDOW_Q, WINDOW_K, first, batch, head,
            sample_q, sample_k, i, j, queries, keys, radius, left, right, scale, ACC, PRECISION,
        )  # fmt: skip
        powers, inverse = exponentials(scores, first, batch, sample_q, PACK)
        # Dividing the product, not the weights, touches a tile of head width instead of one of keys.
        out = tl.dot(powers.to(v.dtype), v, out_dtype=ACC, input_precision=PRECISION) * inverse[:, None]
        store_rows(
            OUT + head * out_h, out, first, batch, sample_q, i, queries, out_b, out_n, WIDTH, PACK, EVEN_Q, BLOCK_D
        )


@triton.jit
def short_backward(
    Q, K, V, DOUT, DQ, DK, DV, DTILE, TILE, TABLE, IDS_Q, IDS_K, WINDOW_Q, WINDOW_K, VALID, DOCUMENTS,
    q_b, q_h, q_n, k_b, k_h, k_n, v_b, v_h, v_n, dout_b, dout_h, dout_n, dq_b, dk_b, grad_h, grad_n,
    batch, queries, keys, group, radius, left, right, scale,
    ALIKE: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PACK: tl.constexpr, EVEN_Q: tl.constexpr,
    EVEN_K: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, ACC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of q, of k and v for each query head, and each program's part of the shared scores'."""
    head = tl.program_id(1).to(tl.int64)  # offsets of heads and samples may be beyond 32 bits
    key_head = head // group
    row, column = tl.arange(0, PACK * BLOCK_Q), tl.arange(0, PACK * BLOCK_K)
    sample_q, i, sample_k, j = row // BLOCK_Q, row % BLOCK_Q, column // BLOCK_K, column % BLOCK_K
    if ALIKE:  # equal strides: offsets inside a tile are computed, and held in registers, once
        k_b, k_n, v_b, v_n, dout_b, dout_n = q_b, q_n, q_b, q_n, q_b, q_n
    # What all samples share stays in registers while the program walks over the batch.
    shared = shared_scores(TILE, head, sample_q, sample_k, i, j, queries, keys, CAUSAL, PACK, EVEN_Q, EVEN_K, ACC)
    dtile = tl.zeros((PACK * BLOCK_Q, PACK * BLOCK_K), ACC)
    for pack in tl.range(tl.program_id(0), tl.cdiv(batch, PACK), tl.num_programs(0)):
        first = tl.cast(pack, tl.int64) * PACK
        q = load_rows(Q + head * q_h, first, batch, sample_q, i, queries, q_b, q_n, WIDTH, PACK, EVEN_Q, BLOCK_D)
        k = load_rows(K + key_head * k_h, first, batch, sample_k, j, keys, k_b, k_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        v = load_rows(V + key_head * v_h, first, batch, sample_k, j, keys, v_b, v_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        dout = load_rows(
            DOUT + head * dout_h, first, batch, sample_q, i, queries, dout_b, dout_n, WIDTH, PACK, EVEN_Q, BLOCK_D
        )
        ids_q, ids_k = i, j
        if TABLE is not None:
            ids_q = load_ids(IDS_Q, first, batch, sample_q, i, queries, queries)
            ids_k = load_ids(IDS_K, first, batch, sample_k, j, keys, keys)
        scores = all_scores(
            q, k, shared, TABLE, VALID, DOCUMENTS, ids_q, ids_k, WINDOW_Q, WINDOW_K, first, batch, head,
            sample_q, sample_k, i, j, queries, keys, radius, left, right, scale, ACC, PRECISION,
        )  # fmt: skip
        powers, inverse = exponentials(scores, first, batch, sample_q, PACK)
        weights = powers * inverse[:, None]
        dv = tl.dot(tl.trans(weights.to(dout.dtype)), dout, out_dtype=ACC, input_precision=PRECISION)
        store_rows(DV + head * grad_h, dv, first, batch, sample_k, j, keys, dk_b, grad_n, WIDTH, PACK, EVEN_K, BLOCK_D)
        dweights = tl.dot(dout, tl.trans(v), out_dtype=ACC, input_precision=PRECISION)
        # The whole row is at hand, so that rowsum(P * dP) is exact: rowsum(out * dout) would be rounded as `out` is.
        dscores = weights * (dweights - tl.sum(weights * dweights, 1)[:, None])
        if DTILE is not None:
            dtile += dscores
        factor = tl.cast(scale, ACC)
        rounded = dscores.to(q.dtype)  # tensor cores multiply numbers of the inputs' type
        dq = tl.dot(rounded, k, out_dtype=ACC, input_precision=PRECISION) * factor
        store_rows(
            DQ + head * grad_h, dq, first, batch, sample_q, i, queries, dq_b, grad_n, WIDTH, PACK, EVEN_Q, BLOCK_D
        )
        dk = tl.dot(tl.trans(rounded), q, out_dtype=ACC, input_precision=PRECISION) * factor
        store_rows(DK + head * grad_h, dk, first, batch, sample_k, j, keys, dk_b, grad_n, WIDTH, PACK, EVEN_K, BLOCK_D)
    if DTILE is not None:  # one part for each program and head; torch adds them up in a fixed order
        part = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + head
        pairs = (part * PACK * BLOCK_Q + row[:, None]) * (PACK * BLOCK_K) + column[None, :]
        tl.store(DTILE + pairs, dtile)
