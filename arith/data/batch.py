"""Samples on a device: what one batch holds, and how a model and its encoding read it."""

import functools
from dataclasses import dataclass
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

PICKED = 0.75  # of the queries, and no more, are picked out, as that costs time too


@dataclass(frozen=True)
class TraceTargets:
    """States along the tokens, a byte a number; zeros outside the answer.

    Args:
        loop: that each sample is in, from 0.
    """

    loop: Int[Tensor, " b"]
    before: UInt8[Tensor, "b n parts"]
    after: UInt8[Tensor, "b n parts"]

    def to(self, device: torch.device) -> "TraceTargets":
        return TraceTargets(*(on_device(own.numpy(), device) for own in (self.loop, self.before, self.after)))

    def rows(self, rows: slice | Int[Tensor, " r"], width: int) -> "TraceTargets":
        """Of some of the samples, cut to a width."""
        return TraceTargets(self.loop[rows], self.before[rows, :width], self.after[rows, :width])


class Resident(NamedTuple):
    """Written samples, and the key from which encodings draw for each.

    Args:
        tokens: begin, prompt, answer, end, padding.
        prompt_length: tokens up to the answer.
        length: tokens up to and with the end mark.
        key: of each sample.
        answer_width: digits of each answer where the format fixes them.
        given: tokens after the prompt that no model can know. None: there are none.
        whole: whether a model is asked for the prompt too.
    """

    tokens: Integer[Tensor, "b n"]
    prompt_length: Int[Tensor, " b"]
    length: Int[Tensor, " b"]
    key: Int[Tensor, " b"]
    answer_width: Int[Tensor, " b"] | None
    given: Bool[Tensor, "b n"] | None
    whole: bool

    @staticmethod
    def of(written: Written, key: Int[np.ndarray, " b"], device: torch.device) -> "Resident":
        """On a GPU the copy goes on while the host does other things."""
        tokens, width, given = (
            _narrow(written.tokens),
            written.answer_widths,
            written.given,
        )
        return Resident(
            on_device(tokens, device),
            on_device(written.prompt_lengths, device),
            on_device(written.lengths, device),
            on_device(key, device),
            None if width is None else on_device(width, device),
            None if given is None else on_device(given, device),
            written.whole,
        )

    def rows(self, rows: slice | Int[Tensor, " r"], width: int) -> "Resident":
        """Some of the samples, cut to a width."""
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
    def asked(self) -> Bool[Tensor, "b n"]:
        """The tokens a model is asked for: answer and end mark, or the whole line."""
        index = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        begins = 1 if self.whole else self.prompt_length[:, None]
        asked = (index >= begins) & (index < self.length[:, None])
        return asked if self.given is None else asked & ~self.given


def _narrow(tokens: Integer[np.ndarray, "b n"]) -> Integer[np.ndarray, "b n"]:
    """A byte a token, if the vocabulary is arith's; those of pretrained models are larger."""
    return np.ascontiguousarray(tokens, dtype=np.uint8 if tokens.dtype == np.uint8 else np.int32)


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of an array, or on a CPU itself."""
    tensor = torch.from_numpy(array)
    # A copy from pinned memory is the only one that nobody waits for.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@dataclass(frozen=True)
class Batch:
    """Problems as tokens, padded on the right, with what a scheme needs to place them.

    Args:
        samples: as they lie on the device.
        table: the vocabulary, for schemes.
        reading: how their numbers stand.
        shortest_prompt: tokens before the first that a model is asked for, in any row, or fewer.
        longest_answer: tokens from the first to the last that a model is asked for, in any row, or more.
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
    longest_answer: int
    capacity: int
    tested: bool
    ids: Ids | None = None
    total: Float[Tensor, ""] | None = None
    loops: TraceTargets | None = None

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
        return (
            self.queries if self.samples.whole or self.longest_answer > PICKED * self.queries else self.longest_answer
        )

    @property
    def picked(self) -> Int[Tensor, "b a"] | None:
        """Places of `asked` queries, one after the other, with all that predict the row's answer; None: of all."""
        if self.asked == self.queries:
            return None
        first = (self.samples.prompt_length - self.shortest_prompt).clamp(max=self.queries - self.asked)
        return first[:, None] + torch.arange(self.asked, device=first.device)


def as_batch(
    written: Written, reading: Reading, key: Int[Tensor, " b"], device: torch.device, capacity: int, *, tested: bool
) -> Batch:
    """Written problems on a device.

    Args:
        capacity: tokens of the longest sequence that samples like these can be.
        tested: whether a model is measured on them, not trained.
    """
    samples = Resident.of(written, key.numpy(), device)
    shortest_prompt, longest_answer = int(written.begins.min()), int((written.lengths - written.begins).max())
    return Batch(samples, token_table(device), reading, shortest_prompt, longest_answer, capacity, tested)


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
