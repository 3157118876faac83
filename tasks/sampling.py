"""Which problems are drawn. Data is a pure function of (seed, split, index).

Problems are drawn in blocks of 1,024 rows, each from its own random stream, so any slice of an endless
data set can be had at once and in any order: nothing needs to be stored to resume. Suites beyond 10,000 digits have
blocks of fewer rows, so that none takes more memory than those of shorter problems.

Splits cannot share a problem: a hash of the operands, the same for a+b and b+a, gives 1/8 of all problems to
the test set, 1/8 to validation and the rest to training. Cells of at most four digits in all, or thirteen bits
(10,000 problems or fewer) are too small for that, and are in every split; evaluation counts what was seen in training.
"""

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from arith.tasks.base import Alphabet, Drawn, Problems, Task, digits_in
from arith.tasks.digits import Numbers, resize
from arith.tasks.samplers import Sampler
from arith.tasks.stream import BLOCK, SPLITS, Split, Stream, check_seed, mix, scatter
from arith.tasks.suites import Suite

# Digits of all operands together. Of the 100 problems of 1 + 1 digits an eighth would be 12: too few to test on.
SHARED_DIGITS = 4
SHARED = 10**SHARED_DIGITS  # problems; with fewer digits to choose from, longer strings are as few
# Digits up to which blocks are whole, and an operand's digits in a block of longer ones. Like `BLOCK` they are part of
# what the data are.
WHOLE, FEWER = 10_000, 2**22


def hash_operands(
    digits: UInt8[np.ndarray, "m n w"], lengths: Int[np.ndarray, "m n"], alphabet: Alphabet
) -> UInt64[np.ndarray, " n"]:
    """64 bits that identify the operands, whatever their order and the width of the matrix."""
    if alphabet != "number":
        # In strings zeros at the top count, so a zero must differ from nothing.
        digits = (digits + np.uint8(1)) * (np.arange(digits.shape[2]) < lengths[..., None])
    # Mixed for each operand before they are summed: the sum alone would only tell what stands in each column, and 12+3
    # would be 13+2. The sum makes a+b and b+a one problem. Zeros beyond a number's length add nothing.
    weights = _weights(digits.shape[2])
    hashed: np.ndarray = mix(mix(digits.astype(np.uint64) @ weights).sum(axis=0, dtype=np.uint64))
    return hashed


@functools.cache
def _weights(width: int) -> UInt64[np.ndarray, " width"]:
    return scatter(np.arange(width))


def owner(hashes: UInt64[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The split that a problem belongs to, as an index into SPLITS: 6/8 training, 1/8 validation, 1/8 test."""
    # The highest three bits: 0 to 5 are training, 6 is validation, 7 is test.
    return np.maximum((hashes >> np.uint64(61)).astype(np.int64) - 5, 0)


def too_few_to_split(lengths: Int[np.ndarray, "m n"], alphabet: Alphabet) -> Bool[np.ndarray, " n"]:
    """Whether problems of these lengths are too few to be kept apart."""
    choices = digits_in(alphabet)
    longest = max(n for n in range(SHARED.bit_length()) if choices**n <= SHARED)
    few: np.ndarray = lengths.sum(axis=0) <= longest
    return few


class Source:
    """An endless list of a task's problems.

    >>> from arith.tasks.addition import Addition
    >>> from arith.tasks.samplers import Uniform
    >>> source = Source(Addition(), Uniform(1, 3), seed=0, split="train")
    >>> problems = source.problems(start=1000, count=50)
    >>> problems.operands[0].text(49) == source.problems(1049, 1).operands[0].text(0)
    True
    """

    def __init__(self, task: Task, sampler: Sampler, seed: int, split: Split) -> None:
        check_seed(seed)
        sampler.check(task)
        self.task, self.sampler, self.seed, self.split = task, sampler, seed, split
        # Batches are mostly smaller than a block and come in order, so the block of the last one serves the next one
        # too.
        self._latest: tuple[int, tuple[Numbers, ...]] | None = None
        # Suites alone: a training sampler may count samples by its blocks.
        long = isinstance(sampler, Suite) and sampler.digits > WHOLE
        self._rows = max(1, min(BLOCK, FEWER // sampler.longest)) if long else BLOCK

    @property
    def longest(self) -> int:
        """Digits of the longest operand."""
        return self.sampler.longest

    def problems(self, start: int, count: int) -> Problems:
        """Problems `start` to `start + count - 1`, with their answers."""
        operands = self.operands(start, count)
        return Problems(operands, self.task.solve(*operands))

    def operands(self, start: int, count: int) -> tuple[Numbers, ...]:
        """The operands of these problems."""
        if count < 1:
            raise ValueError(f"problems are asked for one or more at a time, got {count}")
        parts = []
        size = self._rows
        for block in range(start // size, (start + count - 1) // size + 1):
            rows = slice(max(start - block * size, 0), min(start + count - block * size, size))
            parts.append([number[rows] for number in self._block(block)])
        return tuple(Numbers.join(numbers) for numbers in zip(*parts, strict=True))

    def _block(self, block: int) -> tuple[Numbers, ...]:
        if self._latest is None or self._latest[0] != block:
            self._latest = block, self._draw(block)
        return self._latest[1]

    def _draw(self, block: int) -> tuple[Numbers, ...]:
        stream = Stream(self.seed, self.split, block, self.sampler.purpose)
        if isinstance(self.task, Drawn):
            lengths = np.repeat(self.sampler.lengths(stream, self._rows, 1), self.task.operands, axis=0)
        else:
            lengths = self.sampler.lengths(stream, self._rows, self.task.operands)
        digits = self._digits(stream, np.arange(self._rows), lengths)
        if self.sampler.held_out:
            # Lengths are kept and only digits drawn anew, or small cells, which are never refused, would be favoured.
            # Seven in eight draws of a test set are refused. Later rounds draw on from the block's own stream, so that
            # a block stays a function of its key.
            wrong = np.flatnonzero(~too_few_to_split(lengths, self.task.alphabet) & ~self._is_ours(digits, lengths))
            while len(wrong):
                redrawn = self._digits(stream, wrong, lengths[:, wrong])
                # Narrower than the block if its longest numbers were accepted; what stands beyond is zero already.
                digits[:, wrong, : redrawn.shape[2]] = redrawn
                wrong = wrong[~self._is_ours(redrawn, lengths[:, wrong])]
        return tuple(Numbers(own, own_lengths) for own, own_lengths in zip(digits, lengths, strict=True))

    def _digits(
        self, stream: Stream, rows: Int[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"]
    ) -> UInt8[np.ndarray, "m n w"]:
        if isinstance(self.task, Drawn):
            return self.task.draw(stream, lengths[0], stream.block * BLOCK + rows)
        return self.sampler.operands(stream, rows, lengths, self.task.alphabet)

    @property
    def held_out(self) -> bool:
        """Whether its problems are kept out of the other splits."""
        return self.sampler.held_out

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]:
        """64 bits that identify each problem: equal for equal operands and operation, whatever the words."""
        return hash_problems(self.task, self.operands(start, count))

    def lengths(self, start: int, count: int) -> Int[np.ndarray, "m n"]:
        """The digits of their operands."""
        return np.stack([number.lengths for number in self.operands(start, count)])

    def _is_ours(self, digits: UInt8[np.ndarray, "m n w"], lengths: Int[np.ndarray, "m n"]) -> Bool[np.ndarray, " n"]:
        ours: np.ndarray = owner(hash_operands(digits, lengths, self.task.alphabet)) == SPLITS.index(self.split)
        return ours


def hash_problems(task: Task, operands: Sequence[Numbers]) -> UInt64[np.ndarray, " n"]:
    """64 bits that identify each problem: equal for equal operands and operation, whatever the words."""
    # Seven bytes fit a signed word. Dialogue and addition share a symbol, so their problems count as the same.
    operation = np.array([int.from_bytes((task.symbol or task.name)[:7].encode())])
    return mix(_operand_hashes(task, operands) + scatter(operation))


def _operand_hashes(task: Task, operands: Sequence[Numbers]) -> UInt64[np.ndarray, " n"]:
    width = max(number.width for number in operands)
    digits = np.stack([resize(number.digits, width) for number in operands])
    lengths = np.stack([number.lengths for number in operands])
    return hash_operands(digits, lengths, task.alphabet)


class Tests(Protocol):
    """Where test problems come from."""

    @property
    def task(self) -> Task: ...

    @property
    def held_out(self) -> bool: ...

    def operands(self, start: int, count: int) -> tuple[Numbers, ...]: ...


class Training(Protocol):
    """Where training problems come from: a source, or a mixture of some."""

    @property
    def split(self) -> Split: ...

    @property
    def longest(self) -> int: ...

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]: ...


def count_seen(tests: Sequence[tuple[Tests, int]], training: Training, samples: int) -> list[int]:
    """How many of the first n problems of each test stand among the first `samples` training problems.

    The training data are drawn once, in pieces, and only if some test problem can be among them.
    """
    possible = []
    for test, n in tests:
        operands = test.operands(0, n)
        hashes, lengths = hash_problems(test.task, operands), np.stack([number.lengths for number in operands])
        can_be = too_few_to_split(lengths, test.task.alphabet)
        # Held-out problems are never in training, but for those of cells too small to split.
        if not test.held_out:
            can_be |= owner(_operand_hashes(test.task, operands)) == SPLITS.index(training.split)
        possible.append(hashes[can_be & (lengths.max(axis=0) <= training.longest)])
    # Many test sets, one pass over training: drawing it is what takes time.
    asked = np.unique(np.concatenate(possible))
    seen = np.zeros(len(asked), dtype=bool)
    for start in range(0, samples if len(asked) else 0, 64 * BLOCK):
        drawn = training.hashes(start, min(64 * BLOCK, samples - start))
        seen |= np.isin(asked, drawn)
    return [int(np.isin(hashes, asked[seen]).sum()) for hashes in possible]
