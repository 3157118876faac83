"""Supervision of a looped model by a task's intermediate states: one loop of each sample, with its two states."""

from dataclasses import dataclass, replace

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
    known = Format(pad_operands=form.pad_operands, pad_answer=True, answer="lsb", operands=form.operands)
    return form == replace(known, width=form.width, longest_first=form.longest_first)


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
        if self.trace.in_answer and not in_columns(form):
            raise ValueError(
                f"a model with trace.kind revises an answer whose columns are known, least significant digit first. "
                f"Use padded-reversed or padded-all-reversed, got '{name}'"
            )

    def loops(self, written: Written, operands: tuple[Numbers, ...], draws: Draws) -> TraceTargets:
        """Draw one loop of each problem, and lay its states column by column along the line."""
        layout = self.trace.lay_out(written, operands, draws)
        found = steps(self.trace, operands, layout, self.random, draws)
        # From the columns of a state, [b columns parts], to the tokens of a line, [b n parts].
        rows, columns = np.nonzero(layout.places >= 0)
        laid = []
        for state in (found.before, found.after):
            along = np.zeros((*written.tokens.shape, self.trace.parts), np.uint8)
            along[rows, layout.places[rows, columns]] = state[rows, columns]
            laid.append(torch.from_numpy(along))
        return TraceTargets(torch.from_numpy(found.loop), *laid)
