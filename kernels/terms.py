"""What can be added to attention scores, as plain data. A position id of 0 means "no position" everywhere.

In the formulas q and k are the ids of a query and a key, i and j the places of their tokens; b is the sample, h the
head, r a table's radius. `tests/kernels/test_terms.py` reads them from these docstrings and compares the op with them.

Scores are finite: a key is hidden by a `Window`, or by a score as low as -10,000. With -inf among them, plain torch
could not tell hidden keys from visible ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Ids:
    """Integer positions of queries and keys; `b` may be 1. A term whose ids are None goes by token index + 1.

    Args:
        q, k: of 32 or 64 bits, and from -2^30 to 2^30: the fused kernels count in 32 bits, in which differences have to
            fit too, and cut off the rest without a word, as looking at the numbers would wait for the device.
        indexes_tokens: whether a sample's ids are its token indices, all moved by the same number, and none is 0. Then
            `k - q` is `j - i`, and fused kernels need no ids for what looks at distances.
    """

    q: Int[Tensor, "b q"]
    k: Int[Tensor, "b k"]
    indexes_tokens: bool = False

    @property
    def shared(self) -> bool:
        """Whether all samples have the same ids."""
        return self.q.shape[0] == self.k.shape[0] == 1


@dataclass(frozen=True)
class DistanceTable:
    """A score for each distance: `values[h, r + clip(k - q, -r, r)]`, and `values[h, 2 * r + 1]` where an id is 0."""

    values: Float[Tensor, "h 2r+2"]
    ids: Ids | None = None


@dataclass(frozen=True)
class PairTable:
    """A score for each pair of positions, shared by the batch: `values[h, q - 1, k - 1]`, and `0` where an id is 0."""

    values: Float[Tensor, "h p p"]
    ids: Ids | None = None


@dataclass(frozen=True)
class Window:
    """Hides keys but those with `-left <= k - q <= right`; `True`, the key stays visible, where an id is 0."""

    left: int
    right: int
    ids: Ids | None = None


@dataclass(frozen=True)
class Decay:
    """Forgetting attention: `cumulative[b, h, i] - cumulative[b, h, j]`, sums of log forget gates up to a token."""

    cumulative: Float[Tensor, "b h k"]


@dataclass(frozen=True)
class QueryTable:
    """A score for each distance, which the query decides.

    With s slots it is `dot(states[b, h, i], values[h, clip(k - q - first, 0, s - 1)])`, and `0` where an id is 0 or,
    without `ends`, the distance is beyond the slots.

    Shaw's keys by distance are such a table, whose states are the scaled queries. So are Inkling's relative logits:
    their states are a projection of the layer's input, of few numbers.

    Args:
        states: what each query brings.
        values: of each slot; those of one head may serve all.
        first: the distance k - q of the first slot. A table of 16 slots that looks back begins at -15.
        ends: whether distances beyond the slots go to the outermost ones.
    """

    states: Float[Tensor, "b h q e"]
    values: Float[Tensor, "#h s e"]
    first: int
    ends: bool = False
    ids: Ids | None = None


@dataclass(frozen=True)
class ScoreMod:
    """Any function of the scores so far, `"b h q k" -> "b h q k"`; plain torch only."""

    function: Callable[[Tensor], Tensor]


Term = DistanceTable | PairTable | Window | Decay | QueryTable | ScoreMod
