"""Shaw: a learned key for each distance, which the query meets as it meets the tokens' keys.

    score[q, k] += query . key[h, clip(k - q, -radius, radius)] / sqrt(d)        and 0 where an id is 0

Shaw et al., "Self-Attention with Relative Position Representations", arXiv 1803.02155, section 3.2. A table for each
layer and head, as in their base model. Their learned values are left out: table 3 there has the same quality without.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arith.encodings.base import LayerEncoding, Memory, PerLayer, Positions
from arith.kernels.terms import QueryTable


class Shaw(PerLayer):
    """A learned key by clipped distance.

    Args:
        heads: attention heads.
        head_width: dimensions of a head.
        layers: of the model.
        radius: distances beyond share the outermost key.
        std: of the start.

    >>> Shaw(heads=4, head_width=8, layers=2, radius=1).at(0).table.shape
    torch.Size([4, 3, 8])
    """

    relative = True
    reads_queries = True

    def __init__(self, heads: int, head_width: int, layers: int, radius: int = 16, std: float = 0.1) -> None:
        if radius < 1:
            raise ValueError(f"radius is a distance of 1 or more, got {radius}")
        if std < 0:
            raise ValueError(f"shaw's std is 0 or more, got {std}")
        super().__init__(ShawLayer(std * torch.randn(heads, 2 * radius + 1, head_width)) for _ in range(layers))


class ShawLayer(LayerEncoding):
    """The keys of one layer."""

    def __init__(self, start: Float[Tensor, "h 2r+1 d"]) -> None:
        super().__init__()
        self.table = nn.Parameter(start)

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[QueryTable]:
        radius = self.table.shape[1] // 2
        return (QueryTable(q / math.sqrt(q.shape[3]), self.table, first=-radius, ends=True, ids=positions.ids),)
