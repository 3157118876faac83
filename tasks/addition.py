"""Addition of two or more numbers: `123+456=579`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Alphabet, Operation
from arith.tasks.digits import Numbers, add


@dataclass(frozen=True)
class Addition:
    """Sums of numbers of any length.

    Args:
        operands: how many numbers are added.

    >>> Addition().solve(Numbers.of([95]), Numbers.of([7])).text(0)
    '102'
    """

    operands: int = 2
    name: ClassVar[str] = "addition"
    symbol: ClassVar[str] = "+"
    alphabet: ClassVar[Alphabet] = "number"
    operation: ClassVar[Operation] = "sum"
    signed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.operands < 2:
            raise ValueError(f"a sum has 2 operands or more, got {self.operands}")

    def solve(self, *operands: Numbers) -> Numbers:
        return add(*operands)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return width + len(str(self.operands - 1))
