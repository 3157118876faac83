"""Gradients of what is learned in scores of long sequences: launches of their kernels, and sums of what these leave."""

import math
from typing import Any

import torch
import triton
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from arith.kernels.folding import radius_of
from arith.kernels.launching import arithmetic, empty_sums, multiprocessors, run, strides
from arith.kernels.long_configs import LONG_TABLE, LongKernel
from arith.kernels.long_launches import Call, constants_of, launch_of
from arith.kernels.long_table import long_id_table_gradient, long_table_gradient
from arith.kernels.long_tile import long_tile_gradient
from arith.kernels.long_values import long_values_gradient
from arith.kernels.operators import by_distance
from arith.kernels.tiling import begin_at_block, spans

AT_ONCE = 2  # programs of a table's gradient for each multiprocessor, so that one computes while another waits
Rows = tuple[Tensor, ...]  # q, k, v, gradient of the output, logarithms of sums, exact delta


def sink_gradient(rows: Rows, sinks: Float[Tensor, "b h q"] | None) -> Float[Tensor, "b h q"]:
    """A sink has no value, so that its dP is 0 and its dS is -P * delta."""
    assert sinks is not None
    logsum, delta = rows[4:]
    return -torch.exp2(sinks * math.log2(math.e) - logsum) * delta


def tile_gradient(call: Call, rows: Rows) -> Float[Tensor, "h q k"]:
    """The gradient of scores by pairs of tokens."""
    q, masks = call.q, call.visits.masks
    dtile = empty_sums(q, q.shape[1], masks.queries, masks.keys)
    tiles = triton.cdiv(masks.queries, LONG_TABLE) * triton.cdiv(masks.keys, LONG_TABLE)
    run(
        long_tile_gradient, (tiles * q.shape[1],),
        *rows, dtile, *call.given, _shown(call), *strides(*rows[:4]), *call.numbers, q.shape[0], **_constants(call),
    )  # fmt: skip
    return dtile


def table_gradient(
    call: Call, rows: Rows, behind: Float[Tensor, "b h t"] | None, dsinks: Float[Tensor, "b h q"] | None
) -> Float[Tensor, "h 2r+2"]:
    """The gradient of a table by token distance.

    Args:
        behind: sums of dS at -radius and below; None: no key lies ahead of a query.
    """
    masks, radius = call.visits.masks, radius_of(call.table)
    near, base = _by_diagonal(long_table_gradient, call, rows, 1 - radius, radius - 1, (), _constants(call))
    within = by_distance(near, base, radius)
    # Each row of dS sums to 0, its sink's included, and so does the whole gradient: what lies beyond the radius on one
    # side is minus the rest. Where no pair is that far, the rest is 0 but for rounding, and is left alone.
    missing = -within.sum(1, keepdim=True)
    if dsinks is not None:
        missing = missing - dsinks.sum((0, 2))[:, None]
    none = torch.zeros_like(missing)
    if behind is None:
        ends = missing if min(masks.left, masks.keys - 1) >= radius else none, none
    else:
        first = behind.sum((0, 2))[:, None]
        ends = first, missing - first if min(masks.right, masks.keys - 1) >= radius else none
    return torch.cat([ends[0], within, ends[1], none], dim=1)


def values_gradient(call: Call, rows: Rows, far: Float[Tensor, "b h q 2"] | None) -> Float[Tensor, "#h s e"]:
    """The gradient of the values that queries ask.

    Args:
        far: sums of dS behind the slots, and ahead of them; None: nothing is asked there.
    """
    values, states = call.values, call.states
    assert values is not None
    assert states is not None
    heads, slots, width = values.shape
    last = call.first + slots - 1
    half = call.q.dtype == torch.float16  # as many bits as factors of tf32 have, which do not underflow
    how = {
        **_constants(call, "long values"),
        "SPLIT": call.q.dtype == torch.bfloat16,
        "SUMS": "tf32x3" if half else arithmetic(call.q)["PRECISION"],
    }
    near, base = _by_diagonal(long_values_gradient, call, rows, call.first, last, (call.block_e,), how)
    radius = max(abs(call.first), abs(last)) + 1
    # The first of a program's slots has the lowest distance of its tiles, one above what its diagonal of tables has.
    by_head = by_distance(rearrange(near, "p h t half x e -> p (h e) t half x"), base + 1, radius)
    within = rearrange(by_head, "(h e) s -> h s e", e=call.block_e)
    found = within[:, call.first + radius - 1 :, :width][:, :slots].contiguous()
    if far is not None:
        asked = states[..., :width].to(far.dtype)
        beyond = (far.transpose(2, 3) @ asked).sum(0)  # of each head and side
        found[:, 0] += beyond[:, 0]
        found[:, -1] += beyond[:, 1]
    return found.sum(0, keepdim=True) if heads == 1 else found


def id_table_gradient(call: Call, rows: Rows, far: Float[Tensor, "b h t 4"]) -> Float[Tensor, "h 2r+2"]:
    """The gradient of a table by ids.

    Args:
        far: sums of dS by tile of queries, in the last three of four: behind the radius, ahead, and without a position.
    """
    q = call.q
    b, h = q.shape[:2]
    radius = radius_of(call.id_table)
    side = (radius + LONG_TABLE - 2) // LONG_TABLE
    diagonals = 2 * side + 1
    chunks = _chunks(call, diagonals)
    near = empty_sums(q, b, h, chunks, diagonals, 2, LONG_TABLE)
    launch = launch_of("long table", call)
    given = call.given
    ids_q, ids_k = given[3:5]  # a table by ids has ids
    assert ids_q is not None
    assert ids_k is not None
    # Ids that rise with the tokens then have one block in a tile and not two, which meet on three diagonals.
    ids = begin_at_block(ids_q, ids_k, LONG_TABLE)
    blocks = [torch.stack(spans(own, LONG_TABLE), dim=2) // LONG_TABLE for own in ids]
    run(
        long_id_table_gradient, (diagonals * chunks * b * h,),
        *rows, near, *given[:3], *ids, *(own.to(torch.int32).contiguous() for own in blocks), *given[5:],
        *call.visits.lists(launch.queries, launch.keys), *strides(*rows[:4]), *call.numbers, diagonals, chunks,
        SPLIT=q.dtype.itemsize == 2, **_constants(call),
    )  # fmt: skip
    within = by_distance(near.sum(2), -LONG_TABLE * side, radius)
    # The first of four columns is unused: Triton wants powers of two.
    _, behind, ahead, unplaced = rearrange(far.sum((0, 2)), "h part -> part h 1")
    return torch.cat([behind, within, ahead, unplaced], dim=1)


def _by_diagonal(
    kernel: Any, call: Call, rows: Rows, low: int, high: int, width: tuple[int, ...], constants: dict[str, Any]
) -> tuple[Float[Tensor, "b h t 2 x ..."], int]:
    """What a kernel leaves on the diagonals of tiles that hold distances from `low` to `high` that a query can see.

    Returns:
        The sums of each diagonal, and the distance in the middle of the first.
    """
    q, masks = call.q, call.visits.masks
    earlier = masks.keys - masks.queries
    # Diagonal t pairs query tile i with key tile i + t, at a distance of t tiles less `earlier` tokens.
    span = max(low, -masks.left, 1 - masks.keys), min(high, masks.right, masks.keys - 1)
    lowest = -((LONG_TABLE - 1 - span[0] - earlier) // LONG_TABLE)
    diagonals = max(1, (span[1] + earlier + LONG_TABLE - 1) // LONG_TABLE - lowest + 1)
    chunks = _chunks(call, diagonals)
    near = empty_sums(q, q.shape[0], q.shape[1], chunks, diagonals, 2, LONG_TABLE, *width)
    run(
        kernel, (diagonals * chunks * q.shape[0] * q.shape[1],),
        *rows, near, *call.given, _shown(call), *strides(*rows[:4]), *call.numbers, lowest, diagonals, chunks,
        **constants,
    )  # fmt: skip
    return near.sum(2), LONG_TABLE * lowest - earlier


def _shown(call: Call) -> Tensor | None:
    """Which tiles of a table's gradient show anything, a byte each; None where a range says it."""
    visible = call.visits.visible(LONG_TABLE, LONG_TABLE)
    return None if visible is None else visible.expand(call.q.shape[0], -1, -1).to(torch.int8).contiguous()


def _chunks(call: Call, diagonals: int) -> int:
    """How many programs share a diagonal, so that the device has enough to do."""
    busy = AT_ONCE * multiprocessors(call.q.device)
    programs = call.q.shape[0] * call.q.shape[1] * diagonals
    return int(min(triton.cdiv(busy, programs), triton.cdiv(call.visits.masks.queries, LONG_TABLE)))


def _constants(call: Call, kernel: LongKernel = "long table") -> dict[str, Any]:
    constants = constants_of(call, launch_of(kernel, call))
    del constants["BLOCK_Q"], constants["BLOCK_K"]
    return {**constants, "BLOCK": LONG_TABLE}
