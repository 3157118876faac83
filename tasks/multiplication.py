"""Multiplication of two numbers: `12*34=408`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Alphabet, Operation, Trace
from arith.tasks.digits import Numbers, multiply
from arith.tasks.schoolbook import KINDS


@dataclass(frozen=True)
class Multiplication:
    """Products of two numbers of any lengths.

    >>> Multiplication().solve(Numbers.of([12]), Numbers.of([34])).text(0)
    '408'
    """

    name: ClassVar[str] = "multiplication"
    symbol: ClassVar[str] = "*"
    operands: ClassVar[int] = 2
    alphabet: ClassVar[Alphabet] = "number"
    operation: ClassVar[Operation] = "product"
    signed: ClassVar[bool] = False

    def solve(self, *operands: Numbers) -> Numbers:
        return multiply(*operands)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return 2 * width

    def trace(self, kind: str) -> Trace:
        if kind not in KINDS:
            raise ValueError(f"multiplication is traced as {' or '.join(KINDS)}, got '{kind}'")
        return KINDS[kind]
