"""How many parentheses a token stands in, counted from 1: those of a pair stand in themselves.

    tokens       ^ 3 * ( 5 + ( 5 - 2 ) ) + 6 = 3 0 $
    ids          1 1 1 2 2 2 3 3 3 3 3 2 1 1 1 1 1 1

A level of an expression has one id, and what is one level further in the next. IBM, "Universal Transformers for Circuit
Computations", arXiv 2608.31067, give a looped model such ids.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.positions import Prompt, Reading


class NestingState(NamedTuple):
    """Open parentheses so far, and what each symbol of the vocabulary opens or closes."""

    depth: Int[Tensor, " b"]
    nesting: Int[Tensor, "b v"]


@dataclass(frozen=True)
class Nesting:
    """The depth of parentheses.

    >>> Nesting().highest(tokens=12, digits=4)
    13
    """

    levels = 1
    structure_aware = True
    ordered = True
    cyclic = False
    resolution = 1

    def highest(self, tokens: int, digits: int) -> int:
        return tokens + 1  # nothing but parentheses, all of them open

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 b n"]:
        change = _nesting_by_row(prompt).gather(1, tokens)
        # More closed than opened, as an answer could write, leaves the depth at none.
        depth = change.cumsum(1)
        depth = depth - depth.cummin(1).values.clamp(max=0)
        return (1 + depth - change.clamp(max=0))[None]

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Int[Tensor, "1 b n"], NestingState]:
        ids, nesting = self.full(prompt, prompt.tokens, key, capacity), _nesting_by_row(prompt)
        last = nesting.gather(1, prompt.tokens[:, -1:])[:, 0]
        return ids, NestingState(ids[0, :, -1] - 1 + last.clamp(max=0), nesting)

    def step(self, token: Int[Tensor, " b"], state: NestingState) -> tuple[Int[Tensor, "1 b 1"], NestingState]:
        change = state.nesting.gather(1, token[:, None])[:, 0]
        depth = (state.depth + change).clamp(min=0)
        return (1 + depth - change.clamp(max=0))[None, :, None], state._replace(depth=depth)


def _nesting_by_row(prompt: Prompt) -> Int[Tensor, "b v"]:
    """What each symbol opens or closes, a row a sample; nothing where the vocabulary does not say."""
    nesting = prompt.table.nesting
    own = torch.zeros_like(prompt.table.kind) if nesting is None else nesting
    return own.long().expand(len(prompt.tokens), -1)
