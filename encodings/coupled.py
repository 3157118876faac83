"""Position coupling: tokens that belong together have one id.

    tokens     ^ 1 2 + 3 4 5 = 7 5 3 $
    level 1    0 3 2 1 4 3 2 1 2 3 4 0        significance: units 2, tens 3, ...; operators and equals sign have id 1
    level 2    0 1 1 2 2 2 2 3 3 3 3 0        which number of the line; operators and equals sign open the next one

Cho et al., "Position Coupling", arXiv 2405.20671; levels: Cho et al., "Arithmetic Transformers Can Length-Generalize in
Both Operand Length and Count", arXiv 2410.15787. There steps that add one operand after the other share the operand's
number, and products of digits have a third level. No working that is written here has such steps, so there are two.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.digit_positions import (
    DigitScheme,
    in_answer,
    kind_of,
    kinds_by_row,
    next_rank,
    number,
    place,
    rank,
)
from arith.encodings.draws import Use, below, words
from arith.encodings.origins import Shift
from arith.encodings.positions import Kind, Prompt, Reading


class CoupledState(NamedTuple):
    """Where the answer is.

    Args:
        rank: digits of the answer so far.
        first: significance of its first digit.
        change: of significance from a digit to the next.
        offset: of level 1.
        number: the answer's id of level 2.
        kind: of each token.
    """

    rank: Int[Tensor, " b"]
    first: Int[Tensor, " b"]
    change: Int[Tensor, " b"]
    offset: Int[Tensor, " b"]
    number: Int[Tensor, " b"]
    kind: Int[Tensor, "b v"]


@dataclass(frozen=True)
class Coupled(DigitScheme):
    """One id for all digits of one significance, in operands and answer; with two levels also one for each number.

    Args:
        levels: 1 or 2.
        numbers: in a line, the answer included, that two levels can place; a cyclic origin rotates within them.
        leads: whether the prompt's token before each number has the id of signs, whatever it is. In a text a space
            stands where lines have an operator or the equals sign; without an id it does not know the units that the
            answer begins with (docs/labbook.md, 2026-11-30).

    >>> Coupled(digits=20).highest(tokens=99, digits=20)
    21
    """

    levels: int = 1
    numbers: int = 3
    leads: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels not in (1, 2):
            raise ValueError(f"coupled positions have 1 level, significance, or 2, with the number; got {self.levels}")
        if self.numbers < 2:
            raise ValueError(f"numbers of a line are 2 or more, the answer included; got {self.numbers}")

    @property
    def _number_shift(self) -> Shift:
        return Shift(self.origin, self.span, period=self.numbers, tested=self.tested)

    def highest(self, tokens: int, digits: int) -> int:
        significance = super().highest(tokens, digits)
        return significance if self.levels == 1 else max(significance, self._number_shift.highest(self.numbers))

    def check(self, reading: Reading) -> None:
        if reading.working:
            raise ValueError(
                "coupled positions are the significance of digits, which a step's place among others does not tell.\n"
                "Use sequential or abacus positions, or a format without a working"
            )
        if reading.answer == "msb" and not reading.fixed_width:
            raise ValueError(
                "coupled positions need an answer of known width, and this format does not pad it.\n"
                "An answer digit's id would depend on how long the answer turns out to be. "
                "Use a padded format, or one that writes the answer reversed"
            )
        if self.levels == 2 and reading.numbers > self.numbers:
            raise ValueError(
                f"coupled positions of two levels are made for {self.numbers} numbers in a line, the answer included, "
                f"and this task has {reading.numbers}.\nWrite coupled:levels=2,numbers={reading.numbers}"
            )

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "levels b n"]:
        kind, answer = prompt.table.kind[tokens], in_answer(tokens, prompt)
        sign = _signs(kind)
        if self.leads:
            sign = sign | _leads(kind, answer)
        significance = _significance(kind, answer, prompt)
        ids = self._shift.move(_raw(kind, significance, sign), self._shift.offset(key, prompt.tested)[:, None])
        if self.levels == 1:
            return ids[None]
        numbers = number(kind, answer, prompt.reading)[0] * ((kind == Kind.DIGIT) | sign)
        return torch.stack([ids, self._number_shift.move(numbers, self._number_offset(prompt, key)[:, None])])

    def start(
        self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int
    ) -> tuple[Int[Tensor, "levels b n"], CoupledState]:
        kind, answer = prompt.table.kind[prompt.tokens], in_answer(prompt.tokens, prompt)
        first, change = _answer_order(prompt)
        state = CoupledState(
            rank=torch.zeros_like(key),
            first=first,
            change=change,
            offset=self._shift.offset(key, prompt.tested),
            number=self._number_shift.move(number(kind, answer, prompt.reading)[1], self._number_offset(prompt, key)),
            kind=kinds_by_row(prompt),
        )
        return self.full(prompt, prompt.tokens, key, capacity), state

    def step(self, token: Int[Tensor, " b"], state: CoupledState) -> tuple[Int[Tensor, "levels b 1"], CoupledState]:
        kind = kind_of(token, state.kind)
        significance, sign = _answer_significance(state.rank, state.first, state.change), _signs(kind)
        ids = [self._shift.move(_raw(kind, significance, sign), state.offset)]
        if self.levels == 2:
            ids.append(state.number * ((kind == Kind.DIGIT) | sign))
        return torch.stack(ids)[..., None], state._replace(rank=next_rank(state.rank, kind))

    def _number_offset(self, prompt: Prompt, key: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        # Words for this level alone, so that its origin and that of significance are independent. Any bound far above
        # all periods would do: the shift takes the remainder.
        return self._number_shift.offset(below(words(key, Use.NUMBER, 1)[:, 0], 2**62), prompt.tested)


def _significance(kind: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"], prompt: Prompt) -> Int[Tensor, "b n"]:
    """Of each token as if it were a digit, from 0."""
    reading = prompt.reading
    before = place(kind, answer, reading)
    # Written most significant digit first, significance is counted from the right.
    operand = before if reading.operands == "lsb" else place(kind.flip(1), answer.flip(1), reading).flip(1)
    first, change = (own[:, None] for own in _answer_order(prompt))
    return torch.where(answer, _answer_significance(before, first, change), operand)


def _answer_order(prompt: Prompt) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """The significance of each answer's first digit, and by how much that of the next one differs."""
    one = torch.ones_like(prompt.length)
    if prompt.reading.answer == "lsb":
        return one - 1, one
    assert prompt.answer_width is not None
    return prompt.answer_width - 1, -one


def _answer_significance(
    rank: Int[Tensor, "..."], first: Int[Tensor, "..."], change: Int[Tensor, "..."]
) -> Int[Tensor, "..."]:
    # A model that writes more digits than the width allows stays at the units.
    return (first + change * rank).clamp(min=0)


def _signs(kind: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
    return (kind == Kind.OPERATOR) | (kind == Kind.EQUALS)


def _leads(kind: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """The prompt's tokens, digits left out, that stand right before a number or before the answer."""
    digit = kind == Kind.DIGIT
    # A space between groups of digits is inside a number, whose count of digits goes on behind it.
    first = (digit & (rank(kind, answer) == 0)) | answer
    return ~digit & ~answer & torch.cat([first[:, 1:], torch.ones_like(first[:, :1])], dim=1)


def _raw(kind: Int[Tensor, "..."], significance: Int[Tensor, "..."], sign: Bool[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Ids of level 1, from a fixed origin: 0 means no position and 1 is for signs, so that units have 2."""
    return (2 + significance) * (kind == Kind.DIGIT) + sign
