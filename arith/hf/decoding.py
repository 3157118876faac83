"""Decoding by `generate` of transformers: where a prompt ends, and what a model keeps from token to token.

`Prompts` reads off the tokens where the answer begins, as transformers passes nothing else. `Decoding` stands where
transformers expects a cache. It splits a batch into a `Group` for each pair of row length and prompt length, and so
decodes without padding, which no encoding then has to know of.
"""

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
        task: the task of the problems.
        format: how they are written.
    """

    task: Task
    format: Format

    def lengths(self, tokens: Int[Tensor, "b n"]) -> Int[Tensor, " b"]:
        """How many tokens stand before the answer; all of them in a row that has none yet.

        The answer begins after the first equals sign, or in a task in words with the number that follows the operands.
        """
        kind = token_table(tokens.device).kind[tokens]
        if isinstance(self.task, Worded):
            # Rank 0 is the first digit of a number; the number after the last operand answers.
            begins = (kind == Kind.DIGIT) & (rank(kind, torch.zeros_like(kind, dtype=torch.bool)) == 0)
            answers = begins.cumsum(1) > self.task.operands
            before = 0
        else:
            answers, before = kind == Kind.EQUALS, 1
        first = answers.long().argmax(1) + before  # argmax gives the first of equals
        return torch.where(answers.any(1), first, tokens.shape[1])

    def prompt(self, tokens: Int[Tensor, "b n"], lengths: Int[Tensor, " b"]) -> Prompt:
        """Prompts as position schemes take them, padded on the right."""
        order = reading(self.format, self.task.operands)
        width = self._answer_width(tokens, lengths) if self.format.pad_answer else None
        return Prompt(tokens, lengths, token_table(tokens.device), order, width, tested=True)

    def _answer_width(self, tokens: Int[Tensor, "b n"], lengths: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Digits of each padded answer, from the operands in the prompt."""
        kind = token_table(tokens.device).kind[tokens]
        answer = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
        digits = (rank(kind, answer) + 1) * ((kind == Kind.DIGIT) & ~answer)
        turns = self.task.operands if self.format.interleaved else 1  # operands digit by digit in turn look like one
        longest = (digits.amax(1) // turns).clamp(min=1).cpu().numpy()
        # An operand longer than the format's width is no problem in this format, and has no right answer.
        shown = longest if self.format.width is None else np.full_like(longest, self.format.width)
        # Which operand a digit is of: a new one begins with a number's first digit.
        operand = (digits == 1).cumsum(1) * (digits > 0)
        own = torch.stack([(operand == 1 + place).sum(1) for place in range(self.task.operands)]).cpu().numpy()
        widths = self.format.answer_widths(self.task, own, shown)
        assert widths is not None
        return torch.from_numpy(widths).to(tokens.device)


@dataclass
class Group:
    """Rows of one length, whose prompts have one length too.

    Args:
        rows: their places in the batch.
        cache: keys, values and ids so far.
        states: what each scheme carries from token to token.
        answer: logits that are still to be returned, if the model computes the whole answer at once.
    """

    rows: Int[Tensor, " r"]
    cache: Cache
    states: tuple[Any, ...]
    answer: Float[Tensor, "r new v"] | None = None


class Decoding:
    """One decoding of a batch, which `generate` passes from step to step as its cache.

    Args:
        model: the model that decodes.
        prompts: where prompts end.
        key: the random key of every row, for schemes that draw.
        capacity: tokens of the longest sequence.
    """

    def __init__(self, model: Transformer, prompts: Prompts, key: int, capacity: int) -> None:
        self.model, self.prompts, self.key, self.capacity = model, prompts, key, capacity
        self.groups: list[Group] = []
        self.tokens = 0  # tokens read as `generate` counts them, padding included

    def begin(self, tokens: Int[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> Float[Tensor, "b 1 v"]:
        """Read prompts that are padded on the left; the logits of the next token."""
        if not bool((valid[:, 1:] >= valid[:, :-1]).all()) or not bool(valid[:, -1].all()):
            raise ValueError("prompts are padded on the left to be gone on with: tokenizer.padding_side = 'left'")
        self.tokens = tokens.shape[1]
        lengths = valid.sum(1)
        # A prompt may hold the start of its answer, so that rows of one length still differ in where it begins.
        cuts = self.prompts.lengths(_move_padding_right(tokens, lengths)).minimum(lengths)
        parts = []
        for length, cut in torch.stack([lengths, cuts], dim=1).unique(dim=0).tolist():
            rows = ((lengths == length) & (cuts == cut)).nonzero()[:, 0]
            parts.append((rows, self._begin(tokens[rows, tokens.shape[1] - length :], cut, rows)))
        return _in_batch_order(parts)

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
        # The start of an answer is read token by token: a scheme's ids after the prompt come from its steps.
        for place in range(cut, tokens.shape[1]):
            logits = self._step(group, tokens[:, place])
        return logits

    def step(self, tokens: Int[Tensor, "b 1"]) -> Float[Tensor, "b 1 v"]:
        """Read one more token in each row; the logits of the next."""
        if tokens.shape[1] != 1:
            raise ValueError(f"decoding goes on token by token, got {tokens.shape[1]} at once")
        self.tokens += 1
        return _in_batch_order([(group.rows, self._step(group, tokens[group.rows, 0])) for group in self.groups])

    def _step(self, group: Group, token: Int[Tensor, " r"]) -> Float[Tensor, "r 1 v"]:
        if group.answer is not None:
            # Its last logits are the end mark's, and stay for rows that `generate` takes beyond their end.
            group.answer = group.answer[:, -max(1, group.answer.shape[1] - 1) :]
            return group.answer[:, :1]
        ids: Ids
        ids, group.states = self.model.encoding.step(token, group.states)
        beyond = self.model.encoding.beyond(ids)
        if beyond is not None:
            # An answer that never ends runs out of ids; without a position it still decodes, and is wrong anyway.
            ids = tuple(levels.masked_fill(beyond, 0) for levels in ids)
        logits: Tensor = self.model(token[:, None], ids, cache=group.cache)
        return logits

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens read so far; `generate` asks its cache."""
        return self.tokens

    def reorder_cache(self, beams: Int[Tensor, " b"]) -> None:
        """Continue row `i` from what row `beams[i]` was: `generate` calls this after each step of a beam search."""
        # Beams of one prompt have its length, so no row changes its group.
        for group in self.groups:
            place = {int(row): at for at, row in enumerate(group.rows)}
            order = torch.tensor([place[int(beams[row])] for row in group.rows], device=group.rows.device)
            group.cache.reorder(order)
            group.answer = None if group.answer is None else group.answer[order]
            group.states = tuple(_reorder(state, order) for state in group.states)


def _move_padding_right(tokens: Int[Tensor, "b n"], lengths: Int[Tensor, " b"]) -> Int[Tensor, "b n"]:
    index = torch.arange(tokens.shape[1], device=tokens.device) - lengths[:, None]
    return tokens.gather(1, index % tokens.shape[1])


def _in_batch_order(parts: Sequence[tuple[Int[Tensor, " r"], Float[Tensor, "r 1 v"]]]) -> Float[Tensor, "b 1 v"]:
    """Put the logits of several groups in the order of the batch."""
    rows, logits = zip(*parts, strict=True)
    whole: Tensor = torch.cat(logits)
    return whole[torch.cat(rows).argsort()]


def _reorder(state: Any, order: Int[Tensor, " r"]) -> Any:
    # A scheme's state is a NamedTuple of tensors, with one row for each sample.
    fields: Sequence[Tensor] = state
    return type(state)(*(field[order] for field in fields))
