"""Problems of given operand lengths: the cells of a grid.

Problem i of a cell is a function of (seed, split, lengths, i), whatever other cells stand beside it, and many cells are
drawn at once: a grid of 100 x 100 lengths with ten problems each takes seconds, where a stream for each cell, with
the split's problems found by refusing seven in eight, takes minutes.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from einops import rearrange
from jaxtyping import Int, UInt8, UInt64

from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.samplers import check_distinct, random_digits
from arith.tasks.sampling import hash_operands, hash_problems, owner, too_few_to_split
from arith.tasks.stream import SPLITS, Draws, Split, Use, check_seed, mix, scatter


@dataclass(frozen=True)
class Cells:
    """The same number of problems at each of some operand lengths, cell after cell.

    Args:
        lengths: digits of the operands in each cell.
        n: problems a cell.

    >>> from arith.tasks.addition import Addition
    >>> cells = Cells(Addition(), ((2, 5), (5, 2)), n=3, seed=0, split="test")
    >>> cells.lengths_of(0, 6).tolist()
    [[2, 2, 2, 5, 5, 5], [5, 5, 5, 2, 2, 2]]
    >>> alone = Cells(Addition(), ((5, 2),), n=9, seed=0, split="test")
    >>> alone.problems(0, 1).answer.text(0) == cells.problems(3, 1).answer.text(0)
    True
    """

    task: Task
    lengths: tuple[tuple[int, ...], ...]
    n: int
    seed: int
    split: Split
    held_out: ClassVar[bool] = True
    samples: ClassVar[int | None] = None  # no fixed set, gone through again and again
    redraw: ClassVar[bool] = False
    renumber: ClassVar[bool] = False
    swap: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for own in self.lengths:
            if len(own) != self.task.operands:
                raise ValueError(f"a cell names a length for each of {self.task.operands} operands, got {own}")
            if min(own) < 1:
                raise ValueError(f"operands have 1 digit or more, got {own}")
        check_distinct(self.task, self.longest)

    @property
    def longest(self) -> int:
        """Digits of the longest operand."""
        return max(max(own) for own in self.lengths)

    @property
    def sources(self) -> tuple["Cells", ...]:
        """Itself, as a mixture has several."""
        return (self,)

    def lengths_of(self, start: int, count: int) -> Int[np.ndarray, "m n"]:
        """The digits of the operands of problems `start` to `start + count - 1`."""
        return np.array(self.lengths).T[:, np.arange(start, start + count) // self.n]

    def keys(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        """A non-negative 63-bit key for each problem, from which all that is random about it comes."""
        return (self._words(start, count) >> np.uint64(1)).astype(np.int64)

    def operands(self, start: int, count: int) -> tuple[Numbers, ...]:
        """The operands of these problems."""
        lengths, words = self.lengths_of(start, count), self._words(start, count)
        digits = self._digits(words, lengths)
        wrong = np.flatnonzero(~too_few_to_split(lengths, self.task.alphabet))
        # A bound in place of an endless loop, and never reached: after 500 attempts less than one row in 10**28 is
        # left.
        for attempt in range(1, 10_000):
            hashes = hash_operands(digits[:, wrong], lengths[:, wrong], self.task.alphabet)
            wrong = wrong[owner(hashes) != SPLITS.index(self.split)]
            if not len(wrong):
                break
            redrawn = self._digits(mix(words[wrong] + scatter(np.array([attempt]))), lengths[:, wrong])
            digits[:, wrong, : redrawn.shape[2]] = redrawn
        return tuple(Numbers(own, own_lengths) for own, own_lengths in zip(digits, lengths, strict=True))

    def problems(self, start: int, count: int) -> Problems:
        """These problems, with their answers."""
        operands = self.operands(start, count)
        return Problems(operands, self.task.solve(*operands))

    def formats(self, form: Format) -> list[Format]:
        """How its problems are written: all in one format."""
        return [form]

    def write(self, form: Format, start: int, count: int) -> Written:
        """These problems as tokens."""
        return form.write(self.task, self.problems(start, count), Draws(self.keys(start, count), self.split))

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]:
        """What names problems, as those of a source are named."""
        return hash_problems(self.task, self.operands(start, count))

    def _words(self, start: int, count: int) -> UInt64[np.ndarray, " n"]:
        word = mix(scatter(np.array([self.seed])) + np.uint64(SPLITS.index(self.split)))
        # Mixed in one after the other, so that 2 x 5 and 5 x 2 digits are cells of their own.
        for own in self.lengths_of(start, count):
            word = mix(word + scatter(own))
        return mix(word + scatter(np.arange(start, start + count) % self.n))

    def _digits(self, words: UInt64[np.ndarray, " n"], lengths: Int[np.ndarray, "m n"]) -> UInt8[np.ndarray, "m n w"]:
        return random_digits(_Keyed(words, self.split), lengths, self.task.alphabet)


@dataclass(frozen=True)
class _Keyed:
    """Random numbers of each problem by its own key, whatever the width of the matrix they are put into."""

    words: UInt64[np.ndarray, " n"]
    split: Split

    def halves(self, shape: tuple[int, ...]) -> UInt64[np.ndarray, "m n w"]:
        operands, _, width = shape
        # Digit by digit, operands side by side: in a wider matrix the same problem has the same digits.
        drawn = Draws(self.words, self.split).halves(Use.OPERANDS, operands * width)
        return rearrange(drawn, "n (w m) -> m n w", m=operands)
