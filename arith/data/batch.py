"""Samples on a device: the content of a batch, and how a model and its encoding read it."""

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer, UInt8
from torch import Tensor

from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Kind, Prompt, Reading, TokenTable
from arith.tasks import vocabulary
from arith.tasks.formats import Format
from arith.tasks.lines import Written

# The answer's queries are gathered only if they are at most this share of all queries: gathering takes time and memory
# too, which computing a few logits that nobody needs does not.
PICKED = 0.75


class Resident(NamedTuple):
    """Written samples on a device, with the random keys that encodings draw from.

    Args:
        tokens: begin mark, prompt, answer, end mark, padding.
        prompt_length: the number of tokens before the answer.
        length: the number of tokens, the end mark included.
        key: each sample's random key.
        answer_width: the number of digits in each answer, where the format fixes it.
        given: a mask of tokens after the prompt that no model can know, such as random spaces; None if there are none.
        whole: whether the loss covers the prompt too, not the answer alone.
    """

    # Tokens are bytes, not int64: a training set that stays on the GPU, and every copy to it, is 8 times smaller.

    tokens: Integer[Tensor, "b n"]
    prompt_length: Int[Tensor, " b"]
    length: Int[Tensor, " b"]
    key: Int[Tensor, " b"]
    answer_width: Int[Tensor, " b"] | None
    given: Bool[Tensor, "b n"] | None
    whole: bool

    @staticmethod
    def of(written: Written, key: Int[np.ndarray, " b"], device: torch.device) -> "Resident":
        """Copy samples to a device, without waiting for a GPU's copy to finish."""
        width, given = written.answer_widths, written.given
        return Resident(
            on_device(_narrow(written.tokens), device),
            on_device(written.prompt_lengths, device),
            on_device(written.lengths, device),
            on_device(key, device),
            None if width is None else on_device(width, device),
            None if given is None else on_device(given, device),
            written.whole,
        )

    def rows(self, rows: slice | Int[Tensor, " r"], width: int) -> "Resident":
        """Select some of the samples, cut to a width in tokens."""
        return Resident(
            self.tokens[rows, :width],
            self.prompt_length[rows],
            self.length[rows],
            self.key[rows],
            None if self.answer_width is None else self.answer_width[rows],
            None if self.given is None else self.given[rows, :width],
            self.whole,
        )

    @property
    def loss_mask(self) -> Bool[Tensor, "b n"]:
        """The tokens to predict: answer and end mark, or the whole line."""
        index = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        # Nothing precedes token 0, the begin mark, from which it could be predicted.
        begins = 1 if self.whole else self.prompt_length[:, None]
        mask = (index >= begins) & (index < self.length[:, None])
        return mask if self.given is None else mask & ~self.given


@dataclass(frozen=True)
class TraceTargets:
    """The loop that is supervised in each sample: states along the tokens, one byte per number, 0 outside the answer.

    Args:
        loop: each sample's loop, from 0.
        before, after: the states at the start and at the end of this loop.
    """

    loop: Int[Tensor, " b"]
    before: UInt8[Tensor, "b n parts"]
    after: UInt8[Tensor, "b n parts"]

    def to(self, device: torch.device) -> "TraceTargets":
        """Copy them to a device."""
        return TraceTargets(*(on_device(states.numpy(), device) for states in (self.loop, self.before, self.after)))

    def rows(self, rows: slice | Int[Tensor, " r"], width: int) -> "TraceTargets":
        """Select those of some samples, cut to a width in tokens."""
        return TraceTargets(self.loop[rows], self.before[rows, :width], self.after[rows, :width])


@dataclass(frozen=True)
class Batch:
    """Problems as tokens, padded on the right, with what a position scheme needs to place them.

    Args:
        samples: the tokens and lengths on the device.
        table: the kind of each token in the vocabulary, for schemes.
        reading: the layout of the numbers, for schemes.
        shortest_prompt: a lower bound, over all rows, on the tokens before the answer.
        longest_answer: an upper bound, over all rows, on the answer's length.
        capacity: the length of the longest sequence of this data set, whatever is in the batch.
        tested: whether the batch is for testing, not for training; some schemes draw their ids differently then.
        ids: the tokens' position ids for each scheme; None if they are not computed yet.
        total: the number of tokens to predict in the whole step that the batch is a part of; None if it is all of it.
        loops: the supervised loop of each sample, where training uses traces.
        drawn_loops: how many loops the step has, where `model.loops` is a range; None: as many as the model has.
    """

    samples: Resident
    table: TokenTable
    reading: Reading
    # Bounds on the host, not maxima computed from the lengths: reading those would make the host wait for the device.
    shortest_prompt: int
    longest_answer: int
    capacity: int
    tested: bool
    ids: Ids | None = None
    total: Float[Tensor, ""] | None = None
    loops: TraceTargets | None = None
    drawn_loops: int | None = None

    @property
    def tokens(self) -> Int[Tensor, "b n"]:
        """Begin, prompt, answer, end, padding."""
        return self.samples.tokens.long()  # they lie there as bytes, and torch indexes with int64

    @property
    def length(self) -> Int[Tensor, " b"]:
        """Tokens without padding."""
        return self.samples.length

    @property
    def key(self) -> Int[Tensor, " b"]:
        """A random key for each sample."""
        return self.samples.key

    @property
    def answer_mask(self) -> Bool[Tensor, "b n"]:
        """The tokens to predict: the answer and the end mark, or the whole line."""
        return self.samples.loss_mask

    @property
    def prompt(self) -> Prompt:
        """The tokens, with the prompt's length and the layout of its numbers."""
        samples = self.samples
        width = samples.answer_width
        return Prompt(self.tokens, samples.prompt_length, self.table, self.reading, width, self.tested)

    def placed_by(self, encoding: Composed) -> Ids:
        """Position ids of the tokens for each of an encoding's schemes."""
        if self.ids is not None:
            return self.ids
        return encoding.full(self.prompt, self.tokens, self.key, self.capacity)

    def part(self, rows: slice, width: int, shortest_prompt: int, longest_answer: int) -> "Batch":
        """Select some of the samples, cut to a width, with tighter bounds."""
        return replace(
            self,
            samples=self.samples.rows(rows, width),
            shortest_prompt=shortest_prompt,
            longest_answer=longest_answer,
            # Ids that all samples share have one row.
            ids=self.ids and tuple(ids[:, rows if ids.shape[1] > 1 else slice(None), :width] for ids in self.ids),
            loops=self.loops and self.loops.rows(rows, width),
        )

    @property
    def queries(self) -> int:
        """The number of tokens, counted from the end, that may predict an answer token in some row."""
        # The token before an answer predicts its first: n - 1 are read, from place `shortest_prompt` - 1 on.
        return self.samples.tokens.shape[1] - self.shortest_prompt

    @property
    def logits_per_row(self) -> int:
        """The number of logits computed for each row: as many as the longest answer has tokens, or all queries.

        Prompts differ in length, so there can be many more queries than any one answer needs. See PICKED.
        """
        if self.samples.whole or self.longest_answer > PICKED * self.queries:
            return self.queries
        return self.longest_answer

    @property
    def picked(self) -> Int[Tensor, "b a"] | None:
        """The places of the `logits_per_row` queries of each row, among them all that predict its answer; None: all."""
        if self.logits_per_row == self.queries:
            return None
        # A row whose answer begins late gets the last queries, its whole answer among them: none are beyond those.
        last = self.queries - self.logits_per_row
        first = (self.samples.prompt_length - self.shortest_prompt).clamp(max=last)
        return first[:, None] + torch.arange(self.logits_per_row, device=first.device)

    @property
    def wanted(self) -> tuple[Int[Tensor, "b a"], Bool[Tensor, "b a"]]:
        """The tokens that the `picked` queries predict, and a mask of those that count in the loss."""
        tokens, mask = self.tokens[:, -self.queries :], self.answer_mask[:, -self.queries :]
        picked = self.picked
        return (tokens, mask) if picked is None else (tokens.gather(1, picked), mask.gather(1, picked))


def as_batch(
    written: Written, reading: Reading, key: Int[Tensor, " b"], device: torch.device, capacity: int, *, tested: bool
) -> Batch:
    """Put written problems on a device.

    Args:
        written: the problems.
        reading: the layout of their numbers.
        key: each sample's random key.
        device: the device.
        capacity: the length of the longest sequence that the model will see of such problems.
        tested: whether the batch is for testing, not for training.
    """
    samples = Resident.of(written, key.numpy(), device)
    return Batch(samples, token_table(device), reading, *bounds(written), capacity, tested)


def bounds(written: Written) -> tuple[int, int]:
    """The fewest tokens before an answer, and the most in an answer, over all rows."""
    return int(written.begins.min()), int((written.lengths - written.begins).max())


def reading(form: Format, operands: int) -> Reading:
    """Describe the layout of a format's numbers, for schemes.

    Args:
        form: the format.
        operands: the number of operands.
    """
    # Plain data: `encodings` must not import `tasks`, so that it can be lifted into another project.
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
    """The kind of each token in the vocabulary, for schemes."""
    kinds = [Kind[kind.upper()] for kind in vocabulary.kinds()]
    kind = torch.tensor(kinds, device=device)
    nesting = torch.tensor(vocabulary.nesting(), device=device)
    return TokenTable(kind, (kind == Kind.DIGIT).long(), nesting)


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device; a CPU shares the array's memory."""
    tensor = torch.from_numpy(array)
    # Only from pinned memory does a GPU copy while the host goes on.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _narrow(tokens: Integer[np.ndarray, "b n"]) -> Integer[np.ndarray, "b n"]:
    """Store a token in one byte if the vocabulary is arith's, and in four if it is a pretrained model's."""
    return np.ascontiguousarray(tokens, dtype=np.uint8 if tokens.dtype == np.uint8 else np.int32)
