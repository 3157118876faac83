"""The fused kernels as torch operators, differentiable and known to `torch.compile`."""

from typing import Any

import torch
import triton
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.kernels.configs import BLOCK_IDS, LONGEST, PACKED, Blocks, Config, blocks, capability, config
from arith.kernels.folding import Folded
from arith.kernels.launching import (
    arithmetic,
    empty_sums,
    multiprocessors,
    options,
    run,
    sample_rows,
    strides,
    token_major,
)
from arith.kernels.short import short_backward, short_forward
from arith.kernels.short_table import short_table_gradient


def attention(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b g k d"],
    v: Float[Tensor, "b g k d"],
    folded: Folded,
    causal: bool,
    valid: Bool[Tensor, "b k"] | None,
    documents: Int[Tensor, "b k"] | None,
    scale: float,
) -> Float[Tensor, "b h q d"]:
    """Softmax attention of the last q of at most 128 tokens."""
    ids, window, batch = folded.ids, folded.window, q.shape[0]
    seen = None if window is None else window.ids
    out: Tensor = short_attention(
        q,
        k,
        v,
        None if folded.tile is None else folded.tile.contiguous(),
        None if folded.table is None else folded.table.contiguous(),
        sample_rows(None if ids is None else ids.q, batch),
        sample_rows(None if ids is None else ids.k, batch),
        sample_rows(None if seen is None else seen.q, batch),
        sample_rows(None if seen is None else seen.k, batch),
        sample_rows(valid, batch),
        None if documents is None else documents.expand(batch, -1).contiguous(),
        0 if window is None else window.left,
        0 if window is None else window.right,
        causal,
        scale,
    )
    return out


@torch.library.custom_op("arith::short_attention", mutates_args=())
def short_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    ids_q: Tensor | None,
    ids_k: Tensor | None,
    window_q: Tensor | None,
    window_k: Tensor | None,
    valid: Tensor | None,
    documents: Tensor | None,
    left: int,
    right: int,
    causal: bool,
    scale: float,
) -> Tensor:
    """Attention with what `fold` made of the terms."""
    q, k, v = _dense(q), _dense(k), _dense(v)
    out = token_major(q)
    size = blocks(q.shape[2], k.shape[2], q.shape[3])
    launch = config("forward", size, q.dtype.itemsize, capability(q.device))
    run(
        short_forward, _grid(launch, size.pack, q),
        q, k, v, out, tile, table, ids_q, ids_k, window_q, window_k, valid, documents,
        *strides(q, k, v, out),
        *_sizes(q, k, table), left, right, scale,
        **_constants(q, k, size, causal, alike=_alike(q, k, v)), PACK=size.pack, **options(launch),
    )  # fmt: skip
    return out


@short_attention.register_fake
def _(q: Tensor, *rest: Any) -> Tensor:
    return token_major(q)


@torch.library.custom_op("arith::short_attention_backward", mutates_args=())
def short_attention_backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    ids_q: Tensor | None,
    ids_k: Tensor | None,
    window_q: Tensor | None,
    window_k: Tensor | None,
    valid: Tensor | None,
    documents: Tensor | None,
    left: int,
    right: int,
    causal: bool,
    scale: float,
    tile_gradient: bool,
    table_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, tile and table; empty for the last two where they are not asked for."""
    dout, q, k, v = _dense(dout), _dense(q), _dense(k), _dense(v)
    group = q.shape[1] // k.shape[1]
    dq = token_major(q)
    # Query heads that share a key head write side by side, and are added up afterwards.
    each = torch.float32 if group > 1 and q.dtype.itemsize == 2 else q.dtype
    dk, dv = (token_major(k, q.shape[1], each) for _ in range(2))
    size = blocks(q.shape[2], k.shape[2], q.shape[3])
    full = tile_gradient or table is not None  # of registers
    launch = config("backward and tile" if full else "backward", size, q.dtype.itemsize, capability(q.device))
    grid = _grid(launch, size.pack, q)
    dtile = parts = None
    if tile_gradient:
        parts = empty_sums(q, grid[0], q.shape[1], size.pack * size.queries, size.pack * size.keys)
    given = (tile, table, ids_q, ids_k, window_q, window_k, valid, documents)
    run(
        short_backward, grid,
        q, k, v, dout, dq, dk, dv, parts, *given,
        *strides(q, k, v, dout), dq.stride(0), dk.stride(0), *dq.stride()[1:3],
        *_sizes(q, k, table), left, right, scale,
        **_constants(q, k, size, causal, alike=_alike(q, k, v, dout)), PACK=size.pack, **options(launch),
    )  # fmt: skip
    if parts is not None:
        sums = rearrange(parts.sum(0), "h (s i) (t j) -> h i j s t", s=size.pack, t=size.pack)
        dtile = sums.diagonal(dim1=3, dim2=4).sum(-1)[:, : q.shape[2], : k.shape[2]].contiguous()
    dtable = None
    if table_gradient:
        assert table is not None
        dtable = _table_gradient(dout, q, k, v, given, table, left, right, causal, scale)
    if group > 1:
        dk, dv = (token_major(k).copy_(reduce(d, "b (g c) k d -> b g k d", "sum", c=group)) for d in (dk, dv))
    none = q.new_empty(0, dtype=torch.float64 if q.dtype == torch.float64 else torch.float32)
    return dq, dk, dv, none if dtile is None else dtile, none.clone() if dtable is None else dtable


@short_attention_backward.register_fake
def _(dout: Tensor, q: Tensor, k: Tensor, v: Tensor, tile: Tensor | None, table: Tensor | None, *rest: Any) -> Any:
    tile_gradient, table_gradient = rest[-2:]
    none = empty_sums(q, 0)
    dtile = empty_sums(q, q.shape[1], q.shape[2], k.shape[2]) if tile_gradient else none
    dtable = empty_sums(q, *table.shape) if table_gradient and table is not None else none.clone()
    return token_major(q), token_major(k), token_major(k), dtile, dtable


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensors, ctx.rest = inputs[:11], inputs[11:]
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, dout: Tensor) -> tuple[Any, ...]:
    wanted = ctx.needs_input_grad
    dq, dk, dv, dtile, dtable = short_attention_backward(dout, *ctx.saved_tensors, *ctx.rest, wanted[3], wanted[4])
    return dq, dk, dv, dtile if wanted[3] else None, dtable if wanted[4] else None, *([None] * 10)


short_attention.register_autograd(_backward, setup_context=_save)


def _table_gradient(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    given: tuple[Tensor | None, ...],
    table: Float[Tensor, "h 2r+2"],
    left: int,
    right: int,
    causal: bool,
    scale: float,
) -> Float[Tensor, "h 2r+2"]:
    heads, radius = table.shape[0], table.shape[1] // 2 - 1
    size = blocks(q.shape[2], k.shape[2], q.shape[3], packed=False)
    launch = config("table", size, q.dtype.itemsize, capability(q.device))
    # Pairs closer than the radius lie on these diagonals of blocks, the middle one and as many to either side.
    side = (radius + BLOCK_IDS - 2) // BLOCK_IDS
    grid = (*_grid(launch, 1, q), 2 * side + 1)
    near = empty_sums(q, *grid, 2, BLOCK_IDS)
    far = empty_sums(q, *grid, 3)
    run(
        short_table_gradient, grid,
        q, k, v, dout, near, far, *given,
        *strides(q, k, v, dout),
        *_sizes(q, k, table), left, right, scale,
        **_constants(q, k, size, causal, alike=_alike(q, k, v, dout)),
        BLOCK_IDS=BLOCK_IDS, SPLIT=q.dtype.itemsize == 2,
        **options(launch),
    )  # fmt: skip
    # Each diagonal has sums for distances below and above its middle; neighbours overlap.
    below, above = rearrange(near.sum(0), "h diagonal half x -> half h (diagonal x)")
    by_distance = near.new_zeros(heads, (2 * side + 2) * BLOCK_IDS)
    by_distance[:, :-BLOCK_IDS] += below
    by_distance[:, BLOCK_IDS:] += above
    middle = (side + 1) * BLOCK_IDS
    behind, ahead, unplaced = rearrange(far.sum(0)[:, side], "h part -> part h 1")
    return torch.cat([behind, by_distance[:, middle - radius + 1 : middle + radius], ahead, unplaced], dim=1)


def _dense(x: Tensor) -> Tensor:
    """The same numbers as the kernels can read them: rows whole, and the offsets inside a tile in 32 bits."""
    near = x.shape[2] > PACKED // 2 or PACKED * x.stride(0) < 2**31  # where tiles hold several samples
    return x if x.stride(-1) == 1 and near and LONGEST * x.stride(2) < 2**31 else x.contiguous()


def _sizes(q: Tensor, k: Tensor, table: Tensor | None) -> tuple[int, ...]:
    """batch, queries, keys, query heads of a key head, radius."""
    return q.shape[0], q.shape[2], k.shape[2], q.shape[1] // k.shape[1], 0 if table is None else table.shape[1] // 2 - 1


def _alike(*tensors: Tensor) -> bool:
    """Whether all lie in memory in the same way."""
    return len({x.stride() for x in tensors}) == 1


def _constants(q: Tensor, k: Tensor, size: Blocks, causal: bool, alike: bool) -> dict[str, Any]:
    shape = size.constants(q.shape[2], k.shape[2], q.shape[3])
    return {**shape, **arithmetic(q), "ALIKE": alike, "CAUSAL": causal}


def _grid(launch: Config, pack: int, q: Tensor) -> tuple[int, int]:
    """Programs that share the batch, as many as stay on the device at once, each with an equal part; and heads."""
    packs = triton.cdiv(q.shape[0], pack)
    at_once = max(1, multiprocessors(q.device) * launch.programs // q.shape[1])
    return triton.cdiv(packs, triton.cdiv(packs, at_once)), q.shape[1]
