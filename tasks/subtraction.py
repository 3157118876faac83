"""Subtraction of two numbers: `123-456=-333`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Alphabet, Operation
from arith.tasks.digits import Numbers, subtract


@dataclass(frozen=True)
class Subtraction:
    """Differences of two numbers of any length, with their sign.

    >>> Subtraction().solve(Numbers.of([12]), Numbers.of([34])).text(0)
    '-22'
    """

    name: ClassVar[str] = "subtraction"
    symbol: ClassVar[str] = "-"
    operands: ClassVar[int] = 2
    alphabet: ClassVar[Alphabet] = "number"
    operation: ClassVar[Operation] = "difference"
    signed: ClassVar[bool] = True

    def solve(self, *operands: Numbers) -> Numbers:
        return subtract(*operands)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return width
