"""Tasks on strings of digits: copy `12034=12034` and reverse `12034=43021`. Zeros count like other digits.

Reverse is the toy task that motivates Shen et al., arXiv 2311.14737.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Alphabet
from arith.tasks.digits import Numbers


@dataclass(frozen=True)
class Copy:
    """The same digits again.

    Args:
        distinct: no digit comes twice in a string, which then has ten at most.

    >>> Copy().solve(Numbers.of([120])).text(0)
    '120'
    """

    distinct: bool = False
    name: ClassVar[str] = "copy"
    symbol: ClassVar[str] = ""
    operands: ClassVar[int] = 1
    signed: ClassVar[bool] = False

    @property
    def alphabet(self) -> Alphabet:
        return "distinct" if self.distinct else "string"

    def solve(self, *operands: Numbers) -> Numbers:
        (number,) = operands
        return number

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return width


@dataclass(frozen=True)
class Reverse(Copy):
    """The digits from the last to the first.

    Args:
        distinct: as for copy.

    >>> Reverse().solve(Numbers.of([120])).text(0)
    '021'
    """

    name: ClassVar[str] = "reverse"

    def solve(self, *operands: Numbers) -> Numbers:
        (number,) = operands
        place = number.lengths[:, None] - 1 - np.arange(number.width)
        digits = np.take_along_axis(number.digits, np.maximum(place, 0), axis=1)
        return Numbers(np.where(place >= 0, digits, 0).astype(np.uint8), number.lengths)
