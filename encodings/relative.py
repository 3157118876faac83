"""A learned score for each small distance, one table a head; all layers share the tables.

    score[q, k] += gain * table[h, clip(k - q, -radius, radius)]        and a score of its own where an id is 0

On coupled ids it tells a digit which digits have its significance: the soft bias of Cho et al.'s code for "Position
Coupling" (arXiv 2405.20671), and, with a window, the coupled window.
"""

import torch
from torch import nn

from arith.encodings.base import Encoding, TableEncoding
from arith.kernels.terms import DistanceTable, Ids


class Relative(TableEncoding, Encoding):
    """A learned bias by clipped distance.

    Args:
        heads: attention heads.
        radius: distances beyond share the outermost slot.
        gain: multiplies the table, which acts as a higher learning rate for it.
        spread: the score that each head begins with at a distance of its own, the first at the query's own id, the
            second at the id before it, and so on, the last ones at `radius`; 0: all begin alike.
        head, distance: of one head alone, from 0 on, which begins with `spread` at this distance k - q.

    >>> Relative(heads=3, radius=2, gain=1.0, spread=3.0).term(None).values.detach()
    tensor([[0., 0., 3., 0., 0., 0.],
            [0., 3., 0., 0., 0., 0.],
            [3., 0., 0., 0., 0., 0.]])
    """

    relative = True

    def __init__(
        self,
        heads: int,
        radius: int = 16,
        gain: float = 10.0,
        spread: float = 0.0,
        head: int | None = None,
        distance: int = 0,
    ) -> None:
        super().__init__()
        if radius < 1 or not gain > 0:
            raise ValueError(f"radius is a distance of 1 or more and gain above 0, got {radius} and {gain}")
        if abs(distance) > radius or (head is None and distance) or not 0 <= (head or 0) < heads:
            raise ValueError(
                f"one of {heads} heads, from 0 on, begins with a score at a distance within the radius: got head="
                f"{head}, distance={distance} and radius={radius}"
            )
        self.gain = gain
        # 2 radius + 1 distances, and pairs without a position. Zeros: it starts as a model without it.
        table = torch.zeros(heads, 2 * radius + 2)
        if head is None:
            each = torch.arange(heads)
            table[each, radius - each.clamp(max=radius)] = spread / gain
        else:
            table[head, radius + distance] = spread / gain
        self.table = nn.Parameter(table)

    def term(self, ids: Ids) -> DistanceTable:
        return DistanceTable(self.gain * self.table, ids)
