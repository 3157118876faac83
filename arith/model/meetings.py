"""Loops that are summed, computed once for each set of tokens that meets, and not once for each place.

Where positions decide which token each head takes (`arith.encodings.lookup`), what a loop adds to a token is a function
of those that it takes: f(3, 8) is the same in every loop, column and problem. 32 products of 15 digits have 15 thousand
such places and little more than a hundred sets of tokens, for each of which the first layer is computed once:

    sum_t (f_t(e) - e)  =  sum over loops of rows of a table,  one row for each distinct set
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.encodings.base import LayerEncoding, Lookup, Positions
from arith.encodings.compose import Composed, ComposedLayer
from arith.model.block import Block, LayerContext


class Meetings(LayerEncoding):
    """The positions of a set of tokens: the last one takes all of them, each by heads of its own.

    Args:
        heads: the heads that take each.
    """

    def __init__(self, heads: Sequence[slice]) -> None:
        super().__init__()
        self.heads = heads

    def lookups(self, positions: Positions) -> tuple[Lookup, ...]:
        sets = positions.q.shape[1]
        return tuple(Lookup(heads, positions.q.new_full((sets, 1), place)) for place, heads in enumerate(self.heads))


def sum_meetings(
    block: Block,
    embedding: nn.Embedding,
    encoding: Composed,
    tokens: Int[Tensor, "b n"],
    positions: tuple[Positions, ...],
    loops: int,
    queries: int,
) -> Float[Tensor, "b q w"]:
    """What all loops add to the last tokens' embeddings.

    Args:
        block: the layer in the loops.
        embedding: of the tokens.
        encoding: one whose lookups decide the attention of the first layer.
        tokens: all tokens.
        positions: their position ids, before they slide with the loop.
        loops: how many there are.
        queries: the number of last tokens that are wanted.
    """
    by_loop = [
        encoding.at(0, loop).lookups(tuple(own.last(queries) for own in encoding.slide(positions, loop)))
        for loop in range(loops)
    ]
    heads = [lookup.heads for lookup in by_loop[0]]
    # A set of tokens as one number, of as many digits as there are tokens in it.
    base = embedding.num_embeddings
    sets = torch.zeros(1, dtype=torch.long, device=tokens.device)
    for lane in range(len(heads)):
        places = torch.stack([lookups[lane].token for lookups in by_loop], dim=2).expand(len(tokens), -1, -1)
        met = tokens.gather(1, rearrange(places, "b q loops -> b (q loops)")).view_as(places)
        sets = sets + base**lane * met
    distinct, row = torch.unique(sets, return_inverse=True)
    x = embedding(torch.stack([distinct // base**lane % base for lane in range(len(heads))], dim=1))
    ids = distinct.new_ones(1, len(distinct), x.shape[1])
    own = (Positions(ids, ids),)
    layer = ComposedLayer([(Meetings(heads), 0)])
    table = block(x, LayerContext(0, layer, queries=1, picked=None, new=own, everything=own, cache=None)) - x[:, -1:]
    summed = functional.embedding_bag(rearrange(row, "b q loops -> (b q) loops"), table[:, 0], mode="sum")
    return summed.view(*row.shape[:2], -1)
