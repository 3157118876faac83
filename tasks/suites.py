"""Fixed test sets that look at one kind of problem each, always the same bytes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8

from arith.tasks.base import Alphabet, Drawn, Task
from arith.tasks.samplers import check_distinct, check_two_summands, complement_to_nine, random_digits
from arith.tasks.stream import Stream

SuiteName = Literal["random", "unequal", "nines", "chain", "sparse", "equal", "powers", "adjacent", "thin"]
# What each is. Their order is part of their random streams: new ones go to the end.
SUITES: dict[SuiteName, str] = {
    "random": "all operands have the tested length",
    "unequal": "one operand has it, the others are shorter, uniformly",
    "nines": "99..9 and a number of any length up to that; the first problem is 99..9 + 1",
    "chain": "every column sums to nine but the lowest, which sums to ten: one carry runs through all",
    "sparse": "all digits but the leading one are zero, nine times in ten",
    "equal": "both operands are the same number",
    "powers": "both operands are powers of ten",
    "adjacent": "one operand is a digit shorter than the other",
    "thin": "one operand has it, the other has one digit or two, and each comes first in half of the problems",
}


@dataclass(frozen=True)
class Suite:
    """A test set of one digit length.

    Args:
        name: one of SUITES.
        digits: of the longer operand.
    """

    name: SuiteName
    digits: int

    def __post_init__(self) -> None:
        if self.digits < 1:
            raise ValueError(f"a tested length is 1 digit or more, got {self.digits}")

    @property
    def held_out(self) -> bool:
        # The others are chosen for their structure: of 99..9 or powers of ten there are too few to keep a share for
        # tests. Evaluation counts how many of them training held.
        return self.name in ("random", "unequal", "adjacent", "thin")

    @property
    def longest(self) -> int:
        return self.digits

    @property
    def purpose(self) -> int:
        # 24 bits of digits, below the suite's number: apart from samplers, whose purposes are small, and within 30 bits
        # for up to 63 suites.
        return (1 + list(SUITES).index(self.name)) << 24 | self.digits

    def check(self, task: Task) -> None:
        if self.name != "random" and isinstance(task, Drawn):
            raise ValueError(f"suite '{self.name}' chooses digits, and {task.name} draws its own. Use random")
        if self.name == "chain":
            check_two_summands(task, "suite 'chain'")
        if self.name in ("nines", "equal", "powers", "adjacent", "thin") and (
            task.operands != 2 or task.alphabet != "number"
        ):
            raise ValueError(f"suite '{self.name}' is for two numbers, and {task.name} takes others. Leave it out")
        if self.name == "unequal" and task.operands < 2:
            raise ValueError(f"suite 'unequal' is for two operands or more, and {task.name} has one. Leave it out")
        if self.name == "sparse" and task.alphabet == "distinct":
            raise ValueError(f"suite 'sparse' repeats zeros, and {task.name} repeats no digit. Leave it out")
        check_distinct(task, self.digits)

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]:
        lengths = np.full((operands, rows), self.digits)
        if self.name in ("unequal", "nines", "powers", "adjacent", "thin"):
            longer = (stream.below(operands, (rows,)) + 1) % operands
            shorter = np.arange(operands)[:, None] != longer
            if self.name == "adjacent":
                lengths[shorter] = max(self.digits - 1, 1)
            else:
                lengths.T[shorter.T] = 1 + stream.below(self._shorter_lengths, ((operands - 1) * rows,))
        return lengths

    @property
    def _shorter_lengths(self) -> int:
        if self.name == "thin":
            return min(self.digits, 2)
        return self.digits if self.name in ("nines", "powers") else max(self.digits - 1, 1)

    def operands(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        digits = random_digits(stream, lengths, alphabet)
        if self.name == "sparse":
            keep = stream.below(10, digits.shape) == 0
            keep |= np.arange(digits.shape[2]) == lengths[..., None] - 1
            digits *= keep
        if self.name == "equal":
            digits[1] = digits[0]
        if self.name == "powers":
            digits[:] = np.arange(digits.shape[2]) == lengths[..., None] - 1
        if self.name == "nines":
            longer = np.argmax(lengths, axis=0)
            digits[longer, np.arange(len(rows))] = 9
            # The first problem is fixed, so that the longest carry chain is always tested. `lengths` is the caller's
            # array: its operand gets one digit there as well.
            digits[1 - longer[0], 0] = 0
            digits[1 - longer[0], 0, 0] = 1
            lengths[1 - longer[0], 0] = 1
        if self.name == "chain":
            span = np.ones(digits.shape[1:], dtype=bool)
            digits[0, :, -1] = 1 + stream.below(8, (len(rows),))  # 9 would leave a leading zero
            # The second operand's units will be 10 - d, a digit only for d of 1 or more.
            digits[0, :, 0] = np.maximum(digits[0, :, 0], 1)
            complement_to_nine(digits, lengths, span)
            digits[1, :, 0] += 1
        return digits
