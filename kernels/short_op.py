"""The kernels for up to 128 tokens as torch operators, differentiable and known to `torch.compile`."""

from typing import Any

import torch
import triton
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from arith.kernels.configs import BLOCK_IDS, Blocks, Config, Kernel, blocks, capability, config, tile_size
from arith.kernels.folding import Folded, radius_of
from arith.kernels.launching import (
    arithmetic,
    empty_sums,
    multiprocessors,
    options,
    run,
    strides,
    token_major,
)
from arith.kernels.operators import by_distance, dense, differentiable, limits_by_id, per_sample, sizes, tables_of
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
    softcap: float | None = None,
    sinks: Float[Tensor, "b h q"] | None = None,
) -> Float[Tensor, "b h q d"]:
    """Softmax attention of the last q of k tokens, 128 at most."""
    slab = folded.slab
    if slab is not None and causal:  # which asks of no distance ahead: the second half
        slab = slab[:, : slab.shape[1] // 2]
    tile, table, sinks, slab = tables_of(q, folded.tile, folded.table, sinks, slab)
    states = None if folded.states is None else folded.states.to(q.dtype)
    rows = per_sample(folded, valid, documents, q.shape[0])
    out: Tensor = short_attention(
        q, k, v, tile, table, sinks, states, slab, *rows, *limits_by_id(folded), causal, scale, softcap
    )
    return out


@torch.library.custom_op("arith::short_attention", mutates_args=())
def short_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tile: Tensor | None,
    table: Tensor | None,
    sinks: Tensor | None,
    states: Tensor | None,
    slab: Tensor | None,
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
    softcap: float | None,
) -> Tensor:
    """Attention with what `fold` made of the terms."""
    q, k, v = dense(q), dense(k), dense(v)
    out = token_major(q)
    size = blocks(q.shape[2], k.shape[2], q.shape[3])
    asked, constants = _asked(q, states, slab)
    launch = config("forward", size, q.dtype.itemsize, capability(q.device), constants["STATE"])
    run(
        short_forward, _grid(launch, size.pack, q),
        q, k, v, out, tile, table, sinks, *asked, ids_q, ids_k, window_q, window_k, valid, documents,
        *strides(q, k, v, out), *_strides_or_none(asked[0]),
        q.shape[0], *sizes(q, k, table), left, right, scale, softcap,
        PACK=size.pack, **constants, **_constants(launch, size, causal, q, k, v),
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
    sinks: Tensor | None,
    states: Tensor | None,
    slab: Tensor | None,
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
    softcap: float | None,
    tile_gradient: bool,
    table_gradient: bool,
    sinks_gradient: bool,
    states_gradient: bool,
    slab_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, and of what is added to scores, which are empty unless their flags are set."""
    dout, q, k, v = dense(dout), dense(q), dense(k), dense(v)
    group = q.shape[1] // k.shape[1]
    dq = token_major(q)
    # Query heads that share a key head write side by side, in 32 bits, and are added up afterwards: no atomics.
    each = torch.float32 if group > 1 and q.dtype.itemsize == 2 else q.dtype
    dk, dv = (token_major(k, q.shape[1], each) for _ in range(2))
    size = blocks(q.shape[2], k.shape[2], q.shape[3])
    asked, constants = _asked(q, states, slab)
    # Adding up a tile and looking scores up fill the registers alike: fewer programs then fit on a multiprocessor.
    kernel: Kernel = "backward and tile" if tile_gradient or table is not None or states is not None else "backward"
    launch = config(kernel, size, q.dtype.itemsize, capability(q.device), constants["STATE"])
    grid = _grid(launch, size.pack, q)
    dtile, dtable, dslab = (empty_sums(q, 0) for _ in range(3))
    given = (tile, table, sinks, *asked, ids_q, ids_k, window_q, window_k, valid, documents)
    parts = None
    if tile_gradient:
        parts = empty_sums(q, grid[0], q.shape[1], size.pack * size.queries, size.pack * size.keys)
    dsinks = None if sinks is None else empty_sums(q, *sinks.shape)
    dstates = None if states is None else token_major(states)
    slab_parts = None if slab is None else empty_sums(q, grid[0], *slab.shape[:2], constants["BLOCK_E"])
    # dq, dk and dv have the heads of q and are token-major: they differ in the stride of the batch alone.
    run(
        short_backward, grid,
        q, k, v, dout, dq, dk, dv, parts, dsinks, dstates, slab_parts, *given,
        *strides(q, k, v, dout), *_strides_or_none(asked[0]), dq.stride(0), dk.stride(0), *dq.stride()[1:3],
        *_strides_or_none(dstates), q.shape[0], *sizes(q, k, table), left, right, scale, softcap,
        PACK=size.pack, **constants, **_constants(launch, size, causal, q, k, v, dout),
    )  # fmt: skip
    if parts is not None:
        # A tile holds `pack` samples; only blocks on its diagonal pair tokens of one sample. Padding is cut off.
        sums = rearrange(parts.sum(0), "h (s i) (t j) -> h i j s t", s=size.pack, t=size.pack)
        dtile = sums.diagonal(dim1=3, dim2=4).sum(-1)[:, : q.shape[2], : k.shape[2]].contiguous()
    if table_gradient:
        assert table is not None
        dtable = _table_gradient(dout, q, k, v, given, constants, table, left, right, causal, scale, softcap)
    if slab is not None and slab_parts is not None and slab_gradient:
        dslab = slab_parts.sum(0)[..., : slab.shape[2]].contiguous()
    if group > 1:
        dk, dv = (token_major(k).copy_(reduce(d, "b (g c) k d -> b g k d", "sum", c=group)) for d in (dk, dv))
    dsinks = dsinks if dsinks is not None and sinks_gradient else empty_sums(q, 0)
    dstates = dstates if dstates is not None and states_gradient else empty_sums(q, 0)
    return dq, dk, dv, dtile, dtable, dsinks, dstates, dslab


differentiable(short_attention, short_attention_backward, scores=5)


def _table_gradient(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    given: tuple[Tensor | None, ...],
    constants: dict[str, int],
    table: Float[Tensor, "h 2r+2"],
    left: int,
    right: int,
    causal: bool,
    scale: float,
    softcap: float | None,
) -> Float[Tensor, "h 2r+2"]:
    radius = radius_of(table)
    size = blocks(q.shape[2], k.shape[2], q.shape[3], packed=False)
    launch = config("table", size, q.dtype.itemsize, capability(q.device))
    # Pairs closer than the radius lie on the middle diagonal of blocks of ids, and on `side` diagonals to either side.
    side = (radius + BLOCK_IDS - 2) // BLOCK_IDS
    grid = (*_grid(launch, 1, q), 2 * side + 1)
    near = empty_sums(q, *grid, 2, BLOCK_IDS)
    far = empty_sums(q, *grid, 3)
    run(
        short_table_gradient, grid,
        q, k, v, dout, near, far, *given,
        *strides(q, k, v, dout), *_strides_or_none(given[3]),
        q.shape[0], *sizes(q, k, table), left, right, scale, softcap,
        BLOCK_IDS=BLOCK_IDS, SPLIT=q.dtype.itemsize == 2, **constants,
        **_constants(launch, size, causal, q, k, v, dout),
    )  # fmt: skip
    within = by_distance(near, -BLOCK_IDS * side, radius)
    # What is far is no matter of a diagonal: the middle one alone has added it up.
    behind, ahead, unplaced = rearrange(far.sum(0)[:, side], "h part -> part h 1")
    return torch.cat([behind, within, ahead, unplaced], dim=1)


def _asked(
    q: Tensor, states: Tensor | None, slab: Tensor | None
) -> tuple[tuple[Tensor | None, Tensor | None], dict[str, int]]:
    """What queries ask and of what, as kernels multiply it, and its sizes, which they know at compile time."""
    if states is None or slab is None:
        return (None, None), {"STATE": 0, "BLOCK_E": 0}
    width, block = states.shape[3], tile_size(states.shape[3])
    padded = functional.pad(slab, (0, block - width)).to(q.dtype)
    return (dense(states), padded), {"STATE": width, "BLOCK_E": block}


def _strides_or_none(x: Tensor | None) -> tuple[int | None, ...]:
    """Strides as kernels take them; what is None is no argument of the compiled kernel."""
    return (None, None, None) if x is None else strides(x)


def _constants(launch: Config, size: Blocks, causal: bool, *inputs: Tensor) -> dict[str, Any]:
    """What a kernel knows at compile time. `inputs` are q, k and what else has their width."""
    q, k, *_ = inputs
    shape = size.constants(q.shape[2], k.shape[2], q.shape[3])
    # With equal strides, a kernel holds the offsets inside a tile once for all inputs, which saves registers.
    alike = len({x.stride() for x in inputs}) == 1
    return {**shape, **arithmetic(q), "ALIKE": alike, "CAUSAL": causal, **options(launch)}


def _grid(launch: Config, pack: int, q: Tensor) -> tuple[int, int]:
    """Programs that share the batch, and heads. As many as the device holds at once, each with an equal share."""
    packs = triton.cdiv(q.shape[0], pack)
    at_once = max(1, multiprocessors(q.device) * launch.programs // q.shape[1])
    return triton.cdiv(packs, triton.cdiv(packs, at_once)), q.shape[1]
