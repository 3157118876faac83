"""What a task is: the operands are given, the answer follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int, UInt8

from arith.tasks.digits import Numbers
from arith.tasks.lines import Piece, Written
from arith.tasks.stream import Draws, Stream

# What operands are made of: a number; a string of digits; one in which no digit comes twice; one of digits below a
# number, such as 2 for zeros and ones.
Alphabet = Literal["number", "string", "distinct"] | int


def digits_in(alphabet: Alphabet) -> int:
    """How many digits there are to choose from.

    >>> digits_in("number"), digits_in(2)
    (10, 2)
    """
    return alphabet if isinstance(alphabet, int) else 10


# How the digits of the answer follow from those of the operands: column by column, with carries.
Operation = Literal["sum", "difference", "product"]


class Task(Protocol):
    """A problem on one or more operands. Frozen, without state: `arith.tasks.sampling` draws the operands.

    Three more attributes are optional: `operation`, which `operation_of` reads; `commutative`, which `is_commutative`
    reads; and `question`, which asks a chat model for an answer, with `{problem}` where the problem stands.
    """

    @property
    def name(self) -> str: ...

    @property
    def symbol(self) -> str:
        """The operator, written between operands."""
        ...

    @property
    def operands(self) -> int:
        """How many operands a problem has."""
        ...

    @property
    def alphabet(self) -> Alphabet:
        """What operands are: numbers, or strings of digits, in which zeros at the front count."""
        ...

    @property
    def signed(self) -> bool:
        """Whether answers can be below zero."""
        ...

    def solve(self, *operands: Numbers) -> Numbers:
        """The exact answers."""
        ...

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Digits of the longest answer to operands of `width` digits."""
        ...


# The two below are looked up by name, since a member of the protocol would have to be there in every task. What a task
# can do is read off them and never off its operator: two tasks may share "+".


def operation_of(task: Task) -> Operation | None:
    """The operation that a task declares; None if its answers come about in another way.

    Carry-heavy problems, scratchpads, classes of errors and running sums are for tasks that declare one.

    >>> from arith.tasks.subtraction import Subtraction
    >>> operation_of(Subtraction())
    'difference'
    """
    return getattr(task, "operation", None)


def is_commutative(task: Task) -> bool:
    """Whether the answer stays the same if operands are swapped: what a task declares, or else whether it adds or
    multiplies.

    >>> from arith.tasks.subtraction import Subtraction
    >>> is_commutative(Subtraction())
    False
    """
    return getattr(task, "commutative", operation_of(task) in ("sum", "product"))


def name_in_refusal(task: Task) -> str:
    """A task's name where something needs another operation, and what to add if the task declares none.

    >>> from arith.tasks.strings import Copy
    >>> name_in_refusal(Copy())
    'copy (which declares no operation, such as operation = "sum")'
    """
    return task.name if operation_of(task) else f'{task.name} (which declares no operation, such as operation = "sum")'


@dataclass(frozen=True)
class Wording:
    """What stands around the numbers of a line.

    Args:
        around: before the first operand, between operands, and from the last operand up to the answer.
        end: after the answer.
    """

    around: Sequence[Sequence[Piece]]
    end: Sequence[Piece]


@runtime_checkable
class Worded(Task, Protocol):
    """A task whose lines are more than numbers and operators."""

    @property
    def symbols(self) -> str:
        """What its words are written with."""
        ...

    def wording(self, rows: int, draws: Draws | None) -> Wording:
        """The words of each row; without draws the longest there are."""
        ...


@runtime_checkable
class Drawn(Task, Protocol):
    """A task that draws its own operands, since not all strings of digits are problems of it. All have one length."""

    def draw(
        self, stream: Stream, lengths: Int[np.ndarray, " n"], index: Int[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "m n w"]:
        """The operands' digits, zero beyond their lengths.

        Args:
            stream: where random numbers come from.
            lengths: digits of the operands of each problem.
            index: each problem's place in the endless list, for a task whose kinds of problems come in turn.
        """
        ...


State = UInt8[np.ndarray, "b columns parts"]  # numbers below the trace's alphabet, 0 at the start


class Layout(NamedTuple):
    """Where the states of some problems stand in their lines, and how many loops work on them.

    Args:
        places: the token of each column; -1 where a row has no such column.
        loops: those that each problem takes before only other parts than the first, such as carries, are left.
    """

    places: Int[np.ndarray, "b columns"]
    loops: Int[np.ndarray, " b"]


class Trace(Protocol):
    """The states through which a task's answers come about, from all zeros, every column at the same time."""

    @property
    def parts(self) -> int:
        """Numbers in a column, of which the first one tells the answer's digit."""
        ...

    @property
    def alphabet(self) -> int:
        """How many numbers there are: each of them is below."""
        ...

    @property
    def in_answer(self) -> bool:
        """Whether columns are those of the answer, told apart by ids that slide with the loop; else they stand at the
        names of a line whose values are read in place, and the first number is a value plus 1, or 0 if unknown."""
        ...

    def lay_out(self, written: Written, operands: tuple[Numbers, ...], draws: Draws) -> Layout:
        """Where the columns stand in lines that were written with the same draws."""
        ...

    def advance(
        self, state: State, operands: tuple[Numbers, ...], done: Int[np.ndarray, " b"], loop: Int[np.ndarray, " b"]
    ) -> State:
        """The state after one more loop.

        Args:
            done: the layout's loops.
            loop: of each row, from 0.
        """
        ...

    def draw(self, draws: Draws, columns: int) -> State:
        """Random states, whether or not any problem has them."""
        ...


@runtime_checkable
class Traced(Task, Protocol):
    """A task that can tell how its answers come about."""

    def trace(self, kind: str) -> Trace:
        """Raises a ValueError if there is no such kind."""
        ...


@dataclass(frozen=True)
class Problems:
    """A batch of problems with their exact answers."""

    operands: tuple[Numbers, ...]
    answer: Numbers

    def __len__(self) -> int:
        return len(self.answer)

    def __getitem__(self, rows: slice | Bool[np.ndarray, " n"]) -> "Problems":
        return Problems(tuple(number[rows] for number in self.operands), self.answer[rows])
