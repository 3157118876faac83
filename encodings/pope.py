"""PoPE: what a query and a key hold decides how much they score, and their distance alone decides the phase.

    score[q, k] = sum over c of softplus(q[c]) softplus(k[c]) cos((id_q - id_k) angle[c] - shift[h, c]) / sqrt(d)
    angle[c] = base ** (-c / d)        c = 0 .. d - 1

Each dimension has an angle of its own, so that there are twice as many as in RoPE, where content turns pairs as well.
A token with id 0 stands at position 0. Gopalakrishnan et al., "Decoupling the What and Where With Polar Coordinate
Positional Embeddings", arXiv 2509.10534. There the shift is cut off at -2 pi and 0, beyond which it no longer learns;
here it is free, as it comes round by itself. Queries have it, not keys, so that heads that share keys have their own.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.encodings.base import LayerEncoding, PerLayer, Positions
from arith.encodings.rope import RoPE


class PoPE(PerLayer):
    """Magnitudes of queries and keys, at phases that grow with the position.

    Queries and keys come out twice as wide, as a cosine and a sine of each dimension. Attention on them runs in plain
    torch, as the fused kernels take queries that are as wide as values.

    Args:
        heads: attention heads.
        head_width: dimensions of a head.
        layers: of the model, each with shifts of its own.
        base: of the wavelengths, from 2 pi to nearly 2 pi * base positions.

    >>> ids = torch.tensor([[[1, 2]]])
    >>> q, k = PoPE(heads=1, head_width=4, layers=1).at(0).rotate(*torch.zeros(2, 1, 1, 2, 4), Positions(ids, ids))
    >>> q.shape
    torch.Size([1, 1, 2, 8])
    """

    relative = True
    turns_queries = True
    turns_alone = True

    def __init__(self, heads: int, head_width: int, layers: int, base: float = 10000.0) -> None:
        if not base > 0:
            raise ValueError(f"pope's base is above 0, got {base}")
        super().__init__(PoPELayer(heads, head_width, base) for _ in range(layers))


class PoPELayer(LayerEncoding):
    """The shifts of one layer, in radians."""

    def __init__(self, heads: int, head_width: int, base: float) -> None:
        super().__init__()
        # Pairs of twice the width have just these angles.
        self.rope = RoPE(2 * head_width, base)
        self.shift = nn.Parameter(torch.zeros(heads, head_width))

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q 2d"], Float[Tensor, "b g k 2d"]]:
        # The root makes the op's factor, 1 / sqrt(2 d), that of d dimensions.
        asking, answering = math.sqrt(2) * _softplus(q), _softplus(k)
        shift = self.shift[:, None].to(q.dtype)
        # At phases of -shift and 0, before each is turned to its position.
        asking = torch.cat([asking * shift.cos(), -asking * shift.sin()], dim=-1)
        answering = torch.cat([answering, torch.zeros_like(answering)], dim=-1)
        return self.rope.rotate(asking, answering, positions)


def _softplus(x: Float[Tensor, "b h n d"]) -> Float[Tensor, "b h n d"]:
    # Not torch's own, whose gradient on heads that are views of a projection cannot be compiled. Autocast may compute
    # it in 32 bits.
    return -functional.logsigmoid(-x).to(x.dtype)
