"""From problems to what a model is trained and tested on."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt64
from torch import Tensor

from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Kind, Prompt, Reading, TokenTable
from arith.errors import UsageError
from arith.resident import Resident
from arith.supervision import Laid, Supervision
from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.stream import Draws, Split

DRAWN = 2**14  # samples that are drawn together and put into batches by length
SLACK = 16  # a batch's longest sample has at most a 16th more tokens than its shortest
PICKED = 0.75  # of the queries, and no more, are picked out, as that costs time too


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
class Batch:
    """Problems as tokens, padded on the right, with what a scheme needs to place them.

    Args:
        samples: as they lie on the device.
        table: the vocabulary, for schemes.
        reading: how their numbers stand.
        shortest_prompt: tokens before the first that a model is asked for, in any row, or fewer.
        most_asked: tokens from the first to the last that a model is asked for, in any row, or more.
        capacity: tokens of the longest sequence that samples like these can be, whatever is in the batch.
        tested: whether a model is measured on them, not trained.
        ids: of the tokens for each scheme, where they are known already.
        total: tokens asked for in the whole step that the batch is a part of; None: the batch is all of it.
        loops: of each sample one to learn, where training is on traces.
    """

    samples: Resident
    table: TokenTable
    reading: Reading
    shortest_prompt: int
    most_asked: int
    capacity: int
    tested: bool
    ids: Ids | None = None
    total: Float[Tensor, ""] | None = None
    loops: Laid | None = None

    @property
    def tokens(self) -> Int[Tensor, "b n"]:
        """Begin, prompt, answer, end, padding."""
        return self.samples.tokens.long()

    @property
    def answer_mask(self) -> Bool[Tensor, "b n"]:
        """The tokens a model is asked for: the answer and the end mark, or the whole line."""
        return self.samples.asked

    @property
    def prompt(self) -> Prompt:
        """The same tokens, with how far the prompt goes and how its numbers stand."""
        own = self.samples
        return Prompt(self.tokens, own.prompt_length, self.table, self.reading, own.answer_width, self.tested)

    @property
    def key(self) -> Int[Tensor, " b"]:
        """A random key for each sample."""
        return self.samples.key

    def placed_by(self, encoding: Composed) -> Ids:
        """Position ids of the tokens for each of an encoding's schemes."""
        if self.ids is not None:
            return self.ids
        return encoding.full(self.prompt, self.tokens, self.key, self.capacity)

    @property
    def length(self) -> Int[Tensor, " b"]:
        """Tokens without padding."""
        return self.samples.length

    @property
    def queries(self) -> int:
        """How many of the last tokens but one predict an answer token in some row."""
        return self.samples.tokens.shape[1] - self.shortest_prompt

    @property
    def wanted(self) -> tuple[Int[Tensor, "b a"], Bool[Tensor, "b a"]]:
        """The tokens that stand after those that are `picked`, and which of them a model is asked for."""
        tokens, asked = self.tokens[:, -self.queries :], self.answer_mask[:, -self.queries :]
        picked = self.picked
        return (tokens, asked) if picked is None else (tokens.gather(1, picked), asked.gather(1, picked))

    @property
    def asked(self) -> int:
        """How many logits are computed of each row: those that any row is asked for, if it pays to pick them."""
        return self.queries if self.samples.whole or self.most_asked > PICKED * self.queries else self.most_asked

    @property
    def picked(self) -> Int[Tensor, "b a"] | None:
        """Places of `asked` queries, one after the other, with all that predict the row's answer; None: of all."""
        if self.asked == self.queries:
            return None
        first = (self.samples.prompt_length - self.shortest_prompt).clamp(max=self.queries - self.asked)
        return first[:, None] + torch.arange(self.asked, device=first.device)


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

    def loops(self, written: Written, start: int) -> Laid | None:
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
        most_asked = int((written.lengths - written.begins).max())
        return self.placed(Resident.of(written, keys, device), int(written.begins.min()), most_asked)

    def placed(self, samples: Resident, shortest_prompt: int, most_asked: int) -> Batch:
        """Samples of these problems that are on a device."""
        own = reading(self.format, max(source.task.operands for source in self.problems.sources))
        table, tested = token_table(samples.tokens.device), self.problems.split != "train"
        return Batch(samples, table, own, shortest_prompt, most_asked, self.longest, tested)


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


def as_batch(
    written: Written, reading: Reading, key: Int[Tensor, " b"], device: torch.device, capacity: int, *, tested: bool
) -> Batch:
    """Written problems on a device.

    Args:
        capacity: tokens of the longest sequence that samples like these can be.
        tested: whether a model is measured on them, not trained.
    """
    samples = Resident.of(written, key.numpy(), device)
    shortest_prompt, most_asked = int(written.begins.min()), int((written.lengths - written.begins).max())
    return Batch(samples, token_table(device), reading, shortest_prompt, most_asked, capacity, tested)


def reading(form: Format, operands: int) -> Reading:
    """How a format's numbers stand, for schemes."""
    return Reading(
        form.operands,
        form.answer,
        fixed_width=form.pad_answer,
        interleaved=operands if form.interleaved else 1,
        working=form.working is not None,
        numbers=operands + 1,
    )


@functools.cache
def token_table(device: torch.device) -> TokenTable:
    """The vocabulary, for schemes."""
    kinds = [Kind[kind.upper()] for kind in vocabulary.kinds()]
    kind = torch.tensor(kinds, device=device)
    return TokenTable(kind, (kind == Kind.DIGIT).long())
