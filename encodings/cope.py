"""CoPE: positions count only the tokens that a query finds worth counting.

    gate[q, k] = sigmoid(scores so far)
    position[q, k] = min(gate[q, k] + gate[q, k + 1] + .. + gate[q, q], farthest)
    score[q, k] += query . key[position[q, k]]        between whole positions, linear

It takes no ids: positions come from the content, in the order of the tokens, of which a query counts none ahead.
Golovneva et al., "Contextual Position Encoding", arXiv 2405.18719. As in the listing of its appendix the gates see
scores divided by sqrt(d) and the last product is not divided; heads share the keys, layers do not.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arith.encodings.base import LayerEncoding, Memory, PerLayer, Positions
from arith.kernels.terms import ScoreMod


class CoPE(PerLayer):
    """A learned key by counted position. For causal attention only, of sequences without padding before their tokens.

    All tokens between key and query are counted, those too that the op's `valid` or `documents` hide: what they mark
    it does not see. The model passes neither.

    Args:
        head_width: dimensions of a head.
        layers: of the model.
        farthest: where counting stops.

    >>> CoPE(head_width=8, layers=1, farthest=4).at(0).table.shape
    torch.Size([5, 8])
    """

    relative = True
    takes_ids = False
    reads_queries = True
    counts_tokens = True
    causal = True

    def __init__(self, head_width: int, layers: int, farthest: int = 63) -> None:
        if farthest < 1:
            raise ValueError(f"cope counts to 1 or farther, got farthest={farthest}")
        super().__init__(CoPELayer(head_width, farthest) for _ in range(layers))


class CoPELayer(LayerEncoding):
    """The keys of one layer."""

    def __init__(self, head_width: int, farthest: int) -> None:
        super().__init__()
        # Zeros, as in the listing: a new model scores as if it had no positions.
        self.table = nn.Parameter(torch.zeros(farthest + 1, head_width))

    def terms(
        self,
        x: Float[Tensor, "b n w"],
        q: Float[Tensor, "b h q d"],
        k: Float[Tensor, "b g k d"],
        positions: Positions,
        memory: Memory,
    ) -> tuple[ScoreMod]:
        return (ScoreMod(partial(self._count, q)),)

    def _count(self, q: Float[Tensor, "b h q d"], scores: Float[Tensor, "b h q k"]) -> Float[Tensor, "b h q k"]:
        queries, keys = scores.shape[2:]
        farthest = self.table.shape[0] - 1
        # Half precision cannot count: from 256 on, bfloat16 has no odd numbers.
        gates = scores.to(torch.promote_types(scores.dtype, torch.float32)).sigmoid().tril(keys - queries)
        # Gates ahead of a query are 0 by now. From the right, the sum at a key is that of all gates from it to the
        # query.
        position = gates.flip(-1).cumsum(-1).flip(-1).clamp(max=farthest)
        # The floor has no gradient, so positions learn through `above` alone. One below the last slot at most, or the
        # slot above would not exist.
        below = position.detach().floor().clamp(max=farthest - 1)
        above = position - below
        whole = q @ self.table.transpose(0, 1)
        slot = below.long()
        lower, upper = whole.gather(-1, slot), whole.gather(-1, slot + 1)
        return scores + (lower * (1 - above) + upper * above).to(scores.dtype)
