"""The kernels for any number of tokens as torch operators, differentiable and known to `torch.compile`."""

import functools
import math
from typing import Any

import torch
import triton
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from arith.kernels.configs import SIZES, capability
from arith.kernels.folding import Long, radius_of
from arith.kernels.launching import (
    arithmetic,
    empty_sums,
    multiprocessors,
    options,
    run,
    strides,
    sum_type,
    token_major,
)
from arith.kernels.long import long_forward
from arith.kernels.long_configs import EDGE, LONG_TABLE, LongConfig, LongKernel, long_config
from arith.kernels.long_gradients import long_backward_keys, long_backward_queries, long_delta
from arith.kernels.long_table import long_id_table_gradient, long_table_gradient
from arith.kernels.long_tile import long_tile_gradient
from arith.kernels.operators import by_distance, dense, differentiable, limits_by_id, per_sample, sizes, tables_of
from arith.kernels.tiling import Masks, Visits, begin_at_block, spans

AT_ONCE = 2  # programs of a table's gradient for each multiprocessor, so that one computes while another waits


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    folded: Long,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float,
) -> Float[Tensor, "b h q d"]:
    """Softmax attention of the last q of k tokens, tile by tile."""
    scores = tables_of(q, folded.tile, folded.table, folded.id_table)
    limits = (folded.left, folded.right, *limits_by_id(folded))
    rows = per_sample(folded, valid, documents, q.shape[0])
    out: Tensor = long_attention(q, k, v, *scores, *rows, *limits, scale)[0]
    return out


@torch.library.custom_op("arith::long_attention", mutates_args=())
def long_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    id_table: Tensor | None,
    ids_q: Tensor | None,
    ids_k: Tensor | None,
    window_q: Tensor | None,
    window_k: Tensor | None,
    valid: Tensor | None,
    documents: Tensor | None,
    left: int,
    right: int,
    id_left: int,
    id_right: int,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The output, and the logarithm of each row's sum of exponentials, from which backward recomputes the weights."""
    q, k, v = dense(q), dense(k), dense(v)
    out = token_major(q)
    logsum = empty_sums(q, *q.shape[:3])
    launch = _config("long forward", q)
    given = (tile, _edged(table, q), id_table, ids_q, ids_k, window_q, window_k, valid, documents)
    limits = (left, right, id_left, id_right)
    listed = Visits(_masks(q, k, given, limits)).lists(launch.queries, launch.keys)
    run(
        long_forward, (triton.cdiv(q.shape[2], launch.queries) * q.shape[0] * q.shape[1],),
        q, k, v, out, logsum, *given, *listed,
        *strides(q, k, v, out), q.shape[1], *sizes(q, k, table, id_table), *limits, scale,
        BOTH=right > 0, **_constants(q, launch),
    )  # fmt: skip
    return out, logsum


@long_attention.register_fake
def _(q: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return token_major(q), empty_sums(q, *q.shape[:3])


@torch.library.custom_op("arith::long_attention_backward", mutates_args=())
def long_attention_backward(
    dout: Tensor,
    out: Tensor,
    logsum: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    id_table: Tensor | None,
    ids_q: Tensor | None,
    ids_k: Tensor | None,
    window_q: Tensor | None,
    window_k: Tensor | None,
    valid: Tensor | None,
    documents: Tensor | None,
    left: int,
    right: int,
    id_left: int,
    id_right: int,
    scale: float,
    tile_gradient: bool,
    table_gradient: bool,
    id_table_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, the tile and both tables; the last three are empty unless their flags are set."""
    dout, out = dense(dout), dense(out)
    q, k, v = dense(q), dense(k), dense(v)
    b, h, queries, _ = q.shape
    given = (tile, _edged(table, q), id_table, ids_q, ids_k, window_q, window_k, valid, documents)
    limits = (left, right, id_left, id_right)
    visits = Visits(_masks(q, k, given, limits))
    numbers = (h, *sizes(q, k, table, id_table), *limits, scale)
    delta = empty_sums(q, b, h, queries)
    launch = _config("long queries", q)
    constants = _constants(q, launch)
    tiles = triton.cdiv(queries, launch.queries)
    few = {name: constants[name] for name in ("WIDTH", "BLOCK_Q", "BLOCK_D", "ACC", "num_warps")}
    run(
        long_delta, (tiles * b * h,),
        out, dout, delta, *strides(out, dout), h, queries, **few,
    )  # fmt: skip
    dq, dk, dv = token_major(q), token_major(k), token_major(k)
    # Sums over whole tables show the rounding of `delta`, which is taken from the rounded output; see README.md.
    exact_delta = empty_sums(q, b, h, queries) if tile_gradient or table_gradient or id_table_gradient else None
    behind = empty_sums(q, b, h, tiles) if table_gradient and right > 0 else None
    far_ids = empty_sums(q, b, h, tiles, 4) if id_table_gradient else None
    run(
        long_backward_queries, (tiles * b * h,),
        q, k, v, dout, dq, logsum, delta, exact_delta, behind, far_ids, *given,
        *visits.lists(launch.queries, launch.keys), *strides(q, k, v, dout, dq), *numbers, BOTH=right > 0, **constants,
    )  # fmt: skip
    launch = _config("long keys", q)
    run(
        long_backward_keys, (triton.cdiv(k.shape[2], launch.keys) * b * k.shape[1],),
        q, k, v, dout, dk, dv, logsum, delta, *given, *visits.lists(launch.queries, launch.keys, by_key=True),
        *strides(q, k, v, dout, dk), *numbers, BOTH=right > 0, **_constants(q, launch),
    )  # fmt: skip
    rows = (q, k, v, dout, logsum, delta if exact_delta is None else exact_delta)
    dtile, dtable, did_table = empty_sums(q, 0), empty_sums(q, 0), empty_sums(q, 0)
    if tile_gradient:
        dtile = _tile_gradient(rows, given, visits, numbers)
    if table_gradient:
        assert table is not None
        dtable = _table_gradient(rows, given, table, visits, numbers, behind)
    if far_ids is not None:
        assert id_table is not None
        did_table = _id_table_gradient(rows, given, id_table, visits, numbers, far_ids)
    return dq, dk, dv, dtile, dtable, did_table


differentiable(long_attention, long_attention_backward, outputs=2, scores=3)


def _edged(table: Tensor | None, q: Tensor) -> Float[Tensor, "h 2(r+e)+1"] | None:
    """A table by token distance as the kernels read it: exponents of two, its ends repeated EDGE times."""
    if table is None:
        return None
    scores = table[:, :-1].to(sum_type(q)) * math.log2(math.e)  # without the slot of ids that are 0
    return functional.pad(scores[None], (EDGE, EDGE), mode="replicate")[0]


def _tile_gradient(
    rows: tuple[Tensor, ...], given: tuple[Tensor | None, ...], visits: Visits, numbers: tuple[Any, ...]
) -> Float[Tensor, "h q k"]:
    q, masks = rows[0], visits.masks
    dtile = empty_sums(q, q.shape[1], masks.queries, masks.keys)
    tiles = triton.cdiv(masks.queries, LONG_TABLE) * triton.cdiv(masks.keys, LONG_TABLE)
    run(
        long_tile_gradient, (tiles * q.shape[1],),
        *rows, dtile, *given, _shown(visits, q), *strides(*rows[:4]), *numbers, q.shape[0],
        **_table_constants(q, _config("long table", q)),
    )  # fmt: skip
    return dtile


def _shown(visits: Visits, q: Tensor) -> Tensor | None:
    """Which tiles of a table's gradient show anything, a byte each; None where a range says it."""
    visible = visits.visible(LONG_TABLE, LONG_TABLE)
    return None if visible is None else visible.expand(q.shape[0], -1, -1).to(torch.int8).contiguous()


def _table_gradient(
    rows: tuple[Tensor, ...],
    given: tuple[Tensor | None, ...],
    table: Float[Tensor, "h 2r+2"],
    visits: Visits,
    numbers: tuple[Any, ...],
    behind: Float[Tensor, "b h t"] | None,
) -> Float[Tensor, "h 2r+2"]:
    q = rows[0]
    masks, radius = visits.masks, radius_of(table)
    earlier = masks.keys - masks.queries
    # Distances within the radius that a query can see, and the diagonals of tiles that hold them. Diagonal t
    # pairs query tile i with key tile i + t, at a distance of t tiles less `earlier` tokens.
    span = max(1 - radius, -masks.left, 1 - masks.keys), min(radius - 1, masks.right, masks.keys - 1)
    lowest = -((LONG_TABLE - 1 - span[0] - earlier) // LONG_TABLE)
    diagonals = (span[1] + earlier + LONG_TABLE - 1) // LONG_TABLE - lowest + 1
    chunks = _chunks(masks, q, diagonals)
    near = empty_sums(q, q.shape[0], q.shape[1], chunks, diagonals, 2, LONG_TABLE)
    launch = _config("long table", q)
    run(
        long_table_gradient, (diagonals * chunks * q.shape[0] * q.shape[1],),
        *rows, near, *given, _shown(visits, q), *strides(*rows[:4]), *numbers, lowest, diagonals, chunks,
        **_table_constants(q, launch),
    )  # fmt: skip
    within = by_distance(near.sum(2), LONG_TABLE * lowest - earlier, radius)
    # Each row of dS sums to 0, and so does the whole gradient: what lies beyond the radius on one side is minus the
    # rest. Where no pair is that far, the rest is 0 but for rounding, and is left alone.
    missing = -within.sum(1, keepdim=True)
    none = torch.zeros_like(missing)
    if behind is None:
        ends = missing if min(masks.left, masks.keys - 1) >= radius else none, none
    else:
        first = behind.sum((0, 2))[:, None]
        ends = first, missing - first if min(masks.right, masks.keys - 1) >= radius else none
    return torch.cat([ends[0], within, ends[1], none], dim=1)


def _id_table_gradient(
    rows: tuple[Tensor, ...],
    given: tuple[Tensor | None, ...],
    table: Float[Tensor, "h 2r+2"],
    visits: Visits,
    numbers: tuple[Any, ...],
    far: Float[Tensor, "b h t 4"],
) -> Float[Tensor, "h 2r+2"]:
    q = rows[0]
    b, h = q.shape[:2]
    radius = radius_of(table)
    side = (radius + LONG_TABLE - 2) // LONG_TABLE
    diagonals = 2 * side + 1
    chunks = _chunks(visits.masks, q, diagonals)
    near = empty_sums(q, b, h, chunks, diagonals, 2, LONG_TABLE)
    launch = _config("long table", q)
    ids_q, ids_k = given[3:5]  # a table by ids has ids
    assert ids_q is not None
    assert ids_k is not None
    # Ids that rise with the tokens then have one block in a tile and not two, which meet on three diagonals.
    ids = begin_at_block(ids_q, ids_k, LONG_TABLE)
    blocks = [torch.stack(spans(own, LONG_TABLE), dim=2) // LONG_TABLE for own in ids]
    run(
        long_id_table_gradient, (diagonals * chunks * b * h,),
        *rows, near, *given[:3], *ids, *(own.to(torch.int32).contiguous() for own in blocks), *given[5:],
        *visits.lists(launch.queries, launch.keys), *strides(*rows[:4]), *numbers, diagonals, chunks,
        SPLIT=q.dtype.itemsize == 2, **_table_constants(q, launch),
    )  # fmt: skip
    within = by_distance(near.sum(2), -LONG_TABLE * side, radius)
    # The first of four columns is unused: Triton wants powers of two.
    _, behind, ahead, unplaced = rearrange(far.sum((0, 2)), "h part -> part h 1")
    return torch.cat([behind, within, ahead, unplaced], dim=1)


def _chunks(masks: Masks, q: Tensor, diagonals: int) -> int:
    """How many programs share a diagonal, so that the device has enough to do."""
    busy = AT_ONCE * multiprocessors(q.device)
    return int(min(triton.cdiv(busy, q.shape[0] * q.shape[1] * diagonals), triton.cdiv(masks.queries, LONG_TABLE)))


def _masks(q: Tensor, k: Tensor, given: tuple[Tensor | None, ...], limits: tuple[int, ...]) -> Masks:
    window_q, window_k, valid, documents = given[5:]
    window = None if window_q is None or window_k is None else (window_q, window_k)
    left, right, id_left, id_right = limits
    return Masks(q.shape[2], k.shape[2], left, right, window, id_left, id_right, valid, documents)


def _config(kernel: LongKernel, q: Tensor) -> LongConfig:
    return long_config(kernel, q.shape[3], q.dtype.itemsize, capability(q.device))


def _constants(q: Tensor, launch: LongConfig) -> dict[str, Any]:
    return {**_constants_of(launch, q.shape[3]), **arithmetic(q)}


@functools.cache
def _constants_of(launch: LongConfig, width: int) -> dict[str, Any]:
    return {
        "WIDTH": width,
        "BLOCK_Q": launch.queries,
        "BLOCK_K": launch.keys,
        "BLOCK_D": next(fits for fits in SIZES if width <= fits),
        **options(launch),
    }


def _table_constants(q: Tensor, launch: LongConfig) -> dict[str, Any]:
    constants = _constants(q, launch)
    del constants["BLOCK_Q"], constants["BLOCK_K"]
    return {**constants, "BLOCK": LONG_TABLE}
