"""xPos: RoPE whose scores also fade with the distance, those of high frequencies faster.

    zeta[i] = (2 i / d + 0.4) / 1.4                               below 1
    q[i] *= zeta[i] ** (id / scale_base),   k[i] *= zeta[i] ** (-id / scale_base)       and both rotated as in RoPE

A pair of dimensions then gives to the score what it gives in RoPE, times zeta[i] ** ((q - k) / scale_base). A key that
lies ahead, as some do on ids that do not rise with the tokens, is strengthened. A token with id 0 stands at position 0.
Sun et al., "A Length-Extrapolatable Transformer", arXiv 2212.10554.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.encodings.base import Positions
from arith.encodings.rope import RoPE

# float32 ends at e**88.
FURTHEST = 80  # exponents of e whose products with queries and keys still fit float32 and bfloat16


class XPos(RoPE):
    """Rotation by position, and decay by distance.

    Args:
        head_width: dimensions of a head; even.
        highest: the largest id; half of it is taken off all exponents, which no score notices. It reaches as much
            further as numbers stay within float32.
        base: of the wavelengths.
        scale_base: distance over which scores fade by zeta; smaller is faster.

    >>> XPos(head_width=4, highest=100).logarithms.exp().tolist()
    [0.2857142984867096, 0.6428571343421936, 0.2857142984867096, 0.6428571343421936]
    """

    logarithms: Float[Tensor, " d"]

    def __init__(self, head_width: int, highest: int, base: float = 10000.0, scale_base: float = 512.0) -> None:
        super().__init__(head_width, base)
        if not scale_base > 0:
            raise ValueError(f"xpos's scale_base is a distance above 0, got {scale_base}")
        # 0.4 is the authors' gamma: the highest frequency fades by 0.4 / 1.4 over scale_base, the lowest hardly at all.
        fastest = math.log(1.4 / 0.4) / scale_base
        if highest * fastest > FURTHEST:
            raise ValueError(
                f"with scale_base={scale_base:g}, xpos fades over {highest} positions by more than float32 can hold. "
                f"Take a scale_base of {math.ceil(highest * math.log(1.4 / 0.4) / FURTHEST)} or more"
            )
        self.centre, self.scale_base = highest / 2, scale_base
        self.reach = math.floor(self.centre + FURTHEST / 2 / fastest)
        self.register_buffer("logarithms", None, persistent=False)
        self.fill_buffers()

    def compute_buffers(self, dtype: torch.dtype) -> dict[str, Tensor]:
        width = 2 * self.pairs
        zeta = (torch.arange(0, width, 2, dtype=dtype) / width + 0.4) / 1.4
        return super().compute_buffers(dtype) | {"logarithms": zeta.log().repeat(2)}

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        q, k = super().rotate(q, k, positions)
        # With opposite signs, so that their product depends on the difference of ids and the centre cancels.
        growing, fading = self._exponents(positions.q[0]), -self._exponents(positions.k[0])
        return q * growing.exp().to(q.dtype), k * fading.exp().to(k.dtype)

    def _exponents(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b 1 n d"]:
        return ((ids - self.centre) / self.scale_base)[:, None, :, None] * self.logarithms
