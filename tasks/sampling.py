"""Which problems are drawn. Data is a pure function of (seed, split, index).

Problems are drawn in blocks of 1,024 rows, each from its own random stream, so any slice of an endless
data set can be had at once and in any order: nothing needs to be stored to resume.

Splits cannot share a problem: a hash of the operands, the same for a+b and b+a, gives 1/8 of all problems to
the test set, 1/8 to validation and the rest to training. Cells of at most four digits in all (10,000 problems
or fewer) are too small for that, and are in every split; evaluation counts what was seen in training.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from arith.tasks.base import Alphabet, Problems, Task
from arith.tasks.digits import Numbers, resized, significant_lengths
from arith.tasks.stream import SPLITS, Split, Stream, check_seed, mix, scaled, scattered

BLOCK = 1024
SHARED_DIGITS = 4


class Sampler(Protocol):
    """A distribution of operands. Frozen."""

    @property
    def held_out(self) -> bool:
        """Whether a split's problems are kept out of the others."""
        ...

    @property
    def longest(self) -> int:
        """Digits of the longest operand."""
        ...

    @property
    def purpose(self) -> int:
        """Of its random stream: samplers of different purposes share no random numbers."""
        ...

    def check(self, task: Task) -> None:
        """Raise if there are no such problems for a task."""
        ...

    def lengths(self, stream: Stream, rows: int, operands: int) -> Int[np.ndarray, "m n"]: ...

    def operands(
        self, stream: Stream, lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]: ...


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
        self, stream: Stream, lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        digits = random_digits(stream, lengths, alphabet)
        if self.carry_mix:
            rows = lengths.shape[1]
            chosen = stream.below(2**16, (rows,)) < round(self.carry_mix * 2**16)
            ends = stream.below(np.max(lengths, axis=0) + 1, (2, rows))
            place = np.arange(digits.shape[2])
            span = (place >= ends.min(axis=0)[:, None]) & (place < ends.max(axis=0)[:, None]) & chosen[:, None]
            complement_to_nine(digits, lengths, span)
        return digits


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
        digits = scaled(stream.halves((operands * rows, self.digits)), 10).astype(np.uint8)
        return significant_lengths(digits).reshape(operands, rows)

    def operands(
        self, stream: Stream, lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
    ) -> UInt8[np.ndarray, "m n w"]:
        # Given its length, a uniform number has a uniform leading digit from 1 and uniform others.
        return random_digits(stream, lengths, alphabet)


def check_two_summands(task: Task, what: str) -> None:
    """Raise if columns of two digits are not what a task adds up."""
    if task.name != "addition" or task.operands != 2:
        raise ValueError(
            f"{what} is for additions of two numbers, not for {task.name} of {task.operands}. Leave it out"
        )


def check_distinct(task: Task, digits: int) -> None:
    """Raise if a task that repeats no digit is asked for longer strings than there are digits."""
    if task.alphabet == "distinct" and digits > 10:
        raise ValueError(f"there are ten digits, so a string in which none comes twice has no {digits}. Ask for 1-10")


def random_digits(
    stream: Stream, lengths: Int[np.ndarray, "m n"], alphabet: Alphabet = "number"
) -> UInt8[np.ndarray, "m n w"]:
    """Uniform digits, least significant first; the leading one of a number is not zero unless it is the only one."""
    width = int(lengths.max())
    if alphabet == "distinct":
        order = np.argsort(stream.halves((*lengths.shape, 10)), axis=-1, kind="stable")
        digits = order[..., :width].astype(np.uint8)
    else:
        halves = stream.halves((*lengths.shape, width))
        digits = scaled(halves, 10).astype(np.uint8)
    if alphabet == "number":
        _lead_without_zero(digits, halves, lengths)
    if (lengths < width).any():
        digits[np.arange(width) >= lengths[..., None]] = 0
    return digits


def _lead_without_zero(
    digits: UInt8[np.ndarray, "m n w"], halves: UInt64[np.ndarray, "m n w"], lengths: Int[np.ndarray, "m n"]
) -> None:
    """Make each number's leading digit one of 1 to 9, unless the number has one digit."""
    top = (*np.ix_(*map(np.arange, lengths.shape)), lengths - 1)
    leading = scaled(halves[top], 9).astype(np.uint8) + np.uint8(1)
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


def problem_hash(
    digits: UInt8[np.ndarray, "m n w"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
) -> UInt64[np.ndarray, " n"]:
    """64 bits that name the operands, whatever their order and the width of the matrix."""
    if alphabet != "number":
        # In strings zeros at the top count, so a zero must differ from nothing.
        digits = (digits + np.uint8(1)) * (np.arange(digits.shape[2]) < lengths[..., None])
    weights = _weights(digits.shape[2])
    hashed: np.ndarray = mix(mix(digits.astype(np.uint64) @ weights).sum(axis=0, dtype=np.uint64))
    return hashed


@functools.cache
def _weights(width: int) -> UInt64[np.ndarray, " width"]:
    return scattered(np.arange(width))


def owner(hashes: UInt64[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The split that a problem belongs to, as an index into SPLITS: 6/8 training, 1/8 validation, 1/8 test."""
    return np.maximum((hashes >> np.uint64(61)).astype(np.int64) - 5, 0)


def shared(lengths: Int[np.ndarray, "m n"]) -> Bool[np.ndarray, " n"]:
    """Whether problems of these lengths are too few to be kept apart."""
    few: np.ndarray = lengths.sum(axis=0) <= SHARED_DIGITS
    return few


class Source:
    """An endless list of a task's problems.

    >>> from arith.tasks.addition import Addition
    >>> source = Source(Addition(), Uniform(1, 3), seed=0, split="train")
    >>> problems = source.problems(start=1000, count=50)
    >>> problems.operands[0].text(49) == source.problems(1049, 1).operands[0].text(0)
    True
    """

    def __init__(self, task: Task, sampler: Sampler, seed: int, split: Split) -> None:
        check_seed(seed)
        sampler.check(task)
        self.task, self.sampler, self.seed, self.split = task, sampler, seed, split
        self._latest: tuple[int, tuple[Numbers, ...]] | None = None

    def problems(self, start: int, count: int) -> Problems:
        """Problems `start` to `start + count - 1`, with their answers."""
        operands = self.operands(start, count)
        return Problems(operands, self.task.solve(*operands))

    def operands(self, start: int, count: int) -> tuple[Numbers, ...]:
        """Their operands."""
        parts = []
        for block in range(start // BLOCK, (start + count - 1) // BLOCK + 1):
            rows = slice(max(start - block * BLOCK, 0), min(start + count - block * BLOCK, BLOCK))
            parts.append([number[rows] for number in self._block(block)])
        return tuple(Numbers.join(numbers) for numbers in zip(*parts, strict=True))

    def _block(self, block: int) -> tuple[Numbers, ...]:
        if self._latest is None or self._latest[0] != block:
            self._latest = block, self._drawn(block)
        return self._latest[1]

    def _drawn(self, block: int) -> tuple[Numbers, ...]:
        stream = Stream(self.seed, self.split, block, self.sampler.purpose)
        lengths = self.sampler.lengths(stream, BLOCK, self.task.operands)
        digits = self.sampler.operands(stream, lengths, self.task.alphabet)
        if self.sampler.held_out:
            # Lengths are kept and only digits drawn anew, or small cells, which are never refused, would be favoured.
            wrong = np.flatnonzero(~shared(lengths) & ~self._is_ours(digits, lengths))
            while len(wrong):
                redrawn = self.sampler.operands(stream, lengths[:, wrong], self.task.alphabet)
                digits[:, wrong, : redrawn.shape[2]] = redrawn
                wrong = wrong[~self._is_ours(redrawn, lengths[:, wrong])]
        return tuple(Numbers(own, own_lengths) for own, own_lengths in zip(digits, lengths, strict=True))

    def hashes(self, start: int, count: int) -> tuple[UInt64[np.ndarray, " n"], Int[np.ndarray, "m n"]]:
        """The hashes of problems, and the lengths of their operands."""
        numbers = self.operands(start, count)
        width = max(number.width for number in numbers)
        digits = np.stack([resized(number.digits, width) for number in numbers])
        lengths = np.stack([number.lengths for number in numbers])
        return problem_hash(digits, lengths, self.task.alphabet), lengths

    def _is_ours(self, digits: UInt8[np.ndarray, "m n w"], lengths: Int[np.ndarray, "m n"]) -> Bool[np.ndarray, " n"]:
        ours: np.ndarray = owner(problem_hash(digits, lengths, self.task.alphabet)) == SPLITS.index(self.split)
        return ours


def count_seen(tests: Sequence[tuple[Source, int]], training: Source, samples: int) -> list[int]:
    """How many of the first n problems of each test stand among the first `samples` training problems.

    The training data are drawn once, in pieces, and only if some test problem can be among them.
    """
    possible = []
    for test, n in tests:
        hashes, lengths = test.hashes(0, n)
        can_be = shared(lengths)
        if not test.sampler.held_out:
            can_be |= owner(hashes) == SPLITS.index(training.split)
        possible.append(hashes[can_be & (lengths.max(axis=0) <= training.sampler.longest)])
    asked = np.unique(np.concatenate(possible))
    seen = np.zeros(len(asked), dtype=bool)
    for start in range(0, samples if len(asked) else 0, 64 * BLOCK):
        drawn, _ = training.hashes(start, min(64 * BLOCK, samples - start))
        seen |= np.isin(asked, drawn)
    return [int(np.isin(hashes, asked[seen]).sum()) for hashes in possible]
