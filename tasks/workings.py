"""What is written between the equals sign and the answer: the steps that lead there.

    scratchpad            239+821=0c1,6c0,0c1;1060           each column's digit and carry, units first
    detailed              239+821=9+1+c0=0c1,3+2+c1=6c0,...  with the digits it comes from
    recursive             239+821=9+1+c0=0c1,32+28:3+2+c1=6c0,2+8:2+8+c0=0c1;1060
                                                             each step restates what remains of the operands
    partial-products      12*34=48+360;408                   from the third product on with their running sums

In differences `c` is what a column borrows; a `-` in front says that the larger number is the second, from which the
first is taken. A missing digit counts as 0.
The first two carry what the scratchpads of Lee et al., arXiv 2307.03381, do, in fewer tokens; the third is the
Recursive Scratchpad of Shen et al., arXiv 2311.14737; the last is that of Deng et al., arXiv 2405.14838.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Int, Int32, UInt8

from arith.tasks import vocabulary
from arith.tasks.base import Task, name_in_refusal, operation_of
from arith.tasks.digits import Numbers, add, multiply, resize, subtract
from arith.tasks.lines import NO_DIGIT, Order, Piece, constant, number

END_OF_STEPS = ";"
MOST_OPERANDS = 10  # whose carries are single digits


class Working(Protocol):
    """Frozen. The pieces of the steps, without the mark that ends them."""

    @property
    def name(self) -> str: ...

    @property
    def symbols(self) -> str:
        """What it writes beside digits and operators."""
        ...

    def check(self, task: Task, interleaved: bool) -> None:
        """Raise a ValueError if a task has no such steps, or if they cannot be written for interleaved operands."""
        ...

    def pieces(
        self,
        task: Task,
        operands: tuple[Numbers, ...],
        answer_width: Int[np.ndarray, " b"] | None,
        order: Order,
    ) -> list[Piece]:
        """The steps.

        Args:
            operands: the operands, with the lengths that they are written with.
            answer_width: digits that answers are padded to; None: they are not padded.
            order: which digit of the answer comes first.
        """
        ...


@dataclass(frozen=True)
class Columns:
    """A sum or difference column by column.

    Args:
        swapped: differences in which the second operand is the larger one, and comes first here.
        operand_lengths: of each operand, in this order.
        lengths: columns of each problem.
        digits: of each operand in each column.
        carries: into each column, and out of the last.
        results: the digit of each column.
    """

    swapped: Bool[np.ndarray, " b"]
    operand_lengths: Int[np.ndarray, "m b"]
    lengths: Int[np.ndarray, " b"]
    digits: UInt8[np.ndarray, "m b w"]
    carries: UInt8[np.ndarray, "b w+1"]
    results: UInt8[np.ndarray, "b w"]

    @staticmethod
    def of(task: Task, operands: tuple[Numbers, ...]) -> "Columns":
        operand_lengths = np.stack([own.lengths for own in operands])
        lengths: np.ndarray = operand_lengths.max(axis=0)
        width = int(lengths.max(initial=0))
        digits = np.stack([resize(own.digits, width) for own in operands])
        adds = operation_of(task) == "sum"
        swapped = np.zeros(len(lengths), dtype=bool) if adds else subtract(*operands).signs
        # The larger number first, so that the top column borrows nothing.
        digits[:, swapped] = digits[::-1, swapped]
        operand_lengths[:, swapped] = operand_lengths[::-1, swapped]
        # Wider than a byte and signed: differences go below 0.
        totals = digits[0].astype(np.int16)
        for own in digits[1:]:
            totals = totals + own if adds else totals - own
        carries = np.zeros((len(lengths), width + 1), dtype=np.int32)
        for column in range(width):
            if adds:
                totals[:, column] += carries[:, column]
                carries[:, column + 1] = totals[:, column] // 10
            else:
                totals[:, column] -= carries[:, column]
                carries[:, column + 1] = totals[:, column] < 0
        results = (totals % 10).astype(np.uint8)
        return Columns(swapped, operand_lengths, lengths, digits, carries.astype(np.uint8), results)

    def equations(self, task: Task) -> UInt8[np.ndarray, "b w t"]:
        """For each column `a+b+c0=`, with the carry into it."""
        operator, c, equals = (np.full_like(self.results, vocabulary.token(sign)) for sign in (task.symbol, "c", "="))
        terms = [tokens for own in self.digits for tokens in (own, operator)]
        return np.stack([*terms, c, self.carries[:, :-1], equals], axis=2)

    def outcomes(self) -> UInt8[np.ndarray, "b w t"]:
        """For each column `0c1`: its digit, and the carry out of it."""
        c = np.full_like(self.results, vocabulary.token("c"))
        return np.stack([self.results, c, self.carries[:, 1:]], axis=2)


@dataclass(frozen=True)
class Scratchpad:
    """Digit and carry of each column."""

    name: ClassVar[str] = "scratchpad"
    detailed: ClassVar[bool] = False
    symbols: ClassVar[str] = "c,"

    def check(self, task: Task, interleaved: bool) -> None:
        _check_columns(task)

    def pieces(
        self,
        task: Task,
        operands: tuple[Numbers, ...],
        answer_width: Int[np.ndarray, " b"] | None,
        order: Order,
    ) -> list[Piece]:
        columns = Columns.of(task, operands)
        steps = (
            np.concatenate([columns.equations(task), columns.outcomes()], axis=2)
            if self.detailed
            else columns.outcomes()
        )
        comma = np.full((*steps.shape[:2], 1), vocabulary.token(","), np.uint8)
        steps = np.concatenate([steps, comma], axis=2)
        significance = _significance(task, np.arange(steps.shape[1]), self.detailed, comma=True)
        lengths = steps.shape[2] * columns.lengths - 1  # no comma after the last
        swap = constant("-", len(lengths), columns.swapped)
        return [swap, Piece(rearrange(steps, "b w t -> b (w t)"), lengths, significance)]


@dataclass(frozen=True)
class Detailed(Scratchpad):
    """Digit and carry of each column, with the digits and the carry that they come from."""

    name: ClassVar[str] = "detailed"
    detailed: ClassVar[bool] = True


Remaining = Literal["reversed", "plain"]


@dataclass(frozen=True)
class Recursive:
    """Each step restates the digits of the operands that it has not used yet.

    Args:
        remaining: `reversed`: their units first, so that the digits of the step stand in front; `plain`: as people
            write them.
    """

    remaining: Remaining = "reversed"
    name: ClassVar[str] = "recursive"
    symbols: ClassVar[str] = "c,:"

    def __post_init__(self) -> None:
        if self.remaining not in get_args(Remaining):
            raise ValueError(f"remaining is one of {', '.join(get_args(Remaining))}; got '{self.remaining}'")

    def check(self, task: Task, interleaved: bool) -> None:
        _check_columns(task)
        if interleaved:
            raise ValueError(
                "a recursive scratchpad restates one operand after the other, and this format interleaves them. "
                "Use the scratchpad or detailed, or operands that stand by themselves"
            )

    def pieces(
        self,
        task: Task,
        operands: tuple[Numbers, ...],
        answer_width: Int[np.ndarray, " b"] | None,
        order: Order,
    ) -> list[Piece]:
        columns = Columns.of(task, operands)
        steps = np.concatenate([columns.equations(task), columns.outcomes()], axis=2)
        rows, width, tokens = steps.shape
        pieces = [constant("-", rows, columns.swapped)]
        for column in range(width):
            some = columns.lengths > column
            if column:
                pieces.append(constant(",", rows, some))
                for place, lengths in enumerate(columns.operand_lengths):
                    rest = Numbers(columns.digits[place, :, column:], lengths)
                    left = np.maximum(lengths - column, 1) * some
                    sign = ":" if place == len(operands) - 1 else task.symbol
                    pieces += [
                        number(rest, left, "lsb" if self.remaining == "reversed" else "msb", lowest=column),
                        constant(sign, rows, some),
                    ]
            significance = _significance(task, np.array([column]), detailed=True)
            pieces.append(Piece(steps[:, column], tokens * some, significance))
        return pieces


@dataclass(frozen=True)
class PartialProducts:
    """One factor times each digit of the other, units first, and running sums in between."""

    name: ClassVar[str] = "partial-products"
    symbols: ClassVar[str] = "()"

    def check(self, task: Task, interleaved: bool) -> None:
        if operation_of(task) != "product" or task.operands != 2:
            raise ValueError(
                f"partial products are steps of a multiplication of two numbers, not of {name_in_refusal(task)}. "
                "Leave them out"
            )

    def pieces(
        self,
        task: Task,
        operands: tuple[Numbers, ...],
        answer_width: Int[np.ndarray, " b"] | None,
        order: Order,
    ) -> list[Piece]:
        a, b = operands
        rows = len(a)
        pieces = []
        total = None
        for column in range(int(b.lengths.max(initial=0))):
            some = b.lengths > column
            # One digit of b at its place, zeros below: the product comes out shifted.
            digit = np.zeros((rows, column + 1), dtype=np.uint8)
            if column < b.width:
                digit[:, column] = b.digits[:, column]
            product = multiply(a, Numbers(digit, np.full(rows, column + 1)))
            total = product if total is None else add(total, product)
            if column:
                pieces.append(constant("+", rows, some))
            pieces.append(_write(product, some, answer_width, order))
            if column:
                # The last running sum is the answer, which follows.
                more = b.lengths > column + 1
                pieces += [
                    constant("(", rows, more),
                    _write(total, more, answer_width, order),
                    constant(")", rows, more),
                ]
        return pieces


def _significance(
    task: Task, columns: Int[np.ndarray, " w"], detailed: bool, comma: bool = False
) -> Int32[np.ndarray, " wt"]:
    """The significance of digits in the steps of some columns. Carries are no digits of a number."""
    equation = [True, False] * task.operands + 3 * [False] if detailed else []
    digit = np.array([*equation, True, False, False] + comma * [False])
    return np.where(digit, columns[:, None], NO_DIGIT).astype(np.int32).ravel()


def _write(
    numbers: Numbers,
    where: Bool[np.ndarray, " b"],
    width: Int[np.ndarray, " b"] | None,
    order: Order,
) -> Piece:
    return number(numbers, (numbers.lengths if width is None else width) * where, order)


def _check_columns(task: Task) -> None:
    operation = operation_of(task)
    if operation not in ("sum", "difference"):
        hint = ". Use partial-products" if operation == "product" else ""
        raise ValueError(
            f"a scratchpad works in columns of sums and differences, not for {name_in_refusal(task)}{hint}"
        )
    if operation == "difference" and task.operands != 2:
        raise ValueError(f"a scratchpad is for differences of two numbers, got {task.operands}")
    if task.operands > MOST_OPERANDS:
        raise ValueError(
            f"a scratchpad's carries are single digits, for {MOST_OPERANDS} operands at most; got {task.operands}"
        )
