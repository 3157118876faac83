"""Position schemes of looped multiplication, whose ids slide: in every loop other digits have the same id.

    12 * 34 with four columns for the answer      1 2 * 3 4 = c c c c        least significant column first
    multiplicand, first loop                      3 2 0 0 0 0 2 3 4 5
    multiplicand, second loop                     4 3 0 0 0 0 2 3 4 5        column k meets digit k - t of loop t
    multiplier, first loop                        0 0 0 3 2 0 2 2 2 2
    multiplier, second loop                       0 0 0 3 2 0 3 3 3 3        every column meets digit t

The first level of ids is that of the first loop, the second is what each loop adds to it, 0 or 1.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.coupled import Coupled, CoupledState
from arith.encodings.digit_positions import in_answer
from arith.encodings.positions import Prompt, Reading


@dataclass(frozen=True)
class Sliding(ABC):
    """What the two schemes share. Digits are counted as coupled positions count them.

    Args:
        digits: of the longest number.
        ahead: an answer's tokens, the equals sign among them, have the ids of the column after their own, which they
            predict in a model that writes digit by digit.
    """

    digits: int
    ahead: bool = False
    levels = 2
    structure_aware = True
    ordered = True
    cyclic = False
    resolution = 1
    slides = True

    @abstractmethod
    def _slide(
        self, significance: Int[Tensor, "b n"], number: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"]
    ) -> tuple[Int[Tensor, "b n"], Bool[Tensor, "b n"]]:
        """Ids of the first loop, and which of them move."""

    def highest(self, tokens: int, digits: int) -> int:
        # Loops are as many as the answer has digits, or fewer: those of a factor, and of the carries that are left.
        return 1 + 2 * digits + self.ahead

    def check(self, reading: Reading) -> None:
        Coupled(self.digits).check(reading)

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "levels b n"]:
        return self._ids(self._coupled_scheme(prompt).full(prompt, tokens, key, capacity), in_answer(tokens, prompt))

    def start(
        self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int
    ) -> tuple[Int[Tensor, "levels b n"], CoupledState]:
        ids, state = self._coupled_scheme(prompt).start(prompt, key, capacity)
        return self._ids(ids, in_answer(prompt.tokens, prompt)), state

    def step(self, token: Int[Tensor, " b"], state: CoupledState) -> tuple[Int[Tensor, "levels b 1"], CoupledState]:
        ids, after = Coupled(self.digits, levels=2).step(token, state)
        return self._ids(ids, torch.ones_like(ids[0], dtype=torch.bool)), after

    def _coupled_scheme(self, prompt: Prompt) -> Coupled:
        return Coupled(self.digits, levels=2, numbers=prompt.reading.numbers)

    def _ids(self, ids: Int[Tensor, "2 b n"], answer: Bool[Tensor, "b n"]) -> Int[Tensor, "levels b n"]:
        significance, number = ids
        signs = significance < 2
        if self.ahead:
            # The sign before a number counts as its own: the answer is the third.
            equals = (significance == 1) & (number == 3)
            answer, signs = answer | equals, signs & ~equals
            significance = significance + answer
        first, moves = self._slide(significance.masked_fill(signs, 0), number.masked_fill(signs, 0), answer)
        # What has no position in the first loop gets none later.
        return torch.stack([first, moves * (first > 0)])


@dataclass(frozen=True)
class Multiplicand(Sliding):
    """The first factor moves along the answer's columns, a column each loop."""

    def _slide(
        self, significance: Int[Tensor, "b n"], number: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"]
    ) -> tuple[Int[Tensor, "b n"], Bool[Tensor, "b n"]]:
        factor = (number == 1) & ~answer
        return significance * (factor | answer), factor


@dataclass(frozen=True)
class Multiplier(Sliding):
    """The answer's columns move along the second factor, all of them together, a digit each loop."""

    def _slide(
        self, significance: Int[Tensor, "b n"], number: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"]
    ) -> tuple[Int[Tensor, "b n"], Bool[Tensor, "b n"]]:
        factor = (number == 2) & ~answer
        # The units' id: after t loops it is that of digit t.
        together = 2 * (significance > 0) * answer
        return torch.where(factor, significance, together), answer
