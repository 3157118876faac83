"""Multiplication of two numbers: `12*34=408`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.digits import Numbers, multiply


@dataclass(frozen=True)
class Multiplication:
    """Products of two numbers of any lengths.

    >>> Multiplication().solve(Numbers.of([12]), Numbers.of([34])).text(0)
    '408'
    """

    name: ClassVar[str] = "multiplication"
    symbol: ClassVar[str] = "*"

    def solve(self, a: Numbers, b: Numbers) -> Numbers:
        return multiply(a, b)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return 2 * width
