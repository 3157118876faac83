"""A first layer whose positions decide which tokens meet, and its loops, computed once for each set of tokens.

    added = u + MLP(norm(u)),  u = W [norm(e_1); ...; norm(e_L)]        e_l: the embedding of the token taken in lane l

and nothing where a lane has no token to take. A token that meets others is not asked itself: f(3, 8) is the same in
every column, loop and problem. 32 products of 15 digits have 15 thousand places where two digits meet, and there are a
hundred pairs of digits, so that loops which are summed (`model.loop_input=embeddings`) take rows of a small table:

    e + sum_t f_t(e)  =  e + sum over loops of table[tokens that meet there]

Sums are not normalised: a column counts what it meets.
"""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import ModelConfig
from arith.encodings.base import Positions
from arith.encodings.compose import Composed
from arith.model.block import MLP, LayerContext, at, select
from arith.model.embedding import Tokens
from arith.model.norm import RMSNorm


class LookupBlock(nn.Module):
    """The layer.

    Args:
        config: the model's shape.
        lanes: the number of tokens that each token takes.
    """

    def __init__(self, config: ModelConfig, lanes: int) -> None:
        super().__init__()
        self.lanes = lanes
        self.before_taking, self.before_mlp = RMSNorm(config.width), RMSNorm(config.width)
        self.take = nn.Linear(lanes * config.width, config.width, bias=False)
        self.mlp = MLP(config.width, config.hidden, config.activation)

    def meet(self, x: Float[Tensor, "... lanes w"]) -> Float[Tensor, "... w"]:
        """What tokens make together."""
        taken = self.take(self.before_taking(x).flatten(-2))
        added: Tensor = taken + self.mlp(self.before_mlp(taken))
        return added

    def forward(self, x: Float[Tensor, "b n w"], context: LayerContext) -> Float[Tensor, "b a w"]:
        x = context.encoding.hidden(x, context.new)
        everything = x[:, None]
        if context.cache is not None:
            _, everything = context.cache.extend(context.place, everything[..., :0], everything)
        keys = everything.shape[2]
        taken = context.encoding.taken(context.asked(keys)).expand(len(x), -1, -1)
        met = at(everything[:, 0], taken.clamp(min=0).flatten(1)).view(*taken.shape, -1)
        added = self.meet(met) * (taken >= 0).all(-1, keepdim=True)
        return context.select(x) + select(added, context.queries, context.picked)


def sum_loops(
    block: LookupBlock,
    embedding: Tokens,
    encoding: Composed,
    tokens: Int[Tensor, "b n"],
    positions: tuple[Positions, ...],
    loops: int,
    queries: int,
) -> Float[Tensor, "b q w"]:
    """What all loops add to the last tokens, each set of tokens that meets computed once.

    Args:
        block: the layer in the loops.
        embedding: of the tokens.
        encoding: decides which tokens are taken in each loop.
        tokens: all tokens.
        positions: their position ids, before they slide with the loop.
        loops: how many there are.
        queries: the number of last tokens that are wanted.
    """
    by_loop = [
        encoding.at(0, loop).taken(tuple(own.last(queries) for own in encoding.slide(positions, loop)))
        for loop in range(loops)
    ]
    places = torch.stack(by_loop, dim=2).expand(len(tokens), -1, -1, -1)
    # A set of tokens as one number, of as many digits as there are lanes; 0 where a lane has none to take.
    base, lane = embedding.num_embeddings, torch.arange(block.lanes, device=tokens.device)
    met = tokens.gather(1, places.clamp(min=0).flatten(1)).view_as(places)
    sets = (1 + (met * base**lane).sum(-1)) * (places >= 0).all(-1)
    distinct, row = torch.unique(sets, return_inverse=True)
    table = block.meet(embedding((distinct - 1).clamp(min=0)[:, None] // base**lane % base)) * (distinct > 0)[:, None]
    summed = functional.embedding_bag(rearrange(row, "b q loops -> (b q) loops"), table, mode="sum")
    return summed.view(*row.shape[:2], -1)
