"""What stands between the digits of numbers: random spaces, index hints, gaps between groups of digits, blanks.

    plain                12+345=357
    spaces               1 2+ 34 5=357
    hints                ⑧1⑦2+⑨3⑧4⑦5=⑨3⑧5⑦7      the hint says the significance, counted from a random start
    groups:size=2        12+3 45=3 57
    blanks:canvas=5      2 10 +5 43 =7 53     of 012+345, units first

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
Places = Literal["drawn", "fixed"]
MOST_COLUMNS = 100_000  # a typing error must not fill the memory

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


@dataclass(frozen=True)
class Blanks:
    """A canvas: all numbers have the same columns, and digits of one significance stand in the same one.

    The other columns hold blanks, which in the answer are predicted as digits are. Which columns hold digits depends on
    the draw, the canvas and how many digits the prompt's numbers have, and on nothing in the answer: its digits beyond
    those of the operands follow the highest ones without a blank. After the aligned blanks of ABA (OpenReview
    UZovxtlIym), where a test's numbers fill a canvas in which training's are spread out.

    Args:
        canvas: columns of every number.
        places: `drawn`: columns for each problem by itself, all choices alike. `fixed`: one order of the columns, of
            which n digits take the first n.
    """

    canvas: int = 32
    places: Places = "drawn"
    name: ClassVar[str] = "blanks"
    symbols: ClassVar[str] = vocabulary.GAP

    def __post_init__(self) -> None:
        if not 1 <= self.canvas <= MOST_COLUMNS:
            raise ValueError(f"a canvas has 1 to {MOST_COLUMNS:,} columns, got {self.canvas}")
        if self.places not in get_args(Places):
            raise ValueError(f"places is one of {', '.join(get_args(Places))}; got '{self.places}'")

    def check(self, interleaved: bool) -> None:
        if interleaved:
            raise ValueError("blanks put one number's digits into columns, and interleaved operands mix them")

    def columns(
        self, widths: Int[np.ndarray, " b"], digits: Int[np.ndarray, " b"], draws: Draws | None
    ) -> Int[np.ndarray, "b m"]:
        """The column of each significance.

        Args:
            widths: digits of the operands.
            digits: digits of the answer, or of the operands if they are more.
            draws: None: places that are fixed.

        >>> Blanks(canvas=9, places="fixed").columns(np.array([3]), np.array([4]), None).tolist()
        [[1, 3, 7, 8]]
        """
        if digits.max(initial=0) > self.canvas:
            raise ValueError(
                f"a number of {digits.max()} digits does not fit a canvas of {self.canvas} columns. "
                f"Write canvas={digits.max()} or more, or draw shorter operands"
            )
        if draws is None or self.places == "fixed":
            draws = Draws.at(0, "train", 0, 1)
        halves = draws.halves(Use.BLANKS, self.canvas).astype(np.int64)
        # The columns that those of the lowest numbers, as many as there are digits, leave room above for the answer's.
        inside = np.arange(self.canvas) < self.canvas - (digits - widths)[:, None]
        order = np.where(inside, halves, 2**32).argsort(axis=1, kind="stable")
        chosen = np.where(np.arange(self.canvas) < widths[:, None], order, self.canvas)
        chosen.sort(axis=1)
        significance = np.arange(int(digits.max(initial=1)))
        highest = np.take_along_axis(chosen, widths[:, None] - 1, axis=1)
        above = highest + 1 + significance - widths[:, None]
        found: np.ndarray = np.where(significance < widths[:, None], chosen[:, : len(significance)], above)
        return found

    def decorate(
        self,
        written: Written,
        significance: Int32[np.ndarray, "b n"],
        digits: Int[np.ndarray, " b"],
        draws: Draws | None,
    ) -> Written:
        in_prompt = np.arange(significance.shape[1]) < written.prompt_lengths[:, None]
        columns = self.columns((significance * in_prompt).max(axis=1) + 1, digits, draws)
        is_digit = significance != NO_DIGIT
        column = np.take_along_axis(columns, np.where(is_digit, significance, 0), axis=1)
        # Before a digit stand the blanks since the one before it, or since the canvas began; behind a number, the rest.
        after, before = np.zeros_like(is_digit), np.full(column.shape, -1)
        after[:, 1:], before[:, 1:] = is_digit[:, :-1], np.where(is_digit[:, :-1], column[:, :-1], -1)
        counts = np.where(is_digit, column, np.where(after, self.canvas, before + 1)) - before - 1
        gaps = np.full_like(written.tokens, vocabulary.token(vocabulary.GAP))
        return insert(written, counts, gaps)
