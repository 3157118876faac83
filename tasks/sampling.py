"""Which problems are drawn. Data is a pure function of (seed, split, index).

Problems are drawn in blocks of 1,024 rows, each from its own random stream, so any slice of an endless
data set can be had at once and in any order: nothing needs to be stored to resume.

Splits cannot share a problem: a hash of the two operands, the same for a+b and b+a, gives 1/8 of all problems to
the test set, 1/8 to validation and the rest to training. Cells of at most four digits in all (9,000 problems
or fewer) are too small for that, and are in every split; evaluation counts what was seen in training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers, resized
from arith.tasks.stream import SPLITS, Split, Stream, mix, scaled, scattered

BLOCK = 1024
SHARED_DIGITS = 4


class Sampler(Protocol):
    """A distribution of operand pairs. Frozen."""

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

    def lengths(self, stream: Stream, rows: int) -> Int[np.ndarray, "2 n"]: ...

    def operands(self, stream: Stream, lengths: Int[np.ndarray, "2 n"]) -> UInt8[np.ndarray, "2 n w"]: ...


@dataclass(frozen=True)
class Uniform:
    """Both operand lengths uniform and independent, digits uniform.

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

    def lengths(self, stream: Stream, rows: int) -> Int[np.ndarray, "2 n"]:
        return self.low + stream.below(self.high - self.low + 1, (2, rows))

    def operands(self, stream: Stream, lengths: Int[np.ndarray, "2 n"]) -> UInt8[np.ndarray, "2 n w"]:
        digits = random_digits(stream, lengths)
        if self.carry_mix:
            rows = lengths.shape[1]
            chosen = stream.below(2**16, (rows,)) < round(self.carry_mix * 2**16)
            ends = stream.below(np.max(lengths, axis=0) + 1, (2, rows))
            place = np.arange(digits.shape[2])
            span = (place >= ends.min(axis=0)[:, None]) & (place < ends.max(axis=0)[:, None]) & chosen[:, None]
            complement_to_nine(digits, lengths, span)
        return digits


SuiteName = Literal["random", "unequal", "nines", "chain"]
SUITES: tuple[SuiteName, ...] = ("random", "unequal", "nines", "chain")


@dataclass(frozen=True)
class Suite:
    """A test set of one digit length: the digits of the longer operand.

    random: both operands have that length. unequal: one of them is shorter, uniformly.
    nines: 99..9 plus a number of any length up to that (the first problem is 99..9 + 1).
    chain: every column sums to nine but the lowest, which sums to ten: one carry runs through all.
    """

    name: SuiteName
    digits: int

    def __post_init__(self) -> None:
        if self.digits < 1:
            raise ValueError(f"a tested length is 1 digit or more, got {self.digits}")

    @property
    def held_out(self) -> bool:
        return self.name in ("random", "unequal")

    @property
    def longest(self) -> int:
        return self.digits

    @property
    def purpose(self) -> int:
        return (1 + SUITES.index(self.name)) << 24 | self.digits

    def lengths(self, stream: Stream, rows: int) -> Int[np.ndarray, "2 n"]:
        lengths = np.full((2, rows), self.digits)
        if self.name in ("unequal", "nines"):
            choices = self.digits if self.name == "nines" else max(self.digits - 1, 1)
            shorter = stream.below(2, (rows,))
            lengths[shorter, np.arange(rows)] = 1 + stream.below(choices, (rows,))
        return lengths

    def operands(self, stream: Stream, lengths: Int[np.ndarray, "2 n"]) -> UInt8[np.ndarray, "2 n w"]:
        digits = random_digits(stream, lengths)
        rows = np.arange(digits.shape[1])
        if self.name == "nines":
            longer = np.argmax(lengths, axis=0)
            digits[longer, rows] = 9
            digits[1 - longer[0], 0] = 0
            digits[1 - longer[0], 0, 0] = 1
            lengths[1 - longer[0], 0] = 1
        if self.name == "chain":
            span = np.ones(digits.shape[1:], dtype=bool)
            digits[0, :, -1] = 1 + stream.below(8, (len(rows),))  # 9 would leave a leading zero
            digits[0, :, 0] = np.maximum(digits[0, :, 0], 1)
            complement_to_nine(digits, lengths, span)
            digits[1, :, 0] += 1
        return digits


def random_digits(stream: Stream, lengths: Int[np.ndarray, "2 n"]) -> UInt8[np.ndarray, "2 n w"]:
    """Uniform digits, least significant first; the leading one is not zero unless it is the only one."""
    width = int(lengths.max())
    halves = stream.halves((*lengths.shape, width))
    digits = scaled(halves, 10).astype(np.uint8)
    top = lengths[..., None] - 1
    leading = scaled(np.take_along_axis(halves, top, axis=-1), 9).astype(np.uint8) + np.uint8(1)
    np.put_along_axis(digits, top, np.where(top > 0, leading, np.take_along_axis(digits, top, axis=-1)), axis=-1)
    if (lengths < width).any():
        digits[np.arange(width) >= lengths[..., None]] = 0
    return digits


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


def problem_hash(digits: UInt8[np.ndarray, "2 n w"]) -> UInt64[np.ndarray, " n"]:
    """64 bits that name a pair of operands, whatever their order and the width of the matrix."""
    weights = scattered(np.arange(digits.shape[2]))
    a, b = digits.astype(np.uint64) @ weights
    hashed: np.ndarray = mix(mix(a) + mix(b))
    return hashed


def owner(hashes: UInt64[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The split that a problem belongs to, as an index into SPLITS: 6/8 training, 1/8 validation, 1/8 test."""
    return np.maximum((hashes >> np.uint64(61)).astype(np.int64) - 5, 0)


def shared(lengths: Int[np.ndarray, "2 n"]) -> Bool[np.ndarray, " n"]:
    """Whether problems of these lengths are too few to be kept apart."""
    few: np.ndarray = lengths.sum(axis=0) <= SHARED_DIGITS
    return few


class Source:
    """An endless list of problems.

    >>> from arith.tasks.addition import Addition
    >>> source = Source(Uniform(1, 3), seed=0, split="train")
    >>> problems = source.problems(Addition(), start=1000, count=50)
    >>> problems.operands[0].text(49) == source.problems(Addition(), 1049, 1).operands[0].text(0)
    True
    """

    def __init__(self, sampler: Sampler, seed: int, split: Split) -> None:
        self.sampler, self.seed, self.split = sampler, seed, split
        self._latest: tuple[int, tuple[Numbers, Numbers]] | None = None

    def problems(self, task: Task, start: int, count: int) -> Problems:
        """Problems `start` to `start + count - 1`, with their answers."""
        a, b = self.operands(start, count)
        return Problems((a, b), task.solve(a, b))

    def operands(self, start: int, count: int) -> tuple[Numbers, Numbers]:
        """Their operands."""
        parts = []
        for block in range(start // BLOCK, (start + count - 1) // BLOCK + 1):
            a, b = self._block(block)
            rows = slice(max(start - block * BLOCK, 0), min(start + count - block * BLOCK, BLOCK))
            parts.append((a[rows], b[rows]))
        a_parts, b_parts = zip(*parts, strict=True)
        return Numbers.join(a_parts), Numbers.join(b_parts)

    def _block(self, block: int) -> tuple[Numbers, Numbers]:
        if self._latest is None or self._latest[0] != block:
            self._latest = block, self._drawn(block)
        return self._latest[1]

    def _drawn(self, block: int) -> tuple[Numbers, Numbers]:
        stream = Stream(self.seed, self.split, block, self.sampler.purpose)
        lengths = self.sampler.lengths(stream, BLOCK)
        digits = self.sampler.operands(stream, lengths)
        if self.sampler.held_out:
            # Lengths are kept and only digits drawn anew, or small cells, which are never refused, would be favoured.
            wrong = np.flatnonzero(~shared(lengths) & ~self._is_ours(digits))
            while len(wrong):
                redrawn = self.sampler.operands(stream, lengths[:, wrong])
                digits[:, wrong, : redrawn.shape[2]] = redrawn
                wrong = wrong[~self._is_ours(redrawn)]
        return Numbers(digits[0], lengths[0]), Numbers(digits[1], lengths[1])

    def _is_ours(self, digits: UInt8[np.ndarray, "2 n w"]) -> Bool[np.ndarray, " n"]:
        ours: np.ndarray = owner(problem_hash(digits)) == SPLITS.index(self.split)
        return ours


def drawn_hashes(source: Source, samples: int) -> UInt64[np.ndarray, " n"]:
    """The hashes of the first problems of a source, each once."""
    found = np.empty(0, dtype=np.uint64)
    for start in range(0, samples, 64 * BLOCK):
        digits, _ = _digits(source, start, min(64 * BLOCK, samples - start))
        found = np.union1d(found, problem_hash(digits))
    return found


def count_seen(test: Source, n: int, training: Source, hashes: Callable[[], UInt64[np.ndarray, " m"]]) -> int:
    """How many of the first n test problems stand among the training problems.

    Args:
        test: where the test problems come from.
        n: how many there are.
        training: where the training problems come from.
        hashes: gives those of the training problems; asked only if some could be the same.
    """
    digits, lengths = _digits(test, 0, n)
    tested = problem_hash(digits)
    possible = shared(lengths)
    if not test.sampler.held_out:
        possible |= owner(tested) == SPLITS.index(training.split)
    possible &= lengths.max(axis=0) <= training.sampler.longest
    return int(np.isin(tested[possible], hashes()).sum()) if possible.any() else 0


def _digits(source: Source, start: int, count: int) -> tuple[UInt8[np.ndarray, "2 n w"], Int[np.ndarray, "2 n"]]:
    a, b = source.operands(start, count)
    width = max(a.width, b.width)
    return np.stack([resized(a.digits, width), resized(b.digits, width)]), np.stack([a.lengths, b.lengths])
