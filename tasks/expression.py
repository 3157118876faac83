"""Nested expressions: `3*(5+(5-2))+6=30`. Digits are depth: how many parentheses stand inside one another.

The innermost level is a leaf and two in parentheses, `5+(5-2)`; each level around it puts parentheses around all of
that and adds two leaves, before it, behind it or on both sides. Leaves are 1 to 9. Products come before sums and
differences, which go from left to right. Every value on the way is from 0 up and below a bound, by drawing: all levels
that keep to it are equally likely. Below 1,000 values grow with depth (half of them above 16 at depth 1, above 90 at
depth 3 and above 560 at depth 10); below 10 they are alike at every depth.

A problem is what stands at each level, the outermost first in its strings of digits: two leaves, the innermost's third
leaf, two operators, and where the parentheses stand. Different operands are different texts, so that what is kept out
of training is the expression. Bubeck et al., arXiv 2303.12712, ask GPT-4 for such values.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Int, UInt8

from arith.tasks import vocabulary
from arith.tasks.base import Alphabet
from arith.tasks.digits import Numbers, resize, significant_lengths
from arith.tasks.lines import Piece, constant, number
from arith.tasks.spelling import Spelling
from arith.tasks.stream import Draws, Stream
from arith.tasks.workings import END_OF_STEPS

Asked = Literal["value", "worked"]
_OPERATORS = "+-*"  # digits of operands name an operator by its place here
_MINUS, _TIMES = 1, 2
_FIRST, _BEHIND = 0, 2  # where parentheses stand: before the two leaves, or behind them
_SIGN = vocabulary.token("+")  # the other operators follow it
_OPEN, _CLOSE = vocabulary.token("("), vocabulary.token(")")


class _Level(NamedTuple):
    """What stands at one level of each problem."""

    a: Int[np.ndarray, " n"]
    b: Int[np.ndarray, " n"]
    c: Int[np.ndarray, " n"]
    first: Int[np.ndarray, " n"]  # operators
    second: Int[np.ndarray, " n"]
    place: Int[np.ndarray, " n"]


class _Step(NamedTuple):
    """An operation on two numbers."""

    left: Int[np.ndarray, " n"]
    operator: Int[np.ndarray, " n"]
    right: Int[np.ndarray, " n"]

    @property
    def value(self) -> Int[np.ndarray, " n"]:
        signed = np.where(self.operator == _MINUS, -self.right, self.right)
        return np.where(self.operator == _TIMES, self.left * self.right, self.left + signed)


@dataclass(frozen=True)
class Expression:
    """The value of a nested expression.

    Args:
        products: whether there are products, or sums and differences alone.
        below: every value on the way is below this.
        asked: `value`; or `worked`, with each operation on the way, from the inside out.

    >>> from arith.tasks.formats import Format
    >>> Format().text(Expression(), 35, 65, 2, 20, 1, 11)
    '3*(5+(5-2))+6=30'
    """

    products: bool = True
    below: int = 1000
    asked: Asked = "value"
    name: ClassVar[str] = "expression"
    symbol: ClassVar[str] = ""
    operands: ClassVar[int] = len(_Level._fields)
    alphabet: ClassVar[Alphabet] = "string"
    signed: ClassVar[bool] = False
    symbols: ClassVar[str] = "()," + END_OF_STEPS

    def __post_init__(self) -> None:
        if not 10 <= self.below <= 10**6:
            raise ValueError(f"values are below 10 to 1,000,000, got below={self.below}")
        if self.asked not in get_args(Asked):
            raise ValueError(f"asked is one of {', '.join(get_args(Asked))}; got '{self.asked}'")

    def solve(self, *operands: Numbers) -> Numbers:
        value = np.zeros(len(operands[0]), dtype=np.int64)
        for depth, level in enumerate(_levels(operands)):
            value = np.where(operands[0].lengths > depth, _steps(level, value, depth)[1].value, value)
        return _numbers(value)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return np.full_like(width, self._width)

    @property
    def operators(self) -> str:
        """Which there are."""
        return _OPERATORS if self.products else _OPERATORS[:_TIMES]

    @property
    def _width(self) -> int:
        return len(str(self.below - 1))

    def draw(
        self, stream: Stream, lengths: Int[np.ndarray, " n"], index: Int[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "m n w"]:
        digits = np.zeros((self.operands, len(lengths), lengths.max()), dtype=np.uint8)
        value = np.zeros(len(lengths), dtype=np.int64)
        for depth in range(lengths.max()):
            # From the inside out, each level again until no value leaves its range: all that fit are equally likely.
            wrong = np.flatnonzero(lengths > depth)
            while len(wrong):
                level = self._draw_level(stream, len(wrong), depth)
                inner, outer = (step.value for step in _steps(level, value[wrong], depth))
                fits = (inner >= 0) & (inner < self.below) & (outer >= 0) & (outer < self.below)
                kept = wrong[fits]
                digits[:, kept, depth] = np.stack(level)[:, fits]
                # Read again at the next level only, so that rows which are drawn anew still find the value inside.
                value[kept], wrong = outer[fits], wrong[~fits]
        return digits

    def _draw_level(self, stream: Stream, rows: int, depth: int) -> _Level:
        signs = len(self.operators)
        bounds = np.array([9, 9, 9, signs, signs, 2 if depth == 0 else 3])
        a, b, c, first, second, place = stream.below(bounds[:, None], (len(bounds), rows))
        third = c + 1 if depth == 0 else np.zeros_like(c)
        return _Level(a + 1, b + 1, third, first, second, place)

    def spell(self, operands: tuple[Numbers, ...], draws: Draws | None) -> Spelling:
        lengths = operands[0].lengths
        if draws is None:  # the prompt's length depends on the depth alone, and any digits give it
            operands = tuple(Numbers(np.zeros_like(own.digits), own.lengths) for own in operands)
        levels = _levels(operands)
        around = [_around(level, lengths > depth) for depth, level in enumerate(levels) if depth]
        before, behind = [left for left, _ in reversed(around)], [right for _, right in around]
        core = Piece(_core(levels[0]), np.full(len(lengths), 7))
        prompt = [*before, core, *behind, constant("=", len(lengths))]
        value = self.solve(*operands)
        answer = constant("9" * self._width, len(lengths)) if draws is None else number(value, value.lengths, "msb")
        if self.asked == "value":
            return Spelling(prompt, [answer])
        steps = self._longest_steps(lengths) if draws is None else _equations(levels, lengths)
        return Spelling(prompt, [*steps, constant(END_OF_STEPS, len(lengths)), answer])

    def _longest_steps(self, lengths: Int[np.ndarray, " b"]) -> list[Piece]:
        w, product = self._width, min(self._width, 2)
        # A leaf with a leaf, and the product with the third; further out a value with a leaf, twice. Three signs each.
        core, further = (1 + 1 + product + 3) + (product + 1 + w + 3), 2 * (w + 1 + w + 3)
        tokens = core + (lengths - 1) * further - 1  # no comma behind the last
        return [Piece(np.full((1, int(tokens.max())), 9, np.uint8), tokens)]

    def read(self, text: str) -> tuple[tuple[str, ...], str]:
        """The operands and the answer of a written line.

        >>> Expression().read("3*(5+(5-2))+6=30")
        (('35', '65', '02', '20', '01', '11'), '30')
        """
        prompt, equals, rest = text.partition("=")
        answer = rest.rpartition(END_OF_STEPS)[2]
        if not (equals and answer.isascii() and answer.isdigit()):
            raise ValueError(f"expected an expression, an equals sign and a number, got {text!r}")
        strings = tuple(map("".join, zip(*self._read_levels(prompt), strict=True)))
        value = 0
        for depth, level in enumerate(_levels([Numbers.read([own]) for own in strings])):
            for step in _steps(level, np.array([value]), depth):
                value = int(step.value[0])
                if not 0 <= value < self.below:
                    raise ValueError(f"every value on the way is 0 to {self.below - 1}, and one of {prompt} is {value}")
        return strings, answer

    def _read_levels(self, prompt: str) -> list[tuple[str, ...]]:
        """The digits of each level, the outermost first."""
        levels = []
        operator, inside = f"[{re.escape(self.operators)}]", prompt
        leaves = f"((?:[1-9]{operator})*)", f"((?:{operator}[1-9])*)"
        while match := re.fullmatch(rf"{leaves[0]}\((.*)\){leaves[1]}", inside):
            before, inside, behind = match.groups()
            digits = re.findall("[1-9]", before + behind)
            signs = [str(_OPERATORS.index(sign)) for sign in re.findall(operator, before + behind)]
            place = len(before) // 2
            if len(digits) == 1 and (core := re.fullmatch(f"([1-9])({operator})([1-9])", inside)):
                levels.append((*digits, core[1], core[3], *signs, str(_OPERATORS.index(core[2])), str(place)))
                return levels
            if len(digits) != 2:
                break
            levels.append((*digits, "0", *signs, str(place)))
        raise ValueError(
            f"expected a leaf and two in parentheses, such as 5+(5{self.operators[-1]}2), or parentheses around that "
            "with two leaves beside them, such as 9-(5+(5-2))+6, and so on. Leaves are 1 to 9, and operators "
            f"{' '.join(self.operators)}. Got {prompt!r}"
        )


def _levels(operands: tuple[Numbers, ...] | list[Numbers]) -> list[_Level]:
    """The levels from the innermost, whose digits stand last in the strings and so first in the matrices."""
    width = int(operands[0].lengths.max(initial=0))
    digits = np.stack([resize(own.digits, width) for own in operands]).astype(np.int64)
    return [_Level(*digits[:, :, depth]) for depth in range(width)]


def _steps(level: _Level, value: Int[np.ndarray, " n"], depth: int) -> tuple[_Step, _Step]:
    """The two operations of a level, in their order, on its leaves and the value of what stands in parentheses."""
    a, b, c, first, second, place = level
    if depth == 0:
        inner = _Step(b, second, c)
        left, right = (np.where(place == _FIRST, *pair) for pair in ((inner.value, a), (a, inner.value)))
        return inner, _Step(left, first, right)
    x = np.where(place == _FIRST, value, a)
    y = np.where(place == _FIRST, a, np.where(place == _BEHIND, b, value))
    z = np.where(place == _BEHIND, value, b)
    product_last = (second == _TIMES) & (first != _TIMES)
    inner = _Step(np.where(product_last, y, x), np.where(product_last, second, first), np.where(product_last, z, y))
    left, right = np.where(product_last, x, inner.value), np.where(product_last, inner.value, z)
    return inner, _Step(left, np.where(product_last, first, second), right)


def _core(level: _Level) -> UInt8[np.ndarray, "n 7"]:
    """`(b+c)+a` or `a+(b+c)`."""
    a, b, c, first, second, place = level
    around, sides = np.full_like(a, _OPEN), np.full_like(a, _CLOSE)
    group = [around, b, _SIGN + second, c, sides]
    in_front, behind = np.stack([*group, _SIGN + first, a], axis=1), np.stack([a, _SIGN + first, *group], axis=1)
    return np.where((place == _FIRST)[:, None], in_front, behind).astype(np.uint8)


def _around(level: _Level, where: Bool[np.ndarray, " n"]) -> tuple[Piece, Piece]:
    """What stands before the inner expression, and behind it: with their parentheses, six tokens together."""
    a, b, _, first, second, place = level
    before = np.stack([a, _SIGN + first, b, _SIGN + second], axis=1)
    left = np.insert(before, 4, _OPEN, axis=1)
    left[np.arange(len(a)), 2 * place] = _OPEN
    # Read from its end, so that each row's leaves stand where the piece begins.
    right = np.stack([b, _SIGN + second, a, _SIGN + first, np.full_like(a, _CLOSE)], axis=1)
    right[np.arange(len(a)), 4 - 2 * place] = _CLOSE
    return (
        Piece(left.astype(np.uint8), (1 + 2 * place) * where),
        Piece(right.astype(np.uint8), (5 - 2 * place) * where, backwards=True),
    )


def _equations(levels: list[_Level], lengths: Int[np.ndarray, " n"]) -> list[Piece]:
    """`4*2=8,7+8=15` and so on, from the inside out."""
    rows = len(lengths)
    pieces: list[Piece] = []
    value = np.zeros(rows, dtype=np.int64)
    for depth, level in enumerate(levels):
        some = lengths > depth
        for step in _steps(level, value, depth):
            sign = Piece((_SIGN + step.operator)[:, None].astype(np.uint8), some.astype(np.int64))
            comma = [constant(",", rows, some)] if pieces else []
            left, right, result = (_numbers(own) for own in (step.left, step.right, step.value))
            pieces += [*comma, number(left, left.lengths * some, "msb"), sign]
            pieces += [number(right, right.lengths * some, "msb"), constant("=", rows, some)]
            pieces.append(number(result, result.lengths * some, "msb"))
        value = np.where(some, step.value, value)
    return pieces


def _numbers(values: Int[np.ndarray, " n"]) -> Numbers:
    """Non-negative integers as digit matrices."""
    columns = len(str(int(values.max(initial=0))))
    digits = (values[:, None] // 10 ** np.arange(columns) % 10).astype(np.uint8)
    return Numbers(digits, significant_lengths(digits))
