"""Operands of additions in which every local configuration of digits and carry comes round equally often.

A digit of a sum follows from its column (two digits and the carry into them), and this carry from the column below.
What a model of local rules has to see is therefore each column, with each column that can stand above it:

    upper     u v     digits, or nothing where an operand has ended
    lower     x y     and the carry c into it, 0 or 1

Sample after sample holds the next lower column (x, y, c) of a list of all, and whenever one comes round again, the next
of its upper columns. Where in the numbers they stand, and the other digits, are random.
"""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int, UInt8

from arith.tasks.base import Alphabet, Task
from arith.tasks.samplers import check_two_summands, random_digits
from arith.tasks.stream import BLOCK, Stream

NOTHING = 10  # in place of a digit: the operand has ended


@dataclass(frozen=True)
class Configurations:
    """All pairs of neighbouring columns that operands of some lengths can have.

    Args:
        lower: the digits of each lower column, and the carry into it.
        upper: the digits of each column above; the rows of a lower column stand together.
        first, count: where those of each lower column begin, and how many they are.
        stride: how far to go among them from visit to visit.
    """

    lower: Int[np.ndarray, "c 3"]
    upper: Int[np.ndarray, "u 2"]
    first: Int[np.ndarray, " c"]
    count: Int[np.ndarray, " c"]
    stride: Int[np.ndarray, " c"]

    @staticmethod
    @functools.cache
    def of(low: int, high: int) -> "Configurations":
        """Those of operands of `low` to `high` digits.

        >>> len(Configurations.of(1, 4).lower), len(Configurations.of(1, 4).upper)
        (240, 24417)
        """
        symbols = np.arange(NOTHING + 1)
        x, y, c, u, v = (own.ravel() for own in np.meshgrid(symbols, symbols, (0, 1), symbols, symbols, indexing="ij"))
        digits = np.stack([[x, y], [u, v]])
        least, most = _places(digits, c, low, high)
        possible = (least <= most) & ~((x == NOTHING) & (y == NOTHING))
        columns, first, count = np.unique(
            np.stack([x, y, c])[:, possible], axis=1, return_index=True, return_counts=True
        )
        strides = np.array([_stride(int(own)) for own in count])
        return Configurations(columns.T, np.stack([u, v])[:, possible].T, first, count, strides)

    def at(self, index: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, "level operand n"], Int[np.ndarray, " n"]]:
        """The digits of the lower and the upper column of samples, and the carry into the lower."""
        column = index * _stride(len(self.lower)) % len(self.lower)
        visit = index // len(self.lower)
        # From column to column begun elsewhere: in one round different columns stand under different ones.
        above = self.first[column] + (visit + column) * self.stride[column] % self.count[column]
        return np.stack([self.lower[column, :2].T, self.upper[above].T]), self.lower[column, 2]


@dataclass(frozen=True)
class Covering:
    """Each sample holds the next of all pairs of neighbouring columns; see above.

    Args:
        low, high: digits of an operand.

    >>> from arith.tasks.addition import Addition
    >>> from arith.tasks.sampling import Source
    >>> a, b = Source(Addition(), Covering(1, 4), seed=0, split="train").operands(0, 3)
    >>> [f"{a.text(row)}+{b.text(row)}" for row in range(3)]
    ['1300+200', '3689+886', '278+5707']
    """

    low: int
    high: int
    held_out: ClassVar[bool] = True
    purpose: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise ValueError(f"operands have 1 digit or more, and a range rises: got {self.low}-{self.high}")

    @property
    def longest(self) -> int:
        return self.high

    def check(self, task: Task) -> None:
        check_two_summands(task, "an even draw of digits and carries (uniform = covering)")

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]:
        digits, carry = self._configurations(stream, np.arange(rows))
        place = _between(stream, *_places(digits, carry, self.low, self.high))
        lower, upper = digits
        ended, last = lower == NOTHING, (lower != NOTHING) & (upper == NOTHING)
        least = np.where(ended, self.low, np.where(last, place + 1, np.maximum(self.low, place + 2 + (upper == 0))))
        most = np.where(ended, place, np.where(last, place + 1, self.high))
        return _between(stream, least, most)

    def operands(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        (lower, upper), carry = self._configurations(stream, rows)
        # Drawn once more, from what the lengths leave: problems that belong to another split are drawn again without
        # the place that gave them their lengths.
        place = _between(stream, *_places(np.stack([lower, upper]), carry, lengths, lengths))
        digits = random_digits(stream, lengths, alphabet)
        _set(digits, place, lower)
        _set(digits, place + 1, upper)
        _carry_into(digits, lengths, place, carry, stream)
        return digits

    def _configurations(
        self, stream: Stream, rows: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, "level operand n"], Int[np.ndarray, " n"]]:
        return Configurations.of(self.low, self.high).at(stream.block * BLOCK + rows)


def _stride(count: int) -> int:
    """A step that visits all of `count` places, and any stretch of visits nearly evenly."""
    # Multiples of the golden ratio lie the most evenly on a circle.
    golden = round(count * (math.sqrt(5) - 1) / 2)
    return next(step for step in range(max(golden, 1), golden + count + 1) if math.gcd(step, count) == 1)


def _places(
    digits: Int[np.ndarray, "level operand n"],
    carry: Int[np.ndarray, " n"],
    low: int | Int[np.ndarray, "operand n"],
    high: int | Int[np.ndarray, "operand n"],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """The lowest and the highest place, counted from the units, at which a lower column can stand.

    Args:
        digits, carry: the columns; see `Configurations.at`.
        low, high: the fewest and the most digits of the operands. Where no place fits, the lowest is above the highest.
    """
    lower, upper = digits
    ended, last = lower == NOTHING, (lower != NOTHING) & (upper == NOTHING)
    least = np.where(ended, low, np.where(last, np.subtract(low, 1), 0))
    # A zero does not lead, but in the number 0: above an upper one there is a digit more.
    most = np.where(last, np.where(lower == 0, 0, np.subtract(high, 1)), high - 2 - (upper == 0))
    # An operand that has ended leaves the place to the other one, and does not begin again.
    most = np.where(ended, np.where(upper == NOTHING, np.max(high, axis=0) - 1, -1), most)
    # Nothing is carried into the units.
    return np.maximum(least.max(axis=0), carry), most.min(axis=0)


def _between(stream: Stream, least: Int[np.ndarray, "..."], most: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    drawn: np.ndarray = least + stream.below(most - least + 1, least.shape)
    return drawn


# In place: what these two change are digits that `random_digits` has just made.
def _set(digits: UInt8[np.ndarray, "2 n w"], place: Int[np.ndarray, " n"], column: Int[np.ndarray, "2 n"]) -> None:
    operand, row = np.nonzero(column != NOTHING)
    digits[operand, row, place[row]] = column[operand, row]


def _carry_into(
    digits: UInt8[np.ndarray, "2 n w"],
    lengths: Int[np.ndarray, "2 n"],
    place: Int[np.ndarray, " n"],
    carry: Int[np.ndarray, " n"],
    stream: Stream,
) -> None:
    """Change digits below some places so that these carries come into them."""
    sums = digits.sum(axis=0, dtype=np.int64)
    carried = np.zeros(len(place), dtype=np.int64)
    for column in range(int(place.max())):
        carried = np.where(column < place, (sums[:, column] + carried) // 10, carried)
    # The highest column below with two digits makes the carry, and nines of the longer operand take it on.
    makes = np.minimum(lengths.min(axis=0), place) - 1
    leads = (makes == lengths - 1) & (makes > 0)
    a = _between(stream, np.where(carry, 1, leads[0]), np.where(carry, 9, 8 - leads[1]))
    b = _between(stream, np.where(carry, 10 - a, leads[1]), np.where(carry, 9, 8 - a))
    wrong = carried != carry
    columns = np.arange(digits.shape[2])
    between = (columns > makes[:, None]) & (columns < place[:, None]) & (wrong & (carry == 1))[:, None]
    np.copyto(digits, np.uint8(9), where=between & (columns < lengths[..., None]))
    rows = np.flatnonzero(wrong)
    digits[:, rows, makes[rows]] = np.stack([a, b])[:, rows]
