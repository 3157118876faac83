"""From problems to what a model is trained and tested on."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int, UInt64

from arith.data.batch import Batch, Resident, TraceTargets, reading, token_table
from arith.data.traces import Supervision
from arith.errors import UsageError
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.stream import Draws, Split

DRAWN = 2**14  # samples that are drawn together and put into batches by length
SLACK = 16  # a batch's longest sample has at most a 16th more tokens than its shortest


class Drawn(Protocol):
    """One kind of problems."""

    @property
    def task(self) -> Task: ...

    @property
    def longest(self) -> int:
        """Digits of the longest operand."""
        ...

    @property
    def held_out(self) -> bool: ...

    def problems(self, start: int, count: int) -> Problems: ...

    def operands(self, start: int, count: int) -> tuple[Numbers, ...]: ...


class Samples(Protocol):
    """A list of problems, written in any format: a mixture of sources, or the cells of a grid."""

    @property
    def sources(self) -> Sequence[Drawn]: ...

    @property
    def split(self) -> Split: ...

    @property
    def longest(self) -> int: ...

    @property
    def samples(self) -> int | None:
        """Of a fixed set, gone through again and again; None: every sample is new."""
        ...

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]: ...

    def written(self, form: Format, start: int, count: int) -> Written: ...

    def keys(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        """From which encodings take what they draw for each sample."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Samples: problems in a format.

    Args:
        supervision: what batches hold beside answers; it takes problems of one source.
    """

    problems: Samples
    format: Format
    supervision: Supervision | None = None

    def __post_init__(self) -> None:
        if self.format.interleaved and len({source.task.operands for source in self.problems.sources}) > 1:
            raise UsageError("tasks that are mixed with interleaved operands have as many of them as one another")

    @functools.cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(self.format.longest(source.task, source.longest)[0] for source in self.problems.sources)

    def batch(self, start: int, count: int, device: torch.device) -> Batch:
        """Samples `start` to `start + count - 1`."""
        written = self.problems.written(self.format, start, count)
        batch = self.as_batch(written, self.problems.keys(start, count), device)
        loops = self.loops(written, start)
        return batch if loops is None else dataclasses.replace(batch, loops=loops.to(device))

    def loops(self, written: Written, start: int) -> TraceTargets | None:
        """Of each of the samples from `start` on, which are written, one loop to learn; None: loops are not told."""
        if self.supervision is None:
            return None
        count = len(written.lengths)
        draws = Draws(self.problems.keys(start, count), self.problems.split)
        return self.supervision.loops(written, self.problems.sources[0].operands(start, count), draws)

    def batches(
        self, count: int, rows_at: Callable[[int], int], device: torch.device
    ) -> Iterator[tuple[Int[np.ndarray, " b"], Batch]]:
        """The first `count` samples, those of like length together so that next to no padding is paid.

        Args:
            rows_at: rows that a batch may have at a number of tokens.

        Yields:
            Places of the samples, and the batch. What is in a batch changes nothing about a sample.
        """
        for start in range(0, count, DRAWN):
            many = min(DRAWN, count - start)
            written, keys = self.problems.written(self.format, start, many), self.problems.keys(start, many)
            for rows, batch in self.in_batches(written, keys, rows_at, device):
                yield start + rows, batch

    def in_batches(
        self, written: Written, keys: Int[np.ndarray, " n"], rows_at: Callable[[int], int], device: torch.device
    ) -> Iterator[tuple[Int[np.ndarray, " b"], Batch]]:
        """Written samples of these problems, those of like length together."""
        for rows in _alike(written.lengths, rows_at):
            yield rows, self.as_batch(written.rows(rows), keys[rows], device)

    def as_batch(self, written: Written, keys: Int[np.ndarray, " n"], device: torch.device) -> Batch:
        """Written samples of these problems on a device."""
        longest_answer = int((written.lengths - written.begins).max())
        return self.placed(Resident.of(written, keys, device), int(written.begins.min()), longest_answer)

    def placed(self, samples: Resident, shortest_prompt: int, longest_answer: int) -> Batch:
        """Samples of these problems that are on a device."""
        own = reading(self.format, max(source.task.operands for source in self.problems.sources))
        table, tested = token_table(samples.tokens.device), self.problems.split != "train"
        return Batch(samples, table, own, shortest_prompt, longest_answer, self.longest, tested)


def _alike(lengths: Int[np.ndarray, " n"], rows_at: Callable[[int], int]) -> Iterator[Int[np.ndarray, " b"]]:
    """Rows of like length, in batches."""
    order = np.argsort(lengths, kind="stable")
    in_order = lengths[order]
    start = 0
    while start < len(order):
        alike = int(np.searchsorted(in_order, in_order[start] + in_order[start] // SLACK, side="right"))
        stop = min(alike, start + rows_at(int(in_order[alike - 1])))
        yield order[start:stop]
        start = stop
