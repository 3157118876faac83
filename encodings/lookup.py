"""Heads that take the value of one token each: the first one with the query's own id.

    out[q] = sum over heads of W_h v_h[first token whose id is the query's]      token 0 where none before it has the id

Composed on as many schemes as there are lanes, such as the two factors' of a product, each lane's share of the heads
follows one scheme. What `lanes` begins with and learns to change is fixed here: the first layer has no queries and no
keys, and what is added to a token depends on one token a lane, so that it can be computed once for all places where the
same tokens meet; see `arith.model.meetings`.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.base import LayerEncoding, Lookup, PerLayer, Positions
from arith.encodings.lanes import heads_of_lane


class LookupHeads(PerLayer):
    """Decided attention in the first layer; the others are left to other encodings.

    Args:
        heads: attention heads.
        layers: of the model.
        lane: of this scheme, from 1.
        lanes: that share the heads.

    >>> from arith.encodings.base import Positions
    >>> ids = torch.tensor([[[0, 5, 6, 7, 6, 5]]])
    >>> [lookup] = LookupHeads(heads=2, layers=1).at(0).lookups(Positions(ids, ids))
    >>> lookup.token
    tensor([[0, 0, 0, 0, 2, 1]])
    """

    relative = True

    def __init__(self, heads: int, layers: int, lane: int = 1, lanes: int = 1) -> None:
        own = heads_of_lane(heads, lane, lanes)
        super().__init__([LookupLayer(own), *(LayerEncoding() for _ in range(1, layers))])
        self.lane, self.lanes = lane, lanes


class LookupLayer(LayerEncoding):
    """The heads of one lane in one layer."""

    def __init__(self, heads: slice) -> None:
        super().__init__()
        self.heads = heads

    def lookups(self, positions: Positions) -> tuple[Lookup, ...]:
        return (Lookup(self.heads, first_with_own_id(positions)),)


def first_with_own_id(positions: Positions) -> Int[Tensor, "b q"]:
    """The first token with each query's id; token 0, which is the begin mark, if that is the query or its id is 0."""
    q, k = positions.q[0], positions.k[0]
    index = torch.arange(k.shape[1], device=k.device).expand_as(k)
    # A table from ids to tokens, as many rows as ids: comparing every query with every key would take n squared.
    table = index.new_zeros(len(k), int(k.max()) + 1)
    found = table.scatter_reduce(1, k, index, "amin", include_self=False).gather(1, q)
    own = index[:, k.shape[1] - q.shape[1] :]
    return found * ((found < own) & (q > 0))
