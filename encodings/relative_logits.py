"""Relative logits: a score for each distance, which each token makes by mixing a few learned profiles.

    score[q, k] += (r[h, q] . profiles)[q - k]    where -ahead <= q - k < extent; 0 elsewhere, and where an id is 0
    r[h, q] = W_h x[q]                            of `rank` numbers, from the layer's input

The relative attention of Inkling (Thinking Machines, 2026; `InklingRelativeLogits` in transformers), which replaces
rotations in all its layers: Shaw's keys by distance at a low rank, and from the layer's input instead of the query.
Inkling 2 limits r to a norm (`clip`), and both scale queries and r by `1 + alpha log(n / floor)` in layers that see
everything, n being the query's id: what `floor` is for.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from arith.encodings.base import LayerEncoding, Memory, PerLayer, Positions
from arith.kernels.terms import QueryTable


class RelativeLogits(PerLayer):
    """Profiles of scores by distance, mixed by each token.

    Args:
        width: of the model.
        heads: attention heads, which share the profiles and mix them by numbers of their own.
        layers: of the model.
        extent: distances from 0 up to this one have scores.
        ahead: distances to keys with higher ids that have scores too, as on ids of digits, where both sides matter.
        rank: the number of profiles.
        clip: the largest norm of r; None: it is not limited.
        floor: ids beyond it sharpen attention by the logarithm; None: none do.
        alpha: by how much.
        std: of the profiles' start.

    >>> RelativeLogits(width=8, heads=2, layers=1, extent=4, ahead=1).at(0).profiles.shape
    torch.Size([5, 16])
    """

    by_distance = True

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        extent: int = 128,
        ahead: int = 0,
        rank: int = 16,
        clip: float | None = None,
        floor: int | None = None,
        alpha: float = 0.1,
        std: float = 0.1,
    ) -> None:
        if extent < 1 or ahead < 0 or rank < 1:
            raise ValueError(
                f"relative-logits has an extent and a rank of 1 or more, and ahead of 0 or more: got extent={extent}, "
                f"rank={rank} and ahead={ahead}"
            )
        if std < 0 or (clip is not None and not clip > 0) or (floor is not None and floor < 1):
            raise ValueError(
                f"relative-logits has std of 0 or more, clip above 0 and floor of 1 or more, or none of the last two: "
                f"got std={std}, clip={clip} and floor={floor}"
            )
        shapes = width, heads, extent, ahead, rank
        super().__init__(RelativeLogitsLayer(*shapes, clip, floor, alpha, std) for _ in range(layers))
        # A floor asks how large ids are, and not their differences alone.
        self.relative = floor is None


class RelativeLogitsLayer(LayerEncoding):
    """The profiles of one layer, and what mixes them."""

    def __init__(
        self,
        width: int,
        heads: int,
        extent: int,
        ahead: int,
        rank: int,
        clip: float | None,
        floor: int | None,
        alpha: float,
        std: float,
    ) -> None:
        super().__init__()
        self.heads, self.extent, self.clip, self.floor, self.alpha = heads, extent, clip, floor, alpha
        self.mix = nn.Linear(width, heads * rank, bias=False)
        nn.init.normal_(self.mix.weight, std=1 / math.sqrt(width))
        # Slots in the order of k - q: from the farthest key behind to the farthest ahead.
        self.profiles = nn.Parameter(std * torch.randn(extent + ahead, rank))

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        return self._sharpen(q, positions), k

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[QueryTable]:
        asking = x[:, x.shape[1] - q.shape[2] :]
        states = rearrange(self.mix(asking), "b q (h e) -> b h q e", h=self.heads)
        if self.clip is not None:
            # The small number keeps the gradient finite where r is 0.
            states = states * (self.clip / (states.norm(dim=-1, keepdim=True) + 1e-6)).clamp(max=1)
        states = self._sharpen(states, positions)
        return (QueryTable(states, self.profiles[None], first=1 - self.extent, ids=positions.ids),)

    def _sharpen(self, x: Float[Tensor, "b h q e"], positions: Positions) -> Float[Tensor, "b h q e"]:
        if self.floor is None:
            return x
        # Half precision knows no large ids.
        ids = rearrange(positions.q[0], "b q -> b 1 q 1").to(torch.promote_types(x.dtype, torch.float32))
        return x * (1 + self.alpha * (ids / self.floor).clamp(min=1).log()).to(x.dtype)
