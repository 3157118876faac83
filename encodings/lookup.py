"""The first layer looks up: each token takes the first one that has its own id, and no score is computed.

    tokens of 12 * 34, loop 1      ^ 2 1 * 4 3 = 8 0 4 0       least significant digit first
    multiplicand, ids              0 2 3 0 0 0 2 3 4 5 6
    takes                          - - - - - - 1 2 - - -       the places of the tokens that are taken

Composed on several schemes, `lookup@multiplicand+lookup@multiplier`, a token takes one for each: the digits that meet
in a column. What `lanes` begins with and learns to change is decided here. What the layer adds to a token is a function
of what it takes and of nothing else, so that it can be computed once for all places where the same tokens meet; see
`arith.model.lookup`.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.base import Encoding, Positions


class Lookup(Encoding):
    """Which token each token takes in the first layer; nothing is learned, and other layers are left to others.

    >>> ids = torch.tensor([[[0, 5, 6, 7, 6, 5]]])
    >>> Lookup().taken(Positions(ids, ids))
    tensor([[-1, -1, -1, -1,  2,  1]])
    """

    relative = True
    looks_up = True

    def taken(self, positions: Positions) -> Int[Tensor, "#b q"]:
        q, k = positions.q[0], positions.k[0]
        index = torch.arange(k.shape[1], device=k.device).expand_as(k)
        # The first token of each id, as a table by id: to compare every query with every key would take n squared.
        table = index.new_zeros(len(k), int(k.max()) + 1)
        found = table.scatter_reduce(1, k, index, "amin", include_self=False).gather(1, q)
        own = index[:, k.shape[1] - q.shape[1] :]
        return found.masked_fill((found == own) | (q == 0), -1)
