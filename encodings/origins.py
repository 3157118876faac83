"""Where the ids of a sample begin.

    fixed    id                             the same in every sample
    random   id + u                         u in 0 .. span - 1
    cyclic   (id - 1 + u) mod period + 1    u in 0 .. period - 1: every id is trained equally often

Random starts: Kiyono et al., "SHAPE: Shifted Absolute Position Embedding", EMNLP 2021. There and in other papers tests
start at 1, where a trained table is at its worst; here tests draw their start as training does, and with tested=fixed
they start at 1. An id beyond the period of a cyclic origin, of a sequence that never ends, does not go round:
id + u, so that it is seen to be too large.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

Origin = Literal["fixed", "random", "cyclic"]
Tested = Literal["random", "fixed"]

SPAN = 64  # starts of a random origin, if not given


@dataclass(frozen=True)
class Shift:
    """How far the ids of a sample are moved. An id of 0 stays.

    Args:
        origin: see above.
        span: starts of a random origin; 64 if None. Others have none.
        period: ids that a cyclic origin goes through.
        tested: starts in tests: `random`, drawn as in training; `fixed`, at 1.

    >>> Shift("cyclic", span=None, period=4).move(torch.tensor([0, 1, 2, 3]), torch.tensor(2)).tolist()
    [0, 3, 4, 1]
    """

    origin: Origin
    span: int | None
    period: int
    tested: Tested = "random"

    def __post_init__(self) -> None:
        if self.origin not in ("fixed", "random", "cyclic"):
            raise ValueError(f"origin is fixed, random or cyclic, got {self.origin!r}")
        if self.tested not in ("random", "fixed"):
            raise ValueError(f"tested is random or fixed, got {self.tested!r}")
        if self.span is not None and self.origin != "random":
            raise ValueError(
                f"span is of a random origin, and the origin is {self.origin}. Write origin=random,span={self.span}, "
                f"or leave span out"
            )
        if self._starts < 1:
            raise ValueError(f"span is 1 or more, got {self.span}")

    @property
    def _starts(self) -> int:
        """Of a random origin."""
        return SPAN if self.span is None else self.span

    def highest(self, unmoved: int) -> int:
        """The largest id, of ids that would go up to `unmoved`."""
        if self.origin == "cyclic":
            return self.period
        return unmoved + (self._starts - 1 if self.origin == "random" else 0)

    def offset(self, drawn: Int[Tensor, " b"], tested: bool) -> Int[Tensor, " b"]:
        """How far to move.

        Args:
            drawn: a random integer, 0 or more, for each sample.
            tested: whether the samples are tests.
        """
        # Drawn for every sample and reduced here, so that a sample's number is the same whatever the origin.
        bounds = {"fixed": 1, "random": self._starts, "cyclic": self.period}
        return drawn % (1 if tested and self.tested == "fixed" else bounds[self.origin])

    def move(self, ids: Int[Tensor, "..."], offset: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
        moved = ids + offset
        if self.origin == "cyclic":
            # Ids go from 1 to the period, remainders from 0.
            moved = torch.where(ids > self.period, moved, (moved - 1) % self.period + 1)
        return moved * (ids > 0)
