"""Learned embeddings: a trained vector for each position id is added to the token's.

    x[t] + E[id[t]]                              and just x[t] where the id is 0
    x[t] + E[1][id[1][t]] + E[2][id[2][t]]       on ids of two levels, of which one may be 0

Gehring et al., arXiv 1705.03122; GPT-2. On abacus ids: McLeish et al., "Transformers Can Do Arithmetic with the
Right Embeddings", arXiv 2405.17399. On coupled ids: Cho et al., "Position Coupling", arXiv 2405.20671, and on those of
several levels, arXiv 2410.15787.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from arith.encodings.base import Encoding, Positions


class Learned(Encoding):
    """One vector a position. Ids that training never showed keep their random start.

    Args:
        width: of the model.
        highest: the largest id; the table has one row for each from 0, and row 0 is not used.
        std: of the start; compare that of the token embedding, 1.
        levels: of ids; each has a table of its own.

    >>> Learned(width=4, highest=10).table.shape
    torch.Size([11, 4])
    """

    def __init__(self, width: int, highest: int, std: float = 0.5, levels: int = 1) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"learned's levels are 1 or more, got {levels}")
        if std < 0:
            raise ValueError(f"learned's std is 0 or more, got {std}")
        self.reach, self.levels = highest, levels
        self.table = nn.Parameter(std * torch.randn(highest + 1, width))
        for level in range(2, levels + 1):
            # The first keeps the name that it has in models of one level.
            self.register_parameter(f"table_{level}", nn.Parameter(std * torch.randn(highest + 1, width)))

    def embed(self, x: Float[Tensor, "b n w"], positions: Positions) -> Float[Tensor, "b n w"]:
        # Parameters come in the order in which they were registered: a table a level. Row 0 is looked up and multiplied
        # by 0.
        for ids, table in zip(positions.q[: self.levels], self.parameters(), strict=True):
            try:
                x = x + functional.embedding(ids, table) * (ids != 0)[..., None]
            except IndexError as error:  # on a CPU; a GPU says so by itself, later
                raise IndexError(
                    f"learned has position ids up to {self.reach}, and here one is larger, or below 0. Build it with "
                    f"larger tokens=, or digits= where ids count digits"
                ) from error
        return x

    def extra_repr(self) -> str:
        return f"highest={self.reach}" + (f", levels={self.levels}" if self.levels > 1 else "")
