"""Ids that are drawn for a whole sequence at once, and randomised positions.

    tokens        ^ 1 2 +  3  4  5  =  7  5  3  $
    randomized    2 5 6 9 11 17 18 25 26 33 40 41        of 1 .. 48

Ruoss et al., "Randomized Positional Encodings Boost Length Generalization of Transformers", arXiv 2305.16843: an
ascending sample without replacement from more ids than any test is long, so that training has shown all of them.
The paper draws as many ids as a sequence is long. How long an answer will be is not known here, so as many are drawn
as the longest sequence of the data has, and a shorter one takes the first of them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.draws import Use, subset
from arith.encodings.positions import Prompt, Reading


class DrawnState(NamedTuple):
    """Tokens so far, and the ids of all that may come."""

    tokens: Int[Tensor, " b"]
    ids: Int[Tensor, "b capacity"]


@dataclass(frozen=True)
class Drawn(ABC):
    """Ids that depend on a token's index and on what its sample draws."""

    levels = 1
    structure_aware = False
    ordered = True
    cyclic = False
    resolution = 1

    @property
    @abstractmethod
    def largest(self) -> int:
        """The largest id."""

    def highest(self, tokens: int, digits: int) -> int:
        if tokens > self.largest:
            raise ValueError(
                f"it draws ids from 1 to {self.largest}, too few for sequences of {tokens} tokens. "
                f"Write span={tokens} or more"
            )
        return self.largest

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 #b n"]:
        index = torch.arange(tokens.shape[1], device=tokens.device)[None]
        return _at(self._ids(prompt, key, capacity), index)[None]

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Int[Tensor, "1 b n"], DrawnState]:
        ids = self._ids(prompt, key, capacity).expand(len(key), -1)
        index = torch.arange(prompt.tokens.shape[1], device=key.device)[None]
        return _at(ids, index)[None], DrawnState(prompt.length, ids)

    def step(self, token: Int[Tensor, " b"], state: DrawnState) -> tuple[Int[Tensor, "1 b 1"], DrawnState]:
        return _at(state.ids, state.tokens[:, None])[None], state._replace(tokens=state.tokens + 1)

    def _ids(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Int[Tensor, "#b capacity"]:
        # Refuses a capacity beyond the span, with the reason.
        self.highest(capacity, 0)
        return self._draw(prompt, key, capacity)

    @abstractmethod
    def _draw(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Int[Tensor, "#b capacity"]:
        """Ids of sequences of the greatest length."""


@dataclass(frozen=True)
class Randomized(Drawn):
    """The index of the token among ids that its sample draws.

    Args:
        span: ids are drawn from 1 .. span, in training; should exceed the longest test.
        tested: ids of tests. `random`: drawn as in training, as in the paper. `even`: id i of n is
            i (span + 1) / (n + 1), rounded down, what a draw has on average; the same for all samples.

    >>> Randomized(span=48).highest(tokens=12, digits=4)
    48
    """

    span: int = 2048
    tested: Literal["random", "even"] = "random"

    def __post_init__(self) -> None:
        if self.tested not in ("random", "even"):
            raise ValueError(f"tested is random or even, got {self.tested!r}")

    @property
    def largest(self) -> int:
        return self.span

    def _draw(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Int[Tensor, "#b capacity"]:
        if prompt.tested and self.tested == "even":
            place = torch.arange(1, capacity + 1, device=key.device)[None]
            return place * (self.span + 1) // (capacity + 1)
        return 1 + subset(key, Use.SUBSET, capacity, self.span)


def _at(ids: Int[Tensor, "#b capacity"], index: Int[Tensor, "#b n"]) -> Int[Tensor, "#b n"]:
    """The ids of tokens by index. A model that writes more than there can be gets ids that go on from the last."""
    # Either may be one row for the whole batch.
    rows, last = max(len(ids), len(index)), ids.shape[1] - 1
    found = ids.expand(rows, -1).gather(1, index.clamp(max=last).expand(rows, -1))
    return found + (index - last).clamp(min=0)
