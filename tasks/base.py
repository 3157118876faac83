"""What a task is: the operands are given, the answer follows."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Int

from arith.tasks.digits import Numbers


class Task(Protocol):
    """A problem on two operands. Frozen, without state: data is drawn by `arith.tasks.sampling`."""

    @property
    def name(self) -> str: ...

    @property
    def symbol(self) -> str:
        """The operator as it is written."""
        ...

    def solve(self, a: Numbers, b: Numbers) -> Numbers:
        """The exact answers."""
        ...

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Digits of the longest answer to operands of `width` digits."""
        ...


@dataclass(frozen=True)
class Problems:
    """A batch of problems with their exact answers."""

    operands: tuple[Numbers, Numbers]
    answer: Numbers

    def __len__(self) -> int:
        return len(self.answer)

    def __getitem__(self, rows: slice) -> "Problems":
        a, b = self.operands
        return Problems((a[rows], b[rows]), self.answer[rows])
