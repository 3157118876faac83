"""Distributions of operands: uniform over lengths or values, with a share of carry-heavy ones, on a schedule."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from arith.tasks.base import Alphabet, Task, digits_in, name_in_refusal, operation_of
from arith.tasks.digits import significant_lengths
from arith.tasks.stream import BLOCK, Stream, scale


class Randoms(Protocol):
    """Where digits come from."""

    def halves(self, shape: tuple[int, ...]) -> UInt64[np.ndarray, "..."]:
        """Uniform 32-bit numbers, in 64 bits."""
        ...


class Sampler(Protocol):
    """A distribution of operands. Frozen."""

    @property
    def held_out(self) -> bool:
        """Whether a split's problems are kept out of the other splits."""
        ...

    @property
    def longest(self) -> int:
        """Digits of the longest operand."""
        ...

    @property
    def purpose(self) -> int:
        """Number of its random stream: samplers of different purposes share no random numbers."""
        ...

    def check(self, task: Task) -> None:
        """Raise a ValueError if a task has no such problems."""
        ...

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]: ...

    def operands(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        """Digits of operands of these lengths, which stand in these rows of the stream's block."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Lengths of operands uniform and independent, digits uniform.

    Args:
        low, high: digits of an operand.
        carry_mix: share of problems made carry-heavy: on a random span of columns the digits sum to nine, so that
            a carry into the span travels through it.
    """

    low: int
    high: int
    carry_mix: float = 0.0
    held_out: ClassVar[bool] = True
    purpose: ClassVar[int] = 0

    @property
    def longest(self) -> int:
        return self.high

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise ValueError(f"operands have 1 digit or more, and a range rises: got {self.low}-{self.high}")
        if not 0 <= self.carry_mix <= 1:
            raise ValueError(f"carry_mix is a share between 0 and 1, got {self.carry_mix}")

    def check(self, task: Task) -> None:
        if self.carry_mix:
            check_two_summands(task, "a share of carry-heavy problems")
        check_distinct(task, self.high)

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]:
        return self.low + stream.below(self.high - self.low + 1, (operands, rows))

    def operands(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        digits = random_digits(stream, lengths, alphabet)
        if self.carry_mix:
            # The share in whole 65,536ths, so that an integer comparison and no rounded float decides which problems
            # these are.
            chosen = stream.below(2**16, (len(rows),)) < round(self.carry_mix * 2**16)
            # Two cuts between columns; where they coincide the span is empty.
            ends = stream.below(np.max(lengths, axis=0) + 1, (2, len(rows)))
            place = np.arange(digits.shape[2])
            span = (place >= ends.min(axis=0)[:, None]) & (place < ends.max(axis=0)[:, None]) & chosen[:, None]
            complement_to_nine(digits, lengths, span)
        return digits


@dataclass(frozen=True)
class Scheduled:
    """From one distribution to another: lengths and the share of carry-heavy problems move linearly with the index.

    Args:
        first, last: at the start, and from `over` on.
        over: problems.

    >>> Scheduled(Uniform(1, 1), Uniform(1, 9), over=8 * BLOCK).at(block=4)
    Uniform(low=1, high=5, carry_mix=0.0)
    """

    first: Uniform
    last: Uniform
    over: int
    held_out: ClassVar[bool] = True
    purpose: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.over < 1:
            raise ValueError(f"a schedule is over 1 problem or more, got {self.over}")

    @property
    def longest(self) -> int:
        return max(self.first.high, self.last.high)

    def at(self, block: int) -> Uniform:
        """The distribution of one block."""
        # A whole block has one distribution: it moves in steps of 1,024 problems. Lengths are interpolated in integers,
        # exact on every machine.
        begun = min(block * BLOCK, self.over)

        def between(first: int, last: int) -> int:
            return first + (last - first) * begun // self.over

        mix = self.first.carry_mix + (self.last.carry_mix - self.first.carry_mix) * begun / self.over
        return Uniform(between(self.first.low, self.last.low), between(self.first.high, self.last.high), mix)

    def check(self, task: Task) -> None:
        self.first.check(task)
        self.last.check(task)

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]:
        return self.at(stream.block).lengths(stream, rows, operands)

    def operands(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        return self.at(stream.block).operands(stream, rows, lengths, alphabet)


@dataclass(frozen=True)
class UniformValues:
    """Operands uniform over 0 .. 10 ** digits - 1, so that nine in ten have all digits: what naive samplers do.

    Args:
        digits: of the longest operand.
    """

    digits: int
    held_out: ClassVar[bool] = True
    purpose: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.digits < 1:
            raise ValueError(f"operands have 1 digit or more, got {self.digits}")

    @property
    def longest(self) -> int:
        return self.digits

    def check(self, task: Task) -> None:
        if task.alphabet != "number":
            raise ValueError(f"{task.name} is on strings of digits, which have no value. Draw lengths uniformly")

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]:
        digits = scale(stream.halves((operands * rows, self.digits)), 10).astype(np.uint8)
        return significant_lengths(digits).reshape(operands, rows)

    def operands(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        # Given its length, a uniform number has a uniform leading digit from 1 and uniform others.
        return random_digits(stream, lengths, alphabet)


def check_two_summands(task: Task, what: str) -> None:
    """Raise if columns of two digits are not what a task adds up."""
    if operation_of(task) != "sum" or task.operands != 2:
        raise ValueError(
            f"{what} is for additions of two numbers, not for {name_in_refusal(task)} of {task.operands}. Leave it out"
        )


def check_distinct(task: Task, digits: int) -> None:
    """Raise if a task that repeats no digit is asked for longer strings than there are digits."""
    if task.alphabet == "distinct" and digits > 10:
        raise ValueError(f"there are ten digits, so a string in which none comes twice has no {digits}. Ask for 1-10")


def random_digits(
    stream: Randoms, lengths: Int[np.ndarray, "m n"], alphabet: Alphabet = "number"
) -> UInt8[np.ndarray, "m n w"]:
    """Uniform digits, least significant first; the leading one of a number is not zero unless it is the only one."""
    width = int(lengths.max())
    if alphabet == "distinct":
        # The first places of a random permutation. Stable, so that two equal numbers do not leave the order to the
        # sort.
        order = np.argsort(stream.halves((*lengths.shape, 10)), axis=-1, kind="stable")
        digits = order[..., :width].astype(np.uint8)
    else:
        halves = stream.halves((*lengths.shape, width))
        digits = scale(halves, digits_in(alphabet)).astype(np.uint8)
    if alphabet == "number":
        _lead_without_zero(digits, halves, lengths)
    if (lengths < width).any():
        # Number matrices are zero beyond a length: hashes and arithmetic rely on it.
        digits[np.arange(width) >= lengths[..., None]] = 0
    return digits


def _lead_without_zero(
    digits: UInt8[np.ndarray, "m n w"], halves: UInt64[np.ndarray, "m n w"], lengths: Int[np.ndarray, "m n"]
) -> None:
    """Make each number's leading digit one of 1 to 9, unless the number has one digit."""
    top = (*np.ix_(*map(np.arange, lengths.shape)), lengths - 1)
    leading = scale(halves[top], 9).astype(np.uint8) + np.uint8(1)
    digits[top] = np.where(lengths > 1, leading, digits[top])


def complement_to_nine(
    digits: UInt8[np.ndarray, "2 n w"], lengths: Int[np.ndarray, "2 n"], span: Bool[np.ndarray, "n w"]
) -> None:
    """Make the columns of `span` sum to nine: the second operand takes what the first leaves, or one alone is nine.

    A leading digit stays as it is where this would make it zero.
    """
    place = np.arange(digits.shape[2])
    has = place < lengths[..., None]
    nine = 9 - digits[0]
    leading_zero = (place == lengths[1][:, None] - 1) & (place > 0) & (nine == 0)
    np.copyto(digits[1], nine, where=span & has[0] & has[1] & ~leading_zero)
    np.copyto(digits, np.uint8(9), where=span & (has[0] ^ has[1]) & has)
