"""Carries of additions and borrows of subtractions, column by column."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from arith.tasks.base import Task, operation_of
from arith.tasks.digits import Numbers, resize


@dataclass(frozen=True)
class Columns:
    """Problems column by column, least significant first.

    Args:
        sums: of the operands' digits, without what is carried; for a subtraction their difference.
        carried: into each column; below zero for a borrow. A digit of the answer is `(sums + carried) % 10`.
        most: what can be carried into a column at the most, either way.
        borrows: whether it is a subtraction.
    """

    sums: Int[np.ndarray, "n w"]
    carried: Int[np.ndarray, "n w"]
    most: int
    borrows: bool

    def chains(self) -> Int[np.ndarray, " n"]:
        """The longest run of columns into which something is carried.

        >>> from arith.tasks.addition import Addition
        >>> columns(Addition(), [Numbers.of([95, 12, 999]), Numbers.of([7, 34, 1])]).chains().tolist()
        [2, 0, 3]
        """
        longest = np.zeros(len(self.carried), dtype=np.int64)
        run = np.zeros_like(longest)
        for column in self.carried.T:
            run = (run + 1) * (column != 0)
            longest = np.maximum(longest, run)
        return longest


def has_columns(task: Task) -> bool:
    """Whether a task is solved column by column with carries."""
    operation = operation_of(task)
    return operation == "sum" or (operation == "difference" and task.operands == 2)


def columns(task: Task, operands: Sequence[Numbers]) -> Columns:
    """The columns of additions or subtractions; of a difference below zero those of its magnitude."""
    if not has_columns(task):
        raise ValueError(f"{task.name} of {task.operands} operands has no columns with carries")
    # m digits and a carry of m - 1 sum to 10 m - 1 at most, which carries m - 1 again. The top column's carry needs
    # room.
    most = task.operands - 1
    width = max(number.width for number in operands) + len(str(most))
    digits = [resize(number.digits, width).astype(np.int64) for number in operands]
    borrows = operation_of(task) == "difference"
    if borrows:
        below = task.solve(*operands).signs[:, None]
        sums = np.where(below, digits[1] - digits[0], digits[0] - digits[1])
    else:
        sums = np.sum(digits, axis=0)
    carried = np.zeros_like(sums)
    for place in range(width - 1):
        # Floor division: a column of -3 carries -1, which is the borrow.
        carried[:, place + 1] = (sums[:, place] + carried[:, place]) // 10
    return Columns(sums, carried, most, borrows)
