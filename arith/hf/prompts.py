"""What a model of ours knows of a problem beside its tokens, read off the tokens."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from arith.data import reading, token_table
from arith.encodings.digit_positions import rank
from arith.encodings.positions import Kind, Prompt
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
