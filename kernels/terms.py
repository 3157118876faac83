"""What can be added to attention scores, as plain data. A position id of 0 means "no position" everywhere.

Scores are finite: what must not be seen is hidden by a `Window`, or by a score as low as -10,000. Beside -inf, plain
torch could not tell hidden keys from visible ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Ids:
    """Integer positions of queries and keys; `b` may be 1. Where a term's ids are None, token index + 1 is meant."""

    q: Int[Tensor, "b q"]
    k: Int[Tensor, "b k"]

    @property
    def shared(self) -> bool:
        """Whether all samples have the same."""
        return self.q.shape[0] == self.k.shape[0] == 1


@dataclass(frozen=True)
class DistanceTable:
    """A score for each distance: `values[h, r + clip(k - q, -r, r)]`; the last slot, where one of the ids is 0."""

    values: Float[Tensor, "h 2r+2"]
    ids: Ids | None = None


@dataclass(frozen=True)
class PairTable:
    """A score for each pair of positions, `values[h, q, k]`, shared by the batch."""

    values: Float[Tensor, "h p p"]
    ids: Ids | None = None


@dataclass(frozen=True)
class Window:
    """Only keys with `-left <= k - q <= right` are visible, and every pair of which one id is 0."""

    left: int
    right: int
    ids: Ids | None = None


@dataclass(frozen=True)
class Decay:
    """Forgetting attention: `cumulative[q] - cumulative[k]`, sums of log forget gates along the sequence."""

    cumulative: Float[Tensor, "b h k"]


@dataclass(frozen=True)
class KeyTable:
    """A learned key for each distance: `query . values[h, r + clip(k - q, -r, r)] * scale`; 0 where an id is 0."""

    values: Float[Tensor, "h 2r+1 d"]
    ids: Ids | None = None


@dataclass(frozen=True)
class ScoreMod:
    """Any function of the scores so far, `"b h q k" -> "b h q k"`; plain torch only."""

    function: Callable[[Tensor], Tensor]


Term = DistanceTable | PairTable | Window | Decay | KeyTable | ScoreMod
