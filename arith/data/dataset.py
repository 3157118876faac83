"""Data sets: problems written in a format, as batches for training and testing."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int, UInt64

from arith.catalogue.named import format_named
from arith.config.reading import digit_range
from arith.config.schema import DataConfig
from arith.data.batch import Batch, Resident, TraceTargets, bounds, reading, token_table
from arith.data.problems import suite_problems, training_problems
from arith.data.traces import Supervision
from arith.encodings.positions import Reading
from arith.errors import UsageError
from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.stream import Draws, Split

CPU = torch.device("cpu")
# Samples that are drawn together and then sorted into batches by length: enough for full batches of most lengths, and
# few enough that their digits take megabytes.
DRAWN = 2**14
SLACK = 16  # a batch's longest sample has at most a 16th more tokens than its shortest: so much padding is computed


class Drawn(Protocol):
    """Problems of one task and one sampler."""

    @property
    def task(self) -> Task: ...

    @property
    def longest(self) -> int:
        """The length of the longest operand."""
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
        """The size of a fixed set, which repeats epoch by epoch; None: every sample is new."""
        ...

    @property
    def redraw(self) -> bool:
        """Whether decorations are drawn anew each time a fixed set comes round."""
        ...

    @property
    def renumber(self) -> bool:
        """Whether operands are drawn anew each time a fixed set comes round."""
        ...

    @property
    def swap(self) -> bool:
        """Whether the order of operands is drawn, anew each time a fixed set comes round."""
        ...

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]: ...

    def formats(self, form: Format) -> list[Format]:
        """The format of each source, which is `form` where it has none of its own."""
        ...

    def write(self, form: Format, start: int, count: int) -> Written: ...

    def keys(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        """Each sample's random key, from which encodings draw."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Problems written in a format: a function from a sample's index to its tokens.

    Args:
        problems: the problems, by index.
        format: how numbers are written.
        supervision: intermediate states to learn beside answers; None without. It needs problems of one source.
    """

    # No state, no iterator: a run resumes, and processes share a step, by computing the indices that they need.

    problems: Samples
    format: Format
    supervision: Supervision | None = None

    def __post_init__(self) -> None:
        forms = {dataclasses.replace(reading(form, 1), working=False) for form in self.formats}
        if len(forms) > 1:
            # Schemes read all samples of a batch alike. Steps before the answer are no matter of theirs, or refused.
            raise UsageError(
                "formats that are mixed have one order of digits, and all of them pad or interleave alike, as plain "
                f"and plain+detailed: got {', '.join(str(form) for form in dict.fromkeys(self.formats))}"
            )
        if self.format.interleaved and len({source.task.operands for source in self.problems.sources}) > 1:
            # A scheme finds the columns by the number of operands, and gets one number for all samples.
            raise UsageError("tasks that are mixed with interleaved operands have as many of them as one another")

    @functools.cached_property
    def formats(self) -> list[Format]:
        """The format of each source."""
        return self.problems.formats(self.format)

    @functools.cached_property
    def longest(self) -> int:
        """The length of the longest sequence, in tokens."""
        pairs = zip(self.formats, self.problems.sources, strict=True)
        return max(form.longest(source.task, source.longest)[0] for form, source in pairs)

    @functools.cached_property
    def reading(self) -> Reading:
        """The layout of the numbers, for schemes."""
        return reading(self.format, max(source.task.operands for source in self.problems.sources))

    def batch(self, start: int, count: int, device: torch.device = CPU) -> Batch:
        """Put samples `start` to `start + count - 1` on a device as one batch."""
        written = self.problems.write(self.format, start, count)
        batch = self.collate(written, self.problems.keys(start, count), device)
        loops = self.loops(written, start)
        return batch if loops is None else dataclasses.replace(batch, loops=loops.to(device))

    def texts(self, start: int, count: int) -> list[tuple[str, str]]:
        """Write samples as pairs of prompt and answer, without the marks of begin and end."""
        written = self.problems.write(self.format, start, count)
        rows = zip(written.tokens, written.prompt_lengths, strict=True)
        return [(vocabulary.decode(tokens[:cut]), vocabulary.decode(tokens[cut:])) for tokens, cut in rows]

    def batches(
        self, count: int, rows_at: Callable[[int], int], device: torch.device
    ) -> Iterator[tuple[Int[np.ndarray, " b"], Batch]]:
        """Put the first `count` samples into batches of similar length, which need next to no padding.

        Args:
            count: the number of samples.
            rows_at: the largest number of rows in a batch, as a function of its tokens per row.
            device: the device.

        Yields:
            The indices of a batch's samples, and the batch. A sample is the same whatever batch it is in.
        """
        for start in range(0, count, DRAWN):
            many = min(DRAWN, count - start)
            written, keys = self.problems.write(self.format, start, many), self.problems.keys(start, many)
            for rows, batch in self.collate_by_length(written, keys, rows_at, device):
                yield start + rows, batch

    def collate_by_length(
        self, written: Written, keys: Int[np.ndarray, " n"], rows_at: Callable[[int], int], device: torch.device
    ) -> Iterator[tuple[Int[np.ndarray, " b"], Batch]]:
        """Put written samples on a device in batches of similar length; see `batches`."""
        for rows in _rows_of_like_length(written.lengths, rows_at):
            yield rows, self.collate(written.rows(rows), keys[rows], device)

    def collate(self, written: Written, keys: Int[np.ndarray, " n"], device: torch.device) -> Batch:
        """Put written samples on a device as one batch."""
        return self.wrap(Resident.of(written, keys, device), *bounds(written))

    def wrap(self, samples: Resident, shortest_prompt: int, longest_answer: int) -> Batch:
        """Make one batch of samples that are on a device already."""
        table, tested = token_table(samples.tokens.device), self.problems.split != "train"
        return Batch(samples, table, self.reading, shortest_prompt, longest_answer, self.longest, tested)

    def loops(self, written: Written, start: int) -> TraceTargets | None:
        """Choose the supervised loop of each written sample, from sample `start` on; None without supervision."""
        if self.supervision is None:
            return None
        count = len(written.lengths)
        draws = Draws(self.problems.keys(start, count), self.problems.split)
        operands = self.format.arrange(self.problems.sources[0].operands(start, count))
        return self.supervision.loops(written, operands, draws)


def _rows_of_like_length(
    lengths: Int[np.ndarray, " n"], rows_at: Callable[[int], int]
) -> Iterator[Int[np.ndarray, " b"]]:
    # A stable sort gives the same batches on every machine, and with them the same sums in the last bit.
    order = np.argsort(lengths, kind="stable")
    in_order = lengths[order]
    start = 0
    while start < len(order):
        alike = int(np.searchsorted(in_order, in_order[start] + in_order[start] // SLACK, side="right"))
        stop = min(alike, start + rows_at(int(in_order[alike - 1])))
        yield order[start:stop]
        start = stop


def problems(
    task: str,
    format: str = "plain",  # noqa: A002  named as on the command line
    *,
    digits: str | int | tuple[int, int] = "1-4",
    seed: int = 0,
    split: Split = "train",
    suite: str | None = None,
) -> Dataset:
    """Create a data set of a task's problems: endless, and the same for the same arguments on every machine.

    Args:
        task, format: names as the command line takes them, settings included: "addition:operands=3", "plain+hints".
        digits: the shortest and the longest operand, as "1-4" or (1, 4), or 20 for both; lengths are drawn uniformly.
        seed: the random seed.
        split: train, validation or test, which share no problem where there are enough of them.
        suite: a test set of one length instead, such as "chain"; it is of the test split. See `arith list suites`.

    Raises:
        UsageError: no task, format or suite has this name, the digits are no range, or the task cannot be written so.

    >>> problems("addition", "reversed", digits="1-2").texts(0, 2)
    [('1+15=', '61'), ('4+45=', '94')]
    >>> problems("addition", digits=5, suite="chain").texts(0, 1)
    [('51988+48012=', '100000')]
    """
    low, high = digits if isinstance(digits, tuple) else digit_range(str(digits))
    data = DataConfig((low, high), seed=seed)
    samples = training_problems(task, data, split) if suite is None else suite_problems(task, suite, data)
    dataset = Dataset(samples, format_named(format))
    try:
        # Writes the longest problem: what cannot be written is refused here, not in the middle of a training.
        _ = dataset.longest
    except ValueError as error:
        raise UsageError(str(error)) from error
    return dataset
