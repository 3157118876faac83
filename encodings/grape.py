"""GRAPE: queries and keys are rotated in a learned plane of each head, by an angle that grows with the position.

    G(n) = exp(n L) = I + sin(n s) / s L + (1 - cos(n s)) / s^2 L^2        L = a b^T - b a^T
    s = sqrt(|a|^2 |b|^2 - (a . b)^2)        radians a position; a and b are learned

q is replaced by G(id_q) q and k by G(id_k) k, and their score depends on the difference of the two ids, as
G(m)^T G(n) = G(n - m). A token with id 0 is not rotated. Zhang et al., "Group Representational Position Encoding",
arXiv 2512.07805, the multiplicative form of rank 2, whose frequency omega is part of a and b here. Left out: several
planes at once, of which `rope` is a case, angles that sum up over the content, and the additive form, of which `alibi`
and `forgetting` are cases.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.encodings.base import LayerEncoding, PerLayer, Positions


class GRAPE(PerLayer):
    """Rotation in one learned plane.

    Heads begin with random planes and with the frequencies of RoPE, one each. Where several heads share their keys,
    they share a plane, and there are more planes than are used.

    Args:
        heads: attention heads.
        head_width: dimensions of a head, 2 or more.
        layers: of the model, each with planes of its own.
        base: of the wavelengths at the start, from 2 pi to nearly 2 pi * base positions.

    >>> ids = torch.tensor([[[0, 1]]])
    >>> layer = GRAPE(heads=1, head_width=2, layers=1).at(0)
    >>> layer.a.data, layer.b.data = torch.tensor([[0.0, 1.0]]), torch.tensor([[torch.pi / 2, 0.0]])
    >>> q = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    >>> layer.rotate(q, q, Positions(ids, ids))[0].round(decimals=3).tolist()
    [[[[1.0, 0.0], [0.0, 1.0]]]]
    """

    relative = True
    turns_queries = True
    turns_alone = True

    def __init__(self, heads: int, head_width: int, layers: int, base: float = 10000.0) -> None:
        if head_width < 2:
            raise ValueError(f"grape turns a plane of two dimensions or more, got heads of {head_width}")
        if not base > 0:
            raise ValueError(f"grape's base is above 0, got {base}")
        speed = base ** -(torch.arange(heads)[:, None] / heads)
        super().__init__(GRAPELayer((speed / head_width).sqrt(), head_width) for _ in range(layers))


class GRAPELayer(LayerEncoding):
    """The planes of one layer."""

    def __init__(self, std: Float[Tensor, "h 1"], head_width: int) -> None:
        super().__init__()
        self.a = nn.Parameter(std * torch.randn(len(std), head_width))
        self.b = nn.Parameter(std * torch.randn(len(std), head_width))

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        key_heads = k.shape[1]
        return self._turn(q, positions.q[0], key_heads), self._turn(k, positions.k[0], key_heads)

    def _turn(self, x: Float[Tensor, "b h n d"], ids: Int[Tensor, "b n"], key_heads: int) -> Float[Tensor, "b h n d"]:
        # Queries that share a key head share its plane, or no rotation of the key would suit them all.
        head = torch.arange(x.shape[1], device=x.device) * key_heads // x.shape[1]
        # Half precision knows no large ids, nor their angles.
        a, b, wide = (y.to(torch.promote_types(x.dtype, torch.float32)) for y in (self.a[head], self.b[head], x))
        # An orthonormal basis u, v of the plane, in which L is s (u v^T - v u^T): rounding then leaves lengths alone.
        u = functional.normalize(a, dim=-1)
        across = b - (u * b).sum(-1, keepdim=True) * u
        v = functional.normalize(across, dim=-1)
        s = a.norm(dim=-1, keepdim=True) * across.norm(dim=-1, keepdim=True)
        angles = ids[:, None, :, None] * s[:, None]
        u, v = u[:, None], v[:, None]
        # Not products of matrices, which autocast would round.
        along_u, along_v = (wide * u).sum(-1, keepdim=True), (wide * v).sum(-1, keepdim=True)
        less, sin = angles.cos() - 1, angles.sin()
        turned: Tensor = wide + (less * along_u + sin * along_v) * u + (less * along_v - sin * along_u) * v
        return turned.to(x.dtype)
