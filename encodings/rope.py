"""RoPE: queries and keys are rotated in pairs of dimensions by angles that grow with the position.

    angle[i] = id * base ** (-2 i / d)        i = 0 .. d/2 - 1; dimension i is paired with i + d/2

The score then depends on the difference of the two ids. A token with id 0 is not rotated.
Su et al., "RoFormer", arXiv 2104.09864; the pairing of halves is that of GPT-NeoX and Llama.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.encodings.base import Encoding, Positions


class RoPE(Encoding):
    """Rotation by position.

    Args:
        head_width: dimensions of a head; even.
        base: of the wavelengths, from 2 pi to 2 pi * base positions.

    >>> RoPE(head_width=4, base=100.0).frequencies.tolist()
    [1.0, 0.10000000149011612]
    """

    relative = True
    frequencies: Float[Tensor, " half"]

    def __init__(self, head_width: int, base: float = 10000.0) -> None:
        super().__init__()
        if head_width % 2:
            raise ValueError(f"rope turns pairs of dimensions: a head's width must be even, got {head_width}")
        if base <= 0:
            raise ValueError(f"rope's base is above 0, got {base}")
        half = torch.arange(0, head_width, 2) / head_width
        self.register_buffer("frequencies", base**-half, persistent=False)

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        return self._rotated(q, positions.q[0]), self._rotated(k, positions.k[0])

    def _rotated(self, x: Float[Tensor, "b h n d"], ids: Int[Tensor, "b n"]) -> Float[Tensor, "b h n d"]:
        angles = ids[:, None, :, None] * self.frequencies
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
