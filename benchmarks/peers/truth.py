"""Whether a peer's results are right, at a shape that is to be timed: no speed counts before that."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from peers.attention import Peer
from timing import gradients
from torch import Tensor

from arith.kernels.attention import attention
from arith.kernels.configs import LONGEST
from arith.kernels.terms import DistanceTable

Part = tuple[slice, slice]  # of samples and heads


@dataclass(frozen=True)
class Shape:
    """Of one measurement, in bfloat16 and causal.

    Args:
        radius: of the table; None: every distance has a score of its own.
    """

    batch: int
    n: int
    width: int = 64
    heads: int = 12
    radius: int | None = None

    @property
    def flop(self) -> int:
        """Of the forward pass, half of the pairs being hidden; the backward pass does 2.5 times as many."""
        return 2 * self.batch * self.heads * self.n**2 * self.width


def tensors(shape: Shape, device: torch.device) -> tuple[list[Tensor], Tensor, Tensor]:
    """q, k, v, the output's gradient, and a table of scores by distance."""
    generator = torch.Generator(device).manual_seed(0)
    sizes = (shape.batch, shape.n, shape.heads, shape.width)
    q, k, v, dout = (
        torch.randn(sizes, generator=generator, device=device, dtype=torch.bfloat16).transpose(1, 2) for _ in range(4)
    )
    slots = 2 * (shape.radius or shape.n - 1) + 2
    table = torch.randn(shape.heads, slots, generator=generator, device=device)
    return [x.requires_grad_() for x in (q, k, v)], dout, table.requires_grad_()


def parts(shape: Shape, learns: bool) -> Iterator[Part]:
    """Samples and heads that are checked together. A table's gradient takes all samples; long ones only some heads."""
    long = shape.n > LONGEST
    step = 1 if long else 64
    heads = [slice(0, 1), slice(shape.heads - 1, None)] if long else [slice(None)]
    for start in range(0, shape.batch if learns else step, step):
        for own in heads:
            yield slice(start, start + step), own


@functools.lru_cache(maxsize=2)  # with and without a bias: all peers of a shape are compared with them
def truth(shape: Shape, biased: bool, device: torch.device) -> tuple[list[tuple[Part, tuple[Tensor, ...]]], Tensor]:
    """Output and gradients of q, k and v in float64, part by part, and the table's gradient of all parts."""
    inputs, dout, table = tensors(shape, device)
    total = torch.zeros_like(table, dtype=torch.float64)
    found = []
    for part in parts(shape, biased):
        exact = [x.detach()[part].double().requires_grad_() for x in inputs]
        wide = table.detach()[part[1]].double().requires_grad_()
        out = attention(*exact, terms=(DistanceTable(wide),) if biased else (), backend="reference")
        sums = gradients(out, [*exact, wide] if biased else exact, dout[part].double())
        if biased:
            total[part[1]] += sums[3]
        found.append((part, (out.detach(), *sums[:3])))
    return found, total


def is_right(peer: Peer, shape: Shape, device: torch.device) -> bool:
    """Output and gradients of some samples, and the table's over the whole batch, against float64."""
    inputs, dout, table = tensors(shape, device)
    learned = [table] if peer.learns else []
    out = peer.make(inputs, table if peer.biased else None)()
    found = [out, *gradients(out, [*inputs, *learned], dout)]
    exact, total = truth(shape, peer.biased, device)
    right = all(
        bool((ours[part].double() - theirs).norm() <= 0.02 * theirs.norm())
        for part, values in exact
        for ours, theirs in zip(found[:4], values, strict=True)
    )
    if peer.learns:
        # A peer's gradient may be of the inputs' type; ours has a bound of its own in the proof.
        heads = sorted({head for (_, own), _ in exact for head in range(shape.heads)[own]})
        right &= bool((found[4].double() - total)[heads].norm() <= 0.05 * total[heads].norm())
    return right
