"""The intermediate states of problems, and one loop of each problem to learn from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

from arith.tasks.base import Layout, State, Trace
from arith.tasks.digits import Numbers
from arith.tasks.stream import Draws, Use, scale


@dataclass(frozen=True)
class Steps:
    """One loop of each problem.

    Args:
        loop: index of the loop, from 0.
        before, after: the states of the columns.
    """

    loop: Int[np.ndarray, " b"]
    before: State
    after: State


def states(
    trace: Trace, operands: tuple[Numbers, ...], done: Int[np.ndarray, " b"], columns: int
) -> tuple[UInt8[np.ndarray, "loops b columns parts"], Int[np.ndarray, " b"]]:
    """All states from zeros on, and how many loops each problem takes until nothing but digits is left.

    >>> from arith.tasks.schoolbook import CarrySave
    >>> a, b = Numbers.of([99]), Numbers.of([99])
    >>> found, loops = states(CarrySave(), (a, b), b.lengths, columns=4)
    >>> found[:, 0, ::-1, 0].tolist(), loops.tolist()
    ([[0, 0, 0, 0], [0, 0, 1, 1], [0, 9, 0, 1], [8, 8, 0, 1], [9, 8, 0, 1]], [4])
    """
    state = np.zeros((len(done), columns, trace.parts), np.uint8)
    found, loops = [state], np.zeros_like(done)
    # Ends: after the last digit of a factor each loop only moves carries up, and there are finitely many columns.
    while (busy := working(state, done, len(found) - 1)).any():
        state = trace.advance(state, operands, done, np.full_like(done, len(found) - 1))
        found.append(state)
        loops += busy
    return np.stack(found), loops


def working(state: State, done: Int[np.ndarray, " b"], loop: int) -> Bool[np.ndarray, " b"]:
    """Which problems need this loop: digits of a factor, or carries, are left."""
    found: np.ndarray = (loop < done) | state[..., 1:].any(axis=(1, 2))
    return found


def steps(trace: Trace, operands: tuple[Numbers, ...], layout: Layout, random: float, draws: Draws) -> Steps:
    """One loop of each problem, drawn uniformly from those it takes and one more, in which nothing changes.

    Args:
        layout: which columns each problem has; others are zero.
        random: share of problems whose state before is random digits and not the problem's own.
    """
    widest = layout.places.shape[1]
    all_states, loops = states(trace, operands, layout.loops, widest)
    # Two numbers a sample: which loop it is, and whether its state before is random.
    halves = draws.halves(Use.LOOPS, 2)
    loop = scale(halves[:, 0], loops + 1).astype(np.int64)
    own = all_states[loop, np.arange(len(loop))]
    drawn = (halves[:, 1] < random * 2**32)[:, None, None]
    # Columns that a row does not have must stay zero, or a random state would carry from them.
    inside = (layout.places >= 0)[..., None]
    before = np.where(drawn, trace.draw(draws, widest), own) * inside
    return Steps(loop, before, trace.advance(before, operands, layout.loops, loop) * inside)
