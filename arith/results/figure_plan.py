"""How a recipe's figure is laid out, and what it is compared with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A result from the literature, marked in a figure.

    Args:
        digits: the longest operand that it claims to solve.
        text: who claims it, and for which method.
        format: the format whose panels show the mark; None: all panels.
    """

    digits: int
    text: str
    format: str | None = None


@dataclass(frozen=True)
class Contest:
    """Two curves of one scale whose difference is drawn: by how much is `of` ahead of `over`?

    Args:
        of, over: the labels of the two curves.
        scale: the text under them on the axis: digits, samples or parameters.
    """

    of: str
    over: str
    scale: str


@dataclass(frozen=True)
class FigurePlan:
    """The layout of a recipe's figure.

    Args:
        by_format: whether each format has panels of its own.
        claims: results from the literature to mark.
        contests: pairs of curves whose lead is drawn against scale, in this order.
        axis: what is counted along the axis of digits.
        chance: the accuracy of a guess, from 0 to 1, which a dashed line marks; None: no line.
        against: what the number is in which labels end; accuracy and other measures are then drawn against it, too.
    """

    by_format: bool = False
    claims: tuple[Claim, ...] = ()
    contests: tuple[Contest, ...] = ()
    axis: str = "digits of the longer operand"
    chance: float | None = None
    against: str = ""


PLAIN = FigurePlan()
