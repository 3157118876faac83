"""What a task is: the operands are given, the answer follows."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Int

from arith.tasks.digits import Numbers

Alphabet = Literal["number", "string", "distinct"]  # distinct: a string in which no digit comes twice


class Task(Protocol):
    """A problem on one or more operands. Frozen, without state: data is drawn by `arith.tasks.sampling`."""

    @property
    def name(self) -> str: ...

    @property
    def symbol(self) -> str:
        """The operator, written between operands."""
        ...

    @property
    def operands(self) -> int:
        """How many there are."""
        ...

    @property
    def alphabet(self) -> Alphabet:
        """What operands are: numbers, or strings of digits, in which zeros at the front count."""
        ...

    @property
    def signed(self) -> bool:
        """Whether answers can be below zero."""
        ...

    def solve(self, *operands: Numbers) -> Numbers:
        """The exact answers."""
        ...

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Digits of the longest answer to operands of `width` digits."""
        ...


@dataclass(frozen=True)
class Problems:
    """A batch of problems with their exact answers."""

    operands: tuple[Numbers, ...]
    answer: Numbers

    def __len__(self) -> int:
        return len(self.answer)

    def __getitem__(self, rows: slice) -> "Problems":
        return Problems(tuple(number[rows] for number in self.operands), self.answer[rows])
