"""Sinusoidal embeddings: sines and cosines of the position are added to the token's vector.

    x[t] + scale * [sin(p w_0), sin(p w_1), .., cos(p w_0), cos(p w_1), ..]        p = id[t] / resolution

w_k = base ** (-2 k / width), and just x[t] where the id is 0. Vaswani et al., "Attention Is All You Need",
arXiv 1706.03762; there sines and cosines take turns, which is another order of the dimensions.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from arith.encodings.base import Encoding, Positions


class Sinusoidal(Encoding):
    """A fixed vector for every position; nothing is learned. Angles are computed in float32 or better.

    Args:
        width: of the model; even.
        base: of the wavelengths, from 2 pi to 2 pi * base positions.
        scale: of the sines. At 1, as in the paper, their root mean square is 0.7 of a token embedding's of std 1.
        resolution: ids per position, where the scheme places tokens between whole positions.

    >>> ids = torch.ones(1, 1, 1).long()
    >>> Sinusoidal(width=2).embed(torch.zeros(1, 1, 2), Positions(ids, ids))
    tensor([[[0.8415, 0.5403]]])
    """

    def __init__(self, width: int, base: float = 10000.0, scale: float = 1.0, resolution: int = 1) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"sinusoidal pairs sines and cosines: the model's width must be even, got {width}")
        if base <= 0:
            raise ValueError(f"sinusoidal's base is above 0, got {base}")
        if resolution < 1:
            raise ValueError(f"sinusoidal's resolution is 1 or more ids per position, got {resolution}")
        self.base, self.scale, self.resolution = base, scale, resolution

    def embed(self, x: Float[Tensor, "b n w"], positions: Positions) -> Float[Tensor, "b n w"]:
        ids, width = positions.q[0], x.shape[-1]
        dtype = torch.promote_types(x.dtype, torch.float32)
        # Computed here and not kept in a buffer, which a model that is cast to bfloat16 would round.
        frequencies = self.base ** (-torch.arange(0, width, 2, device=x.device, dtype=dtype) / width)
        angles = (ids.to(dtype) / self.resolution)[..., None] * frequencies
        waves = self.scale * torch.cat([angles.sin(), angles.cos()], dim=-1)
        return x + (waves * (ids != 0)[..., None]).to(x.dtype)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, resolution={self.resolution}"
