"""Numbers as digit matrices: exact arithmetic on whole batches, at any length.

A number is a row of digits, least significant digit first, zero beyond its length. Every operation is
a short loop over columns, vectorised over rows, in integers that provably cannot overflow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt, UInt8


@dataclass(frozen=True)
class Numbers:
    """A batch of integers.

    Args:
        digits: of the magnitude, least significant first, zero beyond a number's length.
        lengths: digits each number is written with, at least 1.
        negative: which are below zero; None: none.

    >>> Numbers.of([7, -120]).digits.tolist()
    [[7, 0, 0], [0, 2, 1]]
    """

    digits: UInt8[np.ndarray, "n w"]
    lengths: Int[np.ndarray, " n"]
    negative: Bool[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, rows: slice | Bool[np.ndarray, " n"]) -> "Numbers":
        negative = None if self.negative is None else self.negative[rows]
        return Numbers(self.digits[rows], self.lengths[rows], negative)

    @property
    def signs(self) -> Bool[np.ndarray, " n"]:
        """Which numbers are below zero."""
        return np.zeros(len(self), dtype=bool) if self.negative is None else self.negative

    @property
    def width(self) -> int:
        return int(self.digits.shape[1])

    def text(self, row: int) -> str:
        """The number of one row in decimal, most significant digit first."""
        digits = self.digits[row, : self.lengths[row]][::-1]
        sign = "-" if self.signs[row] else ""
        return sign + (digits + np.uint8(ord("0"))).tobytes().decode()

    @staticmethod
    def of(values: Sequence[int]) -> "Numbers":
        """Digit matrices of Python integers."""
        return Numbers.read([str(value) for value in values])

    @staticmethod
    def read(texts: Sequence[str]) -> "Numbers":
        """Digit matrices of decimal strings of any length, signs and leading zeros kept."""
        negative = np.array([text.startswith("-") for text in texts], dtype=bool)
        texts = [text.removeprefix("-") for text in texts]
        width = max(map(len, texts), default=1)
        joined = "".join(text[::-1].ljust(width, "0") for text in texts).encode()
        # `frombuffer` gives a read-only view; the subtraction makes the array that is returned.
        digits = np.frombuffer(joined, np.uint8).reshape(len(texts), width) - np.uint8(ord("0"))
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        return Numbers(digits, lengths, negative if negative.any() else None)

    @staticmethod
    def join(parts: Sequence["Numbers"]) -> "Numbers":
        """Several batches as one."""
        width = max(part.width for part in parts)
        digits = np.concatenate([resize(part.digits, width) for part in parts])
        signed = any(part.negative is not None for part in parts)
        negative = np.concatenate([part.signs for part in parts]) if signed else None
        return Numbers(digits, np.concatenate([part.lengths for part in parts]), negative)


def resize(digits: UInt8[np.ndarray, "n w"], width: int) -> UInt8[np.ndarray, "n width"]:
    """The same digits in a matrix of another width, cut or filled with zeros at the top."""
    if digits.shape[1] >= width:
        return digits[:, :width]
    return np.pad(digits, ((0, 0), (0, width - digits.shape[1])))


def sort_longest_first(numbers: Sequence[Numbers]) -> tuple[Numbers, ...]:
    """The numbers of each row in the order of their lengths, longest first; those of one length stay in their order.

    >>> a, b = sort_longest_first([Numbers.of([12, 56]), Numbers.of([345, 78])])
    >>> [(a.text(row), b.text(row)) for row in (0, 1)]
    [('345', '12'), ('56', '78')]
    """
    lengths = np.stack([own.lengths for own in numbers])
    order = np.argsort(-lengths, axis=0, kind="stable")
    if (order == np.arange(len(numbers))[:, None]).all():
        return tuple(numbers)
    width, rows = max(own.width for own in numbers), np.arange(lengths.shape[1])
    digits, signs = np.stack([resize(own.digits, width) for own in numbers]), np.stack([own.signs for own in numbers])
    signed = any(own.negative is not None for own in numbers)
    return tuple(Numbers(digits[o, rows], lengths[o, rows], signs[o, rows] if signed else None) for o in order)


def significant_lengths(digits: UInt8[np.ndarray, "n w"]) -> Int[np.ndarray, " n"]:
    """Digits up to the highest that is not zero; zero itself has one digit."""
    top_zeros = np.argmax(digits[:, ::-1] != 0, axis=1)
    return np.where(digits.any(axis=1), digits.shape[1] - top_zeros, 1)


def add(*numbers: Numbers) -> Numbers:
    """The sums of two or more batches of non-negative numbers.

    Columns of up to 25 numbers stay below 256 with their carry (225 + 25); more are added in wider columns.

    >>> total = add(Numbers.of([999, 5]), Numbers.of([1, 5]))
    >>> total.text(0), total.text(1)
    ('1000', '10')
    """
    # m numbers of w digits sum to less than m 10**w: beyond w columns there is m - 1 at most.
    width = max(number.width for number in numbers) + len(str(len(numbers) - 1))
    # A row a column of digits, so that the carry loop reads memory in order.
    columns = np.zeros((width, len(numbers[0])), dtype=np.uint8 if len(numbers) <= 25 else np.uint32)
    for number in numbers:
        columns[: number.width] += number.digits.T
    return _carry(columns)


def subtract(a: Numbers, b: Numbers) -> Numbers:
    """The differences of two batches of non-negative numbers, with their signs.

    >>> difference = subtract(Numbers.of([12, 1000]), Numbers.of([345, 1]))
    >>> difference.text(0), difference.text(1)
    ('-333', '999')
    """
    width = max(a.width, b.width)
    # Differences of digits are -9 to 9, and -10 with a borrow.
    columns = resize(a.digits, width).astype(np.int8) - resize(b.digits, width).astype(np.int8)
    # The highest column that differs has the sign. Equal numbers have none: argmax is 0, and the top column, which
    # holds 0, is not negative.
    highest = width - 1 - np.argmax(columns[:, ::-1] != 0, axis=1)
    negative = columns[np.arange(len(columns)), highest] < 0
    columns[negative] *= -1  # the larger one stands first now, so that no borrow is left at the top
    digits = np.empty(columns.shape, dtype=np.uint8)
    borrow = np.zeros(len(columns), dtype=np.int8)
    for place in range(width):
        column = columns[:, place] - borrow
        borrow = (column < 0).astype(np.int8)
        digits[:, place] = column + 10 * borrow
    return Numbers(digits, significant_lengths(digits), negative)


def multiply(a: Numbers, b: Numbers) -> Numbers:
    """The products of two batches of numbers: digit convolution, then carries.

    A column of the convolution is at most 81 * min(widths), and less than 90 * min(widths) with the carry into it:
    16 bits are exact to 728 digits, 32 bits to 47 million.

    >>> multiply(Numbers.of([12345678901]), Numbers.of([98765432109])).text(0)
    '1219326311336229232209'
    """
    # One step for each digit of the shorter factor, over whole rows of the longer one.
    if a.width < b.width:
        a, b = b, a
    # A schoolbook convolution in integers and no FFT, whose rounded floats would have to be proved exact at every
    # length. The narrower the integers, the more of them a vector register holds.
    kind = np.uint16 if 90 * b.width < 2**16 else np.uint32
    columns = np.zeros((a.width + b.width, len(a)), dtype=kind)
    wide = a.digits.T.astype(kind, order="C")
    for place, digit in enumerate(b.digits.T):
        columns[place : place + a.width] += wide * digit
    return _carry(columns)


def _carry(columns: UInt[np.ndarray, "w n"]) -> Numbers:
    """Columns of any size, least significant first, as digits. The top one must be able to take the last carry."""
    for place in range(len(columns) - 1):
        carry = columns[place] // 10
        # The remainder from the quotient: division is the slow operation here.
        columns[place] -= 10 * carry
        columns[place + 1] += carry
    digits = np.ascontiguousarray(columns.T, dtype=np.uint8)
    return Numbers(digits, significant_lengths(digits))
