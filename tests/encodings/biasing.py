"""The bias that an encoding adds to the scores, for ids as schemes give them and at random."""

import torch
from torch import Tensor, nn

from arith.encodings.base import Encoding, Positions
from arith.kernels.attention import attention
from arith.kernels.terms import ScoreMod

HEADS, HIGHEST = 6, 30
# Shared, falling, absent: as schemes give them, and at random.
IDS = torch.cat(
    [
        torch.tensor([[0, 3, 2, 1, 4, 3, 2, 1, 2, 3, 4, 0], [30, 1, 30, 0, 15, 15, 7, 0, 0, 29, 2, 1], [0] * 12]),
        torch.randint(0, HIGHEST + 1, (3, 12), generator=torch.Generator().manual_seed(0)),
    ]
)


def bias(encoding: Encoding, ids: Tensor, queries: int | None = None, layer: int = 0) -> Tensor:
    """What an encoding adds to the scores, "b h q k", caught on the way through the attention op."""
    caught = []

    def catch(scores: Tensor) -> Tensor:
        caught.append(scores)
        return scores

    batch, tokens = ids.shape
    positions = Positions(ids[None], ids[None]).last(queries or tokens)
    k = torch.zeros(batch, HEADS, tokens, 2, dtype=torch.float64)
    q = k[:, :, : queries or tokens]
    terms = encoding.at(layer).terms(torch.zeros(1), q, k, positions, {})
    attention(q, k, k, terms=(*terms, ScoreMod(catch)), causal=False)
    return caught[0]


def randomised(encoding: Encoding) -> Encoding:
    """In double precision, with parameters that differ from head to head."""
    generator = torch.Generator().manual_seed(1)
    for parameter in encoding.double().parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return encoding
