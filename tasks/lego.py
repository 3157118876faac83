"""LEGO: values that follow from one another along a chain, whose clauses are shuffled and whose names are random.

    ba1,a.1,fb0;f=0        b is a plus 1, a is 1, f is b plus 0, all modulo 2: how much is f?
    b0=a1a1=.1f0=b0        the same, each value behind its name

A problem is the string of elements along the chain, the first one's first; its digits are steps of reasoning, and the
answer is their sum in the group. Names, the order of clauses and the clauses beyond are drawn for each sample.

Zhang et al., "Unveiling Transformers with LEGO", arXiv 2206.04301: the group of two, twelve clauses, and values that
are read where the clauses stand, the first six of them supervised. A decoder that is asked for one value, and writes
the way there: `McGill-NLP/length-generalization`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, get_args

import numpy as np
from einops import rearrange
from jaxtyping import Int, UInt8

from arith.tasks import vocabulary
from arith.tasks.base import Alphabet, Layout, State, Trace
from arith.tasks.digits import Numbers, resize
from arith.tasks.lines import Piece, Written, constant
from arith.tasks.spelling import Spelling
from arith.tasks.stream import Draws, Use, scale
from arith.tasks.workings import END_OF_STEPS

# Letters that no working writes with.
NAMES = "".join(letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in vocabulary.WORKING)
Asked = Literal["one", "worked", "each"]
_NAMES = vocabulary.encode(NAMES)
# What the first of a chain follows from is no digit: elements of a clause are, and with a zero there too, models learn
# several times more slowly (docs/labbook.md).
ROOT = "."
_COMMA, _EQUALS, _ROOT = (vocabulary.token(symbol) for symbol in "," + "=" + ROOT)
IN_PLACE = 5  # tokens of a clause with its value: no comma between clauses, for the same reason


class Chains(NamedTuple):
    """The clauses of each problem in their places along the chains, the chain that is asked for first."""

    names: UInt8[np.ndarray, "b clauses"]  # tokens
    elements: UInt8[np.ndarray, "b clauses"]
    values: UInt8[np.ndarray, "b clauses"]
    written: Int[np.ndarray, "b clauses"]  # the clause that stands at each place of the line


@dataclass(frozen=True)
class Lego:
    """Values along a chain of clauses.

    Args:
        group: how many elements there are, which are added modulo this number.
        clauses: of all chains together.
        chains: 1, or 2: the other one has values of its own and nothing to do with the answer, so that no count over
            all clauses gives it away.
        asked: `one` variable, the one that so many steps lead to; the same with the way there, `worked`; or `each`,
            read in place by a model whose attention is full, of which training asks for all that so many steps reach
            and tests for the last alone.

    >>> from arith.tasks.formats import Format
    >>> Format().text(Lego(clauses=4), 101)
    'tu1,e.1,we0,uw1;u=0'
    """

    group: int = 2
    clauses: int = 12
    chains: int = 1
    asked: Asked = "one"
    name: ClassVar[str] = "lego"
    symbol: ClassVar[str] = ""
    operands: ClassVar[int] = 1
    signed: ClassVar[bool] = False
    symbols: ClassVar[str] = vocabulary.TEXT

    def __post_init__(self) -> None:
        if not 2 <= self.group <= 10:
            raise ValueError(f"a group has 2 to 10 elements, each of which is a digit: got group={self.group}")
        if self.chains not in (1, 2):
            raise ValueError(f"there are 1 or 2 chains, got chains={self.chains}")
        if self.clauses % self.chains or self.clauses < 2 * self.chains:
            raise ValueError(
                f"each chain has as many clauses, 2 or more: got clauses={self.clauses} and chains={self.chains}"
            )
        if self.clauses > len(NAMES):
            raise ValueError(f"every variable has a letter of its own, of {len(NAMES)}: got clauses={self.clauses}")
        if self.asked not in get_args(Asked):
            raise ValueError(f"asked is one of {', '.join(get_args(Asked))}; got '{self.asked}'")

    @property
    def alphabet(self) -> Alphabet:
        return self.group

    @property
    def in_place(self) -> bool:
        """Whether values are read in their places of the whole line."""
        return self.asked == "each"

    @property
    def shows_steps(self) -> bool:
        """Whether the answer begins with the way there."""
        return self.asked == "worked"

    @property
    def longest(self) -> int:
        """Steps of reasoning that a chain has."""
        return self.clauses // self.chains

    def solve(self, *operands: Numbers) -> Numbers:
        (elements,) = operands
        # Digits beyond a string's length are zeros, which add nothing.
        sums = elements.digits.sum(axis=1, dtype=np.int64) % self.group
        return Numbers(sums[:, None].astype(np.uint8), np.ones(len(elements), dtype=np.int64))

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return np.ones_like(width)

    def spell(self, operands: tuple[Numbers, ...], draws: Draws | None) -> Spelling:
        (elements,) = operands
        rows, steps = len(elements), elements.lengths
        if steps.max(initial=0) > self.longest:
            raise ValueError(
                f"a chain of lego:clauses={self.clauses},chains={self.chains} has {self.longest} steps at most, got "
                f"{steps.max()} digits"
            )
        chains = self.lay_chains(elements, draws)
        if self.asked == "each":
            return self._spell_values(chains, steps, draws)
        before = self._names_before(chains)
        clauses = _in_line([chains.names, before, chains.elements, np.full_like(before, _COMMA)], chains)
        clauses = replace(clauses, lengths=clauses.lengths - 1)  # no comma behind the last
        last = np.take_along_axis(chains.names, steps[:, None] - 1, axis=1)
        prompt = [clauses, constant(";", rows), Piece(last, np.ones(rows, dtype=np.int64)), constant("=", rows)]
        value = Piece(np.take_along_axis(chains.values, steps[:, None] - 1, axis=1), np.ones(rows, dtype=np.int64))
        if self.asked == "one":
            return Spelling(prompt, [value])
        way = np.stack([chains.names, chains.values, np.full_like(chains.names, _COMMA)], axis=2)
        steps_shown = Piece(rearrange(way, "b clauses three -> b (clauses three)"), 3 * steps - 1)
        return Spelling(prompt, [steps_shown, constant(END_OF_STEPS, rows), value])

    def trace(self, kind: str) -> Trace:
        if kind != "values" or not self.in_place:
            raise ValueError(f"lego is traced as values, with asked=each: got '{kind}' and asked={self.asked}")
        return Values(self)

    def read(self, text: str) -> tuple[tuple[str, ...], str]:
        """The elements along the chain to the variable that is asked for, and the answer.

        >>> Lego(clauses=4).read("tu1,e.1,we0,uw1;u=0")
        (('101',), '0')
        """
        match = re.fullmatch(r"(.*);([a-z])=(?:[a-z0-9,]*;)?([0-9])", text)
        clauses = {own[:1]: own[1:] for own in match[1].split(",") if len(own) == 3} if match else {}
        elements, name = "", match[2] if match else ""
        while name in clauses:
            clause = clauses.pop(name)  # taken out, so that a circle ends
            name, elements = clause[:1], clause[1:] + elements
        if match is None or name != ROOT:
            raise ValueError(f"expected clauses and the variable they lead to, such as ba1,a.0;b=1, got {text!r}")
        return (elements,), match[3]

    def lay_chains(self, elements: Numbers, draws: Draws | None) -> Chains:
        """The clauses of some problems, of which names, order and what lies beyond the operands are drawn."""
        rows, n = len(elements), self.clauses
        place = np.arange(n)
        if draws is None:
            letters = order = np.broadcast_to(np.arange(len(NAMES)), (rows, len(NAMES)))
            others = np.zeros((rows, n), np.uint8)
        else:
            letters = np.argsort(draws.halves(Use.NAMES, len(NAMES)), axis=1, kind="stable")
            order = np.argsort(draws.halves(Use.CLAUSES, n), axis=1, kind="stable")
            others = scale(draws.halves(Use.ELEMENTS, n), self.group).astype(np.uint8)
        used = np.where(place < elements.lengths[:, None], along_chain(elements, n), others)
        by_chain = rearrange(used, "b (chains n) -> b chains n", chains=self.chains)
        values = by_chain.cumsum(axis=2, dtype=np.int64) % self.group
        return Chains(
            _NAMES[letters[:, :n]],
            used,
            rearrange(values, "b chains n -> b (chains n)").astype(np.uint8),
            order[:, :n],
        )

    def _names_before(self, chains: Chains) -> UInt8[np.ndarray, "b clauses"]:
        before = np.roll(chains.names, 1, axis=1)
        before[:, :: self.longest] = _ROOT  # the first of a chain follows from nothing
        return before

    def _spell_values(self, chains: Chains, steps: Int[np.ndarray, " b"], draws: Draws | None) -> Spelling:
        """Clauses with their values, of which no model has to predict what is not asked for."""
        place, names = np.arange(self.clauses), chains.names
        tested = draws is not None and draws.split == "test"
        asked = place == steps[:, None] - 1 if tested else place < steps[:, None]
        equals = np.full_like(names, _EQUALS)
        line = _in_line([names, chains.values, equals, self._names_before(chains), chains.elements], chains)
        given = np.ones((*asked.shape, IN_PLACE), dtype=bool)
        given[..., 1] = ~np.take_along_axis(asked, chains.written, axis=1)
        return Spelling([], [line], rearrange(given, "b clauses parts -> b (clauses parts)"))


@dataclass(frozen=True)
class Values:
    """The values that are known after each loop, a clause of the chain after the other: 0, or the value plus 1.

    state[0] = 1 + element[0],    state[k] = 1 + (state[k - 1] - 1 + element[k]) mod group, if state[k - 1] > 0
    """

    task: Lego
    parts: ClassVar[int] = 1
    in_answer: ClassVar[bool] = False

    @property
    def alphabet(self) -> int:
        return self.task.group + 1

    def lay_out(self, written: Written, operands: tuple[Numbers, ...], draws: Draws) -> Layout:
        (elements,) = operands
        chains = self.task.lay_chains(elements, draws)
        slots = chains.written.argsort(axis=1)[:, : elements.width]
        asked = np.arange(slots.shape[1]) < elements.lengths[:, None]
        return Layout(np.where(asked, written.prompt_lengths[:, None] + IN_PLACE * slots, -1), elements.lengths)

    def advance(
        self, state: State, operands: tuple[Numbers, ...], done: Int[np.ndarray, " b"], loop: Int[np.ndarray, " b"]
    ) -> State:
        (elements,) = operands
        along = along_chain(elements, state.shape[1])[..., None]
        before = np.roll(state, 1, axis=1).astype(np.int64)
        before[:, 0] = 1  # the first value is its element, known from the line
        after: State = np.where(before > 0, 1 + (before - 1 + along) % self.task.group, 0).astype(np.uint8)
        return after

    def draw(self, draws: Draws, columns: int) -> State:
        halves = draws.halves(Use.STATES, columns)[..., None]
        return scale(halves, self.alphabet).astype(np.uint8)


def along_chain(elements: Numbers, clauses: int) -> UInt8[np.ndarray, "b clauses"]:
    """Elements in the order of the chain: that of the first step stands first in the text, and so highest."""
    place = np.arange(clauses)
    from_top = np.maximum(elements.lengths[:, None] - 1 - place, 0)
    found: np.ndarray = np.take_along_axis(resize(elements.digits, clauses), from_top, axis=1)
    return found


def _in_line(parts: Sequence[UInt8[np.ndarray, "b clauses"]], chains: Chains) -> Piece:
    """The parts of each clause side by side, clauses in the order of the line."""
    of_clauses = np.take_along_axis(np.stack(parts, axis=2), chains.written[..., None], axis=1)
    tokens = rearrange(of_clauses, "b clauses parts -> b (clauses parts)")
    return Piece(tokens, np.full(len(tokens), tokens.shape[1]))
