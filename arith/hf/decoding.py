"""What a model of ours keeps while it decodes prompts of several lengths: those of one length together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arith.data.batch import reading, token_table
from arith.encodings.compose import Ids
from arith.encodings.digit_positions import rank
from arith.encodings.positions import Kind, Prompt
from arith.model.cache import Cache
from arith.model.transformer import Transformer
from arith.tasks.base import Task, Worded
from arith.tasks.formats import Format


@dataclass(frozen=True)
class Prompts:
    """Where prompts end, and how wide their answers are.

    Args:
        task, format: of the problems.
    """

    task: Task
    format: Format

    def lengths(self, tokens: Int[Tensor, "b n"]) -> Int[Tensor, " b"]:
        """Tokens up to the answer: up to the first equals sign, or to the number after a text's operands.

        A row that has none yet is a prompt as a whole.
        """
        kind = token_table(tokens.device).kind[tokens]
        if isinstance(self.task, Worded):
            begins = (kind == Kind.DIGIT) & (rank(kind, torch.zeros_like(kind, dtype=torch.bool)) == 0)
            answers = begins.cumsum(1) > self.task.operands
            before = 0
        else:
            answers, before = kind == Kind.EQUALS, 1
        first = answers.long().argmax(1) + before
        return torch.where(answers.any(1), first, tokens.shape[1])

    def prompt(self, tokens: Int[Tensor, "b n"], lengths: Int[Tensor, " b"]) -> Prompt:
        """As position schemes are given it, padded on the right."""
        own = reading(self.format, self.task.operands)
        width = self._answer_width(tokens, lengths) if self.format.pad_answer else None
        return Prompt(tokens, lengths, token_table(tokens.device), own, width, tested=True)

    def _answer_width(self, tokens: Int[Tensor, "b n"], lengths: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        kind = token_table(tokens.device).kind[tokens]
        answer = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
        digits = (rank(kind, answer) + 1) * ((kind == Kind.DIGIT) & ~answer)
        turns = self.task.operands if self.format.interleaved else 1
        longest = (digits.amax(1) // turns).clamp(min=1).cpu().numpy()
        # What is longer than the format's width is no problem in it, and has no right answer.
        shown = longest if self.format.width is None else np.full_like(longest, self.format.width)
        return torch.from_numpy(self.task.answer_width(shown)).to(tokens.device)


@dataclass
class Group:
    """Rows of one length.

    Args:
        rows: their places in the batch.
        cache: keys, values and ids so far.
        states: what each scheme carries from token to token.
        answer: the logits that are still to be given, of a model whose answer comes all at once.
    """

    rows: Int[Tensor, " r"]
    cache: Cache
    states: tuple[Any, ...]
    answer: Float[Tensor, "r new v"] | None = None


class Decoding:
    """One decoding of a batch. `generate` hands it from step to step as its cache.

    Rows of different lengths are not padded: no encoding has to know of padding.
    """

    def __init__(self, model: Transformer, prompts: Prompts, key: int, capacity: int) -> None:
        self.model, self.prompts, self.key, self.capacity = model, prompts, key, capacity
        self.groups: list[Group] = []
        self.tokens = 0  # of the batch as `generate` counts them, padding included

    def begin(self, tokens: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Float[Tensor, "b 1 v"]:
        """Read prompts padded on the left, and give the logits of what comes next."""
        if not bool((valid[:, 1:] >= valid[:, :-1]).all()) or not bool(valid[:, -1].all()):
            raise ValueError("prompts are padded on the left to be gone on with: tokenizer.padding_side = 'left'")
        self.tokens = tokens.shape[1]
        lengths = valid.sum(1)
        cuts = self.prompts.lengths(_to_the_left(tokens, lengths)).minimum(lengths)
        found = []
        for length, cut in torch.stack([lengths, cuts], dim=1).unique(dim=0).tolist():
            rows = ((lengths == length) & (cuts == cut)).nonzero()[:, 0]
            found.append((rows, self._begin(tokens[rows, tokens.shape[1] - length :], cut, rows)))
        return _in_batch_order(found)

    def _begin(self, tokens: Int[Tensor, "r n"], cut: int, rows: Int[Tensor, " r"]) -> Float[Tensor, "r 1 v"]:
        """Rows of one length whose prompts are of one length too."""
        key = torch.full((len(rows),), self.key, device=tokens.device)
        prompt = self.prompts.prompt(tokens[:, :cut], torch.full_like(key, cut))
        ids, states = self.model.encoding.start(prompt, key, self.capacity)
        group = Group(rows, Cache(), states)
        self.groups.append(group)
        group.answer = self.model.answer_logits(prompt, key, self.capacity)
        if group.answer is None:
            logits: Tensor = self.model(tokens[:, :cut], ids, queries=1, cache=group.cache)
        else:
            logits = group.answer[:, :1]
        for place in range(cut, tokens.shape[1]):  # of an answer that is begun
            logits = self._step(group, tokens[:, place])
        return logits

    def step(self, tokens: Int[Tensor, "b 1"]) -> Float[Tensor, "b 1 v"]:
        """Read one more token a row."""
        if tokens.shape[1] != 1:
            raise ValueError(f"decoding goes on token by token, got {tokens.shape[1]} at once")
        self.tokens += 1
        return _in_batch_order([(group.rows, self._step(group, tokens[group.rows, 0])) for group in self.groups])

    def _step(self, group: Group, token: Int[Tensor, " r"]) -> Float[Tensor, "r 1 v"]:
        if group.answer is not None:  # its last logits are those of the end mark
            group.answer = group.answer[:, -max(1, group.answer.shape[1] - 1) :]
            return group.answer[:, :1]
        ids: Ids
        ids, group.states = self.model.encoding.step(token, group.states)
        beyond = self.model.encoding.beyond(ids)
        if beyond is not None:
            ids = tuple(own.masked_fill(beyond, 0) for own in ids)  # a number that never ends has no answer
        found: Tensor = self.model(token[:, None], ids, cache=group.cache)
        return found

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens read, as caches of transformers tell it."""
        return self.tokens

    def reorder_cache(self, beams: Int[Tensor, " b"]) -> None:
        """Row `i` goes on from what row `beams[i]` was. Beams of one prompt have its length."""
        for group in self.groups:
            place = {int(row): at for at, row in enumerate(group.rows)}
            order = torch.tensor([place[int(beams[row])] for row in group.rows], device=group.rows.device)
            group.cache.reorder(order)
            group.answer = None if group.answer is None else group.answer[order]
            group.states = tuple(_reorder(state, order) for state in group.states)


def _to_the_left(tokens: Int[Tensor, "b n"], lengths: Int[Tensor, " b"]) -> Int[Tensor, "b n"]:
    """Rows with what stands before them moved behind them."""
    index = torch.arange(tokens.shape[1], device=tokens.device) - lengths[:, None]
    return tokens.gather(1, index % tokens.shape[1])


def _in_batch_order(parts: Sequence[tuple[Int[Tensor, " r"], Float[Tensor, "r 1 v"]]]) -> Float[Tensor, "b 1 v"]:
    """The logits of several groups, in the order of the batch."""
    rows, logits = zip(*parts, strict=True)
    whole: Tensor = torch.cat(logits)
    return whole[torch.cat(rows).argsort()]


def _reorder(state: Any, order: Int[Tensor, " r"]) -> Any:
    """A scheme's state is a NamedTuple of tensors, a row a sample."""
    fields: Sequence[Tensor] = state
    return type(state)(*(own[order] for own in fields))
