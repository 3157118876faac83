"""Schoolbook multiplication as states of the answer's columns, one digit of the multiplier b after the other.

    carry-save     carry[k], digit[k] = divmod(digit[k] + carry[k-1] + a[k-t] b[t], 10)                    at loop t
    running-sum    sum[k] = sum[k] + a[k-t] b[t], and after the last digit of b (sum[k] mod 10) + (sum[k-1] div 10)

A saved carry waits in its column for the next loop, so that no loop looks further back than one column, and all
numbers stay below ten however long the factors: 9 + 9 + 9 * 9 = 99. Running sums grow with the shorter factor.
Carry-save form is known from multipliers in hardware (Wallace, "A Suggestion for a Fast Multiplier", 1964).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int, UInt8

from arith.tasks import vocabulary
from arith.tasks.base import Layout, State, Trace
from arith.tasks.digits import Numbers
from arith.tasks.lines import Written
from arith.tasks.stream import Draws, Use, scale


@dataclass(frozen=True)
class _Columns:
    """States of decimal digits in the columns of an answer whose width is known."""

    alphabet: ClassVar[int] = 10
    in_answer: ClassVar[bool] = True

    def lay_out(self, written: Written, operands: tuple[Numbers, ...], draws: Draws) -> Layout:
        widths = written.answer_widths
        assert widths is not None
        column = np.arange(widths.max())
        places = np.where(column < widths[:, None], written.prompt_lengths[:, None] + column, -1)
        return Layout(places, _second_factor(written))


@dataclass(frozen=True)
class CarrySave(_Columns):
    """Each column's digit and carry."""

    parts: ClassVar[int] = 2

    def advance(
        self, state: State, operands: tuple[Numbers, ...], done: Int[np.ndarray, " b"], loop: Int[np.ndarray, " b"]
    ) -> State:
        # At most 9 + 81, and 99 with the carry: bytes hold it.
        total = state[..., 0] + _products(operands, loop, state.shape[1])
        total[:, 1:] += state[:, :-1, 1]
        return np.stack([total % 10, total // 10], axis=-1)

    def draw(self, draws: Draws, columns: int) -> State:
        return _digits(draws, columns, self.parts)


@dataclass(frozen=True)
class RunningSum(_Columns):
    """The units, tens and hundreds of each column's sum: enough for factors of 12 digits."""

    parts: ClassVar[int] = 3

    def advance(
        self, state: State, operands: tuple[Numbers, ...], done: Int[np.ndarray, " b"], loop: Int[np.ndarray, " b"]
    ) -> State:
        sums = state @ np.array([1, 10, 100])
        # Once b is used up, sums come apart: each column keeps its units and gives the rest to the next, a column a
        # loop.
        released = sums % 10
        released[:, 1:] += sums[:, :-1] // 10
        adding = (loop < done)[:, None]
        total = np.where(adding, sums + _products(operands, loop, state.shape[1]), released)
        return np.stack([total % 10, total // 10 % 10, total // 100], axis=-1).astype(np.uint8)

    def draw(self, draws: Draws, columns: int) -> State:
        drawn = _digits(draws, columns, self.parts)
        drawn[..., 2] %= 9  # no sum beyond 999 one loop later
        return drawn


# Configurations name these in `trace.kind`.
KINDS: dict[str, Trace] = {"carry-save": CarrySave(), "running-sum": RunningSum()}


def _second_factor(written: Written) -> Int[np.ndarray, " b"]:
    """Digits that the second factor is written with, zeros that pad included."""
    tokens = written.tokens
    behind = (tokens == vocabulary.token("*")).cumsum(axis=1) > 0
    prompt = np.arange(tokens.shape[1]) < written.prompt_lengths[:, None]
    found: np.ndarray = (behind & prompt & (tokens < 10)).sum(axis=1)  # tokens 0 to 9 are digits
    return found


def _products(
    operands: tuple[Numbers, ...], loop: Int[np.ndarray, " b"], columns: int
) -> UInt8[np.ndarray, "b columns"]:
    """a[k-t] b[t] in each row and column, zero where a factor has no such digit."""
    a, b = operands
    place = np.arange(columns) - loop[:, None]
    found: np.ndarray = _at(a, place) * _at(b, loop[:, None])
    return found


def _at(number: Numbers, place: Int[np.ndarray, "b n"]) -> UInt8[np.ndarray, "b n"]:
    # Clipped first: a negative index would count from the other end.
    found = np.take_along_axis(number.digits, place.clip(0, number.width - 1), axis=1)
    outside = (place < 0) | (place >= number.width)
    found[outside] = 0
    return found


def _digits(draws: Draws, columns: int, parts: int) -> State:
    halves = draws.halves(Use.STATES, columns * parts).reshape(-1, columns, parts)
    return scale(halves, 10).astype(np.uint8)
