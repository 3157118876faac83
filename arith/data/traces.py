"""Supervision of a looped model by a task's intermediate states: one loop of each sample, with its two states."""

from dataclasses import dataclass

import numpy as np
import torch

from arith.data.batch import TraceTargets
from arith.tasks.base import Trace
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.stream import Draws
from arith.tasks.tracing import steps


def in_columns(form: Format) -> bool:
    """Whether a format writes answers as a known number of columns, least significant digit first."""
    return form == Format(pad_operands=True, pad_answer=True, answer="lsb", operands=form.operands, width=form.width)


@dataclass(frozen=True)
class Supervision:
    """Supervision by a task's intermediate states.

    Args:
        trace: the states.
        random: the share of samples that start from a random state instead of one of their own problem.
    """

    trace: Trace
    random: float

    def check(self, name: str, form: Format) -> None:
        """Raise a ValueError if the format's answers do not have a known number of columns.

        Args:
            name: the format's name, for the message.
            form: the format.
        """
        if not in_columns(form):
            raise ValueError(
                f"a model with trace.kind revises an answer whose columns are known, least significant digit first. "
                f"Use padded-reversed or padded-all-reversed, got '{name}'"
            )

    def loops(self, written: Written, operands: tuple[Numbers, ...], draws: Draws) -> TraceTargets:
        """Draw one loop of each problem, and lay its states column by column along the answer."""
        assert written.answer_widths is not None
        # A factor has the digits that it is written with, zeros that pad included.
        done = written.answer_widths // 2
        found = steps(self.trace, operands, done, written.answer_widths, self.random, draws)
        # From the columns of a number, [b columns parts], to the tokens of a line, [b n parts]: column i of a state
        # stands at the answer's token i, whatever the length of the prompt before it.
        column = np.arange(written.tokens.shape[1]) - written.prompt_lengths[:, None]
        inside = (column >= 0) & (column < written.answer_widths[:, None])
        index = column.clip(0, found.before.shape[1] - 1)[..., None]
        before, after = (
            torch.from_numpy(np.take_along_axis(state, index, axis=1) * inside[..., None])
            for state in (found.before, found.after)
        )
        return TraceTargets(torch.from_numpy(found.loop), before, after)
