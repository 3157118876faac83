"""From problems to what a model is trained and tested on."""

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.positions import Kind, Prompt, Reading, TokenTable
from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.formats import Format
from arith.tasks.sampling import Sampler, Source
from arith.tasks.stream import Split, sample_keys


@dataclass(frozen=True)
class Batch:
    """Problems as tokens, padded on the right, with what a scheme needs to place them.

    Args:
        tokens: begin, prompt, answer, end, padding.
        length: tokens without padding.
        prompt: the same tokens, with how far the prompt goes and how its numbers stand.
        key: a random key for each sample.
        shortest_prompt: tokens of the shortest prompt.
    """

    tokens: Int[Tensor, "b n"]
    length: Int[Tensor, " b"]
    prompt: Prompt
    key: Int[Tensor, " b"]
    shortest_prompt: int

    @property
    def answer_mask(self) -> Bool[Tensor, "b n"]:
        """True for the tokens a model is asked for: the answer and the end mark."""
        index = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return (index >= self.prompt.length[:, None]) & (index < self.length[:, None])

    @property
    def queries(self) -> int:
        """How many of the last tokens but one predict an answer token in some row."""
        return self.tokens.shape[1] - self.shortest_prompt


class Dataset:
    """An endless list of samples: a task's problems, from a source, in a format."""

    def __init__(self, task: Task, form: Format, sampler: Sampler, seed: int, split: Split) -> None:
        self.task, self.format = task, form
        self.source = Source(task, sampler, seed, split)

    def batch(self, start: int, count: int, device: torch.device) -> Batch:
        """Samples `start` to `start + count - 1`."""
        keys = sample_keys(self.source.seed, self.source.split, start, count)
        return as_batch(self.task, self.format, self.source.problems(start, count), torch.from_numpy(keys), device)


def as_batch(task: Task, form: Format, problems: Problems, key: Int[Tensor, " b"], device: torch.device) -> Batch:
    """Problems written in a format, on a device."""
    written = form.write(task, problems)
    tokens = torch.from_numpy(written.tokens).to(device).long()
    width = written.answer_widths
    prompt = Prompt(
        tokens,
        torch.from_numpy(written.prompt_lengths).to(device),
        token_table(device),
        reading(form),
        None if width is None else torch.from_numpy(width).to(device),
    )
    length = torch.from_numpy(written.lengths).to(device)
    return Batch(tokens, length, prompt, key.to(device), int(written.prompt_lengths.min()))


def reading(form: Format) -> Reading:
    """How a format's numbers stand, for schemes."""
    return Reading(form.operands, form.answer, form.pad_answer)


@functools.cache
def token_table(device: torch.device) -> TokenTable:
    """The vocabulary, for schemes."""
    kinds = [Kind[kind.upper()] for kind in vocabulary.kinds()]
    kind = torch.tensor(kinds, device=device)
    return TokenTable(kind, (kind == Kind.DIGIT).long())
