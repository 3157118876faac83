"""How a recipe wants its figure to look, and what it is set beside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What others say was reached, to be marked in a figure.

    Args:
        digits: up to which it was.
        text: by whom, and with what.
        format: in whose panels it is marked; None: in all.
    """

    digits: int
    text: str
    format: str | None = None


@dataclass(frozen=True)
class Contest:
    """Two curves of one scale: how far is the first ahead?

    Args:
        of, over: their labels.
        scale: what stands under them: digits, samples, parameters.
    """

    of: str
    over: str
    scale: str


@dataclass(frozen=True)
class FigurePlan:
    """
    Args:
        by_format: each format has panels of its own.
        claims: what others say was reached.
        contests: whose advantage is drawn against scale, in this order.
    """

    by_format: bool = False
    claims: tuple[Claim, ...] = ()
    contests: tuple[Contest, ...] = ()


PLAIN = FigurePlan()
