"""Supervision of a looped model beside the answer: one loop of each sample, with the states before and after it."""

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
    """Whether answers written like this are columns of a known number, least significant digit first."""
    return form == Format(pad_operands=True, pad_answer=True, answer="lsb", operands=form.operands, width=form.width)


@dataclass(frozen=True)
class Supervision:
    """A task's intermediate states, and the share of samples that start from a random state instead."""

    trace: Trace
    random: float

    def check(self, name: str, form: Format) -> None:
        """Raise if answers written like this are not columns of a known number."""
        if not in_columns(form):
            raise ValueError(
                f"a model with trace.kind revises an answer whose columns are known, least significant digit first. "
                f"Use padded-reversed or padded-all-reversed, got '{name}'"
            )

    def loops(self, written: Written, operands: tuple[Numbers, ...], draws: Draws) -> TraceTargets:
        """One loop of each problem: its states, column by column along an answer written least significant first."""
        assert written.answer_widths is not None
        # A factor has the digits that it is written with, zeros that pad included.
        done = written.answer_widths // 2
        found = steps(self.trace, operands, done, written.answer_widths, self.random, draws)
        # A state's column i stands at the answer's token i, whatever the length of the prompt before it.
        column = np.arange(written.tokens.shape[1]) - written.prompt_lengths[:, None]
        inside = (column >= 0) & (column < written.answer_widths[:, None])
        index = column.clip(0, found.before.shape[1] - 1)[..., None]
        before, after = (
            torch.from_numpy(np.take_along_axis(state, index, axis=1) * inside[..., None])
            for state in (found.before, found.after)
        )
        return TraceTargets(torch.from_numpy(found.loop), before, after)
