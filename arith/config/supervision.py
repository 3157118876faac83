"""What a model is shown in training beside answers."""

from dataclasses import dataclass
from typing import Literal

from arith.config.ranges import Count, Rate, Share


@dataclass(frozen=True)
class TraceConfig:
    """Supervision in depth: an answer that is revised loop by loop, and a loss on the state after each loop.

    Args:
        kind: which of the task's traces, such as carry-save or running-sum of a multiplication, or the values of a
            chain of clauses that are read in place (`lego:asked=each`); None: no such model.
        random: share of training samples that start from random states instead of one of their own problem.
    """

    kind: str | None = None
    random: Share = 0.5


@dataclass(frozen=True)
class AuxiliaryConfig:
    """An auxiliary loss on a middle layer of a standard model, beside the answer's; see `arith.model.kinds.summing`.

    Args:
        kind: running-sum: the sum of each column of an addition or product, its carry included; None: no such loss.
        layer: how many layers are below the auxiliary head, fewer than the model has.
        weight: its loss's weight at each token that predicts a digit; the answer's loss has 1.
    """

    kind: Literal["running-sum"] | None = None
    layer: Count = 1
    weight: Rate = 1.0
