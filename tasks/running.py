"""Running sums of a string, written before its sum: `10110+running` `10110=11011;1`.

A digit of the steps follows from the one before it and from one digit of the string, at the same place: what is long
becomes many steps that are alike. The sums begin at the end of the string that is written first.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Task
from arith.tasks.digits import Numbers
from arith.tasks.lines import Order, Piece, number
from arith.tasks.modular import ModularSum


@dataclass(frozen=True)
class Running:
    """The sum so far after each digit, modulo what the task's answer is.

    >>> from arith.tasks.formats import Format
    >>> from arith.tasks.modular import Parity
    >>> Format(working=Running()).text(Parity(), 10110)
    '10110=11011;1'
    """

    name: ClassVar[str] = "running"
    symbols: ClassVar[str] = ""

    def check(self, task: Task, interleaved: bool) -> None:
        if not isinstance(task, ModularSum):
            raise ValueError(f"running sums are steps of parity and modular-sum, not of {task.name}. Leave them out")

    def pieces(
        self,
        task: Task,
        operands: tuple[Numbers, ...],
        answer_width: Int[np.ndarray, " b"] | None,
        order: Order,
    ) -> list[Piece]:
        assert isinstance(task, ModularSum)
        (string,) = operands
        # Digits beyond a string's length are zeros: sums from the top begin with nothing.
        digits = string.digits.astype(np.int64)
        sums = digits.cumsum(axis=1) if order == "lsb" else digits[:, ::-1].cumsum(axis=1)[:, ::-1]
        inside = np.arange(string.width) < string.lengths[:, None]
        return [number(Numbers((sums % task.modulo * inside).astype(np.uint8), string.lengths), string.lengths, order)]
