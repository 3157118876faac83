"""A learned score for each small distance whose first layers begin sharp: each share of the heads follows one scheme.

    score[q, k] += gain * table[layer, h, clip(k - q, -radius, radius)]        and a score of its own where an id is 0

    start of a sharp layer      same id    other distance    an id is 0
    heads of this lane             0            -30             -10
    other heads                  -30            -30               0

Composed on as many schemes as there are lanes, such as the two factors' of a product, a head begins by seeing the one
token that has its own id there, and signs where no token has. What scores are called for is learned from there: that a
head finds a digit at all need not be.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arith.encodings.base import PerLayer, TableEncoding
from arith.kernels.terms import DistanceTable, Ids

# e**-30 is 1e-13: beside a key of the query's own id all others vanish.
HIDDEN = -30.0
# Between the two: signs are seen where no token has the query's id, and only there.
SIGNS = -10.0


class Lanes(PerLayer):
    """A learned bias by clipped distance for each layer.

    Args:
        heads: attention heads.
        layers: of the model.
        lane: of this scheme, from 1.
        lanes: that share the heads.
        sharp: how many of the layers, the first ones, begin so; the tables of the others begin at 0.
        radius: distances beyond share the outermost slot.
        gain: multiplies the tables, which acts as a higher learning rate for them.

    >>> Lanes(heads=2, layers=1, lane=1).at(0).scores().tolist()
    [[-30.0, 0.0, -30.0, -10.0], [-30.0, -30.0, -30.0, 0.0]]
    """

    relative = True

    def __init__(
        self,
        heads: int,
        layers: int,
        lane: int = 1,
        lanes: int = 2,
        sharp: int = 1,
        radius: int = 1,
        gain: float = 10.0,
    ) -> None:
        if not 1 <= lane <= lanes:
            raise ValueError(f"lane is one of 1 to {lanes}, as there are {lanes} lanes: got {lane}")
        if heads < lanes:
            raise ValueError(f"each lane takes a head or more: got {lanes} lanes and {heads} heads")
        if sharp < 0 or radius < 1 or not gain > 0:
            raise ValueError(
                f"sharp is 0 or more layers, radius a distance of 1 or more and gain above 0: "
                f"got sharp={sharp}, radius={radius}, gain={gain}"
            )
        start = torch.full((heads, 2 * radius + 2), HIDDEN)
        # Heads in runs, one run a lane, of sizes that differ by one at most.
        own = torch.arange(heads) * lanes // heads == lane - 1
        start[own, radius], start[own, -1], start[~own, -1] = 0.0, SIGNS, 0.0
        super().__init__(LanesLayer(start * (layer < sharp), gain) for layer in range(layers))


class LanesLayer(TableEncoding):
    """The scores of one layer."""

    def __init__(self, start: Float[Tensor, "h 2r+2"], gain: float) -> None:
        super().__init__()
        self.gain = gain
        # What is added begins at `start`, whatever the gain.
        self.table = nn.Parameter(start / gain)

    def scores(self) -> Float[Tensor, "h 2r+2"]:
        """By distance, and where an id is 0, as they are added."""
        return self.gain * self.table

    def term(self, ids: Ids) -> DistanceTable:
        return DistanceTable(self.scores(), ids)
