"""What the torch operators of short and of long sequences share: arguments, autograd, and sums by distance.

Either is a pair, forward and backward. The forward operator takes q, k, v, some tensors of scores that may be learned,
the six of `per_sample`, and then plain numbers.
"""

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.kernels.configs import LONGEST, PACKED
from arith.kernels.folding import Folded, Long, radius_of
from arith.kernels.launching import empty_sums, sum_type, token_major
from arith.kernels.tiling import FARTHEST

PER_SAMPLE = 6  # tensors, or None, that `per_sample` returns


def per_sample(
    folded: Folded | Long, valid: Bool[Tensor, "#b k"] | None, documents: Int[Tensor, "#b k"] | None, batch: int
) -> tuple[Tensor | None, ...]:
    """Ids for tables, ids for a window, key padding and documents, each with a row of 32 bits for every sample.

    Kernels step from sample to sample by the row's length, so that expanded rows have to be written out.
    """
    pairs = folded.ids, None if folded.window is None else folded.window.ids
    flat = [x for ids in pairs for x in ((None, None) if ids is None else (ids.q, ids.k))]
    rows = *flat, valid, None if documents is None else numbered(documents)
    return tuple(None if x is None else x.expand(batch, -1).to(torch.int32).contiguous() for x in rows)


def numbered(documents: Int[Tensor, "b k"]) -> Int[Tensor, "b k"]:
    """The documents of each row by numbers of 32 bits, in the same order.

    Those of 64 bits, which may be hashes, are numbered by place in the sorted row: equal ones stay equal, others do not
    become so. As they are, they would take more shared memory than there is, beside a table, a window and padding.

    >>> numbered(torch.tensor([[2**40, 7, 7, 2**40 + 7]])).tolist()
    [[2, 0, 0, 3]]
    """
    if documents.element_size() < 8:
        return documents.to(torch.int32)
    documents = documents.contiguous()  # a sorted copy is laid out alike, and would be copied once more
    return torch.searchsorted(documents.sort(1).values, documents, out_int32=True)


def limits_by_id(folded: Folded | Long) -> tuple[int, int]:
    """How far the window on ids reaches to the left and to the right, within 32 bits, as ids are."""
    window = folded.window
    return (0, 0) if window is None else (min(window.left, FARTHEST), min(window.right, FARTHEST))


def tables_of(q: Tensor, *tables: Float[Tensor, "h ..."] | None) -> list[Tensor | None]:
    """Tensors of scores as kernels take them: rows whole, of the type of sums."""
    return [None if x is None else x.to(sum_type(q)).contiguous() for x in tables]


def dense(x: Float[Tensor, "b h n d"]) -> Float[Tensor, "b h n d"]:
    """The same numbers as kernels can read them: rows whole, and offsets inside a tile within 32 bits."""
    # Samples this short share a tile, which then reaches from one sample to the next.
    near = x.shape[2] > PACKED // 2 or PACKED * x.stride(0) < 2**31
    return x if x.stride(-1) == 1 and near and LONGEST * x.stride(2) < 2**31 else x.contiguous()


def sizes(q: Tensor, k: Tensor, *tables: Tensor | None) -> tuple[int, ...]:
    """Queries, keys, query heads of a key head, and the radius of each table."""
    return q.shape[2], k.shape[2], q.shape[1] // k.shape[1], *map(radius_of, tables)


def differentiable(forward: Any, backward: Any, outputs: int = 0, scores: int = 2) -> None:
    """Make the backward operator the gradient of the forward one, and tell `torch.compile` what it returns.

    Args:
        backward: takes the output's gradient, outputs of `forward`, what `forward` takes, and a flag for each of its
            tensors of scores, whether a gradient is needed.
        outputs: how many outputs of `forward` it takes.
        scores: how many tensors of scores there are.
    """
    tensors = 3 + scores + PER_SAMPLE  # arguments that are tensors or None; plain numbers follow

    def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.rest = inputs[tensors:]
        ctx.save_for_backward(*(output if outputs else ()), *inputs[:tensors])

    def gradients(ctx: Any, dout: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[3 : 3 + scores]
        found = backward(dout, *ctx.saved_tensors, *ctx.rest, *needed)
        # Operators return tensors; autograd wants None where no gradient is needed.
        learned = [own if wanted else None for own, wanted in zip(found[3:], needed, strict=True)]
        return *found[:3], *learned, *[None] * (PER_SAMPLE + len(ctx.rest))

    def shapes(dout: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
        q, k, v, *given = arguments[outputs : outputs + 3 + scores]
        flags = arguments[-scores:]
        learned = (
            _like(x) if x is not None and flag else empty_sums(q, 0) for x, flag in zip(given, flags, strict=True)
        )
        return token_major(q), token_major(k), token_major(v), *learned

    forward.register_autograd(gradients, setup_context=save)
    backward.register_fake(shapes)


def _like(x: Tensor) -> Tensor:
    """An empty gradient: what queries bring lies in memory as they do, tables lie in order."""
    return token_major(x) if x.dim() == 4 else x.new_empty(x.shape)


def by_distance(near: Float[Tensor, "parts h diagonals 2 x"], lowest: int, radius: int) -> Float[Tensor, "h 2r-1"]:
    """Sums for distances from 1 - radius to radius - 1 from those that programs have left on diagonals of blocks.

    Args:
        near: for each diagonal the sums at distances below its middle, and from its middle on; neighbours overlap.
        lowest: distance in the middle of the first diagonal.
    """
    below, above = rearrange(near.sum(0), "h diagonal half x -> half h (diagonal x)")
    block = near.shape[-1]
    sums = near.new_zeros(near.shape[1], below.shape[1] + block)
    sums[:, :-block] += below
    sums[:, block:] += above
    first = lowest - block
    begin, end = max(1 - radius, first), min(radius, first + sums.shape[1])
    within = near.new_zeros(near.shape[1], 2 * radius - 1)
    within[:, begin + radius - 1 : end + radius - 1] = sums[:, begin - first : end - first]
    return within
