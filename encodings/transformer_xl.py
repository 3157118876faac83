"""Transformer-XL: a key for each distance, projected from its sinusoids, and two biases beside the query.

    score[q, k] = ((query + u) . key + (query + v) . W r[q - k]) / sqrt(d)
    r[D] = [sin(D w_0), .., cos(D w_0), ..]        w_i = 10000 ** (-2 i / width)

The second product is 0 where an id is 0; u weighs content alone and stands for every query.
Dai et al., arXiv 1901.02860, section 3.3. Each layer has its own W, u and v, as in their code with untied biases.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.encodings.base import LayerEncoding, Memory, PerLayer, Positions
from arith.kernels.terms import DistanceTable, QueryTable


class TransformerXL(PerLayer):
    """Sinusoids of the distance, projected.

    Args:
        width: of the model.
        heads: attention heads.
        layers: of the model.
        highest: the largest id.
        farthest: distances beyond share its sinusoids; `highest` if None, so that no distance is clipped.

    >>> TransformerXL(width=4, heads=1, layers=1, highest=9, farthest=1).at(0).sinusoids.table[:, 0].round(decimals=2)
    tensor([ 0.8400,  0.0000, -0.8400])
    """

    relative = True
    reads_queries = True

    def __init__(self, width: int, heads: int, layers: int, highest: int, farthest: int | None = None) -> None:
        # A farthest of one's own is where distances end; otherwise none may be clipped.
        farthest, reach = (highest, highest) if farthest is None else (farthest, None)
        if width % 2:
            raise ValueError(f"sines and cosines share the width: it must be even, got {width}")
        if farthest < 1:
            raise ValueError(f"farthest is a distance of 1 or more, got {farthest}")
        sinusoids = Sinusoids(width, farthest)
        super().__init__(TransformerXLLayer(sinusoids, width, heads) for _ in range(layers))
        self.reach = reach


class Sinusoids(nn.Module):
    """Those of every distance k - q from -farthest to farthest, for all layers."""

    table: Float[Tensor, "2r+1 w"]

    def __init__(self, width: int, farthest: int) -> None:
        super().__init__()
        # From keys far behind to keys far ahead: slots are in the order of k - q, the formula's distance is q - k. In
        # double precision, since the angles are as large as the distances.
        back = torch.arange(farthest, -farthest - 1, -1, dtype=torch.float64)
        angles = back[:, None] * 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        table = torch.cat([angles.sin(), angles.cos()], dim=1).to(torch.get_default_dtype())
        self.register_buffer("table", table, persistent=False)


class TransformerXLLayer(LayerEncoding):
    """The projection and the biases of one layer."""

    def __init__(self, sinusoids: Sinusoids, width: int, heads: int) -> None:
        super().__init__()
        self.sinusoids = sinusoids
        self.project = nn.Linear(width, width, bias=False)
        # Sinusoids have a mean square of 1/2, and so do the keys that this projection makes of them.
        nn.init.normal_(self.project.weight, std=1 / math.sqrt(width))
        self.content_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, width // heads))

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        return q + self.content_bias[:, None].to(q.dtype), k

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[QueryTable, DistanceTable]:
        keys = rearrange(self.project(self.sinusoids.table), "r (h d) -> h r d", h=q.shape[1])
        # The queries carry u already; what v has beyond it meets the keys without a query.
        beyond = (self.position_bias - self.content_bias)[:, None] / math.sqrt(q.shape[3])
        # One slot more, for pairs without a position.
        scores = functional.pad((beyond * keys).sum(-1), (0, 1))
        asking = q / math.sqrt(q.shape[3])
        by_query = QueryTable(asking, keys, first=-(keys.shape[1] // 2), ends=True, ids=positions.ids)
        return by_query, DistanceTable(scores, positions.ids)
