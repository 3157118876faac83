"""Addition of two numbers: `123+456=579`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.digits import Numbers, add


@dataclass(frozen=True)
class Addition:
    """Sums of two numbers of any length.

    >>> Addition().solve(Numbers.of([95]), Numbers.of([7])).text(0)
    '102'
    """

    name: ClassVar[str] = "addition"
    symbol: ClassVar[str] = "+"

    def solve(self, a: Numbers, b: Numbers) -> Numbers:
        return add(a, b)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return width + 1
