"""DAPE: a score for each distance, and what an MLP over the heads makes of it and of the scores.

    score[q, k] += B[q, k] + f([scores so far, B])[q, k]        f: 2 h -> hidden -> h, LeakyReLU between, at each pair

    B = -p_h log(1 + a_h |k - q|)        base kerple; p and a learned (Chi et al., arXiv 2205.09921)
    B = -m_h |k - q|                     base alibi; m_h = 2 ** (-8 h / heads), or as in biases.py (arXiv 2108.12409)

A pair of which one id is 0 keeps its scores. Zheng et al., "DAPE", arXiv 2405.14722; each layer has its own.
"""

from functools import partial
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from arith.encodings.base import PerLayer, TableEncoding
from arith.encodings.biases import alibi_exponents, exact
from arith.kernels.terms import Ids, ScoreMod

Base = Literal["kerple", "alibi"]


class DAPE(PerLayer):
    """A bias by distance that adapts to the scores. Memory and time grow with `hidden` numbers a pair of tokens.

    Args:
        heads: attention heads.
        layers: of the model.
        base: what is adapted.
        hidden: units of the MLP.

    >>> DAPE(heads=4, layers=1, hidden=8).at(0).adapt[0]
    Linear(in_features=8, out_features=8, bias=True)
    """

    relative = True

    def __init__(self, heads: int, layers: int, base: Base = "kerple", hidden: int = 32) -> None:
        if base not in BASES:
            raise ValueError(f"dape's base is one of {', '.join(BASES)}, got {base}")
        if hidden < 1:
            raise ValueError(f"dape's MLP has 1 unit or more, got hidden={hidden}")
        super().__init__(DAPELayer(BASES[base](heads), heads, hidden) for _ in range(layers))


class Kerple(nn.Module):
    """Falls with the logarithm of the distance."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        # Logarithms keep both above 0; drawn as the authors draw them.
        self.log_scale = nn.Parameter((2 * torch.rand(heads, 1, 1)).clamp(min=0.01).log())
        self.log_rate = nn.Parameter(torch.rand(heads, 1, 1).clamp(min=0.01).log())

    def forward(self, distance: Float[Tensor, "b 1 q k"]) -> Float[Tensor, "b h q k"]:
        return -self.log_scale.exp() * torch.log1p(exact(self.log_rate).exp() * distance)


class ALiBi(nn.Module):
    """Falls with the distance, at a slope that halves and halves from head to head."""

    slopes: Float[Tensor, "h 1 1"]

    def __init__(self, heads: int) -> None:
        super().__init__()
        slopes = torch.exp2(-torch.tensor(alibi_exponents(heads)))
        self.register_buffer("slopes", slopes[:, None, None], persistent=False)

    def forward(self, distance: Float[Tensor, "b 1 q k"]) -> Float[Tensor, "b h q k"]:
        return -exact(self.slopes) * distance


BASES = {"kerple": Kerple, "alibi": ALiBi}


class DAPELayer(TableEncoding):
    """The base and the MLP of one layer."""

    def __init__(self, base: nn.Module, heads: int, hidden: int) -> None:
        super().__init__()
        self.base = base
        # No second bias: it would raise all scores of a row alike, which the softmax does not see.
        self.adapt = nn.Sequential(nn.Linear(2 * heads, hidden), nn.LeakyReLU(), nn.Linear(hidden, heads, bias=False))

    def term(self, ids: Ids) -> ScoreMod:
        return ScoreMod(partial(self._adapt, ids))

    def _adapt(self, ids: Ids, scores: Float[Tensor, "b h q k"]) -> Float[Tensor, "b h q k"]:
        own, other = rearrange(ids.q, "b q -> b 1 q 1"), rearrange(ids.k, "b k -> b 1 1 k")
        bias = self.base((other - own).abs()).to(scores.dtype).expand_as(scores)
        # The MLP mixes the heads of one pair of tokens, so heads come last; this is the tensor that takes the memory.
        pairs = rearrange(torch.cat([scores, bias], dim=1), "b h q k -> b q k h")
        adapted = bias + rearrange(self.adapt(pairs), "b q k h -> b h q k")
        # A pair without a position keeps its scores: the mask is on the sum, as the MLP gives something for a bias of 0
        # too.
        out: Tensor = scores + adapted * ((own != 0) & (other != 0))
        return out
