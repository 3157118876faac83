"""Sums of digits modulo a number: `modular-sum` `31479=4` (modulo 5) and, of zeros and ones, `parity` `10110=1`.

Every digit counts, wherever it stands, so that an answer needs all of a longer input. Parity is what transformers
cannot extend and recurrent models can: Hahn, arXiv 1906.06755; Deletang et al., arXiv 2207.02098, who have both tasks.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Alphabet
from arith.tasks.digits import Numbers


@dataclass(frozen=True)
class ModularSum:
    """The sum of all digits of a string, modulo a number.

    Args:
        modulo: 2 to 10, so that the answer is one digit.

    >>> ModularSum(modulo=7).solve(Numbers.of([999])).text(0)
    '6'
    """

    modulo: int = 5
    name: ClassVar[str] = "modular-sum"
    symbol: ClassVar[str] = ""
    operands: ClassVar[int] = 1
    alphabet: ClassVar[Alphabet] = "string"
    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 2 <= self.modulo <= 10:
            raise ValueError(f"modulo is 2 to 10, so that answers have one digit: got {self.modulo}")

    def solve(self, *operands: Numbers) -> Numbers:
        (string,) = operands
        # Digits beyond a string's length are zeros, which add nothing.
        sums = string.digits.sum(axis=1, dtype=np.int64) % self.modulo
        return Numbers(sums[:, None].astype(np.uint8), np.ones(len(string), dtype=np.int64))

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return np.ones_like(width)


@dataclass(frozen=True)
class Parity(ModularSum):
    """Whether a string of zeros and ones has an odd number of ones.

    >>> Parity().solve(Numbers.read(["0111"])).text(0)
    '1'
    """

    modulo: int = 2
    name: ClassVar[str] = "parity"
    alphabet: ClassVar[Alphabet] = 2

    def __post_init__(self) -> None:
        if self.modulo != 2:
            raise ValueError(f"parity is modulo 2, got {self.modulo}. Use modular-sum")
