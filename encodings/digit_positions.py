"""Position schemes that count digits inside numbers: what they share, and abacus."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.draws import Use, below, words
from arith.encodings.origins import Origin, Shift, Tested
from arith.encodings.positions import Kind, Prompt, Reading


@dataclass(frozen=True)
class DigitScheme(ABC):
    """Ids that count digits inside numbers.

    Args:
        digits: of the longest number it can place; matters for a cyclic origin only.
        origin, span, tested: see `arith.encodings.origins`; cyclic ids are rotated within 1 .. digits + 1.
    """

    digits: int
    origin: Origin = "fixed"
    span: int | None = None
    tested: Tested = "random"
    structure_aware = True
    ordered = True
    resolution = 1

    def __post_init__(self) -> None:
        _ = self._shift  # refuses what it cannot take

    @property
    def _shift(self) -> Shift:
        # One id more than there are digits: coupled positions give signs an id as well.
        return Shift(self.origin, self.span, period=self.digits + 1, tested=self.tested)

    @property
    def cyclic(self) -> bool:
        return self.origin == "cyclic"

    def highest(self, tokens: int, digits: int) -> int:
        if self.origin == "cyclic" and digits > self.digits:
            raise ValueError(f"its cyclic ids tell apart numbers up to {self.digits} digits, not {digits}")
        return self._shift.highest(digits + 1)

    @abstractmethod
    def check(self, reading: Reading) -> None: ...


class AbacusState(NamedTuple):
    """Digits of the current number so far, the offset, and what each token is."""

    rank: Int[Tensor, " b"]
    offset: Int[Tensor, " b"]
    kind: Int[Tensor, "b v"]


@dataclass(frozen=True)
class Abacus(DigitScheme):
    """The place of a digit in its number as it is written, from 1; 0 for whatever is no digit.

    McLeish et al., arXiv 2405.17399. Places mean significance where numbers are written least significant digit
    first. The paper starts at random in training and at 1 in tests: `abacus:origin=random,tested=fixed`; without
    `tested` every sample draws its start.

    >>> Abacus(digits=20, origin="cyclic").highest(tokens=99, digits=20)
    21
    """

    levels = 1

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 b n"]:
        kind = prompt.table.kind[tokens]
        ids = (1 + place(kind, in_answer(tokens, prompt), prompt.reading)) * (kind == Kind.DIGIT)
        return self._shift.move(ids, self._offset(prompt, key)[:, None])[None]

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Int[Tensor, "1 b n"], AbacusState]:
        state = AbacusState(torch.zeros_like(key), self._offset(prompt, key), kinds_by_row(prompt))
        return self.full(prompt, prompt.tokens, key, capacity), state

    def step(self, token: Int[Tensor, " b"], state: AbacusState) -> tuple[Int[Tensor, "1 b 1"], AbacusState]:
        kind = kind_of(token, state.kind)
        ids = self._shift.move((1 + state.rank) * (kind == Kind.DIGIT), state.offset)
        return ids[None, :, None], state._replace(rank=next_rank(state.rank, kind))

    def _offset(self, prompt: Prompt, key: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        return self._shift.offset(below(words(key, Use.PLACE, 1)[:, 0], 2**62), prompt.tested)


def in_answer(tokens: Int[Tensor, "b n"], prompt: Prompt) -> Bool[Tensor, "b n"]:
    """Which tokens come after the prompt."""
    return torch.arange(tokens.shape[1], device=tokens.device) >= prompt.length[:, None]


def kinds_by_row(prompt: Prompt) -> Int[Tensor, "b v"]:
    """The vocabulary's kinds as a state has them, a row a sample."""
    return prompt.table.kind.expand(len(prompt.tokens), -1)


def kind_of(token: Int[Tensor, " b"], kinds: Int[Tensor, "b v"]) -> Int[Tensor, " b"]:
    """The kind of each row's token."""
    return kinds.gather(1, token[:, None])[:, 0]


def place(kind: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"], reading: Reading) -> Int[Tensor, "b n"]:
    """Digits of the same number that stand before each token."""
    found = rank(kind, answer)
    return found if reading.interleaved == 1 else torch.where(answer, found, found // reading.interleaved)


def rank(kind: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"]) -> Int[Tensor, "b n"]:
    """Digits that stand before each token without a break. Prompt and answer never share a number."""
    digit = (kind == Kind.DIGIT).long()
    counted = digit.cumsum(1)
    # A gap is no end: digits grouped by spaces are one number.
    ends_number = (kind != Kind.DIGIT) & (kind != Kind.GAP)
    border = answer[:, 1:] != answer[:, :-1]
    new_part = torch.cat([torch.zeros_like(answer[:, :1]), border], dim=1)
    # Digits up to the last end of a number. The count never falls, so a running maximum carries it on. Where the answer
    # begins, its own first digit is left out.
    before_number = (counted * ends_number).maximum((counted - digit) * new_part).cummax(1).values
    return counted - digit - before_number


def next_rank(rank: Int[Tensor, " b"], kind: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """The rank after one more token."""
    ended = (kind != Kind.DIGIT) & (kind != Kind.GAP)
    return (rank + (kind == Kind.DIGIT)).masked_fill(ended, 0)


def number(
    kind: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"], reading: Reading
) -> tuple[Int[Tensor, "b n"], Int[Tensor, " b"]]:
    """Which number of the line each digit is of, from 1, and what the answer's digits get, the next one.

    Other tokens of the prompt get the number that follows them.
    """
    digit, before = kind == Kind.DIGIT, rank(kind, answer)
    begins = digit & (before == 0) & ~answer
    # Interleaved operands are one run of digits, which begins all of them at once.
    begun = begins.cumsum(1) * reading.interleaved
    last = begun[:, -1:] + 1
    own = begun - (reading.interleaved - 1) + before % reading.interleaved
    return torch.where(answer, last, torch.where(digit, own, begun + 1)), last[:, 0]
