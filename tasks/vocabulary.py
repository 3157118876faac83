"""One vocabulary of single characters for every task. The token of a digit is the digit itself."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8

Kind = Literal["digit", "operator", "equals", "gap", "other"]

DIGITS = "0123456789"
BEGIN, END, PAD = "^", "$", "_"
# New symbols go to the end: a trained model's token ids must not move.
SYMBOLS = DIGITS + "+-*=" + BEGIN + END + PAD

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(DIGITS, "digit"),
    **dict.fromkeys("+-*", "operator"),
    "=": "equals",
}
_IDS = {symbol: token for token, symbol in enumerate(SYMBOLS)}


def size() -> int:
    """How many tokens there are."""
    return len(SYMBOLS)


def token(symbol: str) -> int:
    """The id of one symbol.

    >>> token("7"), token("+")
    (7, 10)
    """
    return _IDS[symbol]


def kinds() -> list[Kind]:
    """What each token is to a position scheme, in the order of the ids."""
    return [_KINDS.get(symbol, "other") for symbol in SYMBOLS]


def decode(tokens: UInt8[np.ndarray, " n"]) -> str:
    """The text of tokens, with the marks for begin, end and padding left out.

    >>> decode(np.array([14, 1, 2, 10, 3, 13, 1, 5, 15, 16], dtype=np.uint8))
    '12+3=15'
    """
    text = "".join(SYMBOLS[int(token)] for token in tokens)
    return text.strip(BEGIN + END + PAD)
