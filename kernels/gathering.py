"""Scores looked up in a table by slots that all samples share, with a gradient that is the same in every run.

torch adds such gradients up by atomics, in the order in which threads arrive, so that their last bits differ from run
to run. Here each program owns a few slots and walks over all pairs.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from arith.kernels.launching import run

# Few slots and many pairs at a time: a program waits for memory once for each block of pairs.
BLOCK_SLOTS, BLOCK_PAIRS = 8, 1024


def gather(values: Float[Tensor, "h s"], slots: Int[Tensor, "q k"]) -> Float[Tensor, "h q k"]:
    """The value of each pair's slot, in 32 bits if the values have 16: their gradients are sums over many pairs.

    >>> gather(torch.tensor([[5.0, 7.0]]), torch.tensor([[0, 1], [1, 1]])).tolist()
    [[[5.0, 7.0], [7.0, 7.0]]]
    """
    found: Tensor = gather_op(values.float() if values.element_size() < 4 else values, slots)
    return found


@torch.library.custom_op("arith::gather", mutates_args=())
def gather_op(values: Tensor, slots: Tensor) -> Tensor:
    """As `gather`."""
    return values.index_select(1, slots.flatten()).reshape(-1, *slots.shape)


@gather_op.register_fake
def _(values: Tensor, slots: Tensor) -> Tensor:
    return values.new_empty(values.shape[0], *slots.shape)


@torch.library.custom_op("arith::gather_backward", mutates_args=())
def gather_backward(dout: Tensor, slots: Tensor, size: int) -> Tensor:
    """The gradient of `values`: `dout` summed by slot."""
    dvalues = dout.new_zeros(dout.shape[0], size)
    grid = (triton.cdiv(size, BLOCK_SLOTS), dout.shape[0])
    run(
        slot_sums, grid,
        dout.contiguous(), slots.contiguous(), dvalues, slots.numel(), size,
        BLOCK_SLOTS=BLOCK_SLOTS, BLOCK_PAIRS=BLOCK_PAIRS,
    )  # fmt: skip
    return dvalues


@gather_backward.register_fake
def _(dout: Tensor, slots: Tensor, size: int) -> Tensor:
    return dout.new_empty(dout.shape[0], size)


def _save(ctx, inputs, output) -> None:
    values, slots = inputs
    ctx.save_for_backward(slots)
    ctx.size = values.shape[1]


def _backward(ctx, dout):
    return gather_backward(dout, ctx.saved_tensors[0], ctx.size), None


gather_op.register_autograd(_backward, setup_context=_save)


@triton.jit
def slot_sums(DOUT, SLOTS, DVALUES, pairs, size, BLOCK_SLOTS: tl.constexpr, BLOCK_PAIRS: tl.constexpr):
    """dvalues[h, s] = sum of dout[h, pair] over the pairs of slot s. Grid: blocks of slots, heads."""
    own = tl.program_id(0) * BLOCK_SLOTS + tl.arange(0, BLOCK_SLOTS)
    head = tl.program_id(1).to(tl.int64)
    # A sum for each slot and lane, in the order of pairs; lanes are added up once, at the end.
    sums = tl.zeros((BLOCK_SLOTS, BLOCK_PAIRS), DVALUES.dtype.element_ty)
    for start in tl.range(0, pairs, BLOCK_PAIRS):
        pair = start + tl.arange(0, BLOCK_PAIRS)
        slot = tl.load(SLOTS + pair, mask=pair < pairs, other=-1)
        part = tl.load(DOUT + head * pairs + pair, mask=pair < pairs, other=0.0)
        sums += tl.where(slot[None, :] == own[:, None], part[None, :], 0.0)
    tl.store(DVALUES + head * size + own, tl.sum(sums, 1), mask=own < size)
