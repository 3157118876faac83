"""What stands between the digits of numbers: random spaces, index hints, gaps between groups of digits.

    plain                12+345=357
    spaces               1 2+ 34 5=357
    hints                ⑧1⑦2+⑨3⑧4⑦5=⑨3⑧5⑦7      the hint says the significance, counted from a random start
    groups:size=2        12+3 45=3 57

Schemes take no notice of them: they neither end a number nor count as digits of it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import numpy as np
from jaxtyping import Int, Int32

from arith.tasks import vocabulary
from arith.tasks.lines import NO_DIGIT, Written, insert
from arith.tasks.stream import Draws, Use, scale

Law = Literal["varied", "fixed", "geometric"]

_NUMBERLIKE = np.array([kind in ("digit", "operator", "equals") for kind in vocabulary.kinds()])


class Decoration(Protocol):
    """Frozen. What it adds stands before other tokens."""

    @property
    def name(self) -> str: ...

    @property
    def symbols(self) -> str:
        """What it writes."""
        ...

    def check(self, interleaved: bool) -> None:
        """Raise if it cannot stand between the digits of operands that take turns."""
        ...

    def decorate(
        self,
        written: Written,
        significance: Int32[np.ndarray, "b n"],
        digits: Int[np.ndarray, " b"],
        draws: Draws | None,
    ) -> Written:
        """A batch with its additions.

        Args:
            significance: of each digit of a number; NO_DIGIT for other tokens.
            digits: the longest number that each prompt allows.
            draws: None: as many additions as there can be.
        """
        ...


@dataclass(frozen=True)
class Spaces:
    """Random spaces between digits and operators, in the operands only or in the answer too.

    Random Space of Shen et al., arXiv 2311.14737, who leave the distribution open. Spaces in an answer are given,
    not asked for: loss and exact match are taken on its other tokens. They may follow any digit, the last one too,
    or they would tell whether another comes.

    Args:
        share: probability of a space.
        law: `fixed`: one space or none, with this probability. `varied`: with a probability drawn for each problem,
            uniform from 0 to `share`. `geometric`: each space is followed by another with this probability.
        most: spaces in one place, 100 at most; matters for the geometric law.
        answer: whether there are spaces in the answer too.
    """

    share: float = 0.5
    law: Law = "varied"
    most: int = 4
    answer: bool = False
    name: ClassVar[str] = "spaces"
    symbols: ClassVar[str] = vocabulary.GAP

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share is a probability between 0 and 1, got {self.share}")
        if self.law not in get_args(Law):
            raise ValueError(f"law is one of {', '.join(get_args(Law))}; got '{self.law}'")
        if not 1 <= self.most <= 100:
            raise ValueError(f"most is 1 to 100 spaces, got {self.most}")

    def check(self, interleaved: bool) -> None:
        return

    def counts(self, shape: tuple[int, int], draws: Draws | None) -> Int[np.ndarray, "b n"]:
        """How many spaces stand in each place, before it is known whether it is one."""
        most = self.most if self.law == "geometric" else 1
        if draws is None:
            return np.full(shape, most)
        halves = draws.halves(Use.SPACES, shape[1])
        if self.law == "varied":
            limit = scale(draws.halves(Use.SPACES_SHARE), round(self.share * 2**32))
            return (halves < limit).astype(np.int64)
        counts = np.zeros(shape, dtype=np.int64)
        # One number decides how many: below share one space, below its square a second one.
        probability = 1.0
        for _ in range(most):
            probability *= self.share
            counts += halves < np.uint64(round(probability * 2**32))
        return counts

    def decorate(
        self,
        written: Written,
        significance: Int32[np.ndarray, "b n"],
        digits: Int[np.ndarray, " b"],
        draws: Draws | None,
    ) -> Written:
        numberlike = _NUMBERLIKE[written.tokens]
        between = np.zeros_like(numberlike)
        in_answer = np.arange(between.shape[1]) >= written.prompt_lengths[:, None]
        # In the prompt both neighbours are digits or signs. In the answer the left one is enough, or a space would tell
        # that another digit follows.
        between[:, 1:] = numberlike[:, :-1] & (in_answer[:, 1:] if self.answer else ~in_answer[:, 1:])
        between &= numberlike | in_answer
        between &= np.arange(between.shape[1]) < written.lengths[:, None]
        counts = self.counts((len(between), between.shape[1]), draws) * between
        gaps = np.full_like(written.tokens, vocabulary.token(vocabulary.GAP))
        return insert(written, counts, gaps, given=self.answer)


@dataclass(frozen=True)
class Hints:
    """Before each digit a symbol for its significance, the same in operands and answer, from a random start.

    Zhou et al., "What Algorithms can Transformers Learn?", arXiv 2310.16028.
    """

    name: ClassVar[str] = "hints"
    symbols: ClassVar[str] = vocabulary.HINTS

    def check(self, interleaved: bool) -> None:
        return

    def decorate(
        self,
        written: Written,
        significance: Int32[np.ndarray, "b n"],
        digits: Int[np.ndarray, " b"],
        draws: Draws | None,
    ) -> Written:
        most = len(vocabulary.HINTS)
        if digits.max(initial=0) > most:
            raise ValueError(
                f"there are {most} hints, for numbers of as many digits; an answer here may have {digits.max()}. "
                "Ask for shorter operands"
            )
        # The start depends on the prompt's lengths alone, so that it tells nothing about the answer.
        starts = most - digits + 1
        start = 0 * starts if draws is None else scale(draws.halves(Use.HINTS)[:, 0], starts).astype(np.int64)
        first = vocabulary.token(vocabulary.HINTS[0])
        has = significance != NO_DIGIT
        symbols = ((first + start)[:, None] + significance * has).astype(np.uint8)
        return insert(written, has.astype(np.int64), symbols)


@dataclass(frozen=True)
class Groups:
    """A space between groups of digits, counted from the units: 1 234 567.

    Args:
        size: digits of a group; 1 spaces all digits, as tokenizers of language models need it.
    """

    size: int = 3
    name: ClassVar[str] = "groups"
    symbols: ClassVar[str] = vocabulary.GAP

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 1000:
            raise ValueError(f"a group has 1 to 1,000 digits, got size={self.size}")

    def check(self, interleaved: bool) -> None:
        if interleaved:
            raise ValueError("groups are of one number's digits, and interleaved operands mix them. Use one of the two")

    def decorate(
        self,
        written: Written,
        significance: Int32[np.ndarray, "b n"],
        digits: Int[np.ndarray, " b"],
        draws: Draws | None,
    ) -> Written:
        border = np.zeros(significance.shape, dtype=np.int64)
        this, previous = significance[:, 1:], significance[:, :-1]
        # Two digits side by side are of one number, as a sign stands between numbers.
        both = (this != NO_DIGIT) & (previous != NO_DIGIT)
        border[:, 1:] = both & (np.maximum(this, previous) % self.size == 0)
        gaps = np.full_like(written.tokens, vocabulary.token(vocabulary.GAP))
        return insert(written, border, gaps)
