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

    >>> Relative(heads=4, radius=1).table.shape
    torch.Size([4, 4])
    """

    relative = True

    def __init__(self, heads: int, radius: int = 16, gain: float = 10.0) -> None:
        super().__init__()
        if radius < 1:
            raise ValueError(f"radius is a distance of 1 or more, got {radius}")
        self.gain = gain
        # 2 radius + 1 distances, and pairs without a position. Zeros: it starts as a model without it.
        self.table = nn.Parameter(torch.zeros(heads, 2 * radius + 2))

    def term(self, ids: Ids) -> DistanceTable:
        return DistanceTable(self.gain * self.table, ids)
